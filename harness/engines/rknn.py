"""RKNN: loads ``.rknn``, on the NPUs of Rockchip's RK35xx."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.engines.base import Engine
from harness.models.recipes import INTEGER_CHIPS, TARGETS

if TYPE_CHECKING:
    from harness.devices.inventory import DeviceSpec

__all__ = ["RKNN"]

_BACKEND = "npu:rknpu"
# In what a device's file or device tree says, as in "rockchip,rk3588s".
_CHIP = re.compile(r"(?:rk|rv)\d{4}")


class _Rknn(Engine):
    """Its artifacts are compiled for one chip, and its runtime refuses those for another."""

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


RKNN = _Rknn(name="rknn", format="rknn", precisions=("fp16", "int8"))
