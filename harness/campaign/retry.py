"""What is done after a launch that failed: decided by why it failed, and by what failed before.

Pure: nothing here waits, measures or asks a device. :mod:`harness.campaign.recovery` acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from harness.campaign import reasons
from harness.campaign.launch import DeviceBusyError
from harness.core.records import Category
from harness.lab.leases import LeasedError
from harness.transports.base import AuthenticationError, HostKeyError, TransferError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.errors import LabError
    from harness.core.reason import Code
    from harness.core.records import Launch

__all__ = [
    "Again",
    "Aside",
    "Cause",
    "Failure",
    "GiveUp",
    "PowerCycle",
    "Step",
    "cause_of",
    "cause_of_error",
    "look_after_s",
    "next_step",
]

LOOK_S: Final = (15.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses before a device that was put aside is looked after again; the last one repeats."""

RETURN_S: Final = 300.0
"""How long a device that was put aside is waited for, where nothing else is left to measure."""

SUSPICIOUS: Final = 4
"""So many failures in a row, of several cases, are the device's fault rather than theirs."""

FRUITLESS: Final = 3
"""A device that was put aside so often, without a launch that ended between, stays aside."""


class Cause(StrEnum):
    """Why a launch failed, as far as it decides what is done next."""

    LINK = "link"  # it stayed away for as long as is waited for it
    REFUSED = "refused"  # the device does not let us in, or is not the one on record
    TAKEN = "taken"  # somebody else's lease
    BUSY = "busy"  # another launch holds the device's lock
    HANGS = "hangs"  # something there cannot be ended
    LOST = "lost"  # the device restarted, or its supervisor was killed
    SHORT = "short"  # of memory, or of room on its disk
    DEPLOY = "deploy"  # what was pushed did not arrive
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # the runner or engine died, or said nonsense
    SAID = "said"  # the runner or engine itself said what is wrong


@dataclass(frozen=True)
class Again:
    """Make the same launch again, after a pause in which the host's others may be made."""

    after_s: float


@dataclass(frozen=True)
class GiveUp:
    """Leave the rest of the case's launches out."""


@dataclass(frozen=True)
class PowerCycle:
    """Switch the device off and on, and make the launch again; put it aside where that fails."""


@dataclass(frozen=True)
class Aside:
    """Leave the device's launches out, and look after it now and then where it may return."""

    may_return: bool = True


Step = Again | GiveUp | PowerCycle | Aside


@dataclass(frozen=True)
class Failure:
    """One of a device's failures in a row."""

    case: str
    cause: Cause


# How often a launch is made again, and after how long. What is not here is not made again.
_PAUSES_S: Final = {
    Cause.BUSY: (15.0, 60.0),
    Cause.LOST: (5.0, 30.0),
    Cause.SHORT: (5.0,),
    Cause.DEPLOY: (2.0, 15.0),
    Cause.TIMEOUT: (5.0,),
    Cause.CRASHED: (1.0,),
}
_OF_THE_DEVICE: Final = {Cause.LINK, Cause.BUSY, Cause.HANGS}
_MAY_BE_OF_THE_DEVICE: Final = _OF_THE_DEVICE | {Cause.LOST, Cause.TIMEOUT, Cause.CRASHED}


def cause_of_error(error: LabError) -> Cause:
    """Return why a device could not be used."""
    match error:
        case LeasedError():
            return Cause.TAKEN
        case DeviceBusyError():
            return Cause.BUSY
        case AuthenticationError() | HostKeyError():
            return Cause.REFUSED
        case TransferError():
            return Cause.DEPLOY
        case _:
            return Cause.LINK


# What the runner or the engine itself said is wrong: it will say so again.
_SAID: Final = (
    reasons.RUNNER_SAID,
    reasons.ENGINE_SAID,
    reasons.ENGINE_CRASHED,
    reasons.ENGINE_EXITED,
)


def cause_of(launch: Launch, error: LabError | None = None) -> Cause:
    """Return why a launch failed.

    Parameters
    ----------
    error
        What kept it from being made or read, where something did.
    """
    match launch.category:
        case Category.CONNECTION | Category.DEPLOY if error:
            return cause_of_error(error)
        case Category.DEPLOY:
            return Cause.DEPLOY
        case Category.TIMEOUT:
            return Cause.TIMEOUT
        case Category.DEVICE:
            return _of_device(launch, error)
    return Cause.SAID if _is(launch, *_SAID) else Cause.CRASHED


def _of_device(launch: Launch, error: LabError | None) -> Cause:
    if error:
        cause = cause_of_error(error)
        return Cause.LOST if cause is Cause.LINK else cause
    return Cause.HANGS if _is(launch, reasons.UNKILLABLE) else Cause.SHORT


def _is(launch: Launch, *codes: Code) -> bool:
    return launch.reason is not None and launch.reason.code in {each.name for each in codes}


def next_step(
    cause: Cause,
    tries: int,
    in_a_row: Sequence[Failure],
    *,
    went_well: bool,
    cycles_left: int,
) -> Step:
    """Decide what is done after a failure.

    Parameters
    ----------
    tries
        How often in a row this launch has failed, this time included.
    in_a_row
        The device's failures since a launch ended well there, this one last.
    went_well
        Whether another launch of the case went well in this run: what it says then is no property
        of the case.
    cycles_left
        How often the device may still be power-cycled.
    """
    if cause is Cause.TAKEN:
        return Aside(may_return=False)
    if cause is Cause.REFUSED:
        return Aside()
    pauses = _PAUSES_S.get(cause, ())
    if cause is Cause.SAID and went_well:
        pauses = (1.0,)
    suspicious = [failure for failure in in_a_row if failure.cause in _MAY_BE_OF_THE_DEVICE]
    several = len({failure.case for failure in suspicious}) > 1
    if len(suspicious) >= SUSPICIOUS and several and cycles_left:
        return PowerCycle()
    if tries <= len(pauses):
        return Again(pauses[tries - 1])
    if cause not in _OF_THE_DEVICE and not (cause is Cause.LOST and cycles_left):
        return GiveUp()
    return PowerCycle() if cycles_left else Aside()


def look_after_s(looks: int) -> float:
    """Return the pause before a device that was put aside is looked after for the n-th time."""
    return LOOK_S[min(looks, len(LOOK_S) - 1)]
