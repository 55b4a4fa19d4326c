"""A clock for what is measured: nobody who sets this machine's can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SteadyClock"]

JUMP_S: Final = 10.0
"""What a wall clock may stray in a run without being set: it is slewed by far less."""

_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _seconds() -> float:
    """Return seconds since some moment, those in which the machine slept included."""
    return time.clock_gettime(_COUNTER)


class SteadyClock:
    """Tells the time that it was when it was made, and what has passed since.

    Parameters
    ----------
    wall, seconds
        Tell the time, and seconds that nobody sets.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        seconds: Callable[[], float] = _seconds,
    ) -> None:
        self._wall, self._seconds = wall, seconds
        self._then, self._from = wall(), seconds()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        passed = timedelta(seconds=self._seconds() - self._from)
        return datetime.fromtimestamp(self._then, UTC) + passed

    @property
    def jumped_s(self) -> float | None:
        """How far the wall clock was set since, in seconds; none where it was not."""
        passed = self._seconds() - self._from
        jumped = self._wall() - self._then - passed
        return jumped if abs(jumped) > JUMP_S else None
