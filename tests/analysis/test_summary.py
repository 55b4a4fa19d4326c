"""Estimates over launches, first loads, percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.cases import case_results
from harness.analysis.summary import (
    Range,
    estimate,
    launch_figure,
    launches_needed,
    percentiles,
    sample_spread,
)
from harness.core.records import FirstLoad
from tests.analysis.conftest import make_case, make_run

figures = st.lists(st.floats(1e-3, 1e12), min_size=2, max_size=30)


def test_a_launchs_figure_is_its_median():
    assert launch_figure([5, 1, 9]) == 5
    assert launch_figure([4, 1, 9, 5]) == 4.5
    with pytest.raises(ValueError, match="median"):
        launch_figure([])


def test_an_interval_worked_out_by_hand():
    # Logarithms 1, 2, 3: mean 2, deviation 1; t of 2 degrees of freedom at 97.5 % is 4.302653.
    result = estimate([math.e, math.e**2, math.e**3])
    half = 4.302652729911275 / math.sqrt(3)
    assert result.center == pytest.approx(math.e**2)
    assert result.low == pytest.approx(math.exp(2 - half))
    assert result.high == pytest.approx(math.exp(2 + half))
    assert result.n == 3
    assert result.spread == pytest.approx(math.sqrt(math.e - 1))


def test_one_launch_has_no_interval():
    result = estimate([7.5])
    assert (result.center, result.low, result.high, result.n, result.spread) == (
        7.5,
        None,
        None,
        1,
        None,
    )


@given(figures)
def test_bounds_lie_around_the_centre(values):
    result = estimate(values)
    assert result.low <= result.center <= result.high
    assert min(values) * (1 - 1e-9) <= result.center <= max(values) * (1 + 1e-9)


@given(figures)
def test_more_confidence_is_wider(values):
    narrow, wide = estimate(values, 0.8), estimate(values, 0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@given(st.lists(st.floats(1, 10), min_size=2, max_size=30), st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(values, factor):
    result, scaled = estimate(values), estimate([value * factor for value in values])
    assert scaled.center == pytest.approx(result.center * factor)
    assert scaled.low == pytest.approx(result.low * factor)
    assert scaled.high == pytest.approx(result.high * factor)
    assert scaled.spread == pytest.approx(result.spread, abs=1e-7)


@pytest.mark.parametrize("launches", [3, 5, 20])
def test_the_interval_covers_as_often_as_it_says(launches):
    random = np.random.default_rng(20240613)
    rounds = 2000
    hits = 0
    for _ in range(rounds):
        result = estimate(np.exp(random.normal(3.0, 0.05, launches)).tolist())
        hits += result.low <= math.exp(3.0) <= result.high
    # 95 % of 2000 has a standard deviation of 0.5 %.
    assert abs(hits / rounds - 0.95) < 0.02


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [-1.0], [math.nan, 1.0], [math.inf]])
def test_figures_that_are_none_are_refused(values):
    with pytest.raises(ValueError, match="positive"):
        estimate(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_no_such_confidence(confidence):
    with pytest.raises(ValueError, match="confidence"):
        estimate([1.0, 2.0], confidence)


@pytest.mark.parametrize(("percentile", "enough"), [(50, 11), (90, 64), (95, 130), (99, 662)])
def test_a_percentile_takes_enough_samples(percentile, enough):
    """The counts that MLPerf LoadGen's rule gives."""
    assert percentile not in percentiles(range(enough - 1))
    assert percentiles(range(enough))[percentile] == pytest.approx((enough - 1) * percentile / 100)


@pytest.mark.parametrize("samples", [[], [1]])
def test_no_percentile_of_next_to_nothing(samples):
    assert percentiles(samples) == {}


def test_the_spread_within_a_launch():
    assert sample_spread([100]) == 0
    assert sample_spread([90, 95, 100, 105, 110]) == pytest.approx(0.1)
    assert sample_spread([100, 100, 100, 100, 10_000]) == 0
    assert sample_spread([0, 0]) == 0
    with pytest.raises(ValueError, match="no samples"):
        sample_spread([])


def load(process_ms=10.0, page_cache="cold", **parts):
    values = {"import_ms": 100.0, "read_ms": 1.0, "init_ms": 20.0, "first_ms": 5.0} | parts
    return FirstLoad(process_ms=process_ms, page_cache=page_cache, **values)


def first_load(loads):
    (result,) = case_results(make_run({make_case(): {"first_load": loads}}))
    return result.first_loads_ms


def test_a_first_load_by_part():
    parts = first_load([load(), load(init_ms=30.0), load(init_ms=90.0)])["cold"]
    assert parts["init"] == Range(median=30, low=20, high=90, n=3)
    assert parts["total"] == Range(median=146, low=136, high=206, n=3)
    assert list(parts) == ["process", "import", "read", "init", "first", "total"]


def test_cold_and_warm_first_loads_are_not_mixed():
    states = first_load([load(), load(page_cache="warm", read_ms=0.5), load()])
    assert states["cold"]["read"].n == 2
    assert states["warm"]["read"] == Range(median=0.5, low=0.5, high=0.5, n=1)


def test_a_start_that_is_unknown_is_left_out():
    assert "process" not in first_load([load(process_ms=None)])["cold"]
    assert first_load([load(process_ms=None)])["cold"]["total"].median == 126
    mixed = first_load([load(process_ms=None), load()])["cold"]
    assert (mixed["process"].n, mixed["import"].n, mixed["total"].n) == (1, 2, 1)


def test_no_launches_have_no_first_load():
    assert first_load([None, None]) == {}


@given(st.lists(st.floats(0.9, 1.1), min_size=3, max_size=10), st.floats(0.01, 0.5))
def test_two_stages_reach_their_precision(pilots, precision):
    needed = launches_needed(pilots, precision, 10**9)
    assert needed >= len(pilots)
    found = estimate(pilots + [1.0] * (needed - len(pilots)), pilots=len(pilots))
    assert found.high / found.center <= (1 + precision) * (1 + 1e-9)


@given(st.lists(st.floats(0.5, 2.0), min_size=2, max_size=10))
def test_a_finer_precision_takes_more_launches(pilots):
    counts = [launches_needed(pilots, precision, 500) for precision in (0.1, 0.05, 0.01)]
    assert counts == sorted(counts)
    assert max(counts) <= 500


def test_two_stages_within_a_budget():
    assert launches_needed([1.0, 1.5, 0.8], 0.001, 20) == 20
    assert launches_needed([1.0, 1.0, 1.0], 0.001, 20) == 3
    assert launches_needed([1.0], 0.1, 20) == 20
