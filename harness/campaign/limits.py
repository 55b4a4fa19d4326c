"""How long a device's link and its answers are waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """How long a device's link and its answers are waited for, each in s.

    Attributes
    ----------
    reconnect_s
        A link that dropped is tried again for so long.
    reading_s
        One reading of a launch takes at most this: so long a link that hangs is not noticed.
    overdue_s
        After a reading's time it ought to have been answered; then it is told.
    slack_s
        Beyond a reading's time, for starting, sending and the link.
    """

    reconnect_s: float = 60.0
    reading_s: float = 20.0
    overdue_s: float = 5.0
    slack_s: float = 30.0


LIMITS: Final = Limits()
