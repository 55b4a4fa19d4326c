"""MNN: loads ``.mnn``, which its own converter makes of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import (
    LINUX_ABIS,
    OWN_PYTHON,
    Engine,
    Environment,
    Format,
    Made,
    Source,
)

if TYPE_CHECKING:
    from harness.engines.base import Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent


class _Mnn(Engine):
    def recipe(self, request: Request) -> Made:
        del request
        return Made(_FOLDER / "stages" / "convert.py", "mnn", {}, (Source("prepared"),))


PLUGIN = _Mnn(
    name="mnn",
    api_version=1,
    title="MNN",
    folder=_FOLDER,
    format="mnn",
    formats=(Format(name="mnn", roles={"model": "model.mnn"}, precisions=("fp32",)),),
    environment="mnn",
    environments=(Environment("mnn", "ONNX to MNN; the engine mnn here", OWN_PYTHON, 45, _FOLDER),),
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("mnn",),
    colour=5,
    made_by="its converter, from `.onnx`",
)
