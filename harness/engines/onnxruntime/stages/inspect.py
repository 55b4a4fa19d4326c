"""Say what an ONNX file takes, by loading it in ONNX Runtime.

Run in the environment ``onnxruntime`` as ``inspect.py REQUEST``: a JSON object with
``memory_bytes`` and ``cpu_s``, its limits. Reads ``model.onnx`` in the current folder and writes
``found.json``: ``inputs`` (name, dtype, shape with -1 for an axis that varies) and ``outputs``
(how many), or ``fault``. The file is not trusted.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path
from typing import Any

import onnxruntime

CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")


def inspect() -> dict[str, Any]:
    """Load the model; return what it takes, or what is wrong with it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            "model.onnx", options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - its exceptions have no common class of their own
        reason = str(error).strip().partition("\n")[0]
        return {"fault": f"ONNX Runtime cannot load it: {CODE.sub('', reason)}"}
    inputs = [
        {
            "name": value.name,
            "dtype": value.type.removeprefix("tensor(").removesuffix(")"),
            "shape": [n if isinstance(n, int) and n > 0 else -1 for n in value.shape],
        }
        for value in session.get_inputs()
    ]
    return {"inputs": inputs, "outputs": len(session.get_outputs())}


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"],) * 2)
    Path("found.json").write_text(json.dumps(inspect()))


if __name__ == "__main__":
    main()
