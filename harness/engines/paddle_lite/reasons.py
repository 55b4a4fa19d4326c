"""Why Paddle Lite, or its benchmark_bin, does not run a case."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

NO_OPENCL: Final = code(
    "paddle-lite.no-opencl", "no runner of the harness uses Paddle Lite's OpenCL backend"
)
NO_NNADAPTER: Final = code(
    "paddle-lite.no-nnadapter",
    "opt does not build for an NNAdapter device '{name}'",
    hint="NNAdapter devices: {known}",
)
ARM_ONLY: Final = code(
    "paddle-lite.arm-only",
    "NPU artifacts are built for Arm processors, and the device is {abi}",
)
NOTHING_ON_NPU: Final = code(
    "paddle-lite.nothing-on-npu",
    "opt assigned nothing to {backend}: everything would run on the CPU",
)
OTHER_KERNELS: Final = code(
    "paddle-lite.other-kernels",
    "its kernels are for {kernels}, but a {abi} device runs those for {needed}: Paddle Lite would "
    "return garbage without an error",
)
OTHER_VERSION: Final = code(
    "paddle-lite.other-version",
    "it was made by opt {opt}, and the runner's Paddle Lite is {runner}: the versions must match",
)

NO_MODEL_CACHE: Final = code(
    "benchmark-bin.no-model-cache", "benchmark_bin has no flag for a model cache"
)
NO_OPTION: Final = code("benchmark-bin.no-option", "benchmark_bin has no option '{option}'")
