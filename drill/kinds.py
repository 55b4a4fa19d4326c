"""What may happen to a campaign: the drill's faults, the stages where each can strike, how it ends.

A stage is struck in one of four ways: at a call on the link, by the runner on the device, as a
launch is stored, or in the lab between two sessions of the controller.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from drill.doubles import CORRUPT, AnswerCut, AnswerLost, Delay
from drill.oracle import Failing
from harness.core.errors import LabError
from harness.core.records import Status
from harness.transports.base import CommandTimeoutError, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from drill.doubles import Fault
    from drill.link import Strikes

__all__ = [
    "KINDS",
    "STAGES",
    "WAIT",
    "InLab",
    "Kind",
    "OnLink",
    "OnRunner",
    "OnStore",
    "Strike",
    "by_runner",
    "does",
    "failed",
    "on_link",
]

STAGES = ("before start", "push", "start", "samples", "reading", "storing", "between")

Strike: TypeAlias = "Callable[[Strikes], Fault | None]"


@dataclass(frozen=True)
class OnLink:
    """At a call on the link: ``draw`` gives what happens there.

    Attributes
    ----------
    calls
        The stages of the calls that are struck, where these are not the stage's own.
    """

    draw: Callable[[Random], Strike]
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnRunner:
    """By the runner, which runs a script; with ``spoiled=1`` its launch must not count."""

    draw: Callable[[Random], str]


@dataclass(frozen=True)
class OnStore:
    """As a launch is stored; the act is given the database's path.

    Attributes
    ----------
    moments
        ``before`` it is, ``in`` the middle of the transaction, ``after`` it.
    """

    act: Callable[[Path], object]
    moments: tuple[str, ...] = ("before", "in", "after")


@dataclass(frozen=True)
class InLab:
    """Before a session begins."""

    act: Callable[[Any], object]


Way: TypeAlias = OnLink | OnRunner | OnStore | InLab


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes
    ----------
    ways
        Stage to how it strikes there.
    failing
        How launches may end that it meets, by the store.
    must_fail
        Whether those have to end so whose runner it met.
    spreads
        Whether it is its device's, and others there may end so, too.
    devices
        How many there are: one, where what happens to one would happen to all.
    once
        Whether a session meets it only once.
    repair
        What makes a device whole again after a session.
    protocol
        What the campaign asks for beside.
    patience_s
        How long a link is waited for.
    board
        The device of this repository's, an emulated board, where it strikes; else fake ones.
    small_disk
        Whether the harness's folder there is on a small disk of its own.
    most
        How often it strikes at a stage at most, where fake devices show it, too.
    often
        Stages at which it strikes so often that a fault of one in a hundred shows.
    """

    name: str
    ways: dict[str, Way]
    failing: tuple[Failing, ...] = ()
    must_fail: bool = False
    spreads: bool = False
    devices: int = 1
    once: bool = False
    repair: Callable[[Any], object] = lambda _: None
    protocol: dict[str, Any] = field(default_factory=dict)
    patience_s: float = 60.0
    board: str = ""
    small_disk: bool = False
    most: int | None = None
    often: frozenset[str] = frozenset()


def on_link(draw: Callable[[Random], Strike], stages: str) -> dict[str, Way]:
    """Let it strike at the calls of some stages."""
    return dict.fromkeys(stages.split(", "), OnLink(draw))


def by_runner(draw: Callable[[Random], str] | str, stages: str) -> dict[str, Way]:
    """Let the runner do it in some stages."""
    way = OnRunner((lambda _: draw) if isinstance(draw, str) else draw)
    return dict.fromkeys(stages.split(", "), way)


def failed(category: str, says: str = "") -> Failing:
    """Return an end that is no result."""
    return Failing(Status.FAILED, category, says)


# --- the link ---

LOST = "the link dropped"
QUIET = "before start, push, start, reading, storing, between"


def _drops(random: Random) -> Strike:
    refusals = random.randrange(3)

    def strike(strikes: Strikes) -> Fault:
        strikes.refusals = refusals
        return ConnectionLostError(LOST)

    return strike


def _answer_lost(_: Random) -> Strike:
    return lambda _: AnswerLost(ConnectionLostError(LOST))


def _stalls(random: Random) -> Strike:
    # The command is carried out or not: the controller cannot know.
    fault = Delay(1e6) if random.random() < 0.5 else CommandTimeoutError("it stalled")  # noqa: PLR2004
    return lambda _: fault


def _answer_cut(random: Random) -> Strike:
    share = random.random() * 0.999
    return lambda _: AnswerCut(share)


def _goes(random: Random) -> Strike:
    done = random.random() < 0.5  # noqa: PLR2004

    def strike(strikes: Strikes) -> Fault:
        strikes.refusals = float("inf")
        return AnswerLost(ConnectionLostError(LOST)) if done else ConnectionLostError(LOST)

    return strike


def _changes(_: Random) -> Strike:
    return lambda _: CORRUPT


# --- controllers ---

# The runner waits to be ended, and goes on where nobody does.
WAIT = "i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done"


def _signalled(number: int) -> Callable[[Random], Strike]:
    def draw(random: Random) -> Strike:
        after = random.random() < 0.5  # noqa: PLR2004

        def strike(strikes: Strikes) -> None:
            if after:
                strikes.link.after = lambda: os.kill(os.getpid(), number)
            else:
                os.kill(os.getpid(), number)

        return strike

    return draw


def _controller(name: str, number: int, devices: int, then: str) -> Kind:
    return Kind(
        name,
        on_link(_signalled(number), "before start, push, start, between")
        | {"reading": OnLink(_signalled(number), ("reading", "storing"))}
        | by_runner(f'kill -{number:d} "$(cat "$out/controller")"; {then}', "samples")
        | {"storing": OnStore(lambda _: os.kill(os.getpid(), number))},
        devices=devices,
        once=True,
        often=frozenset({"storing"}),
    )


def _no_room(database: Path) -> None:
    """Fill the disk that the database is on."""
    with suppress(OSError), (database.parent / "filler").open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _another_writes(database: Path) -> None:
    """Let somebody else be in the middle of writing to the database, for a moment."""
    other = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, other.close).start()


def _refuses(_: Path) -> None:
    """Let the database be gone; after the commit, when the launch is in it all the same."""
    raise LabError("the connection to the database is gone")


# --- devices ---


def _restarts(random: Random) -> Strike:
    refusals, keeps = random.randrange(1, 3), random.random() < 0.5  # noqa: PLR2004

    def strike(strikes: Strikes) -> Fault:
        strikes.device.restart(keeps_disk=keeps)
        strikes.refusals = refusals
        return ConnectionLostError(LOST)

    return strike


def _restarts_after(random: Random) -> Strike:
    refusals = random.randrange(1, 3)

    def strike(strikes: Strikes) -> Fault:
        strikes.link.after = lambda: strikes.device.restart(keeps_disk=True)
        strikes.refusals = refusals
        return AnswerLost(ConnectionLostError(LOST))

    return strike


def does(act: Callable[[Any], object]) -> Callable[[Random], Strike]:
    """Let something happen to the device at a call."""

    def strike(strikes: Strikes) -> None:
        act(strikes.device)

    return lambda _: strike


# --- runners ---


def _one_of(*scripts: str) -> Callable[[Random], str]:
    return lambda random: random.choice(scripts)


_DIES = _one_of(*(f"kill -{name} $$" for name in ("SEGV", "KILL", "ABRT", "BUS", "TERM")))
_HANGS = _one_of("while :; do sleep 60; done", "exec sleep 1000", "kill -STOP $$")
_RUBBISH = _one_of(
    "emit rubbish; spoiled=1",
    "head -c 3000 /dev/urandom >>events.jsonl; emit; spoiled=1",
    "emit '[[[[[[[[[[[[[[[['; spoiled=1",
    """emit '{"event":"samples","ns":[-1]}'; spoiled=1""",
    """emit '{"event":"hello","protocol":1,"launch":"<script>"}'; spoiled=1""",
)
_TRUNCATED = _one_of("""printf '{"event":"sam' >>events.jsonl; exit 0""", "exit 0")
_DISORDER = """emit '{"event":"first","ms":1}'; emit '{"event":"hello","protocol":1,"runner":"r",\
"runner_version":"1","engine":"e"}'; spoiled=1"""
_TWICE = """emit "$(head -n 1 events.jsonl)"; spoiled=1"""
_CRASHED = r"^launch\.(engine-)?crashed$"
_BROKEN = (failed("runner", r"^launch\.contract$"),)
_STORE_GONE = 'rm -rf "$out"/../disk/work/store'
_OTHERS = '"$out/supervisor" lease --lock "$out/../lock"'


KINDS = (
    Kind(
        "link dropped",
        on_link(_drops, QUIET) | by_runner('echo >"$out/drop"', "samples"),
        devices=2,
    ),
    Kind(
        "link stalled",
        on_link(_stalls, QUIET) | by_runner('echo stall >"$out/drop"', "samples"),
        devices=2,
    ),
    Kind(
        "answer lost",
        on_link(_answer_lost, "before start, push, storing, between")
        | {"reading": OnLink(_answer_lost, ("start", "reading"))},
        devices=2,
    ),
    Kind(
        "answer corrupted",
        {
            "push": OnLink(_answer_cut),
            "reading": OnLink(_answer_cut, ("start",)),
            "between": OnLink(_answer_cut),
        },
        # What is missing there was asked for, and the end of the list was cut off.
        (failed("deploy", "No such file"),),
        devices=2,
    ),
    Kind(
        "link not restored",
        on_link(_goes, QUIET),
        (failed("connection"),),
        spreads=True,
        devices=2,
        once=True,
        patience_s=0.3,
    ),
    Kind(
        "changed in transfer",
        on_link(_changes, "push, reading"),
        (failed("deploy", r"^store\.corrupted$|^launch\.output-changed$"),),
        devices=2,
    ),
    _controller("controller killed", signal.SIGKILL, 2, ":"),
    _controller("controller interrupted", signal.SIGINT, 1, WAIT),
    Kind(
        "database: another writes",
        {"storing": OnStore(_another_writes, ("before",))},
        devices=2,
        often=frozenset({"storing"}),
    ),
    Kind(
        "database: no room",
        {"storing": OnStore(_no_room, ("before", "after"))},
        devices=2,
        once=True,
        often=frozenset({"storing"}),
    ),
    Kind(
        "database: connection gone",
        {"storing": OnStore(_refuses)},
        devices=2,
        once=True,
        often=frozenset({"storing"}),
    ),
    Kind(
        "supervisor killed",
        by_runner("kill -KILL $PPID; spoiled=1", "start, samples, reading"),
        (failed("device", r"^launch\.(lost|orphaned)$"),),
        must_fail=True,
    ),
    Kind(
        "device restarts",
        on_link(_restarts, "before start, push, start, storing, between")
        | {"reading": OnLink(_restarts_after, ("start",))}
        | by_runner(f'echo >"$out/restart"; {WAIT}; spoiled=1', "samples"),
        (
            failed("device", r"^launch\.(lost|gone)$"),
            failed("deploy", "leads nowhere|No such"),
        ),
        spreads=True,
    ),
    Kind(
        "disk full",
        on_link(does(lambda device: device.fill()), "push, start, between")
        | by_runner("dd if=/dev/zero of=../../../filler bs=4096; spoiled=1", "start, samples"),
        (
            failed("deploy", r"No space left|^store\.no-room$|^launch\.disk-full$"),
            failed("device", r"No space left|^launch\.disk-full$"),
        ),
        spreads=True,
        once=True,
        repair=lambda device: device.make_room(),
    ),
    Kind(
        "pushed files gone",
        on_link(does(lambda device: device.lose_store()), "start, storing, between")
        | by_runner(_STORE_GONE, "samples, reading"),
        (failed("deploy", "leads nowhere|No such file"),),
    ),
    Kind(
        "lease taken",
        {"before start": InLab(lambda device: device.lease_to_another())}
        | on_link(does(lambda device: device.lease_to_another()), "start, storing, between")
        | by_runner(
            f"{_OTHERS} break drill why; {_OTHERS} take other 300 other@lab --wait 0", "samples"
        ),
        (failed("device", "lease"),),
        spreads=True,
        once=True,
        repair=lambda device: device.end_others_lease(),
    ),
    Kind(
        "lock held by an orphan",
        {"before start": InLab(lambda device: device.hold_lock())}
        | on_link(does(lambda device: device.hold_lock()), "start, between"),
        (failed("device", "in use|lock"),),
        spreads=True,
        once=True,
        repair=lambda device: device.free_lock(),
    ),
    Kind(
        "runner killed",
        by_runner(_DIES, "start, samples, reading"),
        (failed("runner", _CRASHED), failed("engine", _CRASHED)),
        must_fail=True,
    ),
    Kind(
        "runner hangs",
        by_runner(_HANGS, "start, samples, reading"),
        (failed("timeout", r"^launch\.time-limit$"),),
        must_fail=True,
        protocol={"time_limit": 5},  # the others end in time on a busy machine, too,
    ),
    Kind(
        "rubbish events",
        by_runner(_RUBBISH, "start, samples, reading"),
        _BROKEN,
        must_fail=True,
    ),
    Kind(
        "endless events",
        by_runner(
            "head -c 17000000 /dev/zero >>events.jsonl; spoiled=1", "start, samples, reading"
        ),
        (failed("runner", "larger than"),),
        must_fail=True,
    ),
    Kind(
        "truncated events",
        by_runner(_TRUNCATED, "start, samples"),
        (failed("runner", r"^launch\.unfinished$"),),
        must_fail=True,
    ),
    Kind(
        "reordered or repeated events",
        by_runner(_one_of(_DISORDER, _TWICE), "samples, reading"),
        _BROKEN,
        must_fail=True,
    ),
    Kind(
        "wrong outputs",
        by_runner("wrong=1", "start, samples"),
        (Failing(Status.INVALID, None, r"^launch\.wrong-outputs$"),),
        must_fail=True,
        protocol={"redo_budget": 50},
    ),
    Kind(
        "endless log",
        by_runner("head -c 3000000 /dev/zero", "start, samples, reading"),
    ),
    Kind(
        "processes left behind",
        by_runner("setsid sleep 1000 & sleep 1000 &", "start, samples, reading"),
    ),
    Kind(
        "throttled",
        by_runner(
            "echo 600000 >/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "start, samples"
        ),
        (Failing(Status.INVALID, None, r"^launch\.throttled$"),),
        must_fail=True,
        protocol={"redo_budget": 50},
    ),
)
