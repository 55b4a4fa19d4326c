"""Write the inputs that a model is checked for, made as those of the same one, channels first.

Run in the harness's own Python as ``channels_last.py REQUEST``: a JSON object with ``inputs`` (of
the model with its channels first), ``moved`` (which of them have their channels elsewhere here) and
``check_seeds``. Writes ``check_inputs.bin``: what ``edge_runner.py`` makes of each seed, moved.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    with Path("check_inputs.bin").open("wb") as file:
        for seed in request["check_seeds"]:
            values = edge_runner.make_inputs(request, seed).values()
            for value, move in zip(values, request["moved"], strict=True):
                fed = np.moveaxis(value, 1, -1) if move else value
                file.write(fed.astype(fed.dtype.newbyteorder("<")).tobytes())


if __name__ == "__main__":
    main()
