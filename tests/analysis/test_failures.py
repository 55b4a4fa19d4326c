"""What failed, grouped by cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.cases import State, case_results
from harness.analysis.failures import failure_groups, normalised
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    Launch,
    OutputCheck,
    Protocol,
    Run,
    Status,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ONE, OTHER = (Case(model=name, device=name.upper(), engine="e") for name in "ab")


def launch(case, slot, status=Status.FAILED, attempt=0, **more):
    if status is Status.FAILED:
        more = {"category": Category.ENGINE, "reason": "no such op"} | more
    return Launch(
        id=f"r-{case.id}-{slot}-{attempt}", case_id=case.id, slot=slot, attempt=attempt,
        position=0, started=NOW + timedelta(seconds=slot * 10 + attempt), status=status, **more,
    )  # fmt: skip


def run(*launches, **left_out):
    records = [
        CaseRecord(case=case, launches=2, left_out=left_out.get(case.model, ""))
        for case in (ONE, OTHER)
    ]
    return Run(
        id="r", campaign="c", description="", specification="", seed=1, started=NOW,
        harness_version="0", protocol=Protocol(), devices=[], models=[], cases=records,
        launches=list(launches),
    )  # fmt: skip


def test_launches_of_several_cases_that_failed_alike_are_one_group():
    reasons = [
        "crashed with SIGSEGV after 'hello': at 0x7f3a (launch r-0123456789ab-0-1)",
        "crashed with SIGSEGV after 'hello': at 0x91 (launch r-ba9876543210-3-0)",
    ]
    made = run(
        *(launch(c, 0, reason=reason) for c, reason in zip((ONE, OTHER), reasons, strict=True))
    )
    (group,) = failure_groups(made, case_results(made))
    assert (group.category, group.launches, group.made_good) == ("engine", 2, 0)
    assert (group.devices, group.cases) == (["A", "B"], [ONE.label, OTHER.label])
    assert group.example == reasons[0]
    assert group.todo == "harness results logs r --failed"


def test_a_failure_that_was_made_good_comes_last_and_does_not_count_as_lacking():
    made = run(
        launch(ONE, 0),
        launch(ONE, 0, Status.OK, attempt=1),
        launch(ONE, 1, Status.OK),
        launch(OTHER, 0, Status.OK),
        launch(OTHER, 1, reason="the link dropped", category=Category.CONNECTION),
    )
    groups = failure_groups(made, case_results(made))
    assert [(each.category, each.made_good) for each in groups] == [
        ("connection", 0),
        ("engine", 1),
    ]
    assert [(each.state, each.lacking) for each in case_results(made)] == [
        (State.MEASURED, 0),
        (State.MEASURED, 1),
    ]


def test_what_was_left_out_says_why():
    why = "device put aside because no answer"
    made = run(launch(ONE, 0, Status.OK), a=why, b=why)
    (group,) = failure_groups(made, case_results(made))
    assert (group.category, group.launches, group.reason) == ("not measured", 3, why)
    assert group.todo == "harness run --resume r"
    one, other = case_results(made)
    assert (one.state, one.lacking) == (State.MEASURED, 1)
    assert (other.state, other.reason) == (State.MISSING, why)


def test_the_hint_of_a_reason_is_what_to_do():
    made = run(launch(ONE, 0, reason="no room (try: make room)", category=Category.DEPLOY))
    (group,) = failure_groups(made, case_results(made))
    assert (group.reason, group.todo) == ("no room", "make room")


def test_invalid_launches_and_wrong_outputs_are_told_apart():
    wrong = OutputCheck(passed=False, tolerance=0.1)
    made = run(
        launch(ONE, 0, Status.INVALID, reason="throttled: 3 times"),
        launch(ONE, 1, Status.INVALID, reason="wrong outputs", outputs=wrong),
    )
    groups = failure_groups(made, case_results(made))
    assert {group.category for group in groups} == {"invalid", "outputs wrong"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ended at its limit of 20 s, after 'hello'", "ended at its limit of 0.5 s, after 'hello'"),
        ("artifact 9b74c9897bac770f is gone", "artifact 0cc175b9c0f1b6a8 is gone"),
        ("no answer from 10.0.0.7:22", "no answer from 10.0.0.12:2222"),
    ],
)
def test_what_differs_each_time_does_not_tell_causes_apart(one, other):
    assert normalised(one) == normalised(other)


def test_what_tells_causes_apart_stays():
    assert normalised("kernel conv2d of fp16") != normalised("kernel conv3d of fp16")
    assert normalised("SIGSEGV") != normalised("SIGABRT")


@given(st.text(max_size=2000))
def test_any_text_has_a_bounded_normal_form(text):
    assert len(normalised(text)) <= 1000
    assert "\n" not in normalised(text)
