"""What launches show that an interval takes for granted."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.cases import case_results
from harness.analysis.flags import (
    Kind,
    flags,
    is_bimodal,
    is_drifting,
    outliers,
    repeatability,
)
from tests.analysis.conftest import NOW, make_case, make_run

CASE = make_case()
figures = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=12)


def flagged(figures, **fields):
    columns = {"figure_ms": figures, **fields}
    (result,) = case_results(make_run({CASE: columns}))
    return {flag.kind: str(flag.reason) for flag in flags(result)}


@pytest.mark.parametrize("count", [5, 10, 30])
def test_normal_launches_are_hardly_ever_flagged(count):
    random = np.random.default_rng(1)
    sets = np.exp(random.normal(0, 0.02, (600, count))).tolist()
    assert np.mean([is_drifting(each) for each in sets]) < 0.035
    assert np.mean([is_bimodal(each) for each in sets]) < 0.025
    assert np.mean([bool(outliers(each)) for each in sets]) < 0.025


def test_drift_is_over_time_and_not_over_slots():
    rising = [10.0, 10.1, 10.2, 10.3, 10.4]
    assert flagged(rising) == {
        Kind.DRIFT: "figures rise by 4.0 % from the first launch to the last"
    }
    assert "fall by" in flagged(rising[::-1])[Kind.DRIFT]
    mixed = [NOW + timedelta(minutes=minute) for minute in (3, 0, 4, 1, 2)]
    assert Kind.DRIFT not in flagged(rising, started=mixed)


def test_a_drift_that_is_too_small_to_matter_and_too_few_launches():
    assert not flagged([10.0, 10.001, 10.002, 10.003, 10.004])
    assert not is_drifting([1, 2, 3, 4])


def test_two_groups():
    found = flagged([10.0, 10.51, 10.01, 10.5, 9.99, 10.49, 10.0, 10.02])
    assert found[Kind.BIMODAL].startswith("two groups 5.0 % apart, of 5 and 3 launches")


def test_an_outlier_is_named_and_stays_in_the_estimate():
    values = [10.0, 10.01, 9.99, 10.02, 13.0, 9.98]
    assert flagged(values) == {Kind.OUTLIER: "far from the others: launch 5"}
    (result,) = case_results(make_run({CASE: values}))
    assert result.latency_ms.n == 6


def test_outliers_by_the_published_table():
    """Grubbs' critical value for six, two-sided at 1 %: 1.973."""
    base = np.array([0.0, 1, 2, 3, 4])
    for far, found in ((9.0, False), (40.0, True)):
        values = np.append(base, far)
        statistic = abs(values - values.mean()).max() / values.std(ddof=1)
        assert bool(statistic > 1.973) is found
        assert bool(outliers(np.exp(values / 10).tolist())) is found


def test_warm_up_and_samples_that_had_not_settled():
    steady = {"warmup_reason": ["steady"] * 5, "samples_ns": [[1000] * 30] * 5}
    assert not flagged([10.0, 10.1, 9.9, 10.0, 10.05], **steady)
    found = flagged(
        [10.0, 10.1, 9.9, 10.0, 10.05],
        warmup_reason=["max_seconds", "steady", "max_samples", "max_seconds", "steady"],
        samples_ns=[[1100 - n for n in range(100)]] * 5,
    )
    assert (
        found[Kind.WARMUP] == "3 of 5 launches were still unsteady when warm-up reached its limit"
    )
    assert found[Kind.SETTLING] == "samples are 6.2 % lower at a launch's end than at its start"


def test_a_case_without_launches_has_no_flags():
    assert not flagged([1.0], status=["failed"])


def test_repeatability_by_hand():
    assert repeatability([1.0]) is None
    assert repeatability([2.0, 2.0]) == 0
    # Logarithms 0 and 0.02: a deviation of 0.02 / sqrt(2).
    assert repeatability([1.0, math.exp(0.02)]) == pytest.approx(math.expm1(1.96 * 0.02))


@given(figures, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(values, factor):
    scaled = [factor * value for value in values]
    assert repeatability(scaled) == pytest.approx(repeatability(values), abs=1e-9)
    if len(set(values)) == len(values):
        assert is_drifting(scaled) == is_drifting(values)


@settings(deadline=None)  # critical values are simulated where they are first asked for
@given(figures)
def test_any_figures_are_judged(values):
    assert set(outliers(values)) <= set(range(len(values)))
    is_bimodal(values)
