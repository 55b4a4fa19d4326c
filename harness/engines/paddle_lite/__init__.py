"""Paddle Lite: loads ``.nb``, for the CPU or for an NPU behind NNAdapter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.yamlfile import nearest
from harness.engines.base import Engine
from harness.models import nb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.lab.inventory import DeviceSpec

__all__ = ["PADDLE_LITE"]


class _PaddleLite(Engine):
    """Its artifacts are for one processor and one version of it.

    On another processor it computes garbage; of another version it crashes or returns nothing.

    What an NPU takes is one kernel of the target ``nnadapter`` for each part of the model; opt
    leaves the rest to the CPU, without a word and up to the whole model.
    """

    def lacks(self, device: DeviceSpec, backend: str) -> str | None:
        kind, _, name = backend.partition(":")
        if kind == "gpu":
            return "no runner of the harness uses Paddle Lite's OpenCL backend"
        if kind == "npu" and name not in nb.NNADAPTER_DEVICES:
            offer = nearest(name, nb.NNADAPTER_DEVICES)
            return f"opt builds for no NNAdapter device '{name}'; {offer}"
        if kind == "npu" and _processor(device) != "arm":
            return f"NPU artifacts are built for ARM processors, and the device is {device.abi}"
        return None

    def keeps_models(self, backend: str) -> bool:
        return backend.startswith("npu:")

    def changes_shapes(self, device: DeviceSpec, backend: str) -> bool:
        # What an NPU is given is compiled for one shape. On x86 Paddle Lite 2.13 returns wrong
        # outputs after a change of PP-OCRv4 recognition's width, or corrupts its heap.
        return backend == "cpu" and _processor(device) == "arm"

    def target(self, device: DeviceSpec, backend: str = "cpu") -> str:
        npu = backend.partition(":")[2]
        return f"{npu},{_processor(device)}" if npu else _processor(device)

    def refuse(
        self,
        device: DeviceSpec,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> str | None:
        info = nb.inspect(files["model"])
        needed, found = _processor(device), info.targets
        if backend != "cpu":
            if "nnadapter" not in found:
                return f"opt gave no part of it to {backend}: all of it would run on the CPU"
            found -= {"nnadapter"}
        if not found <= {needed}:
            return (
                f"its kernels are for {' and '.join(sorted(found))}, a {device.abi} device runs "
                f"those for {needed}: Paddle Lite would return garbage without an error"
            )
        if version and _release(version) != _release(info.opt_version):
            return (
                f"it was made by opt {info.opt_version}, and the runner's Paddle Lite is "
                f"{version}: they must be of one version"
            )
        return None


def _release(version: str) -> str:
    """Return 2.13rc of v2.13-rc, as opt writes it, and of 2.13rc0, as the wheel does."""
    return re.sub(r"^v|-|(?<=rc)0$", "", version)


def _processor(device: DeviceSpec) -> str:
    return "x86" if device.abi.startswith("x86_64") else "arm"


PADDLE_LITE = _PaddleLite(name="paddle-lite", format="nb", precisions=("fp32", "int8"))
