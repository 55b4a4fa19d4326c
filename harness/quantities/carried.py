"""The rate of requests that keeps a latency bound, as fresh launches confirmed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import Better, Quantity, Summary
from harness.quantities.throughput import PER_SECOND

if TYPE_CHECKING:
    from harness.core.records import Launch


def _of(launch: Launch) -> float | None:
    return launch.traffic.rate if launch.traffic and launch.traffic.bound else None


PLUGIN = Quantity(
    name="carried",
    api_version=1,
    title="rate within the bound",
    label="Rate in bound",
    unit=PER_SECOND,
    of=_of,
    summary=Summary.MEDIAN,
    better=Better.MORE,
    margin=0.1,  # two steps of the search, which goes by 5 %
    decisive=False,
    expect="carried_per_s",
    section="traffic",
    place=82,
)
