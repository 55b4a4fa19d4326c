"""Pure judgement: what a launch's events and end make of it."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.campaign.claims import contradictions, not_on_its_unit, off_its_processors
from harness.campaign.measured import measured, sampled_s
from harness.campaign.runners import Runner
from harness.core import contract
from harness.core.contract import EventsError, parse_events
from harness.core.records import Category, Measured, Role, Status
from harness.core.supervision import Exit
from harness.engines import ENGINES, get

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.campaign.launch import Ended
    from harness.core.contract import Event, Job, Outputs
    from harness.core.records import ShapeChange
    from harness.core.supervision import Supervision

__all__ = ["Verdict", "judge"]

SIGNAL_BASE = 128


@dataclass(frozen=True)
class Verdict:
    """What became of a launch, before its outputs are checked.

    Attributes
    ----------
    measured
        What its runner and its supervisor say of it.
    outputs
        The outputs that it claims to have written.
    said
        Whether the runner itself told what is wrong, or the engine that ended it.
    """

    status: Status
    category: Category | None = None
    reason: str = ""
    measured: Measured = field(default_factory=Measured)
    outputs: list[Outputs] = field(default_factory=list)
    said: bool = False


def judge(
    ended: Ended,
    job: Job,
    role: Role = Role.MEASURE,
    *,
    runner: type[Runner] | Runner = Runner,
    excluded: str = "",
) -> Verdict:
    """Judge a launch by what it left; whatever events there are is kept, also of a failed one.

    A launch that went well is invalid where its device was not as it has to be: not so in time,
    so that it was never begun; or slowed down meanwhile, unless that is what it is to show. So it
    is where it did not run where it was to, or what its runner claims cannot be true.

    Parameters
    ----------
    role
        What the launch was for.
    runner
        What it was made with.
    excluded
        Why, by its probe, the device cannot use the job's backend; empty where it may.
    """
    if ended.outside.conditions and ended.outside.conditions.missed:
        return Verdict(
            Status.INVALID,
            reason=f"not begun: {ended.outside.conditions.missed}",
            measured=measured([], ended.outside, job, role),
        )
    try:
        events = parse_events(ended.events, profile=job.profile)
    except EventsError as error:
        return Verdict(
            Status.FAILED,
            Category.RUNNER,
            f"the runner broke the contract: {error}",
            measured([], ended.outside, job, role),
        )
    found = measured(events, ended.outside, job, role)
    outputs = [event for event in events if isinstance(event, contract.Outputs)]
    category, reason = _fault(ended, events, job)
    if category and os.strerror(errno.ENOSPC) in f"{reason} {ended.log}":
        category = Category.DEVICE
        reason += " (try: make room on the device, or set 'workdir' in its file)"
    seeds = {event.seed for event in outputs if event.change is None}
    if category is None and seeds != set(job.check_seeds) and (seeds or runner.returns_outputs):
        category, reason = Category.RUNNER, "the runner did not return the outputs it was asked for"
    if category is None and not found.figure_ns:
        category = Category.RUNNER
        reason = "the runner finished without samples of any length"
    if category is None and job.sustained and sampled_s(found) < job.sampling.min_seconds / 2:
        category = Category.RUNNER
        reason = (
            f"the runner sampled for {sampled_s(found):.0f} s of {job.sampling.min_seconds:g} s: "
            "it does not know of sustained launches"
        )
    if category is None and (unchanged := _unlike_asked(found.shape_changes, outputs, job)):
        category, reason = Category.RUNNER, unchanged
    if category is not None:
        told = bool(events) and isinstance(events[-1], contract.Failure)
        said = told or bool(_last_words(ended.log, job.engine))
        return Verdict(Status.FAILED, category, reason, found, outputs, said)
    slowed = found.throttling.seen if found.throttling else []
    if role is not Role.MEASURE or job.sustained:
        slowed = []
    keeps_contract = runner.keeps_contract
    reasons = (
        *contradictions(events, found, ended, job, keeps_contract=keeps_contract),
        *off_its_processors(ended, job.affinity),
        *not_on_its_unit(found, job, excluded),
        *([f"throttled: {'; '.join(slowed)}"] if slowed else []),
        _fell_back(found.units, job),
        _unlike_planned(ended.outside, job, role),
    )
    reason = next(filter(None, reasons), "")
    return Verdict(Status.INVALID if reason else Status.OK, None, reason, found, outputs)


def _fell_back(units: Mapping[str, int], job: Job) -> str:
    """Say why a launch did not run on the unit that it stands for, or nothing."""
    wanted = job.backend.partition(":")[0]
    if not units or units.get(wanted):
        return ""
    others = " and ".join(sorted(units))
    return f"fell back: the engine gave all operators to the {others}, none to {job.backend}"


def _unlike_planned(outside: Supervision, job: Job, role: Role) -> str:
    """Say why a launch was not in the state of the model cache that it stands for, or nothing."""
    if job.model_cache is None:
        return ""
    before = outside.started.model_cache_bytes if outside.started else None
    after = outside.exit.model_cache_bytes if outside.exit else None
    if role is Role.FILL:
        return "" if after else "the engine left nothing in its model cache"
    if not before:
        return "its model cache was empty: the device may have restarted since it was filled"
    return "" if after == before else "it did not take its model from its cache: it wrote there"


def _unlike_asked(changes: Sequence[ShapeChange], outputs: Sequence[Outputs], job: Job) -> str:
    """Say why the changes of shape are not those that the job asks for, or nothing."""
    if job.shape_changes and not changes:
        return "the runner changed no shapes: it does not know of such changes"
    if [change.shapes for change in changes] != job.shape_changes:
        return "the runner changed to other shapes than it was asked for"
    returned = {(event.change, event.seed) for event in outputs if event.change is not None}
    if returned != {(n, seed) for n in range(len(changes)) for seed in job.check_seeds}:
        return "the runner did not return the outputs of each change of shape"
    return ""


def _fault(ended: Ended, events: Sequence[Event], job: Job) -> tuple[Category | None, str]:
    stage = next(
        (event.event for event in reversed(events) if event.event != "environment"), "start"
    )
    stopped = ended.outside.exit is not None and ended.outside.exit.reason == "stopped"
    # One that was stopped as it exited had done all it was to, and told it.
    if stage == "done" and (ended.status == 0 or stopped):
        return None, ""
    match ended.outside.exit:
        case Exit(signal=signal.SIGKILL, reason="exited", oom_kills=int(kills)) if kills:
            return Category.DEVICE, f"killed after '{stage}': the device was out of memory"
    if events and isinstance(events[-1], contract.Failure):
        failure = events[-1]
        category = Category.ENGINE if failure.kind.startswith("Engine") else Category.RUNNER
        return category, f"{failure.kind}: {failure.message}"
    match ended.outside.exit:
        case Exit(reason="time_limit"):
            return Category.TIMEOUT, f"ended at its limit of {job.time_limit:g} s, after '{stage}'"
        case Exit(reason="unkillable"):
            return Category.DEVICE, f"hangs in the kernel after '{stage}', and cannot be ended"
    category = Category.RUNNER if stage == "start" or not ended.status else Category.ENGINE
    return category, f"{_how(ended)} after '{stage}'{_last_line(ended.log, job.engine)}"


def _how(ended: Ended) -> str:
    if ended.status > SIGNAL_BASE:
        return f"crashed with {_signal_name(ended.status - SIGNAL_BASE)}"
    return f"exited with {ended.status}" + ("" if ended.status else ", without having finished,")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_words(log: str, engine: str) -> str:
    """Return the line by which the engine itself ended the process, if there is one."""
    ends = get(engine).last_words if engine in ENGINES else None
    told = [line for line in log.splitlines() if ends and ends.search(line)]
    return told[-1] if told else ""


def _last_line(log: str, engine: str) -> str:
    line = _last_words(log, engine) or (log.strip().splitlines() or [""])[-1]
    return f": {line.strip()[:200]}" if line else ""
