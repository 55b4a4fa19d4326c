"""The gates that are tried: ours, and what others use. Each says which repetitions it alarms in.

All but ours decide on the stored launches. Ours asks for fresh ones where those do not say
"unchanged".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from harness.analysis.comparison import MARGIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.detection.simulation import Launches, Trial

Bools = "NDArray[np.bool_]"

THRESHOLD: Final = 1.05
ASV_FACTOR: Final = 1.1
ASV_P: Final = 0.002


@dataclass(frozen=True)
class Decided:
    """What our gate says in each repetition, and how many launches of the candidate that took."""

    regressed: NDArray[np.bool_]
    improved: NDArray[np.bool_]
    unchanged: NDArray[np.bool_]
    fresh: NDArray[np.bool_]


def welch(candidate: NDArray[np.float64], baseline: NDArray[np.float64]):
    """Return the difference of means, its standard error, and its degrees of freedom, by row."""
    n, m = candidate.shape[-1], baseline.shape[-1]
    a, b = candidate.var(-1, ddof=1) / n, baseline.var(-1, ddof=1) / m
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    return candidate.mean(-1) - baseline.mean(-1), np.sqrt(a + b), freedom


def paired(candidate: NDArray[np.float64], baseline: NDArray[np.float64]):
    difference = candidate - baseline
    n = difference.shape[-1]
    return difference.mean(-1), difference.std(-1, ddof=1) / np.sqrt(n), n - 1


def verdicts(center, error, freedom, margin: float = MARGIN):
    """Say where ``harness.analysis.comparison.judge`` says regressed, improved, unchanged."""
    half = stdtrit(freedom, 0.975) * error
    bound = np.log1p(margin)
    regressed = (center - half > 0) & (center > bound)
    improved = (center + half < 0) & (center < -bound)
    unchanged = (center - half > -bound) & (center + half < bound)
    return regressed, improved, unchanged


def ours(trial: Trial) -> Decided:
    """Our gate at its default budget."""
    stored = welch(trial.candidate.figures, trial.baseline.figures)
    quiet = verdicts(*stored)[2] & (np.abs(stored[0]) <= np.log1p(MARGIN) / 2)
    regressed, improved, unchanged = verdicts(*paired(trial.fresh_candidate, trial.fresh_baseline))
    return Decided(~quiet & regressed, ~quiet & improved, quiet | unchanged, ~quiet)


def stored_only(trial: Trial) -> NDArray[np.bool_]:
    """Our verdict on stored launches alone: what it would be to believe them."""
    return verdicts(*welch(trial.candidate.figures, trial.baseline.figures))[0]


def threshold(trial: Trial) -> NDArray[np.bool_]:
    """Say that the mean of all inferences is more than 5 % higher."""
    return _mean(trial.candidate) > THRESHOLD * _mean(trial.baseline)


def t_test(trial: Trial) -> NDArray[np.bool_]:
    """Welch's t-test on single inferences, one-sided at 2.5 %."""
    sides = (np.exp(_pooled(side)) for side in (trial.candidate, trial.baseline))
    difference, error, freedom = welch(*sides)
    return stdtr(freedom, -difference / error) < 0.025


def asv(trial: Trial, factor: float = ASV_FACTOR) -> NDArray[np.bool_]:
    """What ``asv compare`` and ``continuous`` do, by ``asv/_stats.py`` and ``commands/compare.py``.

    Slower by the factor, which is 1.1 by default, of medians, and different by Mann-Whitney's U of
    all samples, p < 0.002.
    """
    candidate, baseline = _pooled(trial.candidate), _pooled(trial.baseline)
    slower = np.exp(np.median(candidate, -1) - np.median(baseline, -1)) > factor
    return slower & (mann_whitney(candidate, baseline) < ASV_P)


def asv_at_margin(trial: Trial) -> NDArray[np.bool_]:
    """The same with our margin for its factor."""
    return asv(trial, 1 + MARGIN)


def pytest_benchmark(trial: Trial) -> NDArray[np.bool_]:
    """``--benchmark-compare-fail=min:5%``, the example of its documentation."""
    fastest = [np.exp(_pooled(side).min(-1)) for side in (trial.candidate, trial.baseline)]
    return fastest[0] > THRESHOLD * fastest[1]


OTHERS: Final = {
    "fixed 5 % on the mean": threshold,
    "t-test on inferences": t_test,
    "asv (factor 1.1)": asv,
    "asv (factor 1.03)": asv_at_margin,
    "pytest-benchmark min:5%": pytest_benchmark,
    "ours, without fresh launches": stored_only,
}


def mann_whitney(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two-sided p-values of Mann-Whitney's U by row, by its normal approximation."""
    n, m = a.shape[-1], b.shape[-1]
    ranks = np.concatenate([a, b], axis=-1).argsort(-1).argsort(-1) + 1
    u = ranks[..., :n].sum(-1) - n * (n + 1) / 2
    z = (np.abs(u - n * m / 2) - 0.5) / np.sqrt(n * m * (n + m + 1) / 12)
    return 2 * ndtr(-z)


def _pooled(launches: Launches) -> NDArray[np.float64]:
    return launches.inferences.reshape(len(launches.inferences), -1)


def _mean(launches: Launches) -> NDArray[np.float64]:
    return np.exp(_pooled(launches)).mean(-1)
