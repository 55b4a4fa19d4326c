"""What launches show that an interval takes for granted: flagged, and never dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import stdtrit
from scipy.stats import kendalltau

from harness.analysis import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from harness.analysis.cases import CaseResult
    from harness.core.reason import Reason

__all__ = [
    "OF_LAUNCHES",
    "Flag",
    "Kind",
    "flags",
    "is_bimodal",
    "is_drifting",
    "outliers",
    "repeatability",
]

ERROR: Final = 0.01
"""How often well-behaved launches are taken for outliers, or for two groups."""

LEAST: Final = 0.01
"""What is smaller than this is not worth a flag, however well it is told."""

MOST_WARMUPS: Final = 1 / 3
SETTLING: Final = 0.02

DRIFT_ERROR: Final = 0.02
MIN_DRIFT: Final = 5
MIN_OUTLIER: Final = 4
MIN_BIMODAL: Final = 5
_DRAWS: Final = 200_000  # figures


class Kind(StrEnum):
    """What a flag is about."""

    DRIFT = "drift"
    BIMODAL = "bimodal"
    OUTLIER = "outlier"
    WARMUP = "warm-up"
    SETTLING = "settling"


OF_LAUNCHES: Final = frozenset({Kind.DRIFT, Kind.BIMODAL, Kind.OUTLIER})
"""Kinds that contradict the interval over launches itself."""


@dataclass(frozen=True)
class Flag:
    """Something that an interval takes for granted, and that launches contradict."""

    kind: Kind
    reason: Reason


def flags(result: CaseResult) -> list[Flag]:
    """Return what is to be known of a case's launches before its interval is believed.

    Drift is over the time at which launches were made, and not over slots.
    """
    return [*_between(result), *_within(result)]


def _between(result: CaseResult) -> Iterator[Flag]:
    in_time = sorted(result.counted, key=lambda launch: launch.started)
    figures = [launch.figure_ns for launch in in_time if launch.figure_ns]
    if is_drifting(figures):
        total = _slope(np.log(figures)) * (len(figures) - 1)
        drifting = reasons.RISING if total > 0 else reasons.FALLING
        yield Flag(Kind.DRIFT, drifting(change=abs(math.expm1(total))))
    found = outliers(figures)
    if found:
        yield Flag(
            Kind.OUTLIER, reasons.OUTLIERS(launches=[in_time[index].name for index in found])
        )
    elif is_bimodal(figures):
        low, high = _split(np.sort(np.log(figures)))
        apart = math.expm1(float(high.mean() - low.mean()))
        yield Flag(
            Kind.BIMODAL,
            reasons.BIMODAL(apart=apart, one=low.size, other=high.size),
        )


def _within(result: CaseResult) -> Iterator[Flag]:
    warmed = [launch.warmup_reason for launch in result.counted if launch.warmup_reason]
    unsteady = sum(reason != "steady" for reason in warmed)
    if warmed and unsteady > MOST_WARMUPS * len(warmed):
        yield Flag(
            Kind.WARMUP,
            reasons.UNSTEADY(unsteady=unsteady, launches=len(warmed)),
        )
    changes = [
        change
        for launch in result.counted
        if (change := _settling([sample for sample in launch.samples_ns if sample > 0])) is not None
    ]
    if changes and abs(middle := float(np.median(changes))) > SETTLING:
        settling = reasons.SLOWING if middle > 0 else reasons.QUICKENING
        yield Flag(Kind.SETTLING, settling(change=abs(math.expm1(middle))))


def _settling(samples: Sequence[int]) -> float | None:
    """Return how the median of a launch's last third differs from its first's, on logarithms."""
    third = len(samples) // 3
    if third < MIN_DRIFT:
        return None
    return math.log(float(np.median(samples[-third:])) / float(np.median(samples[:third])))


def is_drifting(figures: Sequence[float]) -> bool:
    """Tell whether figures rise or fall in the order in which they were made.

    The Mann-Kendall test [1]_, exact for few, at 2 %: five launches in strict order are the fewest
    that can be told. And more than 1 % in all, by the median of the slopes (Theil-Sen).

    References
    ----------
    .. [1] H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945),
       doi:10.2307/1907187.
    """
    if len(figures) < MIN_DRIFT:
        return False
    logarithms = np.log(figures)
    if abs(_slope(logarithms)) * (logarithms.size - 1) <= LEAST:
        return False
    return float(kendalltau(np.arange(logarithms.size), logarithms).pvalue) < DRIFT_ERROR


def _slope(logarithms: NDArray[np.float64]) -> float:
    i, j = np.triu_indices(logarithms.size, 1)
    return float(np.median((logarithms[j] - logarithms[i]) / (j - i)))


def outliers(figures: Sequence[float]) -> list[int]:
    r"""Return which figures are too far from the others to be of one normal spread.

    Grubbs' test [1]_ on the logarithms at 1 %, one after the other while it rejects and enough are
    left: :math:`G = \max|l_i - \bar l| / s` above
    :math:`\frac{n-1}{\sqrt n}\sqrt{t^2/(n-2+t^2)}`, :math:`t` the quantile of :math:`n - 2` degrees
    of freedom at :math:`\alpha/2n`. Fewer than four cannot be told.

    References
    ----------
    .. [1] F. E. Grubbs, "Procedures for detecting outlying observations in samples", Technometrics
       11 (1969), doi:10.1080/00401706.1969.10490657.
    """
    left = dict(enumerate(np.log(figures).tolist())) if figures else {}
    found: list[int] = []
    while (n := len(left)) >= MIN_OUTLIER:
        values = np.array(list(left.values()))
        spread = float(values.std(ddof=1))
        away = np.abs(values - values.mean())
        t2 = float(stdtrit(n - 2, ERROR / (2 * n))) ** 2
        bound = (n - 1) / math.sqrt(n) * math.sqrt(t2 / (n - 2 + t2))
        worst = int(away.argmax())
        if not spread or away[worst] <= bound * spread or away[worst] <= LEAST:
            break
        index = list(left)[worst]
        del left[index]
        found.append(index)
    return sorted(found)


def is_bimodal(figures: Sequence[float]) -> bool:
    r"""Tell whether figures fall into two groups of two or more each.

    The sorted logarithms are split where the groups' means are furthest apart for their spread,

    .. math:: \frac{|\bar l_2 - \bar l_1|}{s_w\sqrt{1/n_1 + 1/n_2}}

    with :math:`s_w` the pooled spread within groups; that is compared with what normal launches
    give once in a hundred times, by simulation. Fewer than five cannot be told.
    """
    if len(figures) < MIN_BIMODAL:
        return False
    logarithms = np.sort(np.log(figures))
    low, high = _split(logarithms)
    if float(high.mean() - low.mean()) <= LEAST:
        return False
    return bool(_separation(logarithms[None, :]).max() > _critical(logarithms.size))


def _split(logarithms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = int(_separation(logarithms[None, :])[0].argmax()) + 2
    return logarithms[:at], logarithms[at:]


def _separation(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far apart the groups of sorted rows are at each split, two or more in either."""
    n = rows.shape[-1]
    first = np.arange(2, n - 1)
    sums, squares = rows.cumsum(-1), (rows**2).cumsum(-1)
    low, high = sums[:, first - 1], sums[:, [-1]] - sums[:, first - 1]
    means = high / (n - first) - low / first
    low_within = squares[:, first - 1] - low**2 / first
    high_within = squares[:, [-1]] - squares[:, first - 1] - high**2 / (n - first)
    within = np.maximum(low_within + high_within, np.finfo(float).tiny) / (n - 2)
    separation: NDArray[np.float64] = means / np.sqrt(within * (1 / first + 1 / (n - first)))
    return separation


@cache
def _critical(n: int) -> float:
    """Return what the greatest separation of normal figures exceeds once in a hundred times."""
    draws = max(1000, _DRAWS // n)
    rows = np.sort(np.random.default_rng(n).normal(size=(draws, n)), axis=-1)
    return float(np.quantile(_separation(rows).max(-1), 1 - ERROR))


def repeatability(figures: Sequence[float]) -> float | None:
    r"""Return the repeatability limit: what two launches differ by at most, 95 % of the time.

    :math:`e^{1.96\sqrt 2 s} - 1`, as in ISO 5725-6 [1]_, here on the logarithms: a fraction. None
    of fewer than two launches.

    References
    ----------
    .. [1] ISO 5725-6:1994, "Accuracy (trueness and precision) of measurement methods and results",
       4.1.4.
    """
    if len(figures) < 2:  # noqa: PLR2004 - one has no spread
        return None
    return math.expm1(1.96 * math.sqrt(2) * float(np.log(figures).std(ddof=1)))
