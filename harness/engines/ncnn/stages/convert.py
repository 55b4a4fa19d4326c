"""Convert an ONNX model for ncnn, in fp32.

Run in the environment ``ncnn`` as ``convert.py REQUEST``: a JSON object with ``inputs`` (the
contract's input specifications) and ``other_inputs``, the same at another shape where axes vary,
which tells the converter which those are. Makes ``model.ncnn.param`` and ``model.ncnn.bin`` of
``model.onnx`` in the current folder, whose inputs ``interface.json`` has.

The converter is the program in pnnx's wheel. Its Python module would import torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import ncnn

DTYPES = {"float32": "f32", "int32": "i32", "int64": "i64"}


def shapes(specs: list[dict[str, Any]]) -> str:
    """Return shapes as the converter reads them: ``[1,3,48,320]f32``."""
    return ",".join(f"{spec['shape']}{DTYPES[spec['dtype']]}" for spec in specs).replace(" ", "")


def taken(specs: list[dict[str, Any]], interface: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs that the prepared model has, as it has them."""
    as_float32 = {"dtype": "float32"}
    return [
        spec | (as_float32 if spec["name"] in interface["as_float32"] else {})
        for spec in specs
        if spec["name"] in interface["inputs"]
    ]


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    program = Path(sysconfig.get_paths()["purelib"], "pnnx", "pnnx")
    interface = json.loads(Path("interface.json").read_bytes())
    usual, other = (shapes(taken(request[key], interface)) for key in ("inputs", "other_inputs"))
    options = ["fp16=0", f"inputshape={usual}"]
    if other != usual:
        options.append(f"inputshape2={other}")
    done = subprocess.run([program, "model.onnx", *options], check=False)
    if done.returncode:
        sys.exit(f"pnnx ended with {done.returncode}")
    # What it has no layer for it writes down under a name of its own, and ends well.
    layers = {line.split()[0] for line in Path("model.ncnn.param").read_text().splitlines()[2:]}
    if unknown := sorted(name for name in layers if ncnn.layer_to_index(name) < 0):
        sys.exit(f"ncnn has no layer for what pnnx calls {', '.join(unknown)}")
    net = ncnn.Net()
    files = ((net.load_param, "model.ncnn.param"), (net.load_model, "model.ncnn.bin"))
    if any(read(path) for read, path in files):
        sys.exit("ncnn cannot load what pnnx made: what it printed says why")
    if len(net.input_names()) != len(interface["inputs"]):
        sys.exit(f"pnnx left {len(net.input_names())} of {len(interface['inputs'])} inputs in it")


if __name__ == "__main__":
    main()
