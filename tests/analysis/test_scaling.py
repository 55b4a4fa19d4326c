"""How throughput grows with callers, and who carries most within a bound."""

from __future__ import annotations

import pytest

from harness.analysis.cases import case_results
from harness.analysis.scaling import carrying_most, scaling
from harness.core.records import OutputCheck, Traffic
from tests.analysis.conftest import make_case, make_run

RIGHT = OutputCheck(passed=True, tolerance=1e-3)


def fields(latency_ms, **traffic):
    made = Traffic(**{"scenario": "multi", "callers": 1, **traffic})
    return {"figure_ms": [latency_ms] * 3, "traffic": [made] * 3, "outputs": [RIGHT] * 3}


def closed(callers, per_s, **settings):
    case = make_case(scenario="multi", callers=callers, **settings)
    return {case: fields(10.0, callers=callers, throughput_per_s=float(per_s))}


def bound(engine, rate, simulated=None, outputs=RIGHT):
    case = make_case(engine, scenario="server", bound_ms=50.0, percentile=99)
    limit = {"bound_ms": 50, "percentile": 99}
    made = fields(10.0, scenario="server", rate=float(rate), bound=limit, throughput_per_s=1.0)
    return {case: made | {"simulated": [simulated] * 3, "outputs": [outputs] * 3}}


def test_efficiency_is_against_as_many_single_callers():
    rows = scaling(case_results(make_run(closed(4, 240) | closed(1, 100) | closed(2, 180))))
    assert [(row.result.record.case.callers, row.efficiency) for row in rows] == [
        (1, None),
        (2, pytest.approx(0.9)),
        (4, pytest.approx(0.6)),
    ]
    assert [row.knee for row in rows] == [False, False, True]


def test_the_knee_is_where_more_callers_bring_next_to_nothing():
    run = make_run(closed(1, 100) | closed(2, 196) | closed(4, 200) | closed(8, 198))
    assert [row.knee for row in scaling(case_results(run))] == [False, True, False, False]


def test_where_one_caller_was_not_measured_so_the_single_latency_stands_for_it():
    single = {make_case(): [10.0] * 3}  # 100 a second
    (row,) = scaling(case_results(make_run(single | closed(2, 150))))
    assert row.efficiency == pytest.approx(0.75)
    assert not row.knee  # of one there is none
    (row,) = scaling(case_results(make_run(closed(2, 150))))
    assert row.efficiency is None


def test_settings_are_told_apart():
    run = make_run(closed(1, 100) | closed(2, 150, threads=2))
    assert [row.efficiency for row in scaling(case_results(run))] == [None, None]


def test_the_highest_rate_within_a_bound():
    run = make_run(bound("a", 40) | bound("b", 60) | bound("c", 50))
    ((best, rate),) = carrying_most(case_results(run))
    assert (best.record.case.engine, rate) == ("b", 60.0)


def test_simulated_and_unchecked_cases_are_not_ranked():
    unchecked = OutputCheck(passed=True, tolerance=1e-3, decides=False)
    run = make_run(bound("a", 40) | bound("b", 60, "a simulator") | bound("c", 50, None, unchecked))
    ((best, _),) = carrying_most(case_results(run))
    assert best.record.case.engine == "a"
