"""Why a lab does not measure what it was sent."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

NO_DEVICE: Final = code(
    "fleet.no-device",
    "{agent} has no device '{device}' any more",
    hint="it may have been renamed: harness fleet lists the present names; submit it again",
)
NOT_SENT: Final = code("fleet.not-sent", "what was sent cannot be used: {why}")
CHANGED: Final = code(
    "fleet.changed",
    "the lab of {device} has another runner or other settings than the baseline was measured with",
    hint="set the baseline again",
)
