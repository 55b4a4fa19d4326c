"""What failed, grouped by cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.cases import State, case_results
from harness.analysis.failures import alike, failure_groups
from harness.core.reason import ENGLISH, plain
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
from harness.lab.reasons import NO_ROOM

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
    assert str(group.reason) == reasons[0]
    assert str(group.todo) == "harness results logs r --failed"


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
    why = "device set aside because no answer"
    made = run(launch(ONE, 0, Status.OK), a=why, b=why)
    (group,) = failure_groups(made, case_results(made))
    assert (group.category, group.launches, str(group.reason)) == ("not measured", 3, why)
    assert str(group.todo) == "harness run --resume r"
    one, other = case_results(made)
    assert (one.state, one.lacking) == (State.MEASURED, 1)
    assert (other.state, str(other.reason)) == (State.MISSING, why)


def test_the_hint_of_a_reason_is_what_to_do():
    reason = NO_ROOM(folder="/tmp", said="none")
    made = run(launch(ONE, 0, reason=reason, category=Category.DEPLOY))
    (group,) = failure_groups(made, case_results(made))
    assert ENGLISH.hint(group.reason) == "free space there, or set 'workdir' in the device's file"


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
    assert alike(plain(one)) == alike(plain(other))


def test_what_tells_causes_apart_stays():
    assert alike(plain("kernel conv2d of fp16")) != alike(plain("kernel conv3d of fp16"))
    assert alike(plain("SIGSEGV")) != alike(plain("SIGABRT"))


@given(st.text(max_size=2000))
def test_any_text_has_a_bounded_normal_form(text):
    assert len(alike(plain(text))) <= 1000
    assert "\n" not in alike(plain(text))
