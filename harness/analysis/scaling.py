"""How throughput grows with callers and instances, and who carries most within a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from harness.analysis.cases import CaseResult
from harness.quantities import carried, throughput

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Scaled", "carrying_most", "scaling"]

SATURATED: Final = 0.95
"""Of the highest throughput: who has as much with the fewest callers is at the knee."""


ResultT = TypeVar("ResultT", bound=CaseResult)


@dataclass(frozen=True)
class Scaled(Generic[ResultT]):
    """A case with several callers, beside the same one with one caller.

    Attributes
    ----------
    efficiency
        Its throughput over that of as many callers, each of whom has a device of its own: of one
        caller of the same setting, times the callers. None where that was not measured.
    knee
        Whether more callers bring next to nothing: of the same setting it has the fewest that
        reach 95 % of the highest throughput.
    """

    result: ResultT
    throughput_per_s: float
    efficiency: float | None
    knee: bool


def scaling(results: Sequence[ResultT]) -> list[Scaled[ResultT]]:
    """Return the cases in a closed loop with their scaling, those of one setting together.

    Parameters
    ----------
    results
        Of one device.
    """
    one = {
        result.record.case.id: 1e3 / result.latency_ms.center
        for result in results
        if result.record.case.scenario == "single" and result.latency_ms
    }
    groups: dict[str, list[tuple[ResultT, float]]] = {}
    for result in results:
        case = result.record.case
        known = result.estimate(throughput.PLUGIN)
        if case.scenario == "multi" and known:
            groups.setdefault(case.by_one_caller.id, []).append((result, known.center))
    found = []
    for setting, group in groups.items():
        group.sort(key=lambda each: (each[0].record.case.callers, each[0].record.case.instances))
        alone = next((per_s for each, per_s in group if each.record.case.callers == 1), None)
        alone = alone or one.get(setting)
        enough = SATURATED * max(per_s for _, per_s in group)
        knee = next(each for each, per_s in group if per_s >= enough)
        for each, per_s in group:
            callers = each.record.case.callers
            efficiency = per_s / (callers * alone) if alone and callers > 1 else None
            is_knee = each is knee and len(group) > 1
            found.append(Scaled(each, per_s, efficiency, is_knee))
    return found


def carrying_most(results: Sequence[ResultT]) -> list[tuple[ResultT, float]]:
    """Return for each model and bound the case with the highest rate within the bound.

    Only cases with checked outputs and without a simulated accelerator are ranked; devices that
    are emulated are the caller's to leave out. Where several have the same, it is the first.
    """
    best: dict[tuple[object, ...], tuple[ResultT, float]] = {}
    for result in results:
        case = result.record.case
        known = result.values(carried.PLUGIN).get("")
        if known is None or not result.checked or result.simulated:
            continue
        key = (case.model, case.device, case.batch, case.shapes, case.bound_ms, case.percentile)
        if key not in best or known.value > best[key][1]:
            best[key] = (result, known.value)
    return [*best.values()]
