"""Compute the reference outputs of an ONNX model that was given as one, in fp32 on this machine.

Run in the environment ``onnxruntime`` as ``onnx_reference.py REQUEST``: a JSON object with
``inputs`` (the contract's input specifications) and ``seeds``. Runs ``model.onnx`` on the inputs
that ``edge_runner.py`` makes (both in the current folder), and writes ``outputs.npz``: output
``j`` for seed ``s`` is the array ``s.j``. The graph is run as it stands, without optimizations.
"""

from __future__ import annotations

import json
import runpy
import sys

import numpy as np
import onnxruntime


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    make_input = runpy.run_path("edge_runner.py")["make_input"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    arrays = {}
    for seed in request["seeds"]:
        feed = {
            spec["name"]: make_input(spec, seed, index)
            for index, spec in enumerate(request["inputs"])
        }
        for number, output in enumerate(session.run(None, feed)):
            if not np.isfinite(output).all():
                sys.exit(f"output {number} for seed {seed} is not finite")
            arrays[f"{seed}.{number}"] = output
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
