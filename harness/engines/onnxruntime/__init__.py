"""ONNX Runtime: loads ``.onnx``; it also reads the ONNX files that users bring.

On ``npu:qnn`` its plugin ``onnxruntime-qnn`` compiles for Qualcomm's Hexagon NPU, which on x86-64
its vendor's library simulates.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.records import Partition
from harness.engines.base import (
    LINUX_ABIS,
    OWN_PYTHON,
    Callers,
    Engine,
    Environment,
    Format,
    Made,
    ModelFile,
    Native,
    Source,
)
from harness.engines.onnxruntime import reasons
from harness.engines.reasons import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.reason import Reason
    from harness.core.records import Precision
    from harness.engines.base import DeviceFacts, Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent
_NPU = "npu:qnn"
_PLAN = "plan "
# Of the plugin's wheels; on arm64 a board needs a Hexagon and Qualcomm's driver, too.
_NPU_ABIS = ("x86_64-linux", "arm64-linux")


class _OnnxRuntime(Engine):
    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        if backend == "cpu":
            return None
        if backend != _NPU:
            return BACKENDS(engine=self.name, backends=["cpu", _NPU])
        if device.abi not in _NPU_ABIS:
            return reasons.NO_WHEEL(abi=device.abi)
        return None

    def usual_precision(self, backend: str) -> Precision:
        return "int8" if backend == _NPU else "fp32"

    def precisions_on(self, device: DeviceFacts, backend: str) -> tuple[Precision, ...]:
        del device
        return ("int8", "fp16") if backend == _NPU else self.precisions

    def format_on(self, backend: str) -> str:
        return "qnn" if backend == _NPU else self.format

    def keeps_models(self, backend: str) -> bool:
        return backend == _NPU

    def changes_shapes(self, device: DeviceFacts, backend: str) -> bool:
        del device
        return backend != _NPU  # it compiles for the shapes that it is given

    def recipe(self, request: Request) -> Made:
        options: dict[str, Any] = {
            "inputs": [spec.model_dump(mode="json") for spec in request.inputs],
            "precision": request.precision,
        }
        sources: tuple[Source, ...] = (Source("onnx"),)
        if request.precision == "int8":
            options["activations"] = "uint8"
            sources += (Source("samples"),)
        return Made(_FOLDER / "stages" / "qnn.py", "qnn", options, sources)

    def planned(self, said: str, tools: Mapping[str, str]) -> Partition | None:
        told = [line for line in said.splitlines() if line.startswith(_PLAN)]
        if not told:
            return None
        plan = json.loads(told[-1].removeprefix(_PLAN))
        return Partition(tool=f"onnxruntime-qnn {tools['onnxruntime-qnn']}", **plan)


PLUGIN = _OnnxRuntime(
    name="onnxruntime",
    api_version=1,
    title="ONNX Runtime",
    folder=_FOLDER,
    format="onnx",
    formats=(
        Format(
            name="qnn",
            roles={"model": "qnn.onnx"},
            precisions=("int8", "fp16"),
            fixed_shapes=True,
        ),
    ),
    model_files=(
        ModelFile(
            name="onnx",
            suffix=".onnx",
            title="ONNX",
            environment="onnx",
            inspect=_FOLDER / "stages" / "inspect.py",
            reference=_FOLDER / "stages" / "reference.py",
            prepare=_FOLDER / "stages" / "prepare.py",
        ),
    ),
    precisions=("fp32", "int8", "fp16"),
    in_python=("cpu", _NPU),
    callers_in_python=Callers.ANY,
    environment="onnxruntime",
    environments=(
        Environment("onnxruntime", "the engine onnxruntime here", OWN_PYTHON, 40, _FOLDER),
        Environment(
            "qnn", "Qualcomm's NPU: preparation, simulation here", OWN_PYTHON, 160, _FOLDER
        ),
    ),
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("onnxruntime",),
    library="libonnxruntime.so.1",
    native=Native(),
    colour=2,
    made_by="Paddle2ONNX",
)
