"""Launches on a device: they outlive the connection, and are read on from the byte that was had."""

from __future__ import annotations

import math
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from harness.campaign import reasons
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.patience import Patience
from harness.core.contract import MAX_EVENTS_BYTES, is_done
from harness.core.supervision import (
    MAX_RECORD_BYTES,
    Exit,
    Supervision,
    SupervisionError,
    parse_supervision,
)
from harness.lab.conditions.spec import Conditions
from harness.lab.leases import LEASED, LeasedError
from harness.lab.supervisor import CANNOT_PREPARE, DeviceSupervisor, said
from harness.transports.base import TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.core.contract import Job
    from harness.lab.leases import Lease
    from harness.transports.base import Completed, Transport

__all__ = ["DeviceBusyError", "Ended", "Handling", "LaunchLostError", "Launcher"]

LOG_LIMIT: Final = 64 << 10
FILE_LIMIT: Final = 256 << 20  # bytes of a file: no runner fills the disk
HANGING_S: Final = 30.0  # after its time limit: the supervisor takes 10 s to give up

_ATTEMPTS = 3  # at an answer that makes sense

_BUSY = 75
_SIGNAL_BASE = 128
_KILLED = 137

_LOST = {"absent": reasons.GONE, "lost": reasons.LOST, "orphaned": reasons.ORPHANED}

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ABSENT = b"edge-supervisor 1 absent "
_HEADER = re.compile(
    rb"edge-supervisor 1 (absent|waiting|running|ended|orphaned|lost) ([01])((?: \d{1,15}){4})\n"
)


class _MalformedError(TransferError):
    """The supervisor's answer makes no sense; the launch is on its device all the same."""


class DeviceBusyError(TransportError):
    """Another launch holds the device's lock."""


class LaunchLostError(TransportError):
    """A launch ended without anybody there to see how: supervisor killed, device restarted."""


@dataclass(frozen=True)
class Handling:
    """What the supervisor does for a launch, beside what the job says.

    Attributes
    ----------
    variables
        Of the runner's environment.
    fresh_cache
        Empties the job's model cache before.
    drop_caches
        Puts programs and libraries out of the page cache before, where root allows.
    pss_every_ms
        Makes it a memory pass: the proportional set size is read so often, which disturbs the
        timing.
    conditions
        What the device has to be like for it to begin.
    busy_cpus
        How many processors are kept busy meanwhile.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    fresh_cache: bool = False
    drop_caches: bool = False
    pss_every_ms: int | None = None
    conditions: Conditions = field(default_factory=Conditions)
    busy_cpus: int = 0

    def options(self, model_cache: str | None) -> list[str]:
        """Return the supervisor's options for it."""
        options = []
        for name, value in self.variables.items():
            options += ["--env", f"{name}={value}"]
        if model_cache is not None:
            options += ["--model-cache", model_cache, *(["--fresh"] if self.fresh_cache else [])]
        if self.drop_caches:
            options += ["--drop-caches"]
        if self.pss_every_ms is not None:
            options += ["--memory-pass", str(self.pss_every_ms)]
        if self.busy_cpus:
            options += ["--busy", str(self.busy_cpus)]
        return [*options, *self.conditions.options()]


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
        Whether it was begun by an earlier call.
    outside
        What the supervisor saw from outside.
    """

    status: int
    seconds: float
    log: str
    events: bytes
    collected: bool
    outside: Supervision

    @property
    def cut_short(self) -> bool:
        """Whether a controller stopped it before its runner was done: it holds no result."""
        stopped = self.outside.exit is not None and self.outside.exit.reason == "stopped"
        return stopped and not is_done(self.events)


@dataclass
class _Stream:
    """What of a launch has been read so far."""

    events: bytearray = field(default_factory=bytearray)
    log: bytearray = field(default_factory=bytearray)
    log_end: int = 0
    record: bytearray = field(default_factory=bytearray)

    @property
    def position(self) -> str:
        return f"{len(self.events)},{self.log_end},{len(self.record)}"

    def take(self, content: bytes, sizes: Sequence[int]) -> None:
        events, log_first, log, record = sizes
        if len(content) != events + log + record:
            raise _MalformedError(
                reasons.ANSWER_SIZE(bytes=len(content), announced=events + log + record)
            )
        self.events += content[:events]
        self.log += content[events : events + log]
        del self.log[:-LOG_LIMIT]
        self.log_end = log_first + log
        self.record += content[events + log :]
        # The supervisor gives no more than that, in however many answers.
        if len(self.events) > MAX_EVENTS_BYTES + 1 or len(self.record) > MAX_RECORD_BYTES:
            raise TransferError(reasons.ANSWER_ENDLESS())


class Launcher:
    """The launches of one device, through the supervisor that it is given.

    Parameters
    ----------
    transport
        To the device.
    workdir
        The device's folder for pushed files and launches.
    supervisor
        The supervisor's program for the device's ABI; it is pushed where it is missing.
    lock
        The device's lock file; without it the supervisor chooses one, the same for everybody.
    patience
        With the device's link, by default that of the limits. Where it is given up, the launch goes
        on; running it again collects it.
    limits
        How long its answers are waited for.

    Attributes
    ----------
    supervisor
        On the device.
    lease
        Under which launches are made; without one nobody may have one there.
    unforgotten
        Launches whose folders an earlier call was to remove and did not reach.
    uncollected
        Launches that may have left something on the device that is not stored yet.
    """

    def __init__(
        self,
        transport: Transport,
        workdir: str,
        supervisor: Path,
        *,
        lock: str | None = None,
        patience: Patience | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.patience = patience or Patience(limits.reconnect_s)
        self._limits = limits
        self.supervisor = DeviceSupervisor(transport, workdir, supervisor)
        self._transport = transport
        self._base = self.supervisor.launches
        self._lock = lock
        self.lease: Lease | None = None
        self._unended: str | None = None  # as far as is known
        self.unforgotten: set[str] = set()
        self.uncollected: set[str] = set()

    def run(
        self,
        job: Job,
        links: Mapping[str, str],
        command: Sequence[str],
        handling: Handling = Handling(),
        *,
        on_state: Callable[[str], object] = lambda _: None,
    ) -> Ended:
        """Run a launch to its end, in one round trip where it is shorter than 20 s.

        A launch of the same id that is still alive is joined, and one that has ended is
        collected; only one whose supervisor was killed is ended and started again. A dropped link
        is made again, and the launch read on from the byte that was had. Another one that was
        left behind a link that stayed away is ended first: it holds the device.

        Parameters
        ----------
        links
            Name within the launch's folder to the path on the device that it links to.
        command
            The runner and its arguments.
        handling
            What the supervisor does beside.
        on_state
            Told at each reading its state: ``waiting`` for that, or ``running``; and
            ``silent`` where an answer is overdue: its link may hang.

        Raises
        ------
        DeviceBusyError
            Another launch holds the device.
        LaunchLostError
            Its supervisor was killed or hangs, or the device restarted.
        TransferError
            The launch's folder could not be made, or the answer makes no sense.
        TransportError
            As for :meth:`harness.transports.base.Transport.run`, for a link that stays away.
        """
        if self._unended not in (None, job.launch):
            self.patience(partial(self.stop, [self._unended]))
        options = [*self._options(job, links), *handling.options(job.model_cache)]
        content = job.model_dump_json().encode()
        wait = min(self._limits.reading_s, math.ceil(job.time_limit) + 1)
        sent = False

        def begin(read: Callable[[], Completed]) -> Completed:
            nonlocal sent
            if sent:  # It may have been begun all the same; were it lost since, it is to be told.
                answer = read()
                if not answer.stdout.startswith(_ABSENT):
                    return answer
            sent = True
            start = [self.folder(job.launch), "--wait", f"{wait:g}", *options, "--", *command]
            return self._call("run", start, stdin=content, wait=wait)

        ended = self._follow(job, handling, on_state, begin)
        if ended is None:
            raise LaunchLostError(f"launch {job.launch}: {_LOST['absent']}")
        return ended

    def collect(
        self, job: Job, handling: Handling, *, on_state: Callable[[str], object] = lambda _: None
    ) -> Ended | None:
        """Read a launch to its end that was begun before; none is begun.

        Returns
        -------
        Ended or None
            None where there is no such launch on the device.

        Raises
        ------
        LaunchLostError, TransferError, TransportError
            As for :meth:`run`.
        """
        return self._follow(job, handling, on_state, lambda read: read())

    def _follow(
        self,
        job: Job,
        handling: Handling,
        on_state: Callable[[str], object],
        first: Callable[[Callable[[], Completed]], Completed],
    ) -> Ended | None:
        """Follow a launch to its end, and keep account of whether anything is there unread.

        Parameters
        ----------
        first
            The first call, which may begin the launch; it is given how it is read.
        """
        self._unended = job.launch
        self.uncollected.add(job.launch)
        self.unforgotten.discard(job.launch)
        limit_s = handling.conditions.wait_s + job.time_limit
        try:
            ended = self._read_on(job, limit_s, on_state, first)
        except TransportError as error:
            # Refused, or lost. After all else it may be there, and go on.
            told = (DeviceBusyError, LaunchLostError, LeasedError, TransferError)
            if isinstance(error, told) and not isinstance(error, _MalformedError):
                self.uncollected.discard(job.launch)
            raise
        self._unended = None
        if ended is None or ended.cut_short:
            self.uncollected.discard(job.launch)
        return ended

    def _read_on(
        self,
        job: Job,
        limit_s: float,
        on_state: Callable[[str], object],
        first: Callable[[Callable[[], Completed]], Completed],
    ) -> Ended | None:
        stream = _Stream()
        collected: bool | None = None
        first_seen: float | None = None
        wait = min(self._limits.reading_s, math.ceil(job.time_limit) + 1)

        def read() -> Completed:
            reading = [self.folder(job.launch), "--from", stream.position, "--wait", f"{wait:g}"]
            return self._call("read", reading, wait=wait)

        while True:
            with _overdue(wait + self._limits.overdue_s, partial(on_state, "silent")):
                state, begun = self._ask(
                    partial(first, read) if collected is None else read, stream
                )
            if collected is None:
                if state == "absent":
                    return None
                collected = not begun
            if state == "ended":
                return _ended(stream, collected=collected)
            if state in _LOST:
                self.stop([job.launch])
                raise LaunchLostError(_LOST[state](launch=job.launch))
            on_state(state)
            first_seen = first_seen or time.monotonic()
            if time.monotonic() - first_seen > limit_s + HANGING_S:
                raise LaunchLostError(reasons.OVERDUE(launch=job.launch, seconds=HANGING_S))

    def _ask(self, step: Callable[[], Completed], stream: _Stream) -> tuple[str, bool]:
        """Take in what the supervisor answers; what makes no sense is asked for again."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(_MalformedError):
                return self._take(self.patience(step), stream)
        return self._take(self.patience(step), stream)

    def folder(self, launch: str) -> str:
        """Return the path of a launch's folder on the device."""
        return f"{self._base}/{launch}"

    def living(self) -> list[str]:
        """Return the ids of the launches that have not ended, of whatever run."""
        return self._call("living", [self._base]).text.split()[:1000]

    def stop(self, launches: Sequence[str]) -> None:
        """End launches."""
        self._call("stop", [self.folder(launch) for launch in launches])

    def forget(self, launches: Sequence[str]) -> None:
        """End launches and remove their folders, and those that an earlier call did not reach."""
        self.uncollected.difference_update(launches)
        self.unforgotten.update(launches)
        self._call("forget", [self.folder(launch) for launch in sorted(self.unforgotten)])
        self.unforgotten.clear()

    def kept(self) -> list[str]:
        """Return the ids of the launches whose folders are there, of whatever run."""
        names = self._transport.run(["ls", self._base]).text.split()
        return [name for name in names if _ID.fullmatch(name)]

    def interrupt(self, launch: str) -> None:
        """End a launch that another thread runs; it begins no other."""
        self.patience.end()
        with suppress(TransportError):
            self.stop([launch])

    def hang_up(self) -> None:
        """Let go of what another thread waits for: a push, or a link that stalls."""
        self._transport.close()

    def _options(self, job: Job, links: Mapping[str, str]) -> list[str]:
        options = ["--limit", f"{job.time_limit:g}"]
        options += ["--rlimit", "core=0", "--rlimit", f"fsize={FILE_LIMIT}"]
        if self._lock:
            options += ["--lock", self._lock]
        if self.lease:
            options += ["--lease", *self.lease.words]
        if job.affinity:
            options += ["--affinity", ",".join(map(str, job.affinity))]
        for name, target in links.items():
            options += ["--link", name, target]
        return options

    def _take(self, answer: Completed, stream: _Stream) -> tuple[str, bool]:
        """Take an answer in; return the launch's state, and whether this command began it."""
        header = _HEADER.match(answer.stdout)
        if answer.returncode == 0 and header and not answer.truncated:
            state, begun, sizes = header.groups()
            stream.take(answer.stdout[header.end() :], [int(size) for size in sizes.split()])
            return state.decode(), begun == b"1"
        if answer.returncode == 0 and not header:
            raise _MalformedError(self.supervisor.not_run(answer).reason)
        raise self._refused(answer)

    def _refused(self, answer: Completed) -> TransportError:
        if answer.returncode == LEASED:
            return LeasedError.of(answer)
        if answer.returncode == _BUSY:
            return DeviceBusyError(reasons.BUSY(said=said(answer)))
        if answer.returncode == CANNOT_PREPARE:
            return TransferError(reasons.NOT_PREPARED(folder=self._base, said=said(answer)))
        return self.supervisor.not_run(answer)

    def _call(
        self, verb: str, arguments: Sequence[str], *, stdin: bytes = b"", wait: float = 0.0
    ) -> Completed:
        return self.supervisor.call(
            [verb, *arguments],
            stdin=stdin,
            timeout=wait + self._limits.slack_s,
            output_limit=MAX_EVENTS_BYTES + LOG_LIMIT + MAX_RECORD_BYTES + 200,
        )


@contextmanager
def _overdue(seconds: float, tell: Callable[[], object]) -> Iterator[None]:
    """Tell where what is done takes longer than that."""
    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ended(stream: _Stream, *, collected: bool) -> Ended:
    try:
        record = parse_supervision(bytes(stream.record))
    except SupervisionError as error:
        raise TransferError(reasons.RECORD(why=error.reason)) from None
    if record.exit is None:
        raise TransferError(reasons.NO_EXIT())
    return Ended(
        status=_status(record.exit),
        seconds=record.exit.wall_s,
        log=stream.log.decode(errors="replace"),
        events=bytes(stream.events),
        collected=collected,
        outside=record,
    )


def _status(end: Exit) -> int:
    if end.signal is not None:
        return _SIGNAL_BASE + end.signal
    return _KILLED if end.status is None else end.status
