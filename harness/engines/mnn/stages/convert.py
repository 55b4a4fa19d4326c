"""Convert an ONNX model for MNN.

Run in the environment ``mnn`` as ``convert.py REQUEST``: an empty JSON object. Makes ``model.mnn``
of ``model.onnx`` in the current folder, whose inputs and outputs ``interface.json`` has.

The converter is called as a library: the command ``mnnconvert`` installs a package at its start
that reports each conversion to MNN's authors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import _tools
import MNN


def main() -> None:
    """Do what the request says."""
    paths = ["--modelFile", "model.onnx", "--MNNModel", "model.mnn"]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *paths, "--bizCode", "edge-harness"])
    if not Path("model.mnn").is_file():  # it returns nothing, whatever becomes of it
        sys.exit("MNN's converter made nothing of model.onnx: what it printed says why")
    # It may also write a file that holds less than the model, with the reason in its log alone.
    net = MNN.Interpreter("model.mnn")
    try:
        session = net.createSession({"backend": "CPU", "numThread": 1})
    except Exception as error:  # noqa: BLE001 - it raises nothing more special
        sys.exit(f"MNN cannot load what its converter made: {error}")
    found = net.getSessionInputAll(session), net.getSessionOutputAll(session)
    interface = json.loads(Path("interface.json").read_bytes())
    for kind, names in zip(("inputs", "outputs"), found, strict=True):
        if lost := sorted(set(interface[kind]) - set(names)):
            sys.exit(f"MNN's converter lost the {kind} {', '.join(lost)}: its log says why")


if __name__ == "__main__":
    main()
