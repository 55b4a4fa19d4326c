"""Why RKNN does not run a case."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

SMALL_RUNTIME: Final = code(
    "rknn.small-runtime",
    "not supported: the small runtime of {chip} (librknnmrt.so) needs a different runner",
)
NO_CHIP: Final = code(
    "rknn.no-chip",
    "artifacts are compiled for one chip, and the device's soc[ '{soc}'] is not a supported one",
    hint="write one of {known} as 'soc' into the device's file",
)
OLD_RUNTIME: Final = code(
    "rknn.old-runtime",
    "it was compiled by RKNN-Toolkit2 {compiler}, and the device's librknnrt.so is older: "
    "{runtime}",
    hint="use librknnrt.so {compiler} or newer: harness runners add ... --lib librknnrt.so",
)
