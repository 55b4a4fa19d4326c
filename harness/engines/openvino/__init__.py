"""OpenVINO: loads ``.onnx``."""

from harness.engines.base import Engine

__all__ = ["OPENVINO"]

OPENVINO = Engine(name="openvino", format="onnx", precisions=("fp32", "int8"))
