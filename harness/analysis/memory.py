"""What readings of memory during a launch amount to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.core.records import DeviceMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.core.contract import EnvironmentEvent

__all__ = ["PSS_KEPT", "device_memory", "thin"]

PSS_KEPT: Final = 200
"""Readings of a memory pass that are stored, at most."""


def device_memory(readings: Sequence[EnvironmentEvent]) -> DeviceMemory | None:
    """Return how much more of a device's memory was in use at most during a launch than before.

    Parameters
    ----------
    readings
        The supervisor's, the first of them from before the runner's start.

    Returns
    -------
    DeviceMemory or None
        Without what was not read both before and during; none where nothing was.
    """
    before = next((reading for reading in readings if reading.phase == "before"), None)
    during = [reading for reading in readings if reading.phase == "during"]
    if before is None or not during:
        return None
    drivers = {
        name: _rise(value, (reading.driver_bytes.get(name) for reading in during))
        for name, value in before.driver_bytes.items()
    }
    found = DeviceMemory(
        available_bytes=_fall(
            before.memory_available_bytes, (reading.memory_available_bytes for reading in during)
        ),
        cma_bytes=_fall(before.cma_free_bytes, (reading.cma_free_bytes for reading in during)),
        dma_buf_bytes=_rise(before.dma_buf_bytes, (reading.dma_buf_bytes for reading in during)),
        driver_bytes={name: value for name, value in drivers.items() if value is not None},
    )
    return found if found != DeviceMemory() else None


def thin(series: Sequence[tuple[float, int]], most: int = PSS_KEPT) -> list[tuple[float, int]]:
    """Return at most so many (at least 2) readings of a series: every n-th, and the highest."""
    if len(series) <= most:
        return list(series)
    step = -(-len(series) // (most - 1))
    highest = max(range(len(series)), key=lambda index: series[index][1])
    return [series[index] for index in sorted({*range(0, len(series), step), highest})]


def _rise(before: int | None, during: Iterable[int | None]) -> int | None:
    known = [value for value in during if value is not None]
    return max(known) - before if known and before is not None else None


def _fall(before: int | None, during: Iterable[int | None]) -> int | None:
    known = [value for value in during if value is not None]
    return before - min(known) if known and before is not None else None
