"""Say what ONNX Runtime runs of a model in which precision, by its own profile of one inference."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime


def kernels(files: dict[str, str], inputs: dict[str, Any]) -> dict[str, int]:
    """Return how many ops of each precision run, after the engine's fusions."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    session = onnxruntime.InferenceSession(
        files["model"], options, providers=["CPUExecutionProvider"]
    )
    session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            op = event["args"]["op_name"]
            # QLinearConv, MatMulIntegerToFloat, QLinearAdd ...; what converts is neither.
            if op not in ("QuantizeLinear", "DequantizeLinear"):
                found[
                    "cpu/int8" if op.startswith("QLinear") or "Integer" in op else "cpu/fp32"
                ] += 1
    return dict(found)
