"""Whether results are what a campaign expects of them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.analysis import reasons
from harness.analysis.comparison import ratio
from harness.analysis.layers import profile_of
from harness.analysis.summary import estimate
from harness.core.quantity import Better
from harness.quantities import quantities
from harness.quantities.latency import PLUGIN as LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.quantity import Quantity
    from harness.core.reason import Reason
    from harness.core.records import Case, Expectation, Run

__all__ = ["Met", "Outcome", "check_expectations", "fits"]


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
    reason: Reason | None = None


def fits(case: Case, patterns: Sequence[str]) -> bool:
    """Tell whether each shell pattern fits a name of the case (see :func:`names`)."""
    return all(any(fnmatch.fnmatchcase(name, each) for name in names(case)) for each in patterns)


def names(case: Case) -> tuple[str, ...]:
    """Return what patterns are matched against: model, device, engine … and scenario."""
    return (
        case.model,
        case.device,
        case.engine,
        case.backend,
        case.precision,
        case.scenario,
    )


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
    limits = expectation.limits
    for quantity in quantities():
        if (limit := limits.pop(quantity.expect, None)) is not None:
            for state, figures in (result.figures(quantity) or {"": []}).items():
                yield _of_quantity(result, quantity, state, limit, figures)
    for key, limit in limits.items():
        reason = reasons.NO_QUANTITY(key=key)
        yield Outcome(result, key, "", limit, Met.UNTOLD, reason=reason)
    if expectation.speedup is not None and result.record.case.backend != "cpu":
        yield _speedup(result, expectation.speedup, results)
    if expectation.placement is not None and result.record.case.backend != "cpu":
        yield _placement(result, expectation.placement)
    if expectation.drift is not None and result.record.case.precision == "int8":
        yield _drift(result, expectation.drift)


def _of_quantity(
    result: CaseResult, quantity: Quantity, state: str, limit: float, figures: Sequence[float]
) -> Outcome:
    told = Outcome(
        result=result,
        quantity=f"{quantity.title} ({state})" if state else quantity.title,
        unit=quantity.unit.shown,
        limit=limit,
        met=Met.UNTOLD,
        at_least=quantity.better is Better.MORE,
    )
    if not figures or min(figures) <= 0:
        return replace(told, reason=result.reason or reasons.UNREPORTED())
    pilots = result.pilots if quantity is LATENCY else None
    known = estimate([figure / quantity.unit.per for figure in figures], pilots=pilots)
    return replace(
        told,
        met=_told(known.ends, limit, at_least=told.at_least),
        value=known.center,
        low=known.low,
        high=known.high,
        reason=reasons.NO_INTERVAL() if known.low is None else None,
    )


def _told(ends: tuple[float, float] | None, limit: float, *, at_least: bool) -> Met:
    if ends is None:
        return Met.UNTOLD
    low, high = ends
    if at_least:
        return Met.YES if low >= limit else Met.NO if high < limit else Met.UNTOLD
    return Met.YES if high <= limit else Met.NO if low > limit else Met.UNTOLD


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
    if result.simulated or not result.figures_ms or not processors:
        reason = result.reason or reasons.NO_CPU_CASE()
        if result.simulated:
            reason = reasons.SIMULATED_SPEED(simulated=result.simulated)
        return Outcome(result, "speed-up", "", limit, Met.UNTOLD, at_least=True, reason=reason)
    fastest = min(processors, key=lambda other: other.latency_ms.center if other.latency_ms else 0)
    found = ratio(fastest.figures_ms, result.figures_ms, pilots=(fastest.pilots, result.pilots))
    over = reasons.OVER(setting=fastest.record.case.setting)
    return Outcome(
        result=result,
        quantity="speed-up",
        unit="",
        limit=limit,
        met=_told(found.ends, limit, at_least=True),
        value=found.center,
        low=found.low,
        high=found.high,
        at_least=True,
        reason=over,
    )


def _placement(result: CaseResult, limit: float) -> Outcome:
    """Compare what ran on the accelerator, in percent; a profile has no interval."""
    profile = profile_of(result)
    share = profile.accelerated if profile else None
    told = Outcome(result, "placement", "%", 100 * limit, Met.UNTOLD, at_least=True)
    if share is None:
        reason = reasons.UNCOUNTED() if profile else result.reason or reasons.NO_PROFILE()
        return replace(told, reason=reason)
    met = Met.YES if share >= limit else Met.NO
    value = 100 * share
    return replace(told, met=met, value=value, low=value, high=value)


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
        reason = reasons.NO_DRIFT()
        return Outcome(result, "drift", "", limit, Met.UNTOLD, reason=reason)
    met = Met.YES if error <= limit else Met.NO
    return Outcome(result, "drift", "", limit, met, error, error, error)
