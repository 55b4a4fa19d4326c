"""Say what a Paddle inference model takes, by loading it in Paddle.

Run in the environment ``paddle`` as ``inspect_paddle.py REQUEST``: a JSON object with
``memory_bytes`` and ``cpu_s``, its limits. Reads ``model.pdmodel`` and ``model.pdiparams`` in the
current folder and writes ``found.json``: ``inputs`` (name, dtype, shape with -1 for an axis that
varies), ``outputs`` (how many) and ``precision``; or ``fault``. The files are not trusted.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any


def precision_of(program: Any) -> str:
    """Return what a program computes in: its ops tell that it is quantized, else its parameters."""
    from paddle.base.proto import framework_pb2  # noqa: PLC0415

    ops = [op for block in program.blocks for op in block.ops]
    # Before Paddle wrote ops for it, attributes had the scales.
    if any("quantize" in op.type or any(a.name == "enable_int8" and a.b for a in op.attrs)
           for op in ops):  # fmt: skip
        return "int8"
    types = [
        variable.type.lod_tensor.tensor.data_type
        for variable in program.blocks[0].vars
        if variable.persistable and variable.type.HasField("lod_tensor")
    ]
    halves = types.count(framework_pb2.VarType.FP16)
    return "fp16" if halves > types.count(framework_pb2.VarType.FP32) else "fp32"


def inspect() -> dict[str, Any]:
    """Load the model; return what it takes, or what is wrong with it."""
    import paddle  # noqa: PLC0415 - after the limits
    from paddle.base.proto import framework_pb2  # noqa: PLC0415

    program = framework_pb2.ProgramDesc()
    try:
        program.ParseFromString(Path("model.pdmodel").read_bytes())
        ops = [op.type for op in program.blocks[0].ops]
    except Exception:  # noqa: BLE001 - protobuf's class differs between its back ends
        return {"fault": "the .pdmodel is no Paddle program"}
    if "feed" not in ops or "fetch" not in ops:
        return {"fault": "the .pdmodel is no inference program: it has no inputs or no outputs"}
    paddle.enable_static()
    try:
        loaded, feeds, fetches = paddle.static.load_inference_model(
            "model", paddle.static.Executor(paddle.CPUPlace())
        )
    except Exception as error:  # noqa: BLE001 - its exceptions have no common class of their own
        print(error)
        return {"fault": "the .pdiparams are not those of the .pdmodel, or are cut short"}
    variables = [loaded.global_block().var(name) for name in feeds]
    inputs = [
        {
            "name": variable.name,
            "dtype": str(variable.dtype).rpartition(".")[2].lower(),
            "shape": [n if n > 0 else -1 for n in variable.shape],
        }
        for variable in variables
    ]
    return {"inputs": inputs, "outputs": len(fetches), "precision": precision_of(program)}


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"],) * 2)
    Path("found.json").write_text(json.dumps(inspect()))


if __name__ == "__main__":
    main()
