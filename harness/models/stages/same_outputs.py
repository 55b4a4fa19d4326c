"""Take the reference outputs of the same model in another format, in the order of this one.

Run in the harness's own Python as ``same_outputs.py REQUEST``: a JSON object with ``check_seeds``
and ``model``, the other's name. ``outputs.npz`` in the current folder has this model's outputs,
which tell their order and layout; ``other-outputs.npz`` has the other's, whose values become the
reference: each output is the other's of its shape, channels first or last, which is nearest to it
for the first seed. Writes ``outputs.npz`` anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def read(path: str) -> dict[str, Any]:
    """Return the arrays of a file by name."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def layouts(value: Any, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the orders of a tensor's axes that give a shape: as it is, or channels last."""
    axes = tuple(range(value.ndim))
    orders = (axes, (*axes[:1], *axes[2:], *axes[1:2]))
    return [order for order in orders if value.transpose(order).shape == shape]


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    own, others = read("outputs.npz"), read("other-outputs.npz")
    first = request["check_seeds"][0]
    count = sum(name.startswith(f"{first}.") for name in own)
    left = {name.partition(".")[2] for name in others if name.startswith(f"{first}.")}
    arrays: dict[str, Any] = {}
    for number in range(count):
        mine = own[f"{first}.{number}"]
        fitting = [
            (float(np.abs(others[f"{first}.{key}"].transpose(order) - mine).max()), key, order)
            for key in left
            for order in layouts(others[f"{first}.{key}"], mine.shape)
        ]
        if not fitting:
            sys.exit(f"output {number} of shape {list(mine.shape)} is none of {request['model']}'s")
        _, key, order = min(fitting)
        left.remove(key)
        for seed in request["check_seeds"]:
            arrays[f"{seed}.{number}"] = others[f"{seed}.{key}"].transpose(order)
    Path("outputs.npz").unlink()  # a link to this model's own
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
