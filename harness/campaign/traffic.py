"""Launches with traffic: what they are asked, what their samples come to, and what makes them void.

Traffic is several callers, everything at once, or requests by a schedule; see
:class:`harness.core.contract.Traffic`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness import engines
from harness.analysis.summary import launch_figure, percentiles, samples_needed
from harness.campaign import reasons
from harness.campaign.clocks import CLOCKS_AGREE, longer_than_launch
from harness.campaign.runners import NativeRunner
from harness.core import contract
from harness.core.records import Role, Traffic
from harness.engines.base import Callers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from harness.campaign.launch import Ended
    from harness.campaign.runners import Runner
    from harness.core.contract import Event, Job, Sampling
    from harness.core.reason import Reason
    from harness.core.records import Case, Measured

__all__ = ["asked", "longer_s", "measured_traffic", "uncallable", "unlike_traffic"]

ENOUGH: Final = {percent: samples_needed(percent) for percent in (50, 90, 95, 99)}
"""Requests that tell a percentile."""

BOUNDS: Final = 10
"""How many times its bound a schedule takes at least: in less, any rate would keep it."""

SEARCH_S: Final = 300.0
"""How much longer than another launch a search may take."""

LATE_MS: Final = 1.0
LATE_SHARE: Final = 0.1
"""A schedule was kept where requests began no later than this, or this share of an inference."""

DRAIN_SHARE: Final = 0.1
DRAIN_REQUESTS: Final = 5
"""After the last arrival, of the schedule's time and in inferences: longer is a queue that grew."""

START_SLACK_NS: Final = 1_000_000


def asked(
    case: Case, role: Role, sampling: Sampling, seed: int, rate: float | None
) -> contract.Traffic | None:
    """Return how a launch is to call the model; none where one caller does.

    Parameters
    ----------
    seed
        Of the arrivals.
    rate
        What a search found; none where there was none yet.
    """
    if case.scenario == "single" or role in (Role.FILL, Role.PROFILE):
        return None
    told: dict[str, Any] = {
        "scenario": case.scenario,
        "callers": case.callers,
        "instances": case.instances,
        "items": case.batch,
    }
    if case.scenario == "server":
        told["seed"] = seed
        enough = ENOUGH[case.percentile] if case.percentile else 0
        rate = case.rate_per_s or rate
        if case.bound_ms is not None:
            told["bound"] = {"bound_ms": case.bound_ms, "percentile": case.percentile}
        if role is Role.SEARCH:
            told |= {"search": True, "requests": enough}
        elif rate is not None:
            seconds = max(sampling.min_seconds, BOUNDS * (case.bound_ms or 0.0) / 1e3)
            wanted = max(sampling.min_samples, math.ceil(rate * seconds))
            within = max(1, min(sampling.max_samples, int(rate * sampling.max_seconds)))
            told |= {"rate": rate, "requests": max(enough, min(wanted, within))}
    return contract.Traffic(**told)


def uncallable(case: Case, runner: Runner) -> Iterator[Reason]:
    """Say why a runner cannot call a model as a case has it."""
    if case.scenario == "single":
        return
    takes = engines.get(case.engine).callers_in_python
    if isinstance(runner, NativeRunner):
        takes = Callers.INSTANCES
    if takes is Callers.ONE and case.callers > 1:
        yield reasons.HOLDS_LOCK(engine=case.engine, callers=case.callers)
    if takes is Callers.INSTANCES and case.callers > case.instances:
        yield reasons.TOO_FEW_INSTANCES(engine=case.engine, callers=case.callers)
    if case.cpus is not None and len(case.cpus) % case.instances:
        yield reasons.UNEVEN(instances=case.instances, processors=len(case.cpus))


def longer_s(traffic: contract.Traffic | None) -> float:
    """Return how much longer than one caller's a launch may take, in s."""
    if traffic is None:
        return 0.0
    if traffic.search:
        return SEARCH_S
    return traffic.requests / traffic.rate if traffic.requests and traffic.rate else 0.0


def measured_traffic(events: Sequence[Event], job: Job) -> dict[str, Any]:
    """Return what the callers' samples come to; nothing where they are not told apart."""
    traffic = job.traffic
    batches = [event for event in events if isinstance(event, contract.Samples)]
    if traffic is None or not batches or any(each.starts_ns is None for each in batches):
        return {}
    served = traffic.scenario == "server"
    if served and any(each.scheduled_ns is None for each in batches):
        return {}
    begun, service = _joined(batches)
    if not begun.size:
        return {}
    due = np.concatenate([each.scheduled_ns for each in batches]) if served else begun
    order = np.argsort(begun, kind="stable")
    waited = (begun - due)[order]
    samples = (waited + service[order]).tolist()
    spent = [each.cpu_ms for each in batches if each.cpu_ms is not None]
    searched = next((each for each in events if isinstance(each, contract.Search)), None)
    return {
        "samples_ns": samples,
        "inferences": len(samples),
        "figure_ns": launch_figure(samples),
        "cpu_ms_per_inference": sum(spent) / len(samples) if len(spent) == len(batches) else None,
        "traffic": Traffic(
            **traffic.model_dump(
                include={"scenario", "callers", "instances", "items", "rate", "seed", "bound"}
            ),
            inferences=[len(each.ns) for each in batches],
            throughput_per_s=_throughput(batches, int(due.min()), served=served),
            queue_ns=waited.tolist() if served else [],
            late_ms=_late_ns(batches) / 1e6 if served else None,
            percentiles_ms={p: ns / 1e6 for p, ns in percentiles(samples).items()},
            search=searched,
        ),
    }


def _joined(
    batches: Sequence[contract.Samples],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    begun = np.concatenate([np.asarray(each.starts_ns, np.int64) for each in batches])
    return begun, np.concatenate([np.asarray(each.ns, np.int64) for each in batches])


def _throughput(
    batches: Sequence[contract.Samples], first_due: int, *, served: bool
) -> float | None:
    """Return inferences a second.

    Of callers in a closed loop it is counted while all of them call, from the last one's first
    start to the first one's last end; an inference that this cuts counts by its part within.
    Otherwise it is all inferences over all the time.
    """
    begun, service = _joined(batches)
    ended = begun + service
    window = (min(first_due, int(begun.min())), int(ended.max()))
    calling = [each for each in batches if each.starts_ns]
    if not served and len(calling) == len(batches):
        starts = [each.starts_ns[0] for each in calling if each.starts_ns]
        ends = [each.starts_ns[-1] + each.ns[-1] for each in calling if each.starts_ns]
        if min(ends) > max(starts):
            window = (max(starts), min(ends))
    within = np.minimum(ended, window[1]) - np.maximum(begun, window[0])
    shares = np.clip(within, 0, None) / np.maximum(service, 1)
    passed = window[1] - window[0]
    return float(shares.sum()) * 1e9 / passed if passed > 0 else None


def _late_ns(batches: Sequence[contract.Samples]) -> float:
    """Return how late requests began that a caller was free for, at the highest percentile told."""
    late: list[NDArray[np.int64]] = []
    for each in batches:
        begun, due = np.asarray(each.starts_ns, np.int64), np.asarray(each.scheduled_ns, np.int64)
        free = np.concatenate([[0], (begun + np.asarray(each.ns, np.int64))[:-1]])
        late.append((begun - np.maximum(due, free))[free < due])
    told = percentiles(np.concatenate(late).tolist())
    return told[max(told)] if told else 0.0


def unlike_traffic(
    events: Sequence[Event], found: Measured, ended: Ended, job: Job
) -> Iterator[Reason]:
    """Say why a launch's traffic was not what it was to be, or cannot have been."""
    traffic, got = job.traffic, found.traffic
    if traffic is None or got is None:
        return
    batches = [event for event in events if isinstance(event, contract.Samples)]
    yield from _impossible(events, batches, ended)
    if traffic.search:
        found_one = got.search is not None and got.search.rate is not None
        if traffic.bound and not found_one:
            yield reasons.NO_RATE(bound=traffic.bound.bound_ms, at=traffic.bound.percentile)
    elif traffic.scenario == "server":
        yield from _unlike_schedule(batches, traffic, got)
    else:
        fewest = min(got.inferences) if traffic.scenario == "multi" else sum(got.inferences)
        begun, service = _joined(batches)
        passed_s = (int((begun + service).max()) - int(begun.min())) / 1e9
        limits = job.sampling
        if fewest < limits.min_samples and passed_s < limits.max_seconds / CLOCKS_AGREE:
            yield reasons.TOO_FEW_SAMPLES(made=fewest, claimed=passed_s, least=limits.min_samples)


def _unlike_schedule(
    batches: Sequence[contract.Samples], traffic: contract.Traffic, got: Traffic
) -> Iterator[Reason]:
    """Say why requests were not answered as they came, or not within their bound."""
    begun, service = _joined(batches)
    each_ns = float(np.median(service))
    made, rate = sum(got.inferences), traffic.rate or 0.0
    due = np.concatenate([np.asarray(batch.scheduled_ns, np.int64) for batch in batches])
    drained_ns = int((begun + service).max() - due.max())
    allowed_ns = DRAIN_SHARE * float(due.max() - due.min()) + DRAIN_REQUESTS * each_ns
    if made < (traffic.requests or 0) or drained_ns > allowed_ns:
        yield reasons.OVERLOADED(rate=rate, carried=got.throughput_per_s)
    late_ms = got.late_ms or 0.0
    if late_ms > max(LATE_MS, LATE_SHARE * each_ns / 1e6):
        yield reasons.LATE(late=late_ms)
    if traffic.bound is None:
        return
    at, bound_ms = traffic.bound.percentile, traffic.bound.bound_ms
    known = got.percentiles_ms.get(at)
    if known is None:
        yield reasons.FEW_FOR_PERCENTILE(samples=made, at=at, needed=ENOUGH[at])
    elif known > bound_ms:
        yield reasons.NOT_WITHIN(rate=rate, latency=known, at=at, bound=bound_ms)


def _impossible(
    events: Sequence[Event], batches: Sequence[contract.Samples], ended: Ended
) -> Iterator[Reason]:
    """Say why samples cannot be of this launch: they overlap, or are outside of its sampling."""
    warm = next((event.t_ns for event in events if isinstance(event, contract.Warmup)), None)
    for each in batches:
        begun, service = _joined([each])
        ends = begun + service
        early = warm is not None and begun.size and int(begun.min()) < warm - START_SLACK_NS
        late = each.t_ns is not None and ends.size and int(ends.max()) > each.t_ns
        if early or late or (ends[:-1] > begun[1:]).any():
            yield reasons.FOREIGN_TIMES()
            return
        if each.scheduled_ns and (np.asarray(each.scheduled_ns, np.int64) > begun).any():
            yield reasons.FOREIGN_TIMES()
            return
    begun, service = _joined(batches)
    claimed = (int((begun + service).max()) - int(begun.min())) / 1e9 if begun.size else 0.0
    yield from longer_than_launch(claimed, ended)
