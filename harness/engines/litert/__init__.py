"""LiteRT (formerly TensorFlow Lite): loads ``.tflite`` as users bring it."""

from pathlib import Path

from harness.engines.base import OWN_PYTHON, Engine, Environment, Format, ModelFile

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent

PLUGIN = Engine(
    name="litert",
    api_version=1,
    title="LiteRT",
    colour=8,
    profiles=False,
    folder=_FOLDER,
    format="tflite",
    formats=(
        Format(
            name="tflite",
            roles={"model": "model.tflite"},
            precisions=("fp32", "int8"),
            usual=True,
        ),
    ),
    model_files=(
        ModelFile(
            name="tflite",
            suffix=".tflite",
            title="LiteRT",
            environment="litert",
            inspect=_FOLDER / "stages" / "inspect.py",
            reference=_FOLDER / "stages" / "reference.py",
            alone=True,
        ),
    ),
    precisions=("fp32", "int8"),
    environment="litert",
    environments=(Environment("litert", "the engine litert here", OWN_PYTHON, 35, _FOLDER),),
    checks=("any",),
    cpu_abis=("x86_64-linux", "arm64-linux"),
    packages=("ai-edge-litert",),
    made_by="nothing: it is the user's file",
)
