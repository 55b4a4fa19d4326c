"""Paddle Inference: loads ``.pdmodel`` with ``.pdiparams``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.base import Engine

if TYPE_CHECKING:
    from harness.core.records import Precision
    from harness.lab.inventory import DeviceSpec

__all__ = ["PADDLE_INFERENCE"]


class _PaddleInference(Engine):
    """Its int8 kernels on the CPU are oneDNN's, which its builds for ARM are without."""

    def precisions_on(self, device: DeviceSpec, backend: str) -> tuple[Precision, ...]:
        del backend
        return self.precisions if device.abi.startswith("x86_64") else ("fp32",)


PADDLE_INFERENCE = _PaddleInference(
    name="paddle-inference", format="pdmodel", precisions=("fp32", "int8")
)
