"""RKNN: loads ``.rknn``, on the NPUs of Rockchip's RK35xx."""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

from harness.engines.base import Engine
from harness.lab.runners import version_of
from harness.models.recipes import INTEGER_CHIPS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.lab.inventory import DeviceSpec

__all__ = ["RKNN"]

_BACKEND = "npu:rknpu"
# In what a device's file or device tree says, as in "rockchip,rk3588s".
_CHIP = re.compile(r"(?:rk|rv)\d{4}")

# In the file, somewhere: compiler version: 2.5.0 (74ea630ce@2026-09-29T14:54:20)
_COMPILER = re.compile(rb"compiler version: (\d{1,2}(?:\.\d{1,3}){1,3}) ")


class _Rknn(Engine):
    """Its artifacts are compiled for one chip, and its runtime refuses those for another.

    A runtime older than the compiler may refuse them, too, or run them with a warning at most.
    """

    def lacks(self, device: DeviceSpec, backend: str) -> str | None:
        if backend != _BACKEND:
            return f"{self.name} measures on '{_BACKEND}' only"
        chip = self.target(device)
        known = [name for name in TARGETS[self.format] if name not in INTEGER_CHIPS]
        if chip in known:
            return None
        if chip in INTEGER_CHIPS:
            return (
                f"the small runtime of {chip} (librknnmrt.so) needs another runner, which there "
                "is not"
            )
        said = f"'{device.soc}'" if device.soc else "nothing"
        return (
            f"artifacts are compiled for one chip, and the device's soc says {said}: write one of "
            f"{', '.join(known)} as 'soc' into the device's file"
        )

    def changes_shapes(self, device: DeviceSpec, backend: str) -> bool:
        del device, backend
        return False  # its toolkit compiles for the shapes that it is given

    def target(self, device: DeviceSpec, backend: str = "cpu") -> str:
        del backend
        found = _CHIP.search((device.soc or "").lower())
        return found[0] if found else "an unknown chip"

    def refuse(
        self,
        device: DeviceSpec,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> str | None:
        del device, backend
        compiler = _compiler(files["model"])
        if version is None or compiler is None or version_of(version) >= version_of(compiler):
            return None
        return (
            f"it was compiled by RKNN-Toolkit2 {compiler}, and the device's librknnrt.so is "
            f"{version}, which is older: give it one of {compiler} or newer "
            "(harness runners add ... --lib librknnrt.so)"
        )


def _compiler(model: Path) -> str | None:
    """Return the version of the compiler that made a file, as far as it tells."""
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _COMPILER.search(content)
        return found[1].decode("ascii") if found else None


RKNN = _Rknn(name="rknn", format="rknn", precisions=("fp16", "int8"), in_python="npu:rknpu")
