"""Items a second: throughput times the batch, where that is more than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import Better, Quantity
from harness.quantities.throughput import PER_SECOND

if TYPE_CHECKING:
    from harness.core.records import Launch


def _of(launch: Launch) -> float | None:
    traffic = launch.traffic
    if traffic is None or traffic.items == 1 or traffic.throughput_per_s is None:
        return None
    return traffic.items * traffic.throughput_per_s


PLUGIN = Quantity(
    name="items",
    api_version=1,
    title="items a second",
    label="Items",
    unit=PER_SECOND,
    of=_of,
    better=Better.MORE,
    section="traffic",
    place=81,
)
