"""What a launch's supervisor saw from outside: the content of ``supervisor.jsonl``.

It is a file beside ``events.jsonl``, which the runner alone writes: a runner may end in the
middle of a line, and what the outside saw of that end must still be readable. Like all that
comes from a device it is untrusted: parsed strictly and bounded in size and number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from harness.core.contract import (
    AFTER_END,
    INVALID,
    TOO_LARGE,
    Bytes,
    EnvironmentEvent,
    EventBase,
    Milliseconds,
    Processors,
    ShortText,
    fault_of,
)
from harness.core.reason import Reason, SomeReason

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ConditionsEvent",
    "Exit",
    "Progress",
    "Pss",
    "Started",
    "Supervision",
    "SupervisionError",
    "Waiting",
    "parse_supervision",
    "processors_in",
]

MAX_RECORD_BYTES: Final = 8 << 20
MAX_RECORD_LINES: Final = 20_000
MAX_REASON_BYTES: Final = 2000
_FILE: Final = "supervisor.jsonl"

Seconds = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=1 << 62)]


def _bounded(reason: Reason) -> Reason:
    if len(reason.model_dump_json()) > MAX_REASON_BYTES:
        raise ValueError(f"a reason of more than {MAX_REASON_BYTES} bytes")
    return reason


DeviceReason = Annotated[SomeReason, AfterValidator(_bounded)]
Pid = Annotated[int, Field(ge=1)]


class Waiting(EventBase):
    """The launch is not begun yet: the device is not as it has to be, and why."""

    event: Literal["waiting"] = "waiting"
    reason: DeviceReason


class ConditionsEvent(EventBase):
    """What came of what the launch asked of its device, before it began.

    Attributes
    ----------
    waited_s
        How long it took.
    background_load
        Share of the processors that others used just before; where it was asked for.
    governor
        What every processor has, read back; where one was asked for.
    clocks_khz
        The clocks of NPU, GPU or memory that it is held at, by their names in devfreq, read back.
    missed
        Why the launch was not begun; where it was not.
    unmet
        What was asked for and could not be done or known here. The launch was begun without.
    """

    event: Literal["conditions"] = "conditions"
    waited_s: Seconds
    background_load: Annotated[float, Field(ge=0, le=1)] | None = None
    governor: ShortText | None = None
    clocks_khz: Annotated[dict[ShortText, Annotated[int, Field(ge=0)]], Field(max_length=64)] = (
        Field(default_factory=dict)
    )
    missed: DeviceReason | None = None
    unmet: Annotated[list[DeviceReason], Field(max_length=8)] = Field(default_factory=list)


class Started(EventBase):
    """The runner's process is there.

    Attributes
    ----------
    boot_id
        The kernel's random number of this boot.
    lock
        The device's lock file.
    time
        Seconds since 1970 by the device's clock, which may be wrong; for display.
    caches_dropped
        Whether programs and libraries were put out of the page cache, too.
    model_cache_bytes
        How much was in the launch's model cache.
    """

    event: Literal["started"] = "started"
    protocol: Literal[1]
    supervisor_pid: Pid
    runner_pid: Pid
    boot_id: ShortText
    lock: ShortText
    time: int
    caches_dropped: bool = False
    model_cache_bytes: Bytes | None = None


class Progress(EventBase):
    """The runner's events were seen to have grown.

    Attributes
    ----------
    bytes
        The size of ``events.jsonl``.
    """

    event: Literal["progress"] = "progress"
    bytes: Bytes


class Pss(EventBase):
    """The proportional set size of the runner and its children, so long after its start."""

    event: Literal["pss"] = "pss"
    ms: Milliseconds
    bytes: Bytes


class Exit(EventBase):
    """The launch's end.

    Attributes
    ----------
    reason
        ``exited`` by itself or by a signal, of whoever's; ``time_limit`` or ``stopped``: ended
        by the supervisor; ``unkillable``: ended by it, but it hangs in the kernel and still
        holds the device's lock; ``conditions``: never begun, the device did not become what the
        launch asks for.
    wall_s
        From before its process was made, on a clock that no setting of the time changes.
    status, signal
        One of them; neither where it is unkillable.
    user_s, system_s, minor_faults, major_faults
        The kernel's account of the runner and the children that it has waited for.
    vmhwm_bytes
        Its peak resident set, or that of a child if it was higher, when it was last looked at: at
        each of its events, and each second. What it took in its last moments can be missing.
    affinity
        The processors on which any of its threads was allowed to run, whenever that was looked
        at after its first event.
    oom_kills
        How many processes, of whatever launch, the kernel ended meanwhile for want of memory;
        none where it does not tell.
    model_cache_bytes
        How much is in the launch's model cache.
    left_behind
        How many processes outlived it, and were ended.
    log_bytes
        How much it printed; the end of that is kept.
    load_cpu_s
        CPU time of the processes that kept processors busy for it.
    other_cpu_s
        CPU time of all else on the device meanwhile, the kernel included; counted in ticks.
    disk_full
        Whether nothing more could be written to the launch's folder when it had ended.
    """

    event: Literal["exit"] = "exit"
    reason: Literal["exited", "time_limit", "stopped", "unkillable", "conditions"]
    wall_s: Seconds
    status: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=1, le=127)] | None = None
    user_s: Seconds | None = None
    system_s: Seconds | None = None
    minor_faults: Count | None = None
    major_faults: Count | None = None
    vmhwm_bytes: Bytes | None = None
    affinity: Processors | None = None
    oom_kills: Count | None = None
    model_cache_bytes: Bytes | None = None
    left_behind: Count
    log_bytes: Count
    load_cpu_s: Seconds | None = None
    other_cpu_s: Seconds | None = None
    disk_full: bool = False


@dataclass(frozen=True)
class Supervision:
    """The record of one launch; ``exit`` is missing where its supervisor was killed."""

    conditions: ConditionsEvent | None = None
    started: Started | None = None
    environment: list[EnvironmentEvent] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    pss: list[Pss] = field(default_factory=list)
    exit: Exit | None = None


_EntryT = TypeVar("_EntryT", ConditionsEvent, Started, Exit)
_Entry = Waiting | ConditionsEvent | Started | EnvironmentEvent | Progress | Pss | Exit
_ENTRY: TypeAdapter[_Entry] = TypeAdapter(Annotated[_Entry, Field(discriminator="event")])


def processors_in(listed: str) -> set[int]:
    """Return the processors that a list of the kernel's has: ``0-3,5``."""
    found: set[int] = set()
    for part in listed.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


class SupervisionError(ValueError):
    """What the supervisor wrote makes no sense."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def parse_supervision(content: bytes) -> Supervision:
    """Parse the content of ``supervisor.jsonl``; a last line without its line feed is left out.

    Raises
    ------
    SupervisionError
        Too much, not JSON, not an entry, or something after the exit.
    """
    lines = content.split(b"\n")[:-1]
    if len(content) > MAX_RECORD_BYTES or len(lines) > MAX_RECORD_LINES:
        raise SupervisionError(TOO_LARGE(file=_FILE, limit=MAX_RECORD_BYTES >> 20))
    entries: list[_Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _ENTRY.validate_json(line)
        except ValidationError as error:
            fault = INVALID(file=_FILE, line=number, fault=fault_of(error))
            raise SupervisionError(fault) from None
        if entries and isinstance(entries[-1], Exit):
            raise SupervisionError(AFTER_END(file=_FILE, line=number, event=entry.event))
        entries.append(entry)
    return Supervision(
        conditions=_last(entries, ConditionsEvent),
        started=_last(entries, Started),
        environment=[entry for entry in entries if isinstance(entry, EnvironmentEvent)],
        progress=[entry for entry in entries if isinstance(entry, Progress)],
        pss=[entry for entry in entries if isinstance(entry, Pss)],
        exit=_last(entries, Exit),
    )


def _last(entries: Sequence[_Entry], kind: type[_EntryT]) -> _EntryT | None:
    return next((entry for entry in reversed(entries) if isinstance(entry, kind)), None)
