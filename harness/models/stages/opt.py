"""Optimize a Paddle inference model for Paddle Lite, with ``opt``.

Run in the environment ``paddle`` as ``opt.py REQUEST``: a JSON object with ``target`` (``x86``,
``arm``, or an NPU and its processor: ``rockchip_npu,arm``). Makes ``model.nb`` of
``model.pdmodel`` and ``model.pdiparams`` in the current folder. ``opt`` ends the process (signal
6 or 11) where it fails.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import sysconfig
from pathlib import Path
from typing import Any

from paddlelite import lite

RELU6_THRESHOLD = 6.0
# What opt looks up in these ops without asking whether it is there.
NEEDS_XSHAPE = {
    "flatten_contiguous_range",
    "reshape2",
    "squeeze2",
    "transpose2",
    "unsqueeze2",
}


def program_description() -> Any:
    """Return the module of Paddle's protobuf classes, without the seconds of importing Paddle."""
    path = Path(sysconfig.get_paths()["purelib"], "paddle/base/proto/framework_pb2.py")
    spec = importlib.util.spec_from_file_location("framework_pb2", path)
    if spec is None or spec.loader is None:
        sys.exit(f"no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def adapt(program: Any, proto: Any) -> None:
    """Write out what Paddle 2.6 leaves to its defaults and Paddle Lite 2.13 insists on."""
    for block in program.blocks:
        for number, op in enumerate(block.ops):
            if op.type == "relu6" and all(a.name != "threshold" for a in op.attrs):
                op.attrs.add(name="threshold", type=proto.FLOAT, f=RELU6_THRESHOLD)
            if op.type in NEEDS_XSHAPE and all(o.parameter != "XShape" for o in op.outputs):
                name = f"{op.type}_{number}.xshape"
                op.outputs.add(parameter="XShape", arguments=[name])
                variable = block.vars.add(name=name)
                variable.type.type = proto.VarType.LOD_TENSOR
                variable.type.lod_tensor.tensor.data_type = proto.VarType.FP32


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    proto = program_description()
    program = proto.ProgramDesc()
    try:
        program.ParseFromString(Path("model.pdmodel").read_bytes())
    except Exception as error:  # noqa: BLE001 - protobuf's class differs between its back ends
        sys.exit(f"model.pdmodel is no Paddle inference model: {error}")
    adapt(program, proto)
    Path("adapted.pdmodel").write_bytes(program.SerializeToString())
    opt = lite.Opt()
    opt.set_model_file("adapted.pdmodel")
    opt.set_param_file("model.pdiparams")
    opt.set_model_type("naive_buffer")
    opt.set_valid_places(request["target"])
    opt.set_optimize_out("model")
    opt.run()


if __name__ == "__main__":
    main()
