"""Compute the reference outputs of an ONNX model that was given as one, in fp32 on this machine.

Run in the environment ``onnxruntime`` as ``reference.py REQUEST``: a JSON object with
``inputs``, ``check_seeds`` and ``check_files`` as in the contract's job. Runs ``model.onnx`` on the
inputs that ``edge_runner.py`` makes or reads (all in the current folder), and writes
``outputs.npz``: output ``j`` for seed ``s`` is the array ``s.j``. The graph is run as it stands,
without optimizations.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import onnxruntime


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    arrays = {}
    for seed, feed in edge_runner.check_inputs(request):
        for number, output in enumerate(session.run(None, feed)):
            if not np.isfinite(output).all():
                sys.exit(f"output {number} for seed {seed} is not finite")
            arrays[f"{seed}.{number}"] = output
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
