"""Leases: whose turn it is on a device, across controllers and users.

A lease is on the device itself, on a clock of its own, and ends by itself: a controller that
was killed loses it after a while. Launches renew it. ``edge-supervisor lease`` does the work.
"""

from __future__ import annotations

import getpass
import math
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from harness.core.yamlfile import Spec
from harness.lab import reasons
from harness.lab.supervisor import said
from harness.transports.base import TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.reason import Reason
    from harness.lab.supervisor import DeviceSupervisor
    from harness.transports.base import Completed, Transport

__all__ = ["LEASED", "Holding", "Lease", "LeasedError", "break_lease", "holdings", "me"]

TERM_S: Final = 300
LEASED: Final = 77
_REFUSAL_LIMIT: Final = 2000  # bytes of its line
_TELL_S: Final = 60.0  # who has it, after the first time: a log is not to fill with it
_LOOK_S: Final = 5.0  # of one call: a wait is made of many, so that it can be told and interrupted
_SLACK_S: Final = 30.0
_READ_LIMIT: Final = 17_000  # bytes: the file's, and two lines before
_HOLDING = re.compile(r"(holds|waits) ([!-~]{1,128}) (\d{1,15}) ([ -~]{0,160})", re.ASCII)
_UPTIME = re.compile(r"\d{1,12}(\.\d{1,3})?", re.ASCII)
_Text = Annotated[str, StringConstraints(max_length=200)]
_FILES = tuple(
    f"{folder}/edge-harness.lock.lease"
    for folder in ("/dev/shm", "/tmp", "/run", "/data/local/tmp")  # noqa: S108 - the device's
)
_READ = """\
for file; do
  if [ -f "$file" ]; then
    read -r up rest </proc/uptime && echo "$up"
    cat /proc/sys/kernel/random/boot_id
    exec head -c 16384 "$file"
  fi
done"""


class _Held(Spec):
    lease: Literal["held"]
    holder: _Text
    seconds: Annotated[int, Field(ge=0)]

    @property
    def reason(self) -> Reason:
        return reasons.LEASED(holder=self.holder, seconds=self.seconds)


class _Queued(Spec):
    lease: Literal["queued"]
    holder: _Text

    @property
    def reason(self) -> Reason:
        return reasons.QUEUED(holder=self.holder)


class _Broken(Spec):
    lease: Literal["broken"]
    by: _Text
    reason_given: _Text = Field(alias="reason")

    @property
    def reason(self) -> Reason:
        return reasons.BROKEN(by=self.by, reason=self.reason_given)


class _Crowded(Spec):
    lease: Literal["crowded"]

    @property
    def reason(self) -> Reason:
        return reasons.CROWDED()


_REFUSAL: Final[TypeAdapter[_Held | _Queued | _Broken | _Crowded]] = TypeAdapter(
    Annotated[_Held | _Queued | _Broken | _Crowded, Field(discriminator="lease")]
)


class LeasedError(TransportError):
    """Somebody else has the device, or took it away."""

    @classmethod
    def of(cls, answer: Completed) -> LeasedError:
        """Return the error for a supervisor's refusal."""
        return cls(_whose(answer))


@dataclass(frozen=True)
class Holding:
    """Who has a device, or waits for it.

    Attributes
    ----------
    seconds
        Until it ends, if it is not renewed.
    """

    kind: Literal["holds", "waits"]
    id: str
    seconds: int
    holder: str


class Lease:
    """A run's lease of a device.

    Parameters
    ----------
    claim
        The run's name for it, that no other run has.
    holder
        Who measures what, for people.
    lock
        The device's lock file, as for :class:`harness.campaign.launch.Launcher`.
    """

    def __init__(
        self,
        supervisor: DeviceSupervisor,
        claim: str,
        holder: str,
        *,
        lock: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.words: Sequence[str] = (claim, str(TERM_S), holder)
        self._supervisor = supervisor
        self._command = ["lease", *(["--lock", lock] if lock else [])]
        self._clock = clock
        self._renewed = -math.inf

    def take(self, wait_s: float, progress: Callable[[str], None]) -> None:
        """Take it, or renew it; wait for it at most so long, in the order of coming.

        Parameters
        ----------
        progress
            Is told who has it, once a minute.

        Raises
        ------
        LeasedError
            Somebody else has it still.
        TransportError
            As for :meth:`harness.transports.base.Transport.run`.
        """
        deadline = self._clock() + wait_s
        tell = -math.inf
        while True:
            left = max(0.0, deadline - self._clock())
            step = min(left, _LOOK_S)
            answer = self._supervisor.call(
                [*self._command, "take", *self.words, "--wait", f"{step:g}"],
                timeout=step + _SLACK_S,
            )
            if answer.returncode != LEASED:
                _check(answer)
                self._renewed = self._clock()
                return
            if left <= step:
                raise LeasedError.of(answer)
            if self._clock() >= tell:
                progress(str(_whose(answer)))
                tell = self._clock() + _TELL_S

    def keep(self) -> None:
        """Renew it where half of its term has passed.

        Raises
        ------
        LeasedError
            Somebody else has it, or took it away: it is not taken back.
        TransportError
            As for :meth:`take`.
        """
        if self._clock() - self._renewed > TERM_S / 2:
            answer = self._supervisor.call([*self._command, "renew", *self.words])
            if answer.returncode == LEASED:
                raise LeasedError.of(answer)
            _check(answer)
            self._renewed = self._clock()

    def release(self) -> None:
        """Give it back, and the place in the queue.

        Raises
        ------
        TransportError
            As for :meth:`harness.transports.base.Transport.run`.
        """
        _check(self._supervisor.call([*self._command, "release", self.words[0]]))


def holdings(transport: Transport, files: Sequence[str] = _FILES) -> list[Holding]:
    """Return who has a device and who waits for it, in their order, in one round trip.

    Nothing on the device is changed, and no supervisor has to be there.

    Parameters
    ----------
    files
        Where a lease may be; the first that there is counts.

    Raises
    ------
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    answer = transport.run(
        ["sh", "-c", _READ, "sh", *files], timeout=_SLACK_S, output_limit=_READ_LIMIT
    )
    uptime, boot, written_in, *lines = [*answer.text.splitlines(), "", "", ""]
    if boot != written_in or not _UPTIME.fullmatch(uptime):
        return []
    now_ms = float(uptime) * 1e3
    entries = filter(None, map(_HOLDING.fullmatch, lines))
    return [
        Holding("holds" if kind == "holds" else "waits", name, left_s, holder)
        for kind, name, expires_ms, holder in (entry.groups() for entry in entries)
        if (left_s := math.ceil((int(expires_ms) - now_ms) / 1e3)) > 0
    ]


def break_lease(supervisor: DeviceSupervisor, reason: str, *, lock: str | None = None) -> None:
    """Take a device from whoever has it, who is told why at the next launch.

    Raises
    ------
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    where = ["--lock", lock] if lock else []
    _check(supervisor.call(["lease", *where, "break", me(), reason]))


def _whose(answer: Completed) -> Reason:
    """Return who has a device, as the supervisor's refusal has it."""
    line = answer.stderr[-_REFUSAL_LIMIT:].rstrip().rpartition(b"\n")[2]
    try:
        return _REFUSAL.validate_json(line.removeprefix(b"edge-supervisor: ")).reason
    except ValidationError:
        return reasons.LEASE_FAILED(said=said(answer))


def me() -> str:
    """Return this user and machine, as other users of a lab read it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _check(answer: Completed) -> None:
    if answer.returncode != 0:
        raise TransferError(reasons.LEASE_FAILED(said=said(answer)))
