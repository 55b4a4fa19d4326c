"""How long a request waited before it was begun: the median of those of a launch."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from harness.core.quantity import MILLISECONDS, Quantity, Summary

if TYPE_CHECKING:
    from harness.core.records import Launch


def _of(launch: Launch) -> float | None:
    if launch.traffic is None or not launch.traffic.queue_ns:
        return None
    return float(median(launch.traffic.queue_ns)) / 1e6


PLUGIN = Quantity(
    name="queueing",
    api_version=1,
    title="queueing time",
    label="Queueing",
    unit=MILLISECONDS,
    of=_of,
    summary=Summary.MEDIAN,
    section="traffic",
    place=85,
)
