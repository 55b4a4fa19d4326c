"""What a run's launches say against themselves, and what was not checked of them."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.analysis.audit import wording
from harness.analysis.audit.finding import Doubt, Evidence, Severity
from harness.analysis.audit.repeats import coincidence
from harness.analysis.cases import NS_PER_MS, State
from harness.analysis.flags import Kind, flags
from harness.core.quantity import Summary
from harness.core.records import Estimator, Status
from harness.core.text import milliseconds
from harness.quantities import quantities
from harness.quantities.latency import PLUGIN as LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.quantity import Quantity
    from harness.core.reason import Reason
    from harness.core.records import DeviceRecord, Launch

__all__ = ["launches"]

COPIED: Final = 10
DISTINCT: Final = 3
CONSTANT: Final = 5
SAME_FIGURES: Final = 3
LAUNCHES_ALIKE: Final = 0.001
READING_NS: Final = 20.0  # a clock's reading takes so long: what is nearer is equal by chance
BY_CHANCE: Final = 1e-4
COARSE: Final = 0.005
VERY_COARSE: Final = 0.05
IDLE: Final = 0.05
BUSY: Final = 1.25
SLACK: Final = 1.01
SLOWER_THAN_FIRST: Final = 1.2
WIDE: Final = 0.1
VERY_WIDE: Final = 0.25
OTHERS: Final = 0.25
SHOWN: Final = 10
PSS_SLACK: Final = 1.1  # the peak is one process's, and is read a little before the end
PSS_SLACK_BYTES: Final = 4 << 20

WITH_INTERVAL: Final = tuple(each for each in quantities() if each.summary is Summary.INTERVAL)


def launches(results: Sequence[CaseResult], devices: Mapping[str, DeviceRecord]) -> Iterator[Doubt]:
    """Yield what is found of a run's launches, and of what was not checked.

    Parameters
    ----------
    devices
        Name to the device, for each that the cases name.
    """
    for result in results:
        yield from _state(result)
        yield from _unchecked(result)
        yield from _conditions(result)
        yield from _flagged(result)
        yield from _company(result)
        yield from _warmth(result)
        yield from _clock(result)
        yield from _cpu_time(result)
        yield from _memory(result, devices[result.record.case.device])
    yield from _copies(results)
    yield from _unwatched(results, devices)


def _finding(
    rule: str,
    severity: Severity,
    result: CaseResult,
    reason: Reason,
    evidence: Sequence[tuple[Launch, str | Reason]],
) -> Doubt:
    told = wording.OF_CASE(case=result.record.case.label, finding=reason)
    if len(evidence) > SHOWN:
        told = wording.MORE(finding=told, more=len(evidence) - SHOWN)
    return Doubt(
        rule,
        severity,
        told,
        tuple(_evidence(result, launch, value) for launch, value in evidence[:SHOWN]),
        (result.record.case.id,),
    )


def _evidence(result: CaseResult, launch: Launch, value: str | Reason) -> Evidence:
    where = wording.LAUNCH(launch=launch.name, id=launch.id)
    return Evidence(where, result.record.case.label, value)


def _several(found: Sequence[Reason]) -> Reason:
    return found[0] if len(found) == 1 else wording.SEVERAL(found=found)


def _state(result: CaseResult) -> Iterator[Doubt]:
    if result.wrong:
        bad = [(one, one.reason or "") for one in result.wrong]
        yield _finding("wrong-outputs", Severity.ERROR, result, wording.WRONG_OUTPUTS(), bad)
        return
    invalid = [(one, one.reason or "") for one in result.of(Status.INVALID)]
    if invalid:
        of = wording.INVALID(invalid=len(invalid), launches=len(result.measuring))
        severity = Severity.ERROR if result.state is State.INVALID else Severity.NOTE
        yield _finding("invalid-launches", severity, result, of, invalid)


def _unchecked(result: CaseResult) -> Iterator[Doubt]:
    unchecked = [
        (one, wording.NO_VARIATION() if one.outputs else wording.NO_CHECK())
        for one in result.counted
        if one.outputs is None or not one.outputs.decides
    ]
    if unchecked:
        said = wording.UNCHECKED(unchecked=len(unchecked), launches=len(result.counted))
        yield _finding("unchecked-outputs", Severity.WARNING, result, said, unchecked)
    if len(result.counted) == 1:
        (only,) = result.counted
        figure = milliseconds(result.figures_ms[0] if result.figures_ms else None)
        yield _finding("one-launch", Severity.NOTE, result, wording.ONE_LAUNCH(), [(only, figure)])


def _conditions(result: CaseResult) -> Iterator[Doubt]:
    slowed = [
        (one, _several(one.throttling.seen))
        for one in result.counted
        if one.throttling and one.throttling.seen
    ]
    if slowed:
        said = wording.THROTTLED(launches=len(slowed))
        yield _finding("throttled", Severity.ERROR, result, said, slowed)
    unmet = [
        (one, _several(one.conditions.unmet))
        for one in result.counted
        if one.conditions and one.conditions.unmet
    ]
    if unmet:
        said = wording.UNMET(launches=len(unmet))
        yield _finding("unmet-conditions", Severity.WARNING, result, said, unmet)


def _flagged(result: CaseResult) -> Iterator[Doubt]:
    """Tell what an interval takes for granted, and launches contradict."""
    shown = [
        (one, wording.FIGURE(figure=one.figure_ns / NS_PER_MS, end=one.warmup_reason))
        for one in result.counted
        if one.figure_ns
    ]
    for flag in flags(result):
        rule = "not-warm" if flag.kind in (Kind.WARMUP, Kind.SETTLING) else "uneven-launches"
        yield _finding(rule, Severity.NOTE, result, flag.reason, shown)
    for quantity in WITH_INTERVAL:
        known = result.estimate(quantity)
        if known is None or known.low is None or known.high is None:
            continue
        half = (known.high - known.low) / 2 / known.center
        if half > WIDE:
            severity = Severity.WARNING if half > VERY_WIDE else Severity.NOTE
            ends = f"{quantity.interval(known.low, known.high)} {quantity.unit.shown}"
            said = wording.WIDE(interval=ends, half=half)
            if quantity is not LATENCY:
                said = wording.WIDE_OF(quantity=quantity.title, interval=ends, half=half)
            figures = shown if quantity is LATENCY else _shown(result, quantity)
            yield _finding("wide-interval", severity, result, said, figures)


def _shown(result: CaseResult, quantity: Quantity) -> list[tuple[Launch, str]]:
    known = ((one, quantity.figure(one)) for one in result.launches_for(quantity))
    return [(one, quantity.text(figure)) for one, figure in known if figure is not None]


def _company(result: CaseResult) -> Iterator[Doubt]:
    """Tell who else was busy on the device."""
    busy = []
    for one in result.counted:
        if one.exit and one.exit.other_cpu_s is not None and one.exit.wall_s:
            others = one.exit.other_cpu_s / one.exit.wall_s
            if others > OTHERS:
                busy.append((one, wording.OTHERS(processors=others)))
    if len(busy) * 2 > len(result.counted):
        said = wording.BUSY(launches=len(busy))
        yield _finding("busy-device", Severity.WARNING, result, said, busy)


def _warmth(result: CaseResult) -> Iterator[Doubt]:
    """Compare what is warm with what is cold."""
    later = [
        (one, wording.FIRST(figure=one.figure_ns / NS_PER_MS, first=one.first_load.first_ms))
        for one in result.counted
        if one.first_load
        and one.figure_ns
        and one.figure_ns / NS_PER_MS > SLOWER_THAN_FIRST * one.first_load.first_ms
    ]
    if later and len(later) * 2 > len(result.counted):
        yield _finding(
            "warm-slower-than-cold",
            Severity.WARNING,
            result,
            wording.SLOWER_LATER(),
            later,
        )
    reads: defaultdict[str, list[tuple[Launch, float]]] = defaultdict(list)
    for one in result.counted:
        if one.first_load and one.first_load.read_ms is not None:
            reads[one.first_load.page_cache].append((one, one.first_load.read_ms))
    cold, warm = reads["cold"], reads["warm"]
    if min(len(cold), len(warm)) > 1 and min(ms for _, ms in warm) > max(ms for _, ms in cold):
        shown = [
            (one, wording.READ(state=state, read=ms)) for state in reads for one, ms in reads[state]
        ]
        yield _finding(
            "warm-slower-than-cold",
            Severity.WARNING,
            result,
            wording.SLOWER_WARM(),
            shown,
        )


def _clock(result: CaseResult) -> Iterator[Doubt]:
    """Look at what the clock that timed the samples says of itself."""
    equal = [
        (one, wording.SAMPLES(samples=len(one.samples_ns), each=one.samples_ns[0]))
        for one in result.counted
        if len(one.samples_ns) >= CONSTANT and len(set(one.samples_ns)) == 1
    ]
    steps = [(one, _step(one.samples_ns)) for one in result.counted]
    coarse = [(one, step, step / median(one.samples_ns)) for one, step in steps if step]
    coarse = [each for each in coarse if each[2] > COARSE]
    if equal:
        said = wording.EQUAL_SAMPLES(launches=len(equal))
        yield _finding("constant-samples", Severity.ERROR, result, said, equal)
    elif not coarse:
        yield from _same_figures(result)
    if coarse:
        worst = max(share for *_, share in coarse)
        severity = Severity.WARNING if worst >= VERY_COARSE else Severity.NOTE
        said = wording.COARSE(step=worst)
        shown = [(one, wording.STEPS(step=step, share=share)) for one, step, share in coarse]
        yield _finding("coarse-timer", severity, result, said, shown)
    yield from _passed(result)


def _same_figures(result: CaseResult) -> Iterator[Doubt]:
    medians = [one for one in result.counted if one.estimator is Estimator.MEDIAN and one.figure_ns]
    if len(medians) < SAME_FIGURES or len({one.figure_ns for one in medians}) > 1:
        return
    samples = np.asarray([ns for one in medians for ns in one.samples_ns], dtype=np.int64)
    values = np.unique(samples)
    tick = max(float(np.diff(values).min()) if values.size > 1 else 1.0, READING_NS)
    figure = medians[0].figure_ns or tick
    # Launches of what waits for a clock differ by no more than medians of its samples do: by
    # 0.93 interquartile ranges over the root of their number, were they normal.
    alike = LAUNCHES_ALIKE
    if samples.size:
        low, high = np.percentile(samples, (25, 75))
        each = samples.size / len(medians)
        alike = min(alike, max(0.93 * float(high - low) / math.sqrt(each), tick) / figure)
    chance = coincidence(tick, figure, alike)
    if chance ** (len(medians) - 1) < BY_CHANCE:
        shown = [(one, f"{one.figure_ns:.0f} ns") for one in medians]
        said = wording.EQUAL_FIGURES(launches=len(medians))
        yield _finding("constant-samples", Severity.ERROR, result, said, shown)


def _passed(result: CaseResult) -> Iterator[Doubt]:
    """Compare the samples' clock with another."""
    impossible = []
    for one in result.counted:
        if one.traffic is not None:  # samples of several callers overlap
            continue
        took = (sum(one.samples_ns) + sum(one.warmup_ns)) / 1e9
        passed = min((s for s in (one.wall_s, one.exit and one.exit.wall_s) if s), default=None)
        if passed is not None and took > passed * SLACK:
            impossible.append((one, wording.SAMPLED(sampled=took, passed=passed)))
    if impossible:
        said = wording.TOO_LONG(launches=len(impossible))
        yield _finding("more-time-than-passed", Severity.ERROR, result, said, impossible)


def _step(samples_ns: Sequence[int]) -> int:
    """Return the step of a clock of which most samples share their value with another; else 0."""
    values, counts = np.unique(np.asarray(samples_ns, dtype=np.int64), return_counts=True)
    shared = int(counts[counts > 1].sum())
    if values.size < 2 or shared * 2 <= len(samples_ns):  # noqa: PLR2004
        return 0
    return int(np.diff(values).min())


def _memory(result: CaseResult, device: DeviceRecord) -> Iterator[Doubt]:
    """Compare the peak of memory with what was shared out of it, and with what there is."""
    total = device.facts.get("memory_total_bytes")
    below: list[tuple[Launch, Reason]] = []
    above: list[tuple[Launch, Reason]] = []
    for one in result.launches:
        peak, pss = one.vmhwm_bytes, one.pss_bytes
        if one.status is not Status.OK or peak is None:
            continue
        if pss is not None and pss > PSS_SLACK * peak + PSS_SLACK_BYTES:
            below.append((one, wording.PEAK_AND_PSS(peak=peak, pss=pss)))
        if isinstance(total, int) and max(peak, pss or 0) > total:
            above.append((one, wording.OF_TOTAL(used=max(peak, pss or 0), total=total)))
    if below:
        said = wording.PEAK_BELOW_PSS(launches=len(below))
        yield _finding("impossible-memory", Severity.ERROR, result, said, below)
    if above:
        said = wording.TOO_MUCH_MEMORY(launches=len(above))
        yield _finding("impossible-memory", Severity.ERROR, result, said, above)


def _cpu_time(result: CaseResult) -> Iterator[Doubt]:
    idle, busy = [], []
    threads = result.record.case.threads
    for one in result.counted:
        if one.cpu_ms_per_inference is None or not one.figure_ns:
            continue
        latency, used = one.figure_ns / NS_PER_MS, one.cpu_ms_per_inference
        shown = wording.CPU_TIME(used=used, latency=latency)
        if result.record.case.backend == "cpu" and used < IDLE * latency:
            idle.append((one, shown))
        elif used > BUSY * latency * threads:
            busy.append((one, shown))
    if idle:
        said = wording.IDLE(launches=len(idle))
        yield _finding("no-cpu-time", Severity.WARNING, result, said, idle)
    if busy and result.record.case.backend == "cpu":
        said = wording.TOO_BUSY(threads=threads)
        yield _finding("more-cpu-time", Severity.WARNING, result, said, busy)


def _copies(results: Sequence[CaseResult]) -> Iterator[Doubt]:
    """Yield launches that have the samples of another."""
    seen: defaultdict[tuple[int, ...], list[tuple[CaseResult, Launch]]] = defaultdict(list)
    for result in results:
        for one in result.launches:
            if len(one.samples_ns) >= COPIED and len(set(one.samples_ns)) >= DISTINCT:
                seen[tuple(one.samples_ns)].append((result, one))
    for samples, found in seen.items():
        if len(found) > 1:
            shown = ", ".join(map(str, samples[:DISTINCT]))
            value = wording.SAME_SAMPLES(samples=len(samples), shown=shown)
            yield Doubt(
                "repeated-samples",
                Severity.ERROR,
                wording.COPIED(launches=len(found), samples=len(samples)),
                tuple(_evidence(result, one, value) for result, one in found[:SHOWN]),
                tuple(dict.fromkeys(result.record.case.id for result, _ in found)),
            )


def _unwatched(
    results: Sequence[CaseResult], devices: Mapping[str, DeviceRecord]
) -> Iterator[Doubt]:
    blind: defaultdict[str, list[CaseResult]] = defaultdict(list)
    for result in results:
        device = devices[result.record.case.device]
        if not device.emulated and any(
            one.throttling is None or not one.throttling.watched for one in result.counted
        ):
            blind[device.name].append(result)
    for name, found in blind.items():
        launched = [one for result in found for one in result.counted]
        yield Doubt(
            "throttling-unwatched",
            Severity.NOTE,
            wording.UNWATCHED(device=name, launches=len(launched), cases=len(found)),
            tuple(
                Evidence(
                    wording.CASE(case=result.record.case.id),
                    result.record.case.label,
                    wording.NO_SENSOR(),
                )
                for result in found[:SHOWN]
            ),
            tuple(result.record.case.id for result in found),
        )
