"""What the drill asks of a device, fake or emulated."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drill.journal import Journal
    from harness.lab.inventory import ABI
    from harness.transports.base import Transport

__all__ = ["Target"]


class Target(abc.ABC):
    """A device on which faults strike.

    Attributes
    ----------
    workplace
        The harness's folder there.
    out_there
        How a runner there names the folder of its journal, in a shell's words.
    """

    name: str
    abi: ABI
    workplace: str
    out_there: str

    @abc.abstractmethod
    def make(self) -> None:
        """Make it ready for a run, with nothing on its disk."""

    @abc.abstractmethod
    def remove(self, *, keep: bool) -> None:
        """Remove what a run left there; or keep it here to be looked at."""

    @abc.abstractmethod
    def link(self) -> Transport:
        """Return the way to it that a controller gets."""

    @abc.abstractmethod
    def plan(self, faults: Mapping[str, str]) -> None:
        """Let faults come: stage and number of the launch from now on, to a script."""

    def rest(self) -> None:  # noqa: B027 - most have none
        """Let go of the drill's own link to it, before this process is forked."""

    @abc.abstractmethod
    def meet(self, controller: int) -> None:
        """Let it know which process its controller is."""

    @abc.abstractmethod
    def journal(self) -> Journal:
        """Return what its runners wrote."""

    @abc.abstractmethod
    def leftovers(self) -> Sequence[str]:
        """Return what a finished run should not have left: folders, half files, processes.

        A supervisor whose push was broken off is none: it is swept from the store after an hour.
        """

    @abc.abstractmethod
    def forget_store(self) -> None:
        """Remove all that was pushed."""

    @abc.abstractmethod
    def break_lease(self) -> None:
        """Take it away from whoever has it."""
