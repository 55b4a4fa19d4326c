"""What came of a case, by its launches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.analysis.cases import CaseResult, State
from harness.core.records import Case, CaseRecord, FirstLoad, Launch, OutputCheck, Status

RIGHT = OutputCheck(passed=True, tolerance=1e-3)
WRONG = OutputCheck(passed=False, reason="off", tolerance=1e-3)
CASE = Case(model="m", device="d", engine="e")


def _launch(status=Status.OK, figure=1e6, outputs=RIGHT, **more):
    return Launch(
        id="l", case_id=CASE.id, slot=0, attempt=0, position=0, started=datetime.now(UTC),
        status=status, figure_ns=figure, outputs=outputs, **more,
    )  # fmt: skip


def _result(*launches, refused=None):
    return CaseResult(CaseRecord(case=CASE, launches=5, refused=refused), launches)


INVALID = _launch(Status.INVALID, reason="hot")
FAILED = _launch(Status.FAILED, None, None, reason="crashed")


@pytest.mark.parametrize(
    ("launches", "state", "reason"),
    [
        ([], State.MISSING, "no launch"),
        ([FAILED, FAILED], State.FAILED, "no launch succeeded: crashed"),
        ([FAILED, _launch()], State.MEASURED, ""),
        ([_launch(), _launch(), INVALID], State.MEASURED, ""),
        ([_launch(), INVALID], State.INVALID, "1 of 2 launches were invalid: hot"),
        (
            [*[_launch()] * 9, _launch(Status.INVALID, outputs=WRONG, reason="wrong outputs: off")],
            State.WRONG,
            "wrong outputs: off",
        ),
    ],
)
def test_states(launches, state, reason):
    result = _result(*launches)
    assert result.state is state
    assert str(result.reason).startswith(reason)
    assert (result.latency_ms is not None) == (state is State.MEASURED)


def test_a_refused_case_has_nothing():
    assert _result(refused="no engine").state is State.REFUSED


def test_only_launches_that_went_well_count():
    result = _result(_launch(figure=1e6), _launch(figure=1e6), FAILED, _launch(figure=1e6), INVALID)
    assert result.figures_ms == [1.0, 1.0, 1.0]
    assert result.latency_ms.center == pytest.approx(1.0)
    assert result.checked


def test_first_loads_keep_cold_and_warm_apart():
    loads = [
        FirstLoad(process_ms=1, import_ms=2, read_ms=3, init_ms=4, first_ms=first, page_cache=state)
        for first, state in [(10, "cold"), (30, "cold"), (20, "cold"), (5, "warm")]
    ]
    found = _result(*(_launch(first_load=load) for load in loads)).first_loads_ms
    assert {state: parts["first"].median for state, parts in found.items()} == {
        "cold": 20,
        "warm": 5,
    }
