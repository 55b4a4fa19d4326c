"""What is told of a run's progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.core.reason import Reason
    from harness.core.records import Launch

__all__ = ["Observer"]


class Observer:
    """What is told of launches and of devices that fail, from the hosts' threads.

    Its methods do nothing: a class that derives from it has those that it wants to hear of.
    """

    def begins(self, host: str, case: str, launches_left: int) -> None:
        """Tell that a launch begins."""

    def stands(self, host: str, case: str, state: str) -> None:
        """Tell that a launch is ``waiting`` for its device or ``running``, or how its link is.

        That is ``away``, or ``silent``: an answer is overdue.
        """

    def ended(self, host: str, launch: Launch) -> None:
        """Tell that a launch has ended and is stored."""

    def again(self, host: str, case: str, after_s: float) -> None:
        """Tell that a failed launch is made again, after so many seconds."""

    def gave_up(self, host: str, case: str, why: Reason) -> None:
        """Tell that the rest of a case's launches is left out."""

    def asks_for_more(self, host: str, launches: int) -> None:
        """Tell that the first stage asked for so many launches in a second one."""

    def put_aside(self, host: str, device: str, why: Reason, *, may_return: bool) -> None:
        """Tell that a device's launches are left out, for now or for good."""

    def came_back(self, host: str, device: str) -> None:
        """Tell that a device that was put aside answers again."""

    def power_cycles(self, host: str, device: str, outcome: Reason | None) -> None:
        """Tell that a device is switched off and on, and then what came of it."""
