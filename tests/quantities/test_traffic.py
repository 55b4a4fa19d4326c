"""What several callers came to: more throughput is better wherever it is judged."""

from __future__ import annotations

import pytest

from harness.analysis.cases import case_results
from harness.analysis.comparable import Side
from harness.analysis.comparison import Verdict
from harness.analysis.comparisons import compare
from harness.analysis.expectations import Met, check_expectations
from harness.analysis.history import histories
from harness.core.records import Expectation, Traffic
from harness.quantities import quantity
from tests.analysis.conftest import make_case, make_run

CASE = make_case(scenario="multi", callers=2)


def run_of(throughputs, *, name="run", **more):
    traffic = [
        Traffic(scenario="multi", callers=2, items=4, throughput_per_s=each, **more)
        for each in throughputs
    ]
    return make_run({CASE: {"figure_ms": [10.0] * len(traffic), "traffic": traffic}}, name=name)


def side_of(run):
    return Side(run, case_results(run)[0])


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ([80, 81, 80, 82, 81], Verdict.REGRESSED),
        ([120, 121, 120, 122, 121], Verdict.IMPROVED),
        ([100, 101, 100, 102, 101], Verdict.UNCHANGED),
    ],
)
def test_less_throughput_is_a_regression(now, verdict):
    sides = side_of(run_of(now)), side_of(run_of([100, 101, 100, 102, 101], name="before"))
    found = compare(*sides, changes=("device",), paired=True).of("throughput")
    assert found.verdict is verdict


def test_throughput_is_expected_at_least():
    run = run_of([100, 101, 102, 100]).model_copy(
        update={"expectations": [Expectation(throughput_per_s=90), Expectation(items_per_s=1)]}
    )
    enough, unknown = check_expectations(run, case_results(run))
    assert (enough.met, enough.at_least) == (Met.YES, True)
    assert unknown.met is Met.UNTOLD  # nothing is expected of what follows from another


def test_throughput_is_followed_over_runs():
    runs = [run_of([100 + n, 101 + n], name=f"run-{n}") for n in range(3)]
    assert "throughput" in {series.quantity.name for series in histories(runs)}


def test_one_caller_has_no_throughput():
    (result,) = case_results(make_run({make_case(): [10.0, 11.0]}))
    for name in ("throughput", "items", "carried", "queueing", "latency_p90", "memory_per_caller"):
        assert result.figures(quantity(name)) == {}


def test_items_are_inferences_times_the_batch():
    (result,) = case_results(run_of([100, 100], queue_ns=[3_000_000, 1_000_000, 2_000_000]))
    assert result.figures(quantity("items")) == {"": [400, 400]}
    assert result.figures(quantity("queueing")) == {"": [2.0, 2.0]}
