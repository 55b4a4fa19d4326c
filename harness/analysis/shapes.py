"""What a change of the inputs' shapes costs in a process that is already warm."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.analysis.summary import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.records import ShapeChange

__all__ = ["AfterChange", "after_changes"]


@dataclass(frozen=True)
class AfterChange:
    """What was seen after changes to one case's shapes, by the launches that made one, in ms.

    Attributes
    ----------
    result
        Of the case whose shapes were changed to.
    again
        Whether these launches had run with the shapes before, and came back to them.
    set_ms, first_ms
        Setting the inputs, and the first inference after that.
    change_ms
        Both: what compares, for engines plan again in the one or in the other.
    next_ms
        The median of the inferences after the first.
    """

    result: CaseResult
    again: bool
    set_ms: Range
    first_ms: Range
    change_ms: Range
    next_ms: Range


def after_changes(results: Sequence[CaseResult]) -> list[AfterChange]:
    """Return what changes of shape cost, in the order of the cases whose shapes they were to.

    The launches of the other cases of the same model, device and engine change to a case's shapes
    for the first time; its own come back to them.
    """
    found = []
    for result in results:
        changes = result.record.shape_changes
        if not changes or not result.counted:
            continue
        own = changes[-1]
        new = [
            change
            for other in results
            if other is not result
            and other.record.case.at_any_shape == result.record.case.at_any_shape
            for change in _made(other, own)
        ]
        for again, made in ((False, new), (True, _made(result, own))):
            if made:
                found.append(_summary(result, made, again=again))
    return found


def _made(result: CaseResult, shapes: dict[str, tuple[int, ...]]) -> list[ShapeChange]:
    return [
        change
        for launch in result.counted
        for change in launch.shape_changes
        if change.shapes == shapes
    ]


def _summary(result: CaseResult, changes: Sequence[ShapeChange], *, again: bool) -> AfterChange:
    return AfterChange(
        result=result,
        again=again,
        set_ms=_range([change.set_ms for change in changes]),
        first_ms=_range([change.first_ms for change in changes]),
        change_ms=_range([change.set_ms + change.first_ms for change in changes]),
        next_ms=_range([median(change.samples_ns) / 1e6 for change in changes]),
    )


def _range(values: Sequence[float]) -> Range:
    return Range(median(values), min(values), max(values), len(values))
