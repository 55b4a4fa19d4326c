"""One set of launches against another: the ratio of their figures, its interval, a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy.special import comb, stdtr, stdtrit

from harness.core.quantity import Better
from harness.quantities.latency import MARGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MARGIN", "Ratio", "Verdict", "adjusted", "chance", "judge", "ratio", "suspected"]

ROUNDING: Final = 1e-12
"""What logarithms of equal figures differ by at most."""


@dataclass(frozen=True)
class Ratio:
    """A candidate's figure over a baseline's.

    Attributes
    ----------
    center
        The ratio of the geometric means: 1.05 where the candidate takes 5 % more.
    low, high
        Its confidence interval; none where there are too few launches for one. The upper end
        may be infinite.
    p
        Of a two-sided test of no change; none where there is no interval.
    error, freedom
        The standard error of its logarithm, and that error's degrees of freedom; none without an
        interval, and where neither side varies.
    n, n_baseline
        How many launches of either.
    method
        ``welch``; ``paired``; ``constant`` where neither side varies; ``few`` without an interval.
    """

    center: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    n_baseline: int
    method: Literal["welch", "paired", "constant", "few"]
    error: float | None = None
    freedom: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The ends of its interval; none without one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def inverse(self) -> Ratio:
        """The baseline's figure over the candidate's: the speed-up, where figures are times."""
        return replace(
            self,
            center=1 / self.center,
            low=None if self.high is None else 1 / self.high,
            high=None if self.low is None else (1 / self.low if self.low else math.inf),
            n=self.n_baseline,
            n_baseline=self.n,
        )


def ratio(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    paired: bool = False,
    pilots: tuple[int | None, int | None] = (None, None),
    confidence: float = 0.95,
) -> Ratio:
    r"""Estimate the ratio of two cases from their launch figures.

    With :math:`\bar a, \bar b` the means of the logarithms of the figures, the centre is
    :math:`e^{\bar a - \bar b}`. Launches of different runs: the interval is Welch's [1]_,
    :math:`e^{\bar a - \bar b \pm t \sqrt{s_a^2/n_a + s_b^2/n_b}}` with Student's :math:`t` of
    Satterthwaite's degrees of freedom. Launches that were made in turns, the *i*-th of either in
    one block: the t interval of the differences within blocks, from which what drifts over blocks
    is gone. After two-stage sampling, a side's variance and degrees of freedom are its pilots'
    alone [2]_: those of all launches would be too small where few more were asked for.

    Where no figure varies on either side (peak memory often does not), there is nothing to take
    an interval from. What is left is the exact permutation test: that all :math:`n_a` figures of
    one value and all :math:`n_b` of another come in this split, or in its mirror image, has the
    probability :math:`2 / \binom{n_a + n_b}{n_a}` if nothing changed. From there on the ratio is
    taken as it is, with an interval of no width, if that is less than the error allowed. Where
    launches do vary and yet all pairs differ by the same, which few do by chance or for a coarse
    clock, pairs tell no error, and the interval is Welch's: by the launches' own spread.

    Parameters
    ----------
    candidate, baseline
        One figure a launch, positive, both of one unit.
    paired
        Whether the *i*-th of either come from one block; then there are as many of each.
    pilots
        Of either side, how many of its launches, the first ones, fixed how many there are.
    confidence
        Of the interval, above 0 and below 1.

    Raises
    ------
    ValueError
        No figures, figures that are not positive and finite, pairs that are not, or no such
        confidence.

    References
    ----------
    .. [1] B. L. Welch, "The generalization of Student's problem when several different
       population variances are involved", Biometrika 34 (1947), doi:10.1093/biomet/34.1-2.28.
    .. [2] C. Stein, "A two-sample test for a linear hypothesis whose power is independent of the
       variance", Ann. Math. Statist. 16 (1945), doi:10.1214/aoms/1177731088; for two means
       D. G. Chapman, "Some two-sample tests", Ann. Math. Statist. 21 (1950),
       doi:10.1214/aoms/1177729752.
    """
    for figures in (candidate, baseline):
        if not len(figures) or not all(0 < figure < math.inf for figure in figures):
            raise ValueError("launch figures must be positive and finite, and at least one")
    if not 0 < confidence < 1:
        raise ValueError(f"invalid confidence {confidence}")
    if paired and len(candidate) != len(baseline):
        raise ValueError(f"{len(candidate)} and {len(baseline)} launches cannot be paired")
    a, b = np.log(candidate), np.log(baseline)
    counts = (a.size, b.size)
    difference = float(a.mean() - b.mean())
    if _constant(a) and _constant(b):
        return _of_constants(difference, counts, confidence)
    paired = paired and not _constant(a - b)
    if paired:
        error, freedom = _error(a - b, None)
    elif min(counts) > 1:
        error, freedom = _welch(a, b, pilots)
    else:
        error, freedom = 0.0, 0.0
    if not freedom:
        return Ratio(_exp(difference), None, None, None, *counts, "few")
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error)) if error else float(not difference)
    return Ratio(
        center=_exp(difference),
        low=_exp(difference - half),
        high=_exp(difference + half),
        p=p,
        n=counts[0],
        n_baseline=counts[1],
        method="paired" if paired else "welch",
        error=error,
        freedom=freedom,
    )


def _constant(logarithms: NDArray[np.float64]) -> bool:
    return bool((np.abs(logarithms - logarithms[0]) <= ROUNDING).all())


def _of_constants(difference: float, counts: tuple[int, int], confidence: float) -> Ratio:
    center = _exp(difference)
    by_chance = min(1.0, 2 / float(comb(sum(counts), counts[0])))
    if by_chance > 1 - confidence:
        return Ratio(center, None, None, None, *counts, "few")
    p = by_chance if difference else 1.0
    return Ratio(center, center, center, p, *counts, "constant")


def _error(logarithms: NDArray[np.float64], pilots: int | None) -> tuple[float, float]:
    """Return the standard error of a mean, and its degrees of freedom."""
    told_by = logarithms if pilots is None else logarithms[: max(2, pilots)]
    return float(told_by.std(ddof=1)) / math.sqrt(logarithms.size), told_by.size - 1.0


def _welch(
    a: NDArray[np.float64], b: NDArray[np.float64], pilots: tuple[int | None, int | None]
) -> tuple[float, float]:
    (error_a, freedom_a), (error_b, freedom_b) = _error(a, pilots[0]), _error(b, pilots[1])
    error = math.hypot(error_a, error_b)
    if not error:
        return 0.0, freedom_a + freedom_b
    shares = (error_a / error) ** 4 / freedom_a + (error_b / error) ** 4 / freedom_b
    return error, 1 / shares


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):  # launches that say nothing: the interval has no end
        return float(np.exp(value))


class Verdict(StrEnum):
    """What a comparison with a baseline found."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


def judge(found: Ratio, margin: float = MARGIN, better: Better = Better.LESS) -> Verdict:
    r"""Judge a ratio of figures.

    *Regressed*: the interval excludes no change and the estimate exceeds the margin, upwards where
    less is better, downwards where more is; *improved*, the other way; *unchanged*: the interval
    is inside the margin; else *inconclusive*. The margin is symmetric on the logarithms:
    :math:`1 + m` upwards, :math:`1 / (1 + m)` downwards, so that swapping the sides swaps the
    verdict.

    Parameters
    ----------
    margin
        What change counts; 0.03 is 3 %.
    """
    if better is Better.MORE:
        found = found.inverse
    if found.low is None or found.high is None:
        return Verdict.INCONCLUSIVE
    if found.low > 1 and found.center > 1 + margin:
        return Verdict.REGRESSED
    if found.high < 1 and found.center < 1 / (1 + margin):
        return Verdict.IMPROVED
    if found.low > 1 / (1 + margin) and found.high < 1 + margin:
        return Verdict.UNCHANGED
    return Verdict.INCONCLUSIVE


def suspected(found: Ratio, margin: float = MARGIN) -> bool:
    """Tell whether a ratio is a suspicion: its estimate is above half the margin, either way.

    A suspicion is only decided on fresh launches.
    """
    return abs(math.log(found.center)) > math.log1p(margin) / 2


def chance(found: Ratio, margin: float = MARGIN, confidence: float = 0.95) -> float | None:
    """Return with what probability such launches would be called regressed if nothing had changed.

    By the spread that they have: the upper tail of Student's t beyond both the interval's bound and
    the margin. It holds as far as the interval does. None without an interval.
    """
    if found.method == "constant":
        return float(1 / comb(found.n + found.n_baseline, found.n))
    if found.error is None or found.freedom is None:
        return None
    if not found.error:
        return 0.0
    bound = max(
        float(stdtrit(found.freedom, (1 + confidence) / 2)), math.log1p(margin) / found.error
    )
    return float(stdtr(found.freedom, -bound))


def adjusted(p_values: Sequence[float]) -> list[float]:
    r"""Return p-values adjusted for how many tests there were, by Holm's procedure [1]_.

    Of the *i*-th smallest of *m* it is :math:`\max_{j \leq i} (m - j + 1)\,p_{(j)}`, at most 1. To
    call changed what is at most :math:`\alpha` then errs anywhere with at most that probability.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6
       (1979), 65-70.
    """
    result = [1.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        result[index] = highest
    return result
