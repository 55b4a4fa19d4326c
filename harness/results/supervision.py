"""What a launch's supervisor saw from outside: the content of ``supervisor.jsonl``.

It is a file beside ``events.jsonl``, which the runner alone writes: a runner may end in the
middle of a line, and what the outside saw of that end must still be readable. Like all that
comes from a device it is untrusted: parsed strictly and bounded in size and number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from harness.results.contract import Bytes, Environment, Message, Milliseconds, ShortText

__all__ = [
    "Exit",
    "Pss",
    "Started",
    "Supervision",
    "SupervisionError",
    "parse_supervision",
]

MAX_RECORD_BYTES: Final = 8 << 20
MAX_RECORD_LINES: Final = 20_000

Seconds = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=1 << 62)]
Pid = Annotated[int, Field(ge=1)]


class Started(Message):
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


class Pss(Message):
    """The proportional set size of the runner and its children, so long after its start."""

    event: Literal["pss"] = "pss"
    ms: Milliseconds
    bytes: Bytes


class Exit(Message):
    """The launch's end.

    Attributes
    ----------
    reason
        ``exited`` by itself or by a signal, of whoever's; ``time_limit`` or ``stopped``: ended
        by the supervisor; ``unkillable``: ended by it, but it hangs in the kernel and still
        holds the device's lock.
    wall_s
        From before its process was made, on a clock that no setting of the time changes.
    status, signal
        One of them; neither where it is unkillable.
    user_s, system_s, minor_faults, major_faults
        The kernel's account of the runner and the children that it has waited for.
    vmhwm_bytes
        Its peak resident set, or that of a child if it was higher, when it was last looked at: at
        each of its events, and each second. What it took in its last moments can be missing.
    oom_kills
        How many processes, of whatever launch, the kernel ended meanwhile for want of memory;
        none where it does not tell.
    model_cache_bytes
        How much is in the launch's model cache.
    left_behind
        How many processes outlived it, and were ended.
    log_bytes
        How much it printed; the end of that is kept.
    """

    event: Literal["exit"] = "exit"
    reason: Literal["exited", "time_limit", "stopped", "unkillable"]
    wall_s: Seconds
    status: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=1, le=127)] | None = None
    user_s: Seconds | None = None
    system_s: Seconds | None = None
    minor_faults: Count | None = None
    major_faults: Count | None = None
    vmhwm_bytes: Bytes | None = None
    oom_kills: Count | None = None
    model_cache_bytes: Bytes | None = None
    left_behind: Count
    log_bytes: Count


@dataclass(frozen=True)
class Supervision:
    """The record of one launch; ``exit`` is missing where its supervisor was killed."""

    started: Started | None
    environment: list[Environment]
    pss: list[Pss]
    exit: Exit | None


_Entry = Started | Environment | Pss | Exit
_ENTRY: TypeAdapter[_Entry] = TypeAdapter(Annotated[_Entry, Field(discriminator="event")])


class SupervisionError(ValueError):
    """What the supervisor wrote makes no sense."""


def parse_supervision(content: bytes) -> Supervision:
    """Parse the content of ``supervisor.jsonl``; a last line without its line feed is left out.

    Raises
    ------
    SupervisionError
        Too much, not JSON, not an entry, or something after the exit.
    """
    lines = content.split(b"\n")[:-1]
    if len(content) > MAX_RECORD_BYTES or len(lines) > MAX_RECORD_LINES:
        raise SupervisionError("supervisor.jsonl is too large")
    started: Started | None = None
    ended: Exit | None = None
    environment: list[Environment] = []
    pss: list[Pss] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _ENTRY.validate_json(line)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise SupervisionError(f"supervisor.jsonl:{number}: {fault}") from None
        if ended:
            raise SupervisionError(f"supervisor.jsonl:{number}: '{entry.event}' after the exit")
        match entry:
            case Started():
                started = entry
            case Environment():
                environment.append(entry)
            case Pss():
                pss.append(entry)
            case Exit():
                ended = entry
    return Supervision(started, environment, pss, ended)
