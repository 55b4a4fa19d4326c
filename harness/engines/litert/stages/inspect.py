"""Say what a ``.tflite`` file takes, by loading it in LiteRT.

Run in the environment ``litert`` as ``inspect.py REQUEST``: a JSON object with ``memory_bytes`` and
``cpu_s``, its limits. Reads ``model.tflite`` in the current folder and writes ``found.json``:
``inputs`` (name, dtype, shape with -1 for an axis that varies), ``outputs`` (how many) and
``precision``, or ``fault``. The file is not trusted.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

EIGHT_BITS = (np.int8, np.uint8)


def dtype_of(detail: dict[str, Any]) -> str:
    """Return what the runner feeds: real numbers for those that are stored in 8 bits."""
    stored = np.dtype(detail["dtype"])
    return "float32" if stored.type in EIGHT_BITS and detail["quantization"][0] else str(stored)


def inspect() -> dict[str, Any]:
    """Load the model; return what it takes, or what is wrong with it."""
    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter("model.tflite", experimental_op_resolver_type=kind, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        return {"fault": f"LiteRT cannot load it: {reason}"}
    inputs = [
        {
            "name": detail["name"],
            "dtype": dtype_of(detail),
            "shape": [int(n) for n in detail["shape_signature"]],
        }
        for detail in interpreter.get_input_details()
    ]
    integer = any(
        np.dtype(detail["dtype"]).type in EIGHT_BITS and detail["quantization"][0]
        for detail in interpreter.get_tensor_details()
    )
    return {
        "inputs": inputs,
        "outputs": len(interpreter.get_output_details()),
        "precision": "int8" if integer else "fp32",
    }


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"],) * 2)
    Path("found.json").write_text(json.dumps(inspect()))


if __name__ == "__main__":
    main()
