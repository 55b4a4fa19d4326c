"""RKNN: loads ``.rknn``, on the NPUs of Rockchip's RK35xx."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.text import version_of
from harness.engines.base import Engine, Environment, Format, Made, Native, Sdk, Source
from harness.engines.reasons import BACKENDS
from harness.engines.rknn import compiler, reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.reason import Reason
    from harness.core.records import Partition
    from harness.engines.base import DeviceFacts, Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent

_CHIPS = ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588", "rv1103", "rv1106")
# Those whose NPU computes in integers only, with a small runtime.
_INTEGER_CHIPS = ("rv1103", "rv1106")


_BACKEND = "npu:rknpu"
_OPSET = 19  # the newest that its toolkit knows
_TAKES = ["float32", "int64", "int32"]
# In what a device's file or device tree says, as in "rockchip,rk3588s".
_CHIP = re.compile(r"(?:rk|rv)\d{4}")

# In the file, somewhere: compiler version: 2.5.0 (74ea630ce@2026-09-29T14:54:20)
_COMPILER = re.compile(rb"compiler version: (\d{1,2}(?:\.\d{1,3}){1,3}) ")


class _Rknn(Engine):
    """Its artifacts are compiled for one chip, and its runtime refuses those for another.

    A runtime older than the compiler may refuse them, too, or run them with a warning at most.
    """

    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        if backend != _BACKEND:
            return BACKENDS(engine=self.name, backends=[_BACKEND])
        chip = self.target(device)
        known = [name for name in _CHIPS if name not in _INTEGER_CHIPS]
        if chip in known:
            return None
        if chip in _INTEGER_CHIPS:
            return reasons.SMALL_RUNTIME(chip=chip)
        return reasons.NO_CHIP(soc=device.soc or None, known=known)

    def recipe(self, request: Request) -> Made:
        options: dict[str, Any] = {
            "target": request.target,
            "precision": request.precision,
            "inputs": [spec.model_dump(mode="json") for spec in request.inputs],
        }
        if request.computed_in == "int8":
            options["quantized"] = True
        elif request.precision == "int8":
            # What the toolkit has of the algorithms.
            algorithm = {"mse": "mmse", "KL": "kl_divergence"}.get(request.algorithm, "normal")
            method = {"per-channel": "channel", "per-tensor": "layer"}[request.weights]
            options |= {"algorithm": algorithm, "method": method}
        sources = (Source("prepared", needs={"opset": _OPSET, "takes": _TAKES}), Source("samples"))
        return Made(_FOLDER / "stages" / "compile.py", "rknn", options, sources)

    def planned(self, said: str, tools: Mapping[str, str]) -> Partition | None:
        return compiler.partition(said, f"RKNN-Toolkit2 {tools['rknn-toolkit2']}")

    def changes_shapes(self, device: DeviceFacts, backend: str) -> bool:
        del device, backend
        return False  # its toolkit compiles for the shapes that it is given

    def target(self, device: DeviceFacts, backend: str = "cpu") -> str:
        del backend
        found = _CHIP.search((device.soc or "").lower())
        return found[0] if found else "an unknown chip"

    def refuse(
        self,
        device: DeviceFacts,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> Reason | None:
        del device, backend
        made_by = _compiler(files["model"])
        if version is None or made_by is None or version_of(version) >= version_of(made_by):
            return None
        return reasons.OLD_RUNTIME(compiler=made_by, runtime=version)


def _compiler(model: Path) -> str | None:
    """Return the version of the compiler that made a file, as far as it tells."""
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _COMPILER.search(content)
        return found[1].decode("ascii") if found else None


PLUGIN = _Rknn(
    name="rknn",
    api_version=1,
    title="RKNN",
    folder=_FOLDER,
    format="rknn",
    formats=(
        Format(
            name="rknn",
            roles={"model": "model.rknn"},
            targets={f"rknn:{chip}": chip for chip in _CHIPS},
            precisions=("fp16", "int8"),
            integer_targets=_INTEGER_CHIPS,
            fixed_shapes=True,
            keeps=("fp16", "int8"),
        ),
    ),
    precisions=("fp16", "int8"),
    in_python=(_BACKEND,),
    environments=(Environment("rknn", "ONNX to RKNN, for Rockchip's NPUs", "3.10", 190, _FOLDER),),
    packages=("rknn-toolkit-lite2",),
    library="librknnrt.so",
    wraps_library=True,
    version_text=re.compile(rb"librknnrt version:? (\d{1,2}(?:\.\d{1,3}){1,3})"),
    # The header may not be copied here; the library is loaded while the runner runs.
    native=Native(
        sdk=Sdk(
            title="RKNN SDK",
            headers=("rknn_api.h",),
            folders=(
                ".",
                "include",
                "librknn_api/include",
                "runtime/Linux/librknn_api/include",
                "rknpu2/runtime/Linux/librknn_api/include",
            ),
        )
    ),
    colour=3,
    made_by="RKNN-Toolkit2",
)
