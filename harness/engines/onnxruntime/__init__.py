"""ONNX Runtime: loads ``.onnx``; it also reads the ONNX files that users bring."""

from pathlib import Path

from harness.engines.base import (
    LINUX_ABIS,
    OWN_PYTHON,
    Engine,
    Environment,
    ModelFile,
    Native,
)

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent

PLUGIN = Engine(
    name="onnxruntime",
    api_version=1,
    title="ONNX Runtime",
    folder=_FOLDER,
    format="onnx",
    model_files=(
        ModelFile(
            name="onnx",
            suffix=".onnx",
            title="ONNX",
            environment="onnxruntime",
            inspect=_FOLDER / "stages" / "inspect.py",
            reference=_FOLDER / "stages" / "reference.py",
        ),
    ),
    precisions=("fp32", "int8"),
    environment="onnxruntime",
    environments=(
        Environment("onnxruntime", "the engine onnxruntime here", OWN_PYTHON, 40, _FOLDER),
    ),
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("onnxruntime",),
    library="libonnxruntime.so.1",
    native=Native(),
    colour=2,
    made_by="Paddle2ONNX",
)
