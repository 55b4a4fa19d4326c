"""OpenVINO: loads ``.onnx``."""

from pathlib import Path

from harness.engines.base import LINUX_ABIS, OWN_PYTHON, Engine, Environment

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent

PLUGIN = Engine(
    name="openvino",
    api_version=1,
    title="OpenVINO",
    folder=_FOLDER,
    format="onnx",
    precisions=("fp32", "int8"),
    environment="openvino",
    environments=(Environment("openvino", "the engine openvino here", OWN_PYTHON, 75, _FOLDER),),
    cpu_abis=LINUX_ABIS,
    packages=("openvino",),
    colour=4,
    made_by="Paddle2ONNX",
)
