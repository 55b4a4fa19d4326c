"""The terminal: consoles, steps of something long, and durations in words."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Steps", "console", "humane_seconds", "stderr", "steps"]

_WIDE = 120


def console() -> Console:
    """Return a console on stdout, wide enough for a table where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr() -> Console:
    """Return a console for what is not the result."""
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def humane_seconds(seconds: float) -> str:
    """Return a duration as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Steps:
    """One line that says what is being done; plain lines where there is no terminal."""

    def __init__(self) -> None:
        self._console = stderr()
        self._status = self._console.status("") if self._console.is_terminal else None

    def update(self, step: str) -> None:
        """Show the next step, which may quote a device."""
        shown = Text(visible(step))
        if self._status is None:
            self._console.print(shown)
        else:
            self._status.update(shown)
            self._status.start()

    def stop(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()


@contextmanager
def steps() -> Iterator[Steps]:
    """Show steps for as long as a preparation takes."""
    shown = Steps()
    try:
        yield shown
    finally:
        shown.stop()
