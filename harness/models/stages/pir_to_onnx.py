"""Convert a program of Paddle 3 (PIR) to ONNX.

Run in the environment ``paddle3`` as ``pir_to_onnx.py REQUEST``: a JSON object with ``opset``,
which the converter raises where an op needs it. Makes ``model.onnx`` of ``model.json`` and
``model.pdiparams`` in the current folder.
"""

from __future__ import annotations

import json
import sys

import paddle2onnx


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    paddle2onnx.export(
        "model.json",
        "model.pdiparams",
        "model.onnx",
        opset_version=request["opset"],
        verbose=True,  # names the ops that it lacks
        optimize_tool="None",  # the usual one installs packages while it runs
    )


if __name__ == "__main__":
    main()
