"""The peak resident set by caller: what one more inference at the same time takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import BYTES, Quantity, Summary

if TYPE_CHECKING:
    from harness.core.records import Launch


def _of(launch: Launch) -> float | None:
    traffic = launch.traffic
    if traffic is None or traffic.callers == 1 or launch.vmhwm_bytes is None:
        return None
    return launch.vmhwm_bytes // traffic.callers


PLUGIN = Quantity(
    name="memory_per_caller",
    api_version=1,
    title="peak memory by caller",
    label="Memory by caller",
    unit=BYTES,
    of=_of,
    summary=Summary.MEDIAN,
    section="traffic",
    place=86,
)
