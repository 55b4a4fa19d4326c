"""Series over runs: what is one, and where it changes."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.history import _Cost, baselines_of, change_points, histories
from harness.core.records import Case, OutputCheck, Status

CASE = Case(model="m", device="d", engine="e")


def series(rng, runs, *, launch=0.01, session=0.01, step=0.0, at=None, launches=5):
    """Return launches' figures of runs: each run has an effect of its own, as a boot has."""
    found = []
    for run in range(runs):
        center = 10 * rng.lognormvariate(0, session)
        center *= 1 + step if at is not None and run >= at else 1
        found.append([center * rng.lognormvariate(0, launch) for _ in range(launches)])
    return found


@pytest.mark.parametrize("runs", [3, 6, 20])
@pytest.mark.parametrize(("launch", "session"), [(0.005, 0.0), (0.02, 0.01), (0.03, 0.01)])
def test_runs_of_one_thing_hardly_ever_change(runs, launch, session):
    rng = random.Random(1)
    found = sum(
        bool(change_points(series(rng, runs, launch=launch, session=session))) for _ in range(100)
    )
    assert found <= 2


def test_a_step_in_the_middle_is_found_where_it_is():
    rng = random.Random(2)
    hits = 0
    for _ in range(50):
        changes = change_points(series(rng, 12, step=0.08, at=7))
        if [change.index for change in changes] == [7]:
            (change,) = changes
            hits += change.low < 1.08 < change.high
            assert (change.runs_before, change.runs_after) == (7, 5)
    assert hits >= 45


def test_the_newest_run_alone_may_be_a_change():
    (change,) = change_points(series(random.Random(3), 10, step=0.2, at=9))
    assert (change.index, change.runs_after) == (9, 1)
    assert change.p < 0.01


def test_launches_that_agree_do_not_make_two_runs_differ():
    """The launches of a run share its boot: twenty that agree say nothing of the next run."""
    figures = [[10.0 + run % 2 / 5 + n / 1e4 for n in range(20)] for run in range(3)]
    assert not change_points(figures)


def test_up_and_down_again():
    figures = series(random.Random(4), 15)
    for run in range(5, 9):
        figures[run] = [1.3 * figure for figure in figures[run]]
    changes = change_points(figures)
    assert [(change.index, change.ratio > 1) for change in changes] == [(5, True), (9, False)]


def test_what_is_smaller_than_the_margin_is_no_change():
    figures = series(random.Random(5), 20, launch=1e-4, session=1e-5, step=0.02, at=10)
    assert not change_points(figures)
    (change,) = change_points(figures, margin=0.01)
    assert change.index == 10


@pytest.mark.parametrize("runs", [[], [[1.0]], [[1.0], [2.0]]])
def test_two_runs_are_no_series(runs):
    assert change_points(runs) == []


def test_figures_that_never_vary_and_single_launches():
    assert not change_points([[5.0, 5.0]] * 6)
    assert [c.index for c in change_points([[5.0]] * 6 + [[7.0]] * 2)] == [6]


@given(
    st.lists(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=4), min_size=0, max_size=12),
    st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_any_series_is_taken(runs, margin):
    for change in change_points(runs, margin=margin):
        assert 0 < change.index < len(runs)
        assert max(change.ratio, 1 / change.ratio) - 1 > margin
        assert change.low <= change.ratio <= change.high
        assert math.isfinite(change.high)


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 10)), min_size=2, max_size=8),
    st.floats(0.1, 10),
)
@settings(max_examples=60, deadline=None)
def test_the_library_finds_the_best_partition_for_our_cost(points, penalty):
    """Against all partitions there are: what the library finds costs no more."""
    signal = np.array(points)
    cost = _Cost().fit(signal)

    def of(ends):
        return sum(cost.error(*each) + penalty for each in pairwise([0, *ends]))

    n = len(points)
    best = min(of([*inner, n]) for size in range(n) for inner in combinations(range(1, n), size))
    found = ruptures.Pelt(custom_cost=_Cost(), min_size=1, jump=1).fit(signal).predict(pen=penalty)
    assert of(found) == pytest.approx(best)


@pytest.fixture
def run_at(runs):
    """Return what makes a run of one case on a day."""

    def run_at(day, latency, *, case=CASE, **more):
        made = runs({case: [latency * (1 + n / 1000) for n in range(5)]}, name=f"r{day}", **more)
        return made.model_copy(update={"started": made.started + timedelta(days=day)})

    return run_at


def test_a_series_of_runs(run_at):
    day_by_day = [run_at(day, 10.0) for day in range(5)] + [run_at(day, 12.0) for day in (5, 6)]
    (found,) = histories(day_by_day)
    assert (found.case, found.instance) == (CASE, "a" * 32)
    assert [point.run for point in found.points] == [f"r{day}" for day in range(7)]
    (change,) = found.changes
    assert found.points[change.index].run == "r5"
    assert not histories(day_by_day, margin=0.5)[0].changes


def test_another_instance_of_a_device_is_another_series(run_at):
    facts = [{"machine_id": name * 32, "kernel": "6.1"} for name in "ab"]
    found = histories([run_at(day, 10 + day % 2 * 5, facts=facts[day % 2]) for day in range(6)])
    assert [len(each.points) for each in found] == [3, 3]
    assert [each.instance[0] for each in found] == ["a", "b"]
    assert not any(each.changes for each in found)


def test_devices_that_tell_no_identity_are_one_series(run_at):
    (found,) = histories([run_at(day, 10.0, facts={}) for day in range(3)])
    assert (found.instance, len(found.points)) == ("", 3)


def test_another_estimator_or_input_is_another_series(run_at, runs):
    mean = runs({CASE: {"figure_ms": [10.0] * 3, "estimator": ["mean"] * 3}}, name="foreign")
    assert [len(each.points) for each in histories([run_at(0, 10.0), mean, run_at(1, 10.0)])] == [
        2,
        1,
    ]


def test_a_new_kernel_is_marked(run_at):
    facts = [{"machine_id": "a" * 32, "kernel": kernel} for kernel in ("6.1", "6.1", "6.6")]
    (found,) = histories([run_at(day, 10.0, facts=facts[day]) for day in range(3)])
    assert found.marks == ((), ("kernel: 6.1 → 6.6",))


def test_baselines_are_of_the_same_case_instance_and_kind(run_at, runs):
    found = histories([run_at(day, 10.0) for day in range(2)])
    baselines = {
        "good": run_at(9, 12.0),
        "another board": run_at(9, 12.0, facts={"machine_id": "b" * 32}),
        "another case": run_at(9, 12.0, case=Case(model="m", device="d", engine="other")),
        "mean": runs({CASE: {"figure_ms": [9.0] * 3, "estimator": ["mean"] * 3}}, name="mean"),
    }
    (known,) = baselines_of(found, baselines)
    assert list(known) == ["good"]
    assert known["good"].center == pytest.approx(12.0, rel=0.01)


def test_runs_without_a_latency_and_those_that_decide_a_suspicion_are_left_out(run_at, runs):
    wrong = runs(
        {
            CASE: {
                "status": [Status.INVALID] * 2, "figure_ms": [1.0] * 2,
                "outputs": [OutputCheck(passed=False, tolerance=1)] * 2,
            }
        },
        name="wrong",
    )  # fmt: skip
    confirming = run_at(3, 10.0).model_copy(update={"confirms": "r1"})
    (found,) = histories([run_at(0, 10.0), wrong, confirming])
    assert [point.run for point in found.points] == ["r0"]


@pytest.mark.parametrize(
    ("revision", "commit", "dirty"),
    [("0123abc", "0123abc", False), ("v1-2-g0123+", "v1-2-g0123", True), (None, None, False)],
)
def test_revisions(run_at, revision, commit, dirty):
    run = run_at(0, 10.0).model_copy(update={"revision": revision})
    ((point,),) = (each.points for each in histories([run]))
    assert (point.commit, point.dirty) == (commit, dirty)
