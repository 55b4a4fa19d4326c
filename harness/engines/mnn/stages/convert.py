"""Convert an ONNX model for MNN.

Run in the environment ``mnn`` as ``convert.py REQUEST``: an empty JSON object. Makes ``model.mnn``
of ``model.onnx`` in the current folder.

The converter is called as a library: the command ``mnnconvert`` installs a package at its start
that reports each conversion to MNN's authors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import _tools


def main() -> None:
    """Do what the request says."""
    paths = ["--modelFile", "model.onnx", "--MNNModel", "model.mnn"]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *paths, "--bizCode", "edge-harness"])
    if not Path("model.mnn").is_file():  # it returns nothing, whatever becomes of it
        sys.exit("MNN's converter made nothing of model.onnx: what it printed says why")


if __name__ == "__main__":
    main()
