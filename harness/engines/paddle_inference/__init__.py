"""Paddle Inference: loads ``.pdmodel`` with ``.pdiparams``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import LINUX_ABIS, Engine

if TYPE_CHECKING:
    from harness.core.records import Precision
    from harness.engines.base import DeviceFacts

__all__ = ["PLUGIN"]

# How its int8 passes report while it loads.
_ONEDNN = re.compile(r"quantized (\d+) \w+ ops")


class _PaddleInference(Engine):
    """Its int8 kernels on the CPU are oneDNN's, which its builds for ARM are without."""

    def precisions_on(self, device: DeviceFacts, backend: str) -> tuple[Precision, ...]:
        del backend
        return self.precisions if device.abi.startswith("x86_64") else ("fp32",)

    def kernels(self, said: str) -> dict[str, int]:
        counts = _ONEDNN.findall(said)
        return {"onednn/int8": sum(map(int, counts))} if counts else {}


PLUGIN = _PaddleInference(
    name="paddle-inference",
    api_version=1,
    title="Paddle Inference",
    profiles=False,
    folder=Path(__file__).parent,
    format="pdmodel",
    precisions=("fp32", "int8"),
    environment="paddle",
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("paddlepaddle",),
    colour=1,
    made_by="Paddle",
)
