"""Attached launches: start a runner on a device, wait for it, and read what it left."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from harness.results.contract import MAX_EVENTS_BYTES
from harness.transport.base import TransferError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.results.contract import Job
    from harness.transport.base import Completed, Transport

__all__ = ["Ended", "Launcher"]

LOG_LIMIT = 64 << 10
# Beyond the time limit that the device itself enforces: starting, reading and the link.
LINK_SLACK_S = 60.0
CANNOT_PREPARE = 98

_HEADER = re.compile(rb"(\d{1,3}) (\d{1,12}\.\d\d) (\d{1,12}\.\d\d) (\d{1,12}) ([01])\n")


@dataclass(frozen=True)
class Ended:
    """What a launch left on its device.

    Attributes
    ----------
    status
        The runner's exit status; 128 + n where signal n ended it.
    seconds
        How long it ran, by the device's own clock.
    log
        The end of what it printed, at most 64 KiB.
    events
        The content of ``events.jsonl``; untrusted, at most ``MAX_EVENTS_BYTES`` + 1 bytes.
    collected
        Whether it had ended before this call, while no controller was there.
    """

    status: int
    seconds: float
    log: str
    events: bytes
    collected: bool


class Launcher:
    """The launches of one device.

    Parameters
    ----------
    transport
        To the device.
    workdir
        The device's folder for pushed files and launches.
    """

    def __init__(self, transport: Transport, workdir: str) -> None:
        self._transport = transport
        self._base = f"{workdir}/launches"
        self._script = files("harness.runner").joinpath("launch.sh").read_text(encoding="utf-8")

    def run(self, job: Job, links: Mapping[str, str], command: Sequence[str]) -> Ended:
        """Run a launch to its end, in one round trip.

        A launch of the same id that is still alive is ended and begun anew; one that has ended
        is collected instead of run again.

        Parameters
        ----------
        links
            Name within the launch's folder to the path on the device that it links to.
        command
            The runner and its arguments.

        Raises
        ------
        TransferError
            The launch's folder could not be made, or the answer makes no sense.
        TransportError
            As for :meth:`harness.transport.base.Transport.run`.
        """
        pairs = [word for pair in links.items() for word in pair]
        limit = str(math.ceil(job.time_limit))
        completed = self._call(
            "run",
            [job.launch, limit, str(LOG_LIMIT), *pairs, "--", *command],
            stdin=job.model_dump_json().encode(),
            timeout=job.time_limit + LINK_SLACK_S,
        )
        if completed.returncode == CANNOT_PREPARE:
            message = completed.stderr.decode(errors="replace").strip()[:200]
            raise TransferError(f"{self._base}: a launch's folder could not be made: {message}")
        header = _HEADER.match(completed.stdout)
        if header is None:
            message = completed.stderr.decode(errors="replace").strip()[:200]
            raise TransferError(
                f"the device's shell did not run the launch "
                f"(exit {completed.returncode}): {message}",
                hint="harness devices probe shows which tools it has; sh, sed, cut, tail, timeout "
                "and setsid are needed",
            )
        status, begin, end, log_bytes, collected = header.groups()
        rest = completed.stdout[header.end() :]
        cut = min(int(log_bytes), LOG_LIMIT)
        return Ended(
            status=int(status),
            seconds=max(0.0, float(end) - float(begin)),
            log=rest[:cut].decode(errors="replace"),
            events=rest[cut:],
            collected=collected == b"1",
        )

    def folder(self, launch: str) -> str:
        """Return the path of a launch's folder on the device."""
        return f"{self._base}/{launch}"

    def living(self) -> list[str]:
        """Return the ids of the launches whose runner is alive, of whatever run."""
        return self._call("living", []).text.split()[:1000]

    def stop(self, launches: Sequence[str]) -> None:
        """End the runners of launches."""
        self._call("stop", launches)

    def forget(self, launches: Sequence[str]) -> None:
        """End launches and remove their folders."""
        self._call("forget", launches)

    def _call(
        self, verb: str, arguments: Sequence[str], *, stdin: bytes = b"", timeout: float = 30.0
    ) -> Completed:
        return self._transport.run(
            ["sh", "-c", self._script, "launch.sh", verb, self._base, *arguments],
            stdin=stdin,
            timeout=timeout,
            # One byte more than is allowed shows that there was more.
            output_limit=LOG_LIMIT + MAX_EVENTS_BYTES + 100,
        )
