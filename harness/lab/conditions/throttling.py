"""Whether something slowed a device down during a launch, by what its sensors said meanwhile.

A sensor that is not there is not a sensor that says no: what could be watched is told too.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final

from harness.core.records import Throttling
from harness.core.supervision import processors_in
from harness.lab import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from harness.core.contract import EnvironmentEvent
    from harness.core.reason import Code, Reason

__all__ = ["CLOCK_SHARE", "throttling"]

CLOCK_SHARE: Final = 0.95
"""A clock below this share of its first reading has dropped: the first step down of a usual
table of operating points is larger, and what drivers round is smaller."""

# These hold a clock where it is; with any other it moves with the load, and its drops say nothing.
_HOLDING = {"performance", "userspace"}
# But not with drivers whose processor sets its own clock.
_OWN_WILL = re.compile("pstate|intel_cpufreq")
# Cooling devices that slow processors down; not fans, backlights, modems and chargers. Linux names
# them after drivers: thermal-cpufreq-0, cpufreq-cpu0, devfreq-fde40000.npu, Processor, idle-cpu0.
_SLOWING = re.compile("cpu|freq|npu|gpu|processor|powerclamp|idle", re.IGNORECASE)
_MOST = 8  # signs


def throttling(
    readings: Sequence[EnvironmentEvent],
    cpus: Collection[int] | None,
    *,
    npu: bool,
    held_khz: Mapping[str, int] | None = None,
) -> Throttling:
    """Judge what the sensors said during a launch.

    Parameters
    ----------
    readings
        In order; the first one is of before the launch.
    cpus
        The processors that the runner was bound to; none where it was free to use any.
    npu
        Whether it ran on the NPU, whose clock then matters.
    held_khz
        The clocks of NPU, GPU or memory that the launch was held at; while it runs they must be
        what they were set to.

    Returns
    -------
    Throttling
        A sign is watched where the first reading and a later one have it. It is seen where a
        processor goes offline, its clock that its governor holds drops by more than 5 %, the
        NPU's does, one that is held is another, the kernel lowers what a clock may rise to, or
        raises a cooling device that slows processors down.
    """
    watched: list[str] = []
    seen: list[Reason] = []
    for sign, found, of, is_worse in _signs(readings[0], cpus, npu=npu) if readings else ():
        before = of(readings[0])
        pairs = [
            (name, before[name], now, reading.ms)
            for reading in readings[1:]
            for name, now in of(reading).items()
            if name in before
        ]
        if pairs:
            watched.append(sign)
        first: dict[str, Reason] = {}
        for name, was, now, ms in pairs:
            if is_worse(was, now):
                seconds = None if ms is None else ms / 1e3
                first.setdefault(name, found(name=name, before=was, after=now, seconds=seconds))
        seen += first.values()
    if held := _off(readings, held_khz or {}):
        watched.append("held clock in kHz")
        seen += filter(None, held.values())
    return Throttling(watched=watched, seen=seen[:_MOST])


def _off(
    readings: Sequence[EnvironmentEvent], held_khz: Mapping[str, int]
) -> dict[str, Reason | None]:
    """Return of each held clock that is read meanwhile whether it is another, and since when."""
    found: dict[str, Reason | None] = {}
    for reading in readings:
        if reading.phase != "during":  # before, it may still be changing; after, it is restored
            continue
        for name, khz in (reading.npu_khz | reading.clocks_khz).items():
            if (wanted := held_khz.get(name)) is None:
                continue
            seconds = None if reading.ms is None else reading.ms / 1e3
            off = abs(khz - wanted) > (1 - CLOCK_SHARE) * wanted
            why = reasons.HELD_CLOCK(name=name, before=wanted, after=khz, seconds=seconds)
            found[name] = found.get(name) or (why if off else None)
    return found


_Sign = tuple[
    str, "Code", "Callable[[EnvironmentEvent], Mapping[str, int]]", "Callable[[int, int], bool]"
]


def _signs(before: EnvironmentEvent, cpus: Collection[int] | None, *, npu: bool) -> Iterator[_Sign]:
    """Yield what can be watched: its name with the unit, where it is read, what is worse."""
    own = {f"cpu{number}" for number in cpus or ()}
    held = {
        cpu
        for cpu, governor in before.governors.items()
        if governor in _HOLDING
        and not _OWN_WILL.search(before.cpufreq_driver or "")
        and (cpus is None or cpu in own)
    }

    def clocks(reading: EnvironmentEvent) -> dict[str, int]:
        return {cpu: khz for cpu, khz in reading.frequencies_khz.items() if cpu in held}

    def slowing(reading: EnvironmentEvent) -> dict[str, int]:
        return {name: state for name, state in reading.cooling.items() if _SLOWING.search(name)}

    def online(reading: EnvironmentEvent) -> dict[str, int]:
        now = processors_in(reading.online) if reading.online else None
        return {} if now is None else {f"cpu{cpu}": int(cpu in now) for cpu in there}

    there = processors_in(before.online) if before.online else set()
    yield "processors online", reasons.OFFLINE, online, operator.gt
    yield (
        "processor clock in kHz",
        reasons.PROCESSOR_CLOCK,
        clocks,
        lambda was, now: now < CLOCK_SHARE * was,
    )
    yield (
        "clock limit in kHz",
        reasons.CLOCK_LIMIT,
        lambda reading: reading.frequency_limits_khz,
        operator.gt,
    )
    yield "cooling state", reasons.COOLING, slowing, operator.lt
    if npu:
        yield (
            "NPU clock in kHz",
            reasons.NPU_CLOCK,
            lambda reading: reading.npu_khz,
            lambda was, now: now < CLOCK_SHARE * was,
        )
