"""ONNX Runtime: loads ``.onnx``."""

from harness.engines.base import Engine

__all__ = ["ONNXRUNTIME"]

ONNXRUNTIME = Engine(name="onnxruntime", format="onnx", precisions=("fp32", "int8"))
