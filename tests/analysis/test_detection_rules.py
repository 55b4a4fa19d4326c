"""The vectorised rules of benchmarks/detection say what the shipped functions say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from benchmarks.detection.rules import mann_whitney, ours, stored_only, t_test
from benchmarks.detection.simulation import Cell, trial
from harness.analysis.comparison import Verdict, judge, ratio, suspected


@pytest.mark.parametrize(
    "cell",
    [
        Cell(0.02, 0.01, "bimodal", 0.03),
        Cell(0.005, 0.0, "drift", 0.05),
        Cell(0.03, 0.01, "skewed", 0.0),
    ],
)
def test_the_gate_that_is_tried_is_the_one_that_is_shipped(cell):
    given = trial(np.random.default_rng(1), cell, 60, 5, 12)
    decided, believed = ours(given), stored_only(given)
    for row in range(60):
        stored = ratio(np.exp(given.candidate.figures[row]), np.exp(given.baseline.figures[row]))
        fresh = ratio(
            np.exp(given.fresh_candidate[row]), np.exp(given.fresh_baseline[row]), paired=True
        )
        assert believed[row] == (judge(stored) is Verdict.REGRESSED)
        quiet = judge(stored) is Verdict.UNCHANGED and not suspected(stored)
        assert decided.fresh[row] != quiet
        said = Verdict.UNCHANGED if quiet else judge(fresh)
        assert decided.regressed[row] == (said is Verdict.REGRESSED)
        assert decided.improved[row] == (said is Verdict.IMPROVED)
        assert decided.unchanged[row] == (said is Verdict.UNCHANGED)


def test_the_others_rules_are_scipys():
    given = trial(np.random.default_rng(2), Cell(0.02, 0.0, "normal", 0.01), 20, 5, 12)
    sides = [each.inferences.reshape(20, -1) for each in (given.candidate, given.baseline)]
    expected = mannwhitneyu(*sides, axis=-1, method="asymptotic").pvalue
    assert mann_whitney(*sides) == pytest.approx(expected)
    tested = [ratio(np.exp(np.exp(a)), np.exp(np.exp(b))) for a, b in zip(*sides, strict=True)]
    slower = [found.p / 2 < 0.025 and found.center > 1 for found in tested]
    assert t_test(given).tolist() == slower
