"""Paddle Lite: loads ``.nb``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.base import Engine
from harness.models import nb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.devices.inventory import DeviceSpec

__all__ = ["PADDLE_LITE"]


class _PaddleLite(Engine):
    """Its artifacts hold kernels for one processor, and on another it computes garbage."""

    def target(self, device: DeviceSpec) -> str:
        return "x86" if device.abi.startswith("x86_64") else "arm"

    def refuse(self, device: DeviceSpec, files: Mapping[str, Path]) -> str | None:
        needed = self.target(device)
        found = nb.inspect(files["model"]).targets
        if found <= {needed}:
            return None
        return (
            f"its kernels are for {' and '.join(sorted(found))}, a {device.abi} device runs those "
            f"for {needed}: Paddle Lite would return garbage without an error"
        )


PADDLE_LITE = _PaddleLite(name="paddle-lite", format="nb")
