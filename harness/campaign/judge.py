"""Pure judgement: what a launch's events and end make of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.campaign import reasons
from harness.campaign.claims import contradictions, not_on_its_unit, off_its_processors
from harness.campaign.measured import measured, sampled_s
from harness.campaign.runners import Runner
from harness.campaign.traffic import unlike_traffic
from harness.core import contract
from harness.core.contract import EventsError, parse_events
from harness.core.records import Category, Measured, Role, Status
from harness.core.supervision import Exit
from harness.engines import ENGINES, get

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.campaign.launch import Ended
    from harness.core.contract import Event, Job, Outputs
    from harness.core.reason import Reason
    from harness.core.supervision import Supervision

__all__ = ["Judgement", "judge"]

SIGNAL_BASE = 128


@dataclass(frozen=True)
class Judgement:
    """What became of a launch, before its outputs are checked.

    Attributes
    ----------
    measured
        What its runner and its supervisor say of it.
    outputs
        The outputs that it claims to have written.
    """

    status: Status
    category: Category | None = None
    reason: Reason | None = None
    measured: Measured = field(default_factory=Measured)
    outputs: list[Outputs] = field(default_factory=list)


def judge(
    ended: Ended,
    job: Job,
    role: Role = Role.MEASURE,
    *,
    runner: type[Runner] | Runner = Runner,
    excluded: Sequence[Reason] = (),
) -> Judgement:
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
        return Judgement(
            Status.INVALID,
            reason=reasons.NOT_BEGUN(why=ended.outside.conditions.missed),
            measured=measured([], ended.outside, job, role),
        )
    try:
        events = parse_events(ended.events, profile=job.profile)
    except EventsError as error:
        return Judgement(
            Status.FAILED,
            Category.RUNNER,
            reasons.CONTRACT(why=error.reason),
            measured([], ended.outside, job, role),
        )
    found = measured(events, ended.outside, job, role)
    outputs = [event for event in events if isinstance(event, contract.Outputs)]
    category, reason = _fault(ended, events, job)
    if category is None:
        reason = _unlike_asked(found, outputs, job, required=runner.returns_outputs)
        reason = reason or _unlike_callers(found, outputs, job)
        category = Category.RUNNER if reason else None
    if category is not None:
        return Judgement(Status.FAILED, category, reason, found, outputs)
    slowed = found.throttling.seen if found.throttling else []
    if role is not Role.MEASURE or job.sustained:
        slowed = []
    keeps_contract = runner.keeps_contract
    doubts = (
        *contradictions(events, found, ended, job, keeps_contract=keeps_contract),
        *off_its_processors(ended, job.affinity),
        *(unlike_traffic(events, found, ended, job) if role is not Role.MEMORY else ()),
        *not_on_its_unit(found, job, excluded),
        reasons.THROTTLED(signs=slowed) if slowed else None,
        _fell_back(found.units, job),
        _unlike_planned(ended.outside, job, role),
    )
    reason = next(filter(None, doubts), None)
    return Judgement(Status.INVALID if reason else Status.OK, None, reason, found, outputs)


def _fell_back(units: Mapping[str, int], job: Job) -> Reason | None:
    """Say why a launch did not run on the unit that it stands for, or nothing."""
    wanted = job.backend.partition(":")[0]
    if not units or units.get(wanted):
        return None
    return reasons.FELL_BACK(units=sorted(units), backend=job.backend)


def _unlike_planned(outside: Supervision, job: Job, role: Role) -> Reason | None:
    """Say why a launch was not in the state of the model cache that it stands for, or nothing."""
    if job.model_cache is None:
        return None
    before = outside.started.model_cache_bytes if outside.started else None
    after = outside.exit.model_cache_bytes if outside.exit else None
    if role is Role.FILL:
        return None if after else reasons.CACHE_NOT_FILLED()
    if not before:
        return reasons.CACHE_EMPTY()
    return None if after == before else reasons.CACHE_WRITTEN()


def _unlike_asked(
    found: Measured, outputs: Sequence[Outputs], job: Job, *, required: bool
) -> Reason | None:
    """Say what a runner that finished did not do as its job asks, or nothing."""
    seeds = {event.seed for event in outputs if event.change is None}
    if seeds != set(job.check_seeds) and (seeds or required):
        return reasons.NO_OUTPUTS()
    if not found.figure_ns:
        return reasons.NO_SAMPLES()
    if job.sustained and sampled_s(found) < job.sampling.min_seconds / 2:
        return reasons.NOT_SUSTAINED(sampled=sampled_s(found), asked=job.sampling.min_seconds)
    if job.shape_changes and not found.shape_changes:
        return reasons.NO_SHAPE_CHANGES()
    if [change.shapes for change in found.shape_changes] != job.shape_changes:
        return reasons.OTHER_SHAPES()
    changes = range(len(found.shape_changes))
    returned = {(event.change, event.seed) for event in outputs if event.change is not None}
    whole = returned == {(number, seed) for number in changes for seed in job.check_seeds}
    return None if whole else reasons.NO_CHANGE_OUTPUTS()


def _unlike_callers(found: Measured, outputs: Sequence[Outputs], job: Job) -> Reason | None:
    """Say what a runner did not do of a job with traffic, or nothing."""
    if job.traffic is None:
        return None
    if found.traffic is None:
        return reasons.NO_TRAFFIC()
    answered = {(event.caller, event.seed) for event in outputs}
    callers = range(job.traffic.callers)
    whole = answered == {(caller, seed) for caller in callers for seed in job.check_seeds}
    return None if whole else reasons.NO_CALLER_OUTPUTS()


def _fault(
    ended: Ended, events: Sequence[Event], job: Job
) -> tuple[Category | None, Reason | None]:
    stage = next(
        (event.event for event in reversed(events) if event.event != "environment"), "start"
    )
    exit_ = ended.outside.exit
    stopped = exit_ is not None and exit_.reason == "stopped"
    # One that was stopped as it exited had done all it was to, and told it.
    if stage == "done" and (ended.status == 0 or stopped):
        return None, None
    category, reason = _cause(ended, events, stage, job)
    if exit_ and exit_.disk_full:
        return Category.DEVICE, reasons.DISK_FULL(why=reason)
    return category, reason


def _cause(ended: Ended, events: Sequence[Event], stage: str, job: Job) -> tuple[Category, Reason]:
    match ended.outside.exit:
        case Exit(signal=signal.SIGKILL, reason="exited", oom_kills=int(kills)) if kills:
            return Category.DEVICE, reasons.OUT_OF_MEMORY(stage=stage)
    if events and isinstance(events[-1], contract.Failure):
        failure = events[-1]
        if failure.kind.startswith("Engine"):
            return Category.ENGINE, reasons.ENGINE_SAID(kind=failure.kind, said=failure.message)
        return Category.RUNNER, reasons.RUNNER_SAID(kind=failure.kind, said=failure.message)
    match ended.outside.exit:
        case Exit(reason="time_limit"):
            return Category.TIMEOUT, reasons.TIME_LIMIT(limit=job.time_limit, stage=stage)
        case Exit(reason="unkillable"):
            return Category.DEVICE, reasons.UNKILLABLE(stage=stage)
    category = Category.RUNNER if stage == "start" or not ended.status else Category.ENGINE
    return category, _how(ended, stage, job.engine)


def _how(ended: Ended, stage: str, engine: str) -> Reason:
    words, line = _last_words(ended.log, engine), _last_line(ended.log)
    if ended.status > SIGNAL_BASE:
        how = {"signal": _signal_name(ended.status - SIGNAL_BASE), "stage": stage}
        if words:
            return reasons.ENGINE_CRASHED(**how, said=words)
        return reasons.CRASHED(**how, said=line)
    if ended.status and words:
        return reasons.ENGINE_EXITED(status=ended.status, stage=stage, said=words)
    if ended.status:
        return reasons.EXITED(status=ended.status, stage=stage, said=line)
    return reasons.UNFINISHED(stage=stage, said=words or line)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_words(log: str, engine: str) -> str | None:
    """Return the line by which the engine itself ended the process, if there is one."""
    ends = get(engine).last_words if engine in ENGINES else None
    told = [line for line in log.splitlines() if ends and ends.search(line)]
    return told[-1].strip()[:200] if told else None


def _last_line(log: str) -> str | None:
    lines = log.strip().splitlines()
    return lines[-1].strip()[:200] if lines else None
