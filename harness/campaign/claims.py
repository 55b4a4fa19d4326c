"""What a runner claims, held against its job and against what the supervisor saw from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.campaign import reasons
from harness.campaign.clocks import CLOCK_SLACK_S, CLOCKS_AGREE, longer_than_launch
from harness.campaign.measured import sampled_s
from harness.core import contract
from harness.core.supervision import processors_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from harness.campaign.launch import Ended
    from harness.core.contract import Event, Job
    from harness.core.reason import Reason
    from harness.core.records import Measured

__all__ = ["contradictions", "not_on_its_unit", "off_its_processors"]

LOOK_SLACK_S: Final = 0.25  # the supervisor sees an event when it gets the processor
LEAST_SHARE: Final = 0.8  # of a time that passed, in inferences
EACH_S: Final = 50e-6  # between two of them, on the slowest boards
MEMORY_FACTOR: Final = 10  # what comes after the runner's own look may take more, or is not seen
MEMORY_SLACK: Final = 64 << 20


def contradictions(
    events: Sequence[Event],
    found: Measured,
    ended: Ended,
    job: Job,
    *,
    keeps_contract: bool,
) -> Iterator[Reason]:
    """Say why what a runner claims of its times and memory cannot be true.

    Parameters
    ----------
    found
        What the events amount to.
    keeps_contract
        Whether it samples as its job says; foreign tools do not.
    """
    outside = ended.outside
    if found.traffic is None:
        yield from _unlike_one_caller(events, found, ended, job, keeps_contract=keeps_contract)
    if not keeps_contract:
        return
    yield from _foreign_times(events, ended)
    seen = outside.exit.vmhwm_bytes if outside.exit else None
    told = found.vmhwm_bytes if found.vmhwm_source == "runner" else None
    if seen and told is not None:
        too_little = MEMORY_FACTOR * told < seen
        if too_little or told > MEMORY_FACTOR * seen + MEMORY_SLACK:
            yield reasons.OTHER_MEMORY(claimed=told, seen=seen)


def _unlike_one_caller(
    events: Sequence[Event], found: Measured, ended: Ended, job: Job, *, keeps_contract: bool
) -> Iterator[Reason]:
    """Say why samples that follow one another cannot be of this launch."""
    yield from longer_than_launch(sampled_s(found), ended)
    if not keeps_contract:
        return
    yield from _unlike_sampling(events, found, job)
    yield from _unlike_windows(events, found, ended)


def _unlike_sampling(events: Sequence[Event], found: Measured, job: Job) -> Iterator[Reason]:
    """Say why samples are not those of sampling that ended when the job lets it end."""
    batches = [event.ns for event in events if isinstance(event, contract.Samples)]
    if any(
        len(set(batch)) > 1 and batch == other
        for number, batch in enumerate(batches)
        for other in batches[:number]
    ):
        yield reasons.SAME_SAMPLES()
    if not found.samples_ns:
        return
    limits, made, claimed = job.sampling, found.inferences or 0, sampled_s(found)
    most = limits.max_samples * _callers(events)
    if made > most and not job.sustained:
        yield reasons.TOO_MANY_SAMPLES(made=made, most=most)
    # Samples that stand for others tell roughly how long all of them took.
    share = LEAST_SHARE if made > len(found.samples_ns) else 1 / CLOCKS_AGREE
    passed_s = (claimed + made * EACH_S + CLOCK_SLACK_S * limits.min_seconds) / share
    if made < limits.min_samples and passed_s < limits.max_seconds:
        yield reasons.TOO_FEW_SAMPLES(made=made, claimed=claimed, least=limits.min_samples)
    least_s = min(limits.min_seconds, limits.max_seconds)
    if passed_s < least_s and (job.sustained or made < most):
        yield reasons.TOO_SHORT(claimed=claimed, asked=least_s)


def _unlike_windows(events: Sequence[Event], found: Measured, ended: Ended) -> Iterator[Reason]:
    """Say why samples take far less time than passed while they were taken."""
    windows = []
    if found.window_ns:
        windows.append(((found.window_ns[1] - found.window_ns[0]) / 1e9, CLOCK_SLACK_S))
    if (seen := _seen_window_s(events, ended)) is not None:
        windows.append((seen, LOOK_SLACK_S))
    claimed = sampled_s(found) / _callers(events) + (found.inferences or 0) * EACH_S
    for window, slack in windows:
        if found.samples_ns and claimed + slack < LEAST_SHARE * window:
            yield reasons.OTHER_WINDOW(claimed=sampled_s(found), passed=window)
            return


def _seen_window_s(events: Sequence[Event], ended: Ended) -> float | None:
    """Return how long the supervisor saw nothing come between 'warmup' and 'samples', in s."""
    at: dict[str, int] = {}
    written = 0
    lines = ended.events.split(b"\n")
    for event, line in zip(events, lines, strict=False):
        written += len(line) + 1
        seen = next((each.t_ns for each in ended.outside.progress if each.bytes >= written), None)
        if seen is not None:
            at[event.event] = seen
    if "warmup" not in at or "samples" not in at:
        return None
    return (at["samples"] - at["warmup"]) / 1e9


def _foreign_times(events: Sequence[Event], ended: Ended) -> Iterator[Reason]:
    """Say why an event's time is not one of this launch's."""
    times = [event.t_ns for event in events if event.t_ns is not None]
    started = ended.outside.started.t_ns if ended.outside.started else None
    over = ended.outside.exit.t_ns if ended.outside.exit else None
    if times and (times[0] < (started or 0) or (over is not None and times[-1] > over)):
        yield reasons.FOREIGN_TIMES()


def _callers(events: Sequence[Event]) -> int:
    callers = {event.caller for event in events if isinstance(event, contract.Samples)}
    return max(1, len(callers))


def off_its_processors(ended: Ended, bound: Collection[int] | None) -> Iterator[Reason]:
    """Say why a launch did not run on the processors alone that it was bound to.

    Parameters
    ----------
    bound
        These; none where it was bound to none.
    """
    if not bound:
        return
    outside = ended.outside
    for reading in outside.environment:
        online = processors_in(reading.online) if reading.online else set(bound)
        if missing := sorted(set(bound) - online):
            seconds = None if reading.ms is None else reading.ms / 1e3
            yield reasons.OFFLINE(processor=missing[0], seconds=seconds)
            break
    listed = outside.exit.affinity if outside.exit else None
    allowed = processors_in(listed) if listed else set()
    if not allowed <= set(bound):
        yield reasons.UNBOUND(allowed=_listed(allowed), bound=_listed(bound))


def not_on_its_unit(found: Measured, job: Job, excluded: Sequence[Reason]) -> Iterator[Reason]:
    """Say why a launch computed on the processor, where the device lacks what it stands for.

    A driver may well keep the processor busy while it waits: that alone is no reason.

    Parameters
    ----------
    excluded
        Why the probe says that the device cannot use the backend; empty where it does not.
    """
    spent, samples = found.cpu_ms_per_inference, found.samples_ns
    if job.backend == "cpu" or not excluded or spent is None or not samples:
        return
    share = spent * 1e6 * len(samples) / max(1, sum(samples))
    if share >= LEAST_SHARE:
        yield reasons.ON_PROCESSOR(share=share, backend=job.backend, excluded=list(excluded))


def _listed(processors: Collection[int]) -> str:
    return ", ".join(map(str, sorted(processors)))
