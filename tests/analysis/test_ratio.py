"""The ratio of two sets of launches: against scipy, and what must hold for any figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.comparison import Verdict, judge, ratio

figures = st.lists(st.floats(1e-3, 1e12), min_size=2, max_size=20)
near = st.lists(st.floats(0.5, 2.0), min_size=3, max_size=20).filter(lambda v: len(set(v)) > 1)


@given(near, near)
def test_welch_is_scipys(candidate, baseline):
    found = ratio(candidate, baseline)
    expected = stats.ttest_ind(np.log(candidate), np.log(baseline), equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert math.log(found.low) == pytest.approx(interval.low, abs=1e-9)
    assert math.log(found.high) == pytest.approx(interval.high, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert (found.n, found.n_baseline, found.method) == (len(candidate), len(baseline), "welch")


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0.5, 2.0)), min_size=3, max_size=20))
def test_pairs_are_scipys(pairs):
    a, b = (np.log(side) for side in zip(*pairs, strict=True))
    assume(np.ptp(a - b) > 1e-9)
    found = ratio(*zip(*pairs, strict=True), paired=True)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert math.log(found.low) == pytest.approx(interval.low, abs=1e-9)
    assert math.log(found.high) == pytest.approx(interval.high, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.method == "paired"


@given(figures, figures)
def test_swapped_sides_give_the_inverse(candidate, baseline):
    one, other = ratio(candidate, baseline), ratio(baseline, candidate).inverse
    assert one.center == pytest.approx(other.center)
    assert one.low == pytest.approx(other.low)
    assert one.high == pytest.approx(other.high)
    assert one.p == pytest.approx(other.p)


@given(near, near, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(candidate, baseline, factor):
    one = ratio(candidate, baseline)
    scaled = ratio([factor * x for x in candidate], [factor * x for x in baseline])
    assert scaled.center == pytest.approx(one.center)
    assert scaled.low == pytest.approx(one.low)
    assert scaled.high == pytest.approx(one.high)


@given(near, near, st.floats(1.001, 10))
def test_a_slower_candidate_has_a_higher_interval(candidate, baseline, factor):
    one, slower = ratio(candidate, baseline), ratio([factor * x for x in candidate], baseline)
    assert slower.center == pytest.approx(one.center * factor)
    assert slower.low > one.low
    assert slower.high > one.high


@given(near, near)
def test_more_confidence_takes_a_wider_interval(candidate, baseline):
    narrow, wide = (ratio(candidate, baseline, confidence=c) for c in (0.8, 0.99))
    assert wide.low <= narrow.low <= narrow.center <= narrow.high <= wide.high


def test_what_drifts_over_blocks_is_gone_from_pairs():
    drift = np.linspace(1, 1.5, 10)
    noise = np.tile([0.999, 1.001], 5)
    candidate, baseline = 1.05 * drift * noise, drift
    assert ratio(candidate, baseline, paired=True).low > 1.04
    assert ratio(candidate, baseline).low < 1


def test_after_two_stages_the_pilots_tell_the_spread():
    pilots, more = [0.97, 1.03, 0.96, 1.04, 1.0], [1.0] * 15
    whole = ratio(pilots + more, [1.0, 1.0, 1.0, 1.0, 1.01])
    stein = ratio(pilots + more, [1.0, 1.0, 1.0, 1.0, 1.01], pilots=(5, None))
    assert stein.low < whole.low
    assert stein.high > whole.high
    assert stein.center == whole.center


def test_sides_that_do_not_vary():
    same = ratio([7.0] * 5, [7.0] * 5)
    assert (same.center, same.low, same.high, same.p, same.method) == (1, 1, 1, 1, "constant")
    more = ratio([8.0] * 5, [7.0] * 5)
    assert more.low == more.high == pytest.approx(8 / 7)
    assert more.p == pytest.approx(2 / 252)
    # Three of each come in that split by chance once in ten times: too often to believe.
    assert ratio([8.0] * 3, [7.0] * 3).low is None


@pytest.mark.parametrize("n", [2, 3, 5])
def test_pairs_that_happen_to_differ_alike_are_judged_by_the_launches_own_spread(n):
    baseline = [1.0, 1.3, 0.9, 1.1, 1.2][:n]
    candidate = [1.2 * figure for figure in baseline]
    found = ratio(candidate, baseline, paired=True)
    assert found == ratio(candidate, baseline)
    assert judge(found) is Verdict.INCONCLUSIVE
    quiet = [1 + figure / 1000 for figure in baseline]
    assert found.low < ratio([1.2 * each for each in quiet], quiet, paired=True).low < 1.2


def test_one_pair_has_no_interval():
    assert ratio([2.0], [1.0], paired=True).method == "few"


def test_one_side_that_does_not_vary():
    found = ratio([8.0, 8.1, 8.2], [7.0] * 5)
    assert found.low < 8.1 / 7 < found.high
    assert found.method == "welch"


def test_one_launch_has_no_interval():
    for sides in (([1.0], [2.0, 2.1]), ([1.0, 1.1], [2.0]), ([1.0], [2.0])):
        found = ratio(*sides)
        assert (found.low, found.high, found.p, found.method) == (None, None, None, "few")
    assert ratio([1.0], [2.0], paired=True).method == "few"
    assert ratio([1.0], [2.0]).inverse.center == 2


@pytest.mark.parametrize("bad", [[], [0.0], [-1.0], [math.nan], [math.inf]])
def test_figures_that_are_none_are_refused(bad):
    for sides in ((bad, [1.0]), ([1.0], bad)):
        with pytest.raises(ValueError, match="positive"):
            ratio(*sides)


def test_pairs_and_confidences_that_are_none():
    with pytest.raises(ValueError, match="cannot be paired"):
        ratio([1.0, 2.0], [1.0], paired=True)
    with pytest.raises(ValueError, match="confidence"):
        ratio([1.0], [1.0], confidence=95)
