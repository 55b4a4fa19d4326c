"""Pure judgement: what a launch's events and end make of it."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.analysis.memory import device_memory, thin
from harness.analysis.summary import launch_figure
from harness.core import contract
from harness.core.contract import EventsError, parse_events
from harness.core.records import Category, Estimator, FirstLoad, Role, ShapeChange, Status
from harness.core.supervision import Exit
from harness.lab.conditions.throttling import throttling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.campaign.launch import Ended
    from harness.core.contract import Event, Job, Outputs
    from harness.core.supervision import Supervision

__all__ = ["Verdict", "judge"]

SIGNAL_BASE = 128
CLOCKS_AGREE = 1.02  # the runner's and the supervisor's
CLOCK_SLACK_S = 0.1


@dataclass(frozen=True)
class Verdict:
    """What became of a launch, before its outputs are checked.

    Attributes
    ----------
    fields
        What its events fill of a :class:`harness.core.records.Launch`.
    outputs
        The outputs that it claims to have written.
    said
        Whether the runner itself told what is wrong.
    """

    status: Status
    category: Category | None = None
    reason: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    outputs: list[Outputs] = field(default_factory=list)
    said: bool = False


def judge(
    ended: Ended, job: Job, role: Role = Role.MEASURE, *, outputs_required: bool = True
) -> Verdict:
    """Judge a launch by what it left; whatever events there are is kept, also of a failed one.

    A launch that went well is invalid where its device was not as it has to be: not so in time,
    so that it was never begun; or slowed down meanwhile, unless that is what it is to show.

    Parameters
    ----------
    role
        What the launch was for.
    outputs_required
        Whether a launch that returned no outputs at all has failed.
    """
    if ended.outside.conditions and ended.outside.conditions.missed:
        return Verdict(Status.INVALID, reason=f"not begun: {ended.outside.conditions.missed}")
    try:
        events = parse_events(ended.events)
    except EventsError as error:
        return Verdict(Status.FAILED, Category.RUNNER, f"the runner broke the contract: {error}")
    fields = _fields(events, ended.outside) | _memory(events, ended.outside, role)
    npu = job.backend.startswith("npu")
    fields["throttling"] = throttling(ended.outside.environment, job.affinity, npu=npu)
    outputs = [event for event in events if isinstance(event, contract.Outputs)]
    category, reason = _fault(ended, events, job.time_limit)
    if category and os.strerror(errno.ENOSPC) in f"{reason} {ended.log}":
        category = Category.DEVICE
        reason += " (try: make room on the device, or set 'workdir' in its file)"
    seeds = {event.seed for event in outputs if event.change is None}
    if category is None and seeds != set(job.check_seeds) and (seeds or outputs_required):
        category, reason = Category.RUNNER, "the runner did not return the outputs it was asked for"
    if category is None and (impossible := _no_times(fields, ended)):
        category, reason = Category.RUNNER, impossible
    if category is None and job.sustained and _sampled_s(fields) < job.sampling.min_seconds / 2:
        category = Category.RUNNER
        reason = (
            f"the runner sampled for {_sampled_s(fields):.0f} s of {job.sampling.min_seconds:g} s: "
            "it does not know of sustained launches"
        )
    if category is None and (unchanged := _unlike_asked(fields["shape_changes"], outputs, job)):
        category, reason = Category.RUNNER, unchanged
    if category is not None:
        said = bool(events) and isinstance(events[-1], contract.Failure)
        return Verdict(Status.FAILED, category, reason, fields, outputs, said)
    slowed = fields["throttling"]
    if slowed.seen and role is Role.MEASURE and not job.sustained:
        reason = f"throttled: {'; '.join(slowed.seen)}"
    else:
        reason = _fell_back(fields["units"], job) or _unlike_planned(ended.outside, job, role)
    return Verdict(Status.INVALID if reason else Status.OK, None, reason, fields, outputs)


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


def _fault(ended: Ended, events: Sequence[Event], time_limit: float) -> tuple[Category | None, str]:
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
            return Category.TIMEOUT, f"ended at its limit of {time_limit:g} s, after '{stage}'"
        case Exit(reason="unkillable"):
            return Category.DEVICE, f"hangs in the kernel after '{stage}', and cannot be ended"
    category = Category.RUNNER if stage == "start" or not ended.status else Category.ENGINE
    return category, f"{_how(ended)} after '{stage}'{_last_line(ended.log)}"


def _how(ended: Ended) -> str:
    if ended.status > SIGNAL_BASE:
        return f"crashed with {_signal_name(ended.status - SIGNAL_BASE)}"
    return f"exited with {ended.status}" + ("" if ended.status else ", without having finished,")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: str) -> str:
    lines = log.strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""


def _memory(events: Sequence[Event], outside: Supervision, role: Role) -> dict[str, Any]:
    found: dict[str, Any] = {}
    told = next((event for event in events if isinstance(event, contract.Memory)), None)
    if told:
        found = {"vmhwm_bytes": told.vmhwm_bytes, "vmhwm_source": "runner"}
        found["runtime_bytes"] = told.runtime_bytes
    elif outside.exit and outside.exit.vmhwm_bytes is not None:
        found = {"vmhwm_bytes": outside.exit.vmhwm_bytes, "vmhwm_source": "supervisor"}
    if role is Role.MEMORY:
        series = [(reading.ms, reading.bytes) for reading in outside.pss]
        found |= {
            "pss_bytes": max((size for _, size in series), default=None),
            "pss_series": thin(series),
            "device_memory": device_memory(outside.environment),
        }
    return found


def _fields(events: Sequence[Event], outside: Supervision) -> dict[str, Any]:
    found: dict[str, Any] = {}
    dropped = outside.started is not None and outside.started.caches_dropped
    parts: dict[str, Any] = {"libraries": "cold" if dropped else "unknown"}
    environment: list[contract.Environment] = []
    changes: list[ShapeChange] = []
    found["units"] = {}
    for event in events:
        match event:
            case contract.Hello():
                found["engine_version"] = event.engine_version
                found["runner"] = f"{event.runner} {event.runner_version}"
                found["build"] = event.build
                parts |= {"process_ms": event.process_ms, "import_ms": event.import_ms}
            case contract.Loaded():
                parts |= event.model_dump(include={"read_ms", "init_ms", "page_cache"})
                found["engine_version"] = event.engine_version or found.get("engine_version")
                found["build"] = found.get("build", {}) | event.build
                found |= {"units": event.units, "simulated": event.simulated}
            # A runner that skips a part breaks no rule of the parser, but has no first load.
            case contract.First() if {"import_ms", "read_ms"} <= parts.keys():
                found["first_load"] = FirstLoad(**parts, first_ms=event.ms)
            case contract.Warmup():
                found |= {"warmup_ns": event.ns, "warmup_reason": event.reason}
            case contract.Layers():
                found["layers"] = event.layers
            case contract.ShapeChanged():
                timed = event.model_dump(include={"shapes", "set_ms", "first_ms"})
                changes.append(ShapeChange(**timed, samples_ns=event.ns))
            case contract.Environment():
                environment.append(event)
            case _:
                pass
    found["environment"] = environment
    found["shape_changes"] = changes
    return found | _figure(events)


def _figure(events: Sequence[Event]) -> dict[str, Any]:
    """Return what says how long an inference took: samples, or the mean of a foreign tool."""
    batches = [event for event in events if isinstance(event, contract.Samples)]
    if samples := [ns for batch in batches for ns in batch.ns]:
        made = sum(
            len(batch.ns) if batch.inferences is None else batch.inferences for batch in batches
        )
        spent = [batch.cpu_ms for batch in batches if batch.cpu_ms is not None]
        return {
            "samples_ns": samples,
            "inferences": made,
            "figure_ns": launch_figure(samples),
            "cpu_ms_per_inference": sum(spent) / made
            if len(spent) == len(batches) and made
            else None,
        }
    for event in events:
        if isinstance(event, contract.Mean):
            return {"figure_ns": event.ns, "estimator": Estimator.MEAN}
    return {}


def _no_times(fields: Mapping[str, Any], ended: Ended) -> str:
    """Say why what a runner tells of its inferences cannot be how long they took, or nothing."""
    if not fields.get("figure_ns"):
        return "the runner finished without samples of any length"
    known = ended.outside.exit
    claimed = _sampled_s(fields)
    if known is None or claimed <= CLOCKS_AGREE * known.wall_s + CLOCK_SLACK_S:
        return ""
    return (
        f"the runner claims {claimed:.3g} s of inferences, and its launch took "
        f"{known.wall_s:.3g} s: its clock or its unit is wrong"
    )


def _sampled_s(fields: Mapping[str, Any]) -> float:
    """Return how long a launch sampled, in s, by samples that may be some of many."""
    samples = fields.get("samples_ns", [])
    return sum(samples) / 1e9 * fields["inferences"] / len(samples) if samples else 0.0
