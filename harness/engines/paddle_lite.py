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
    """Its artifacts are for one processor and one version of it.

    On another processor it computes garbage; of another version it crashes or returns nothing.
    """

    def target(self, device: DeviceSpec) -> str:
        return "x86" if device.abi.startswith("x86_64") else "arm"

    def refuse(
        self, device: DeviceSpec, files: Mapping[str, Path], version: str | None = None
    ) -> str | None:
        needed = self.target(device)
        info = nb.inspect(files["model"])
        if not info.targets <= {needed}:
            return (
                f"its kernels are for {' and '.join(sorted(info.targets))}, a {device.abi} device "
                f"runs those for {needed}: Paddle Lite would return garbage without an error"
            )
        if version not in (None, info.opt_version):
            return (
                f"it was made by opt {info.opt_version}, and the runner's Paddle Lite is "
                f"{version}: they must be of one version"
            )
        return None


PADDLE_LITE = _PaddleLite(name="paddle-lite", format="nb")
