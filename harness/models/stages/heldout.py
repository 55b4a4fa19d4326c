"""Run an artifact on the held-out inputs of a model, in the engine that measures it.

Run in an engine's environment as ``heldout.py REQUEST``: a JSON object with ``engine``,
``precision``, ``files`` (role to file), ``inputs`` (their names) and ``remark``. The inputs are in
``heldout.npz`` (``x.j`` of input ``j``), and the engine from ``edge_engine.py``: what is checked
is what is measured. Writes ``outputs.npz`` (``y.j`` of output ``j``) and ``kernels.json``:
``computed_by`` and, where the engine's ``edge_kernels.py`` is there to tell, ``kernels``: how many
ops run in which precision.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    with np.load("heldout.npz", allow_pickle=False) as stored:
        held_out = {name: stored[f"x.{j}"] for j, name in enumerate(request["inputs"])}
    engine = edge_runner.engine_class()()
    job = {"files": request["files"], "threads": 1, "precision": request["precision"]}
    version, _ = engine.configure(job)
    engine.load()
    outputs = []
    for n in range(len(next(iter(held_out.values())))):
        engine.bind({name: samples[n] for name, samples in held_out.items()})
        engine.run()
        outputs.append([np.array(value) for _, value in engine.fetch()])
    stacked: Any = {f"y.{j}": np.stack(y) for j, y in enumerate(zip(*outputs, strict=True))}
    np.savez("outputs.npz", **stacked)
    kernels = {}
    if Path("edge_kernels.py").exists():
        import edge_kernels  # noqa: PLC0415

        first = {name: samples[0] for name, samples in held_out.items()}
        kernels = edge_kernels.kernels(request["files"], first)
    computed_by = f"{request['engine']} {version}{request['remark']}"
    told = {"computed_by": computed_by, "kernels": kernels}
    Path("kernels.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
