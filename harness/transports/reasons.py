"""Why a command or a transfer on a device fails, whatever it is reached by."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

# Commands
BROKE: Final = code("link.broke", "{device}: the connection broke before '{program}' finished")
TOO_SLOW_HERE: Final = code(
    "link.too-slow-here", "'{program}' did not finish within {seconds} s on this machine"
)
TOO_SLOW: Final = code("link.too-slow", "{device}: '{program}' did not finish within {seconds} s")

# Transfers
FILE: Final = code("transfer.file", "{path}: {said}")
OF_DEVICE: Final = code("transfer.of-device", "{device}: {why}")
DEVICE_FILE: Final = code("transfer.device-file", "{device}: {path}: {said}")
TOO_LARGE: Final = code("transfer.too-large", "{path}: larger than {limit} bytes, not pulled")
CUT_SHORT: Final = code("transfer.cut-short", "{path}: {arrived} of {size} bytes arrived")
NOT_REGULAR: Final = code("transfer.not-regular", "{path}: not a regular file")
EXIT_STATUS: Final = code("transfer.exit-status", "exit status {status}")
