"""OpenVINO: loads ``.onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import LINUX_ABIS, OWN_PYTHON, Callers, Engine, Environment
from harness.engines.reasons import BACKENDS

if TYPE_CHECKING:
    from harness.core.reason import Reason
    from harness.core.records import Precision
    from harness.engines.base import DeviceFacts

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent
_NPU = "npu:intel"


class _OpenVino(Engine):
    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        del device
        known = backend in self.in_python
        return None if known else BACKENDS(engine=self.name, backends=[*self.in_python])

    def usual_precision(self, backend: str) -> Precision:
        return "int8" if backend == _NPU else "fp32"

    def precisions_on(self, device: DeviceFacts, backend: str) -> tuple[Precision, ...]:
        del device
        # An NPU computes what is not quantized in fp16: no artifact says so.
        return ("int8",) if backend == _NPU else self.precisions


PLUGIN = _OpenVino(
    name="openvino",
    api_version=1,
    title="OpenVINO",
    folder=_FOLDER,
    format="onnx",
    precisions=("fp32", "int8"),
    in_python=("cpu", "gpu", _NPU),
    callers_in_python=Callers.ANY,
    environment="openvino",
    environments=(Environment("openvino", "the engine openvino here", OWN_PYTHON, 75, _FOLDER),),
    cpu_abis=LINUX_ABIS,
    packages=("openvino",),
    colour=4,
    made_by="Paddle2ONNX",
)
