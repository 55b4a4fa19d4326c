"""Why an engine cannot be measured on a backend."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

CPU_ONLY: Final = code("engine.cpu-only", "{engine} is measured on the CPU only")
BACKENDS: Final = code("engine.backends", "{engine} is measured on {backends} only")
