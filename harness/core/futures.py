"""Waiting for threads so that Ctrl-C is heard at once."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

__all__ = ["finish"]

_LOOK_S = 0.2


def finish(futures: Iterable[Future[None]]) -> None:
    """Wait until all have ended, or one has failed.

    Python runs signal handlers in the main thread alone, and only while it executes code; the
    system may hand a signal to any thread. A main thread that sleeps until its workers end would
    then hear of Ctrl-C only after them: so it wakes now and then.

    Raises
    ------
    BaseException
        The first one that a future raised; the others may still run.
    KeyboardInterrupt
        The user's.
    """
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()
