"""Convert a Paddle inference model to ONNX.

Run in the environment ``paddle`` as ``to_onnx.py REQUEST``: a JSON object with ``opset``,
which the converter raises where an op needs it. Makes ``model.onnx`` of ``model.pdmodel`` and
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
        "model.pdmodel", "model.pdiparams", "model.onnx", opset_version=request["opset"]
    )


if __name__ == "__main__":
    main()
