"""Inferences a second, where several callers, everything at once or arrivals were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.core.quantity import Better, Quantity, Unit

if TYPE_CHECKING:
    from harness.core.records import Launch

PER_SECOND: Final = Unit("per_s", "1/s")


def _of(launch: Launch) -> float | None:
    return launch.traffic.throughput_per_s if launch.traffic else None


PLUGIN = Quantity(
    name="throughput",
    api_version=1,
    title="throughput",
    label="Throughput",
    unit=PER_SECOND,
    of=_of,
    better=Better.MORE,
    margin=0.03,
    tracked=True,
    expect="throughput_per_s",
    section="traffic",
    place=80,
)
