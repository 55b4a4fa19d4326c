"""Compute the reference outputs of a ``.tflite`` model, by LiteRT's reference kernels.

Run in the environment ``litert`` as ``reference.py REQUEST``: a JSON object with ``inputs``,
``check_seeds`` and ``check_files`` as in the contract's job. Runs ``model.tflite`` on the inputs
that ``edge_runner.py`` makes or reads, by way of ``device.py`` beside this script's folder, and
writes ``outputs.npz``: output ``j`` for seed ``s`` is the array ``s.j``. Neither XNNPACK nor an
optimized kernel takes part.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def as_stored(value: Any, detail: dict[str, Any]) -> Any:
    """Return real numbers as a tensor of 8 bits holds them; others as they are."""
    scale, zero = detail["quantization"]
    if value.dtype.kind != "f" or not scale or np.dtype(detail["dtype"]).itemsize != 1:
        return value
    limits = np.iinfo(detail["dtype"])
    numbers = np.clip(np.round(value / scale) + zero, limits.min, limits.max)
    return numbers.astype(detail["dtype"])


def as_real(value: Any, detail: dict[str, Any]) -> Any:
    """Return the real numbers that a tensor of 8 bits stands for; others as they are."""
    scale, zero = detail["quantization"]
    return (value.astype(np.float32) - zero) * scale if value.itemsize == 1 and scale else value


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    interpreter = Interpreter(
        "model.tflite", experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    shapes = {spec["name"]: spec["shape"] for spec in request["inputs"]}
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], shapes[detail["name"]], strict=True)
    interpreter.allocate_tensors()
    arrays = {}
    for seed, feed in edge_runner.check_inputs(request):
        for detail in interpreter.get_input_details():
            value = as_stored(feed[detail["name"]], detail)
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        for number, detail in enumerate(interpreter.get_output_details()):
            output = as_real(interpreter.get_tensor(detail["index"]), detail)
            if not np.isfinite(output).all():
                sys.exit(f"output {number} for seed {seed} is not finite")
            arrays[f"{seed}.{number}"] = output
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
