"""MNN: loads ``.mnn``, which its own converter makes of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import (
    LINUX_ABIS,
    OWN_PYTHON,
    Callers,
    Engine,
    Environment,
    Format,
    Made,
    Source,
)
from harness.engines.reasons import BACKENDS

if TYPE_CHECKING:
    from harness.core.reason import Reason
    from harness.engines.base import DeviceFacts, Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent
_PREPARED = Source("prepared", needs={"takes": ["float32", "int64", "int32", "bool"]})


class _Mnn(Engine):
    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        del device
        known = backend in self.in_python
        return None if known else BACKENDS(engine=self.name, backends=[*self.in_python])

    def recipe(self, request: Request) -> Made:
        del request
        return Made(_FOLDER / "stages" / "convert.py", "mnn", {}, (_PREPARED,))


PLUGIN = _Mnn(
    name="mnn",
    api_version=1,
    title="MNN",
    folder=_FOLDER,
    format="mnn",
    formats=(Format(name="mnn", roles={"model": "model.mnn"}, precisions=("fp32",)),),
    in_python=("cpu", "gpu:opencl", "gpu:vulkan"),
    callers_in_python=Callers.INSTANCES,
    environment="mnn",
    environments=(Environment("mnn", "ONNX to MNN; the engine mnn here", OWN_PYTHON, 45, _FOLDER),),
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("mnn",),
    colour=5,
    made_by="its converter, from `.onnx`",
)
