"""Optimize a Paddle inference model for Paddle Lite, with ``opt``.

Run in the environment ``paddle`` as ``opt.py REQUEST``: a JSON object with ``target`` (``x86``,
``arm``, or an NPU and its processor: ``rockchip_npu,arm``) and, where inputs are to be of fixed
shapes, ``shapes`` by name. Makes ``model.nb`` of ``model.pdmodel`` and ``model.pdiparams`` in the
current folder. ``opt`` ends the process (signal 6 or 11) where it fails.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from paddlelite import lite

RELU6_THRESHOLD = 6.0
UNSUPPORTED = re.compile(r"These unsupported ops are: (.*)")
# Of opt's table of ops; the others are named as its targets are.
COLUMNS = {"kARM": "arm", "kHost": "any processor", "kMetal": "metal", "kOpenCL": "opencl",
           "kX86": "x86", "kXPU": "xpu"}  # fmt: skip
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


def fix(program: Any, shapes: dict[str, list[int]]) -> None:
    """Declare the shapes of the inputs, where they are open."""
    for variable in program.blocks[0].vars:
        if variable.name in shapes:
            wanted, declared = shapes[variable.name], variable.type.lod_tensor.tensor.dims
            if len(wanted) != len(declared) or any(
                known not in (-1, extent) for extent, known in zip(wanted, declared, strict=True)
            ):
                sys.exit(f"input '{variable.name}' is {list(declared)}, and cannot be {wanted}")
            declared[:] = wanted


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


def optimize(target: str) -> None:
    """Run opt; it ends the process where it fails."""
    opt = lite.Opt()
    opt.set_model_file("adapted.pdmodel")
    opt.set_param_file("model.pdiparams")
    opt.set_model_type("naive_buffer")
    opt.set_valid_places(target)
    opt.set_optimize_out("model")
    opt.run()


def own_output(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this script anew with other arguments: what opt prints comes from C++."""
    return subprocess.run(
        [sys.executable, "-I", __file__, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def targets_of(table: str, op: str) -> list[str]:
    """Return the targets whose columns of opt's table of all ops have a mark for an op."""
    header, *rows = table.splitlines()
    columns = [(found.end(), found.group()) for found in re.finditer(r"\S+", header)][1:]
    for row in rows:
        if row.split()[:1] == [op]:
            # Names and marks are aligned to the right of their columns, by about one character.
            marks = [found.end() for found in re.finditer(r"\bY\b", row)]
            nearest = {min(columns, key=lambda c: abs(c[0] - mark))[1] for mark in marks}
            return sorted(COLUMNS.get(name, name) for name in nearest - {"kUnK"})
    return []


def explained(said: str, target: str) -> str:
    """Return opt's words, with which targets have the ops that it lacks."""
    found = UNSUPPORTED.search(said)
    if not found:
        return said
    table = own_output("--ops").stdout
    reasons = []
    for op in re.findall(r"'([^']+)'", found[1]):
        have = targets_of(table, op)
        where = f"{', '.join(have)} {'have' if len(have) > 1 else 'has'}" if have else "none has"
        reasons.append(f"'{op}' (of its targets {where} it)")
    return f"error: opt has for '{target}' no op {', '.join(reasons)}\n"


def main() -> None:
    """Do what the request says."""
    if sys.argv[1] == "--ops":
        lite.Opt().print_all_ops()
        return
    request = json.loads(sys.argv[-1])
    if sys.argv[1] == "--run":
        optimize(request["target"])
        return
    proto = program_description()
    program = proto.ProgramDesc()
    try:
        program.ParseFromString(Path("model.pdmodel").read_bytes())
    except Exception as error:  # noqa: BLE001 - protobuf's class differs between its back ends
        sys.exit(f"model.pdmodel is no Paddle inference model: {error}")
    fix(program, request.get("shapes", {}))
    adapt(program, proto)
    Path("adapted.pdmodel").write_bytes(program.SerializeToString())
    ended = own_output("--run", sys.argv[1])
    sys.stdout.write(explained(ended.stdout, request["target"]))
    sys.stdout.flush()
    if ended.returncode < 0:
        signal.signal(-ended.returncode, signal.SIG_DFL)
        os.kill(os.getpid(), -ended.returncode)
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
