"""Compute what an engine on this machine gives for an artifact.

Run in the engine's environment as ``outputs.py REQUEST``: a JSON object with ``engine``,
``files`` (role to name), ``precision``, ``inputs``, ``outputs``, ``check_seeds`` and
``check_files`` as in the contract's job. Runs the artifact in the current folder with what the
Python runner uses, on one thread, and writes ``outputs.npz``: output ``j`` for seed ``s`` is the
array ``s.j``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    engine = edge_runner.engine_class()()
    job = {**request, "threads": 1, "options": {}}
    engine.configure(job)
    names = engine.load()
    if sorted(names) != sorted(spec["name"] for spec in request["inputs"]):
        sys.exit(f"the model's inputs are {sorted(names)}, not those of the manifest")
    arrays: dict[str, Any] = {}
    for seed, inputs in edge_runner.check_inputs(job):
        engine.bind(inputs)
        engine.run()
        for number, (_, output) in enumerate(edge_runner.in_order(engine.fetch(), job)):
            # A copy: it may be the engine's own memory, which the next inference writes.
            arrays[f"{seed}.{number}"] = np.array(output)
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
