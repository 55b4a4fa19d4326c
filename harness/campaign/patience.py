"""Patience with a link: what drops is made again, within bounds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from harness.campaign import reasons
from harness.transports.base import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    HostKeyError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patience"]

_PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0)

_Result = TypeVar("_Result")


class Patience:
    """Makes the steps of one device again while its link is away.

    A step may be made several times, wholly or in part: it has to come to the same.

    Parameters
    ----------
    seconds
        After which a link that stays away is given up.
    pause
        Waits so many seconds before the link is tried again; by default until :meth:`end` at most.
    clock
        Tells the time, in seconds.

    Attributes
    ----------
    on_change
        Told whether the link is away, when that changes; in the thread of the step.
    """

    def __init__(
        self,
        seconds: float,
        *,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_change: Callable[[bool], object] = lambda _: None
        self._seconds = seconds
        self._over = threading.Event()
        self._pause = pause or self._over.wait
        self._clock = clock

    def end(self) -> None:
        """Let no step begin any more, and none be made again; from any thread."""
        self._over.set()

    def __call__(self, step: Callable[[], _Result]) -> _Result:
        """Make a step, and return what it returned.

        Raises
        ------
        TransportError
            What it raised, where that is not about the link, or the link stayed away.
        """
        away_since: float | None = None
        tries = 0
        while True:
            if self._over.is_set():
                raise TransportError(reasons.INTERRUPTED())
            try:
                result = step()
            except (AuthenticationError, HostKeyError):
                raise
            except (ConnectError, ConnectionLostError, CommandTimeoutError):
                now = self._clock()
                if away_since is None:
                    away_since = now
                    self.on_change(True)  # noqa: FBT003 - a callback's only argument
                if now - away_since >= self._seconds:
                    raise
                self._pause(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
                tries += 1
            else:
                if away_since is not None:
                    self.on_change(False)  # noqa: FBT003 - as above
                return result
