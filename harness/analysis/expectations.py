"""Whether results are what a campaign expects of them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.analysis.comparison import ratio
from harness.analysis.summary import estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.records import Case, Expectation, Run

__all__ = ["Met", "Outcome", "check_expectations", "fits"]

MB = 1e6


class Met(StrEnum):
    """Whether an expectation is met."""

    YES = "met"
    NO = "missed"
    UNTOLD = "inconclusive"


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation of one case.

    Attributes
    ----------
    quantity, unit
        As in ``latency``, ``ms``.
    limit, at_least
        What it must not exceed, or not fall short of.
    value, low, high
        What it is, and the interval of that; none where it is not known.
    reason
        Why it cannot be told, or was missed without a figure.
    """

    result: CaseResult
    quantity: str
    unit: str
    limit: float
    met: Met
    value: float | None = None
    low: float | None = None
    high: float | None = None
    at_least: bool = False
    reason: str = ""


def fits(case: Case, patterns: Sequence[str]) -> bool:
    """Tell whether each shell pattern fits a case's model, device, engine, backend or precision."""
    names = (case.model, case.device, case.engine, case.backend, case.precision)
    return all(any(fnmatch.fnmatchcase(name, pattern) for name in names) for pattern in patterns)


def check_expectations(run: Run, results: Sequence[CaseResult]) -> list[Outcome]:
    """Return what came of a run's expectations, in their order.

    An expectation is *met* where the whole interval keeps it, *missed* where the whole interval
    does not, and else *inconclusive*. A case without a latency is inconclusive: that it failed is
    another error.

    Parameters
    ----------
    results
        The run's, by :func:`harness.analysis.cases.case_results`.
    """
    return [
        outcome
        for expectation in run.expectations
        for result in results
        if fits(result.record.case, expectation.only)
        for outcome in _outcomes(expectation, result, results)
    ]


def _outcomes(
    expectation: Expectation, result: CaseResult, results: Sequence[CaseResult]
) -> Iterator[Outcome]:
    if expectation.latency_ms is not None:
        yield _at_most(result, "latency", "ms", expectation.latency_ms, result.figures_ms)
    if expectation.first_load_ms is not None:
        yield from _first_loads(result, expectation.first_load_ms)
    if expectation.memory_mb is not None:
        sizes = [size / MB for size in result.memory_bytes]
        yield _at_most(result, "peak memory", "MB", expectation.memory_mb, sizes)
    if expectation.speedup is not None and result.record.case.backend != "cpu":
        yield _speedup(result, expectation.speedup, results)
    if expectation.drift is not None and result.record.case.precision == "int8":
        yield _drift(result, expectation.drift)


def _first_loads(result: CaseResult, limit: float) -> Iterator[Outcome]:
    by_state: dict[str, list[float]] = {}
    for launch in result.counted:
        if launch.first_load:
            by_state.setdefault(launch.first_load.state, []).append(launch.first_load.total_ms)
    for state, totals in sorted(by_state.items()):
        yield _at_most(result, f"first load ({state})", "ms", limit, totals)
    if not by_state:
        yield _at_most(result, "first load", "ms", limit, [])


def _at_most(
    result: CaseResult, quantity: str, unit: str, limit: float, values: Sequence[float]
) -> Outcome:
    if not values or min(values) <= 0:
        reason = result.reason or "no launch told it"
        return Outcome(result, quantity, unit, limit, Met.UNTOLD, reason=reason)
    pilots = result.pilots if quantity == "latency" else None
    known = estimate(values, pilots=pilots)
    met = _told(known.low, known.high, limit)
    reason = "one launch has no interval" if known.low is None else ""
    return Outcome(
        result, quantity, unit, limit, met, known.center, known.low, known.high, reason=reason
    )


def _told(low: float | None, high: float | None, limit: float) -> Met:
    if low is None or high is None or low <= limit < high:
        return Met.UNTOLD
    return Met.YES if high <= limit else Met.NO


def _speedup(result: CaseResult, limit: float, results: Sequence[CaseResult]) -> Outcome:
    """Compare with the fastest of the processors' cases: that is what one would use instead."""
    same = _alike(result.record.case)
    processors = [
        other
        for other in results
        if other.record.case.backend == "cpu"
        and other.latency_ms
        and _alike(other.record.case) == same
    ]
    if not result.figures_ms or not processors:
        reason = result.reason or "no case of the model on the device's processors has a latency"
        return Outcome(result, "speed-up", "", limit, Met.UNTOLD, at_least=True, reason=reason)
    fastest = min(processors, key=lambda other: other.latency_ms.center if other.latency_ms else 0)
    found = ratio(fastest.figures_ms, result.figures_ms, pilots=(fastest.pilots, result.pilots))
    if found.low is None or found.high is None or found.low < limit <= found.high:
        met = Met.UNTOLD
    else:
        met = Met.YES if found.low >= limit else Met.NO
    over = f"over {fastest.record.case.setting}"
    return Outcome(
        result=result,
        quantity="speed-up",
        unit="",
        limit=limit,
        met=met,
        value=found.center,
        low=found.low,
        high=found.high,
        at_least=True,
        reason=over,
    )


def _alike(case: Case) -> dict[str, object]:
    """Return what a case and the processors' have in common: all but how it is computed."""
    how = {"engine", "backend", "precision", "threads", "cpus", "model_cache", "side"}
    return case.model_dump(exclude=how)


def _drift(result: CaseResult, limit: float) -> Outcome:
    drift = result.record.artifact.drift if result.record.artifact else None
    error = drift.relative_error if drift else None
    if drift and drift.fault:
        return Outcome(result, "drift", "", limit, Met.NO, reason=drift.fault)
    if error is None:
        reason = "the artifact has no record of its drift"
        return Outcome(result, "drift", "", limit, Met.UNTOLD, reason=reason)
    met = Met.YES if error <= limit else Met.NO
    return Outcome(result, "drift", "", limit, met, error, error, error)
