"""The latency that 90 % of requests keep, where there are samples enough to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import MILLISECONDS, Quantity

if TYPE_CHECKING:
    from harness.core.records import Launch


def _of(launch: Launch) -> float | None:
    return launch.traffic.percentiles_ms.get(90) if launch.traffic else None


PLUGIN = Quantity(
    name="latency_p90",
    api_version=1,
    title="latency at the 90th percentile",
    label="p90",
    unit=MILLISECONDS,
    of=_of,
    expect="latency_p90_ms",
    higher="slower",
    lower="faster",
    section="traffic",
    place=83,
)
