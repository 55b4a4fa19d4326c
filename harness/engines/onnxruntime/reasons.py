"""Why ONNX Runtime does not run a case."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

NO_WHEEL: Final = code("onnxruntime.no-wheel", "onnxruntime-qnn has no wheel for {abi}")
