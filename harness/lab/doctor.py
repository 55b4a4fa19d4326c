"""What is wrong with a device, from the link to what dead launches have left, and what to do."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness.lab.leases import holdings
from harness.lab.supervisor import said
from harness.transports.base import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.lab.health import Health
    from harness.lab.inventory import Device
    from harness.lab.supervisor import DeviceSupervisor
    from harness.lab.verdicts import Usability
    from harness.transports.base import Transport

__all__ = [
    "Check",
    "Leftovers",
    "connection",
    "device_state",
    "leftovers",
    "of_health",
    "of_verdicts",
    "supervisor_state",
]

State = Literal["ok", "warning", "failed", "unknown"]
RunState = Literal["running", "interrupted", "finished", "unknown"]

_SCRIPT = Path(__file__).with_name("doctor.sh")
_OUTPUT_LIMIT: Final = 200_000
_TRIES: Final = 5
SLOW_MS: Final = 500.0
CLOCK_OFF_S: Final = 5.0
ROOM_MB: Final = 200.0
BAD_SHARE: Final = 0.1

_LAUNCH = re.compile(r"(?P<run>[A-Za-z0-9][A-Za-z0-9._-]*)-[0-9a-f]{12}-\d+-\d+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?", re.ASCII)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    found
        What there is; it may quote the device.
    todo
        What to do, where something is to be done.
    """

    name: str
    state: State
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Leftovers:
    """Folders of launches that have ended, and that no controller has removed.

    Attributes
    ----------
    collectable
        Interrupted run to the launches that its resumption collects.
    removable
        Of finished and unknown runs, and model caches.
    """

    collectable: dict[str, list[str]]
    removable: list[str]


def connection(transport: Transport, clock: Callable[[], float] = time.perf_counter) -> Check:
    """Tell how long a device takes to answer, connecting aside.

    Raises
    ------
    TransportError
        It does not answer.
    """
    times = []
    for _ in range(_TRIES + 1):
        begun = clock()
        answer = transport.run(["true"])
        times.append((clock() - begun) * 1e3)
        if answer.returncode != 0:
            raise TransportError(f"it answers, but does not run 'true': {said(answer)}")
    median, slowest = statistics.median(times[1:]), max(times[1:])
    found = f"answers in {median:.0f} ms (slowest of {_TRIES}: {slowest:.0f} ms)"
    found += f", the first time in {times[0]:.0f} ms"
    if slowest <= SLOW_MS:
        return Check("connection", "ok", found)
    return Check("connection", "warning", found, "look at its network: cable, Wi-Fi, load")


def device_state(
    transport: Transport, device: Device, clock: Callable[[], float] = time.time
) -> tuple[list[Check], list[str]]:
    """Tell of a device's start, clock and work folder, and which launches' folders are there.

    Raises
    ------
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    script = _SCRIPT.read_text(encoding="utf-8")
    before = clock()
    answer = transport.run(
        ["sh", "-c", script, "sh", device.workdir], output_limit=_OUTPUT_LIMIT, timeout=60
    )
    middle = (before + clock()) / 2
    told: defaultdict[str, list[str]] = defaultdict(list)
    for line in answer.text.splitlines():
        name, _, value = line.partition(" ")
        told[name].append(value.strip())
    first = {name: values[0] for name, values in told.items()}
    checks = [
        _started(_number(first, "uptime")),
        _clock(_number(first, "clock"), middle),
        _folder(device, first),
    ]
    return checks, [name for name in told["launch"] if _NAME.fullmatch(name)]


def _number(told: Mapping[str, str], name: str) -> float | None:
    value = told.get(name, "")
    return float(value) if _NUMBER.fullmatch(value) else None


def _started(uptime_s: float | None) -> Check:
    if uptime_s is None:
        return Check("started", "unknown", "it does not tell")
    hours, minutes = divmod(int(uptime_s) // 60, 60)
    return Check("started", "ok", f"{hours} h {minutes:02d} min ago")


def _clock(theirs: float | None, ours: float) -> Check:
    if theirs is None:
        return Check("clock", "unknown", "it does not tell")
    offset = theirs + 0.5 - ours  # it tells whole seconds
    found = f"{round(offset):+d} s from this machine's"
    if abs(offset) <= CLOCK_OFF_S:
        return Check("clock", "ok", found)
    # Nothing that is measured depends on it.
    return Check(
        "clock", "warning", found, "its own logs are off: set its clock, or run ntpd there"
    )


def _folder(device: Device, told: Mapping[str, str]) -> Check:
    work, there = device.workdir, told.get("folder", "")
    free, store = _number(told, "free_kb"), _number(told, "store_kb")
    words = [work if there == work else f"{work} (not made yet; in {there})"]
    words += ["room unknown" if free is None else f"{free / 1024:.0f} MB free"]
    words += [] if store is None else [f"{store / 1024:.0f} MB of pushed files"]
    found = ", ".join(words)
    elsewhere = f"set 'workdir' in devices/{device.name}.yaml"
    if told.get("writable") != "yes":
        return Check("work folder", "failed", f"{found}; it may not be written to", elsewhere)
    if "noexec" in told.get("mount", "").split(","):
        return Check("work folder", "failed", f"{found}; no program may run there", elsewhere)
    if free is not None and free / 1024 < ROOM_MB:
        return Check("work folder", "warning", found, f"make room there, or {elsewhere}")
    return Check("work folder", "unknown" if free is None else "ok", found)


def supervisor_state(
    transport: Transport, supervisor: DeviceSupervisor, launches: list[str]
) -> tuple[list[Check], list[str]]:
    """Tell whether the supervisor is there and runs, who has the device, and what lives on it.

    Returns
    -------
    checks
        Of the supervisor, the lock and the lease.
    living
        Those of the launches that have not ended.

    Raises
    ------
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    program = f"{supervisor.store}/{supervisor.digest}"
    checks = []
    living: list[str] = []
    answer = transport.run([program, "living", supervisor.launches])
    if answer.returncode == 0:
        living = [name for name in answer.text.split() if name in launches]
        checks.append(Check("supervisor", "ok", f"there ({supervisor.digest[:12]}), and runs"))
        lock = transport.run([program, "lock"])
        if lock.returncode == 0:
            checks.append(Check("lock", "ok", "free"))
        else:
            checks.append(
                Check(
                    "lock",
                    "warning",
                    str(said(lock)),
                    "a launch is under way, or hangs there: wait for it",
                )
            )
    elif transport.run(["test", "-e", program]).returncode == 0:
        checks.append(
            Check(
                "supervisor",
                "failed",
                f"it is there, and does not run: {said(answer)}",
                "is the file's ABI right, and may programs run in its work folder?",
            )
        )
    else:
        checks.append(Check("supervisor", "ok", "not there yet: the first run pushes it"))
    checks.append(_lease(transport))
    return checks, living


def _lease(transport: Transport) -> Check:
    found = holdings(transport)
    holds = [each for each in found if each.kind == "holds"]
    if not holds:
        return Check("lease", "ok", "free")
    words = f"{holds[0].holder}, for another {holds[0].seconds} s"
    words += f"; {len(found) - len(holds)} wait" if len(found) > len(holds) else ""
    return Check("lease", "ok", words, "to queue for it: harness run --wait 30m")


def leftovers(
    launches: list[str], living: list[str], run_state: Callable[[str], RunState], device: str
) -> tuple[Check, Leftovers]:
    """Tell what dead launches have left on a device.

    Parameters
    ----------
    run_state
        Tells of a run's id its state.
    """
    collectable: dict[str, list[str]] = {}
    removable = []
    for name in launches:
        if name in living:
            continue
        found = _LAUNCH.fullmatch(name)
        state = run_state(found["run"]) if found else "unknown"
        if found and state == "interrupted":
            collectable.setdefault(found["run"], []).append(name)
        elif state != "running":
            removable.append(name)
    words = [f"{len(names)} of run {run}" for run, names in collectable.items()]
    words += [f"{len(removable)} of finished or unknown runs"] if removable else []
    todo = [f"harness run --resume {run} collects them" for run in collectable]
    todo += [f"harness devices doctor {device} --clean removes them"] if removable else []
    result = Leftovers(collectable, removable)
    if not words:
        return Check("leftovers", "ok", "none"), result
    return Check("leftovers", "warning", ", ".join(words), "; ".join(todo)), result


def of_verdicts(verdicts: list[Usability], device: Device) -> Iterator[Check]:
    """Yield a check for each backend of the device's file, and for others that are usable."""
    for verdict in verdicts:
        engine = device.spec.engines.get(verdict.engine)
        name = f"{verdict.engine} {verdict.backend}"
        told = ": ".join(filter(None, [verdict.state, "; ".join(verdict.reasons or verdict.found)]))
        if engine is None or verdict.backend not in engine.backends:
            if verdict.state == "usable":
                yield Check(name, "ok", f"{told} (its file does not name it)")
            continue
        states: dict[str, State] = {"usable": "ok", "not usable": "failed", "unknown": "unknown"}
        yield Check(name, states[verdict.state], told, "; ".join(verdict.todo))


def of_health(health: Health | None) -> Check:
    """Tell how a device fared in its newest runs."""
    if health is None or not health.runs:
        return Check("recent runs", "ok", "none")
    sums = health.recent
    made = sum(sums.launches.values())
    bad = made - sums.launches["ok"] + sum(sums.events.values()) - sums.events["reached"]
    seen = f"; last seen {health.last_seen.astimezone():%Y-%m-%d %H:%M}" if health.last_seen else ""
    found = f"{sums.run}: {health.in_words}{seen}"
    if bad <= BAD_SHARE * max(made, 1):
        return Check("recent runs", "ok", found)
    worst = Counter(sums.failures).most_common(1)
    why = f"mostly {worst[0][0]}: " if worst else ""
    return Check(
        "recent runs", "warning", found, f"{why}harness results show {health.runs[0].run}".strip()
    )
