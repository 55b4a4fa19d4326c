"""What changes of shape cost, put together from the launches of all shapes."""

from __future__ import annotations

from datetime import UTC, datetime

from harness.analysis.cases import CaseResult
from harness.analysis.shapes import after_changes
from harness.core.records import Case, CaseRecord, Launch, OutputCheck, ShapeChange, Status

NARROW, WIDE = {"x": (1, 8)}, {"x": (1, 16)}


def result(own, other, *launches, engine="e"):
    """Return a case whose launches changed to another shape and back; times in ms."""
    case = Case(model="m", device="d", engine=engine, shapes=own)
    made = [
        Launch(
            id="l", case_id=case.id, slot=0, attempt=0, position=0, started=datetime.now(UTC),
            status=Status.OK, figure_ns=1e6, outputs=OutputCheck(passed=True, tolerance=1e-3),
            shape_changes=[
                ShapeChange(shapes=shapes, set_ms=1, first_ms=first, samples_ns=[3_000_000] * 3)
                for shapes, first in zip((other, own), firsts, strict=True)
            ],
        )
        for firsts in launches
    ]  # fmt: skip
    return CaseResult(CaseRecord(case=case, launches=5, shape_changes=[other, own]), made)


def test_new_shapes_and_those_come_back_to_are_told_apart():
    results = [result(NARROW, WIDE, (20, 2), (40, 4)), result(WIDE, NARROW, (10, 1))]
    found = {(each.result.record.case.shapes, each.again): each for each in after_changes(results)}
    narrow, wide = (case.record.case.shapes for case in results)
    assert found[wide, False].first_ms.median == 30  # seen by the narrow case's launches
    assert (found[wide, False].change_ms.low, found[wide, False].change_ms.high) == (21, 41)
    assert found[wide, True].change_ms.median == 2
    assert found[narrow, False].change_ms.median == 11
    assert found[narrow, True].first_ms.median == 3
    assert found[narrow, True].next_ms.n == 2
    assert len(found) == 4


def test_other_engines_changes_are_no_ones_else():
    results = [result(NARROW, WIDE, (20, 2)), result(WIDE, NARROW, (10, 1), engine="f")]
    assert [each.again for each in after_changes(results)] == [True, True]


def test_cases_without_changes_have_nothing():
    case = Case(model="m", device="d", engine="e")
    assert after_changes([CaseResult(CaseRecord(case=case, launches=5), [])]) == []
