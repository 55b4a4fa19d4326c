"""A case over many runs: its trend, and where it changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import ruptures
from ruptures.base import BaseCost
from scipy.special import stdtr, stdtrit

from harness.analysis.cases import case_results
from harness.analysis.comparable import Side, differences, not_a_regression
from harness.analysis.instance import Instance
from harness.quantities import quantities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from harness.analysis.summary import Estimate
    from harness.core.quantity import Quantity
    from harness.core.records import Case, Run

__all__ = ["MARGIN", "Change", "Point", "Series", "baselines_of", "change_points", "histories"]

MARGIN: Final = 0.03
ERROR: Final = 0.01
"""How many changes may be found in a series that has none."""
SESSIONS: Final = 0.01
"""How far runs of one thing differ, before a series has told: a boot's effect, as a fraction."""
SESSIONS_FREEDOM: Final = 4
"""How many degrees of freedom that is worth."""
FEWEST: Final = 3  # points in which a change can be told
TRACKED: Final = tuple(each for each in quantities() if each.tracked)
SPLITS: Final = frozenset({"device", "input", "estimator", "protocol"})
"""What makes figures mean different things: it begins another series."""


@dataclass(frozen=True)
class Point:
    """A case in one run.

    Attributes
    ----------
    estimate
        Its value, in the quantity's unit.
    figures
        The launches'.
    """

    run: str
    started: datetime
    revision: str | None
    estimate: Estimate
    figures: tuple[float, ...]

    @property
    def commit(self) -> str | None:
        """The commit that its workspace was at; what was changed since is not in it."""
        return self.revision.rstrip("+") if self.revision else None

    @property
    def dirty(self) -> bool:
        """Whether files of the workspace differed from the commit."""
        return bool(self.revision and self.revision.endswith("+"))


@dataclass(frozen=True)
class Change:
    """A step in a series.

    Attributes
    ----------
    index
        Of the first point after it.
    ratio, low, high
        The mean after it over that before it, up to the next steps, and its 95 % interval.
    p
        Of a two-sided test of no change here, times the number of places where there might be one.
    runs_before, runs_after
        How many runs these means are of.
    """

    index: int
    ratio: float
    low: float
    high: float
    p: float
    runs_before: int
    runs_after: int


@dataclass(frozen=True)
class Series:
    """A quantity of one case in runs whose figures mean the same, on one device, oldest first.

    Attributes
    ----------
    instance
        The device's serial number or machine id; empty where it tells neither, and then two
        instances under one name cannot be distinguished.
    changes
        In their order.
    marks
        Of each point but the first: what differs from the run before that may itself be the
        cause of a change: engine, kernel, clocks, runner, artifact.
    newest
        Its newest run, for what may be compared with it.
    """

    case: Case
    quantity: Quantity
    instance: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    marks: tuple[tuple[str, ...], ...]
    newest: Side = field(repr=False, compare=False)


@dataclass
class _Growing:
    """A series to which runs are added: of runs that are not the newest only figures are kept."""

    quantity: Quantity
    points: list[Point]
    marks: list[tuple[str, ...]]
    newest: Side

    def add(self, point: Point, side: Side) -> None:
        self.points.append(point)
        self.marks.append(tuple(differences(side, self.newest)))
        self.newest = side

    def grown(self, margin: float) -> Series:
        changes = change_points([point.figures for point in self.points], margin=margin)
        return Series(
            case=self.newest.result.record.case,
            quantity=self.quantity,
            instance=_instance(self.newest),
            points=tuple(self.points),
            changes=tuple(changes),
            marks=tuple(self.marks),
            newest=self.newest,
        )


def histories(runs: Iterable[Run], *, margin: float = MARGIN) -> list[Series]:
    """Return the series of all cases that were measured in some runs, of each tracked quantity.

    A case that was measured on several instances of its device, or with other inputs or another
    estimator, has several. A new version of the engine or the kernel does not begin a new series:
    it is marked, since it may be the very cause that is looked for.

    Parameters
    ----------
    runs
        In the order that the series are to have; runs that decide a suspicion are left out. They
        are taken one by one, and not kept.
    margin
        How large a change has to be, as a fraction.
    """
    found: dict[tuple[str, str], list[_Growing]] = {}
    for run in runs:
        if run.confirms is not None:
            continue
        for side, quantity, known in _tracked(run):
            point = Point(
                run=run.id,
                started=run.started,
                revision=run.revision,
                estimate=known,
                figures=tuple(side.result.figures(quantity)[""]),
            )
            series = found.setdefault((side.result.record.case.id, quantity.name), [])
            home = next((each for each in series if _alike(side, each.newest)), None)
            if home is None:
                series.append(_Growing(quantity, [point], [], side))
            else:
                home.add(point, side)
    return [each.grown(margin) for several in found.values() for each in several]


def _tracked(run: Run) -> Iterator[tuple[Side, Quantity, Estimate]]:
    """Yield what is tracked of a run's cases, with its estimate."""
    for result in case_results(run):
        for quantity in TRACKED:
            known = result.estimate(quantity)
            if known is not None:
                yield Side(run, result), quantity, known


def baselines_of(
    found: Sequence[Series], baselines: Mapping[str, Run]
) -> list[dict[str, Estimate]]:
    """Return for each series what each baseline has for its case and quantity, in its unit.

    Baselines whose figures mean something else, or are of another instance of the device, are left
    out.

    Parameters
    ----------
    baselines
        Name to run.
    """
    known: dict[tuple[str, str], list[tuple[str, Side, Estimate]]] = {}
    for name, run in baselines.items():
        for side, quantity, estimate in _tracked(run):
            key = (side.result.record.case.id, quantity.name)
            known.setdefault(key, []).append((name, side, estimate))
    return [
        {
            name: estimate
            for name, side, estimate in known.get((series.case.id, series.quantity.name), [])
            if _alike(series.newest, side)
        }
        for series in found
    ]


def _alike(side: Side, last: Side) -> bool:
    kinds = {kind for kind, _ in not_a_regression(side, last)}
    if "device" in kinds and not (_instance(side) and _instance(last)):
        kinds.remove("device")  # not known to be another
    return not kinds & SPLITS


def _instance(side: Side) -> str:
    return Instance.of(side.facts).name


def change_points(
    runs: Sequence[Sequence[float]], *, margin: float = MARGIN, error: float = ERROR
) -> list[Change]:
    r"""Return where the level of a series of runs changed.

    A run is a point: launches of one run share a boot, a temperature and a layout of memory, so
    that runs differ more than their launches let expect. With :math:`x_i` the mean of the
    logarithms of run *i*'s :math:`n_i` launch figures, its variance is taken as
    :math:`\sigma^2 c_i`, :math:`c_i = \tau^2 + s^2 / n_i`, where :math:`s^2` is the variance of
    launches within runs and :math:`\tau` the spread of runs (:data:`SESSIONS`). What
    :math:`\sigma^2` is the series tells by the residuals within its segments, moderated [1]_ by
    :data:`SESSIONS_FREEDOM` degrees of freedom of :math:`\sigma^2 = 1`: few runs that happen to
    agree do not make every later one a change.

    Candidates are those of the least weighted sum of squares with a penalty of
    :math:`2 \log n` for each (PELT [2]_). Then, the weakest first, those are dropped that are
    smaller than the margin, or whose t test between their two segments, corrected for the
    :math:`n - 1` places where there might be one (Bonferroni), does not reach the error.

    Parameters
    ----------
    runs
        The figures of each run's launches, positive, in the order of the runs.
    margin
        How large a change has to be, as a fraction, to be one.
    error
        The number of changes that may be found in a series without one.

    References
    ----------
    .. [1] G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential
       expression in microarray experiments", Stat. Appl. Genet. Mol. Biol. 3 (2004),
       doi:10.2202/1544-6115.1027.
    .. [2] R. Killick, P. Fearnhead, I. A. Eckley, "Optimal detection of changepoints with a linear
       computational cost", JASA 107 (2012), doi:10.1080/01621459.2012.737745; as in C. Truong,
       L. Oudre, N. Vayatis, "Selective review of offline change point detection methods", Signal
       Processing 167 (2020), doi:10.1016/j.sigpro.2019.107299.
    """
    if len(runs) < FEWEST:
        return []
    signal = _Signal.of(runs)
    search = ruptures.Pelt(custom_cost=_Cost(), min_size=1, jump=1)
    scale = signal.first_scale()
    found = search.fit(np.column_stack([signal.levels, signal.weights / scale])).predict(
        pen=2 * math.log(len(runs))
    )
    ends = [int(end) for end in found]
    while True:
        changes = list(_tested(signal, ends))
        weak = [each for each in changes if each.p >= error or _size(each) <= margin]
        if not weak:
            return changes
        ends.remove(max(weak, key=lambda each: (each.p >= error, each.p, -_size(each))).index)


def _size(change: Change) -> float:
    return max(change.ratio, 1 / change.ratio) - 1


@dataclass(frozen=True)
class _Signal:
    """The runs' levels as logarithms, and their weights: the inverse of their variances."""

    levels: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, runs: Sequence[Sequence[float]]) -> _Signal:
        logs = [np.log(figures) for figures in runs]
        freedom = sum(each.size - 1 for each in logs)
        within = sum(float(((each - each.mean()) ** 2).sum()) for each in logs) / max(1, freedom)
        variances = [SESSIONS**2 + within / each.size for each in logs]
        return cls(np.array([each.mean() for each in logs]), 1 / np.array(variances))

    def first_scale(self) -> float:
        """Return how much larger the variances are than taken, by what few changes cannot spoil."""
        steps = np.diff(self.levels) ** 2 / (1 / self.weights[1:] + 1 / self.weights[:-1])
        robust = float(np.median(steps)) / 0.4549  # the median of chi squared, 1 degree of freedom
        freedom = steps.size
        return (SESSIONS_FREEDOM + freedom * robust) / (SESSIONS_FREEDOM + freedom)

    def mean(self, start: int, end: int) -> float:
        return float(np.average(self.levels[start:end], weights=self.weights[start:end]))

    def squares(self, start: int, end: int) -> float:
        off = self.levels[start:end] - self.mean(start, end)
        return float((self.weights[start:end] * off**2).sum())


class _Cost(BaseCost):  # type: ignore[misc] # ruptures has no types
    """The weighted sum of squares about a segment's mean, of columns of levels and weights."""

    model = "weighted"
    min_size = 1

    def fit(self, signal: NDArray[np.float64]) -> _Cost:
        self.signal = signal
        levels, weights = signal.T
        ones = [weights, weights * levels, weights * levels**2]
        self._sums = [np.concatenate([[0.0], np.cumsum(each)]) for each in ones]
        return self

    def error(self, start: int, end: int) -> float:
        weight, first, second = (float(each[end] - each[start]) for each in self._sums)
        return max(0.0, second - first**2 / weight)


def _tested(signal: _Signal, ends: Sequence[int]) -> Iterator[Change]:
    """Yield the changes between segments that end so, with what is told of each."""
    segments = list(pairwise([0, *ends]))
    freedom = SESSIONS_FREEDOM + signal.levels.size - len(segments)
    squares = sum(signal.squares(*segment) for segment in segments)
    scale = (SESSIONS_FREEDOM + squares) / freedom
    for before, after in pairwise(segments):
        step = signal.mean(*after) - signal.mean(*before)
        deviation = math.sqrt(
            scale * sum(1 / float(signal.weights[slice(*each)].sum()) for each in (before, after))
        )
        half = float(stdtrit(freedom, 0.975)) * deviation
        p = 2 * float(stdtr(freedom, -abs(step) / deviation))
        yield Change(
            index=after[0],
            ratio=math.exp(step),
            low=math.exp(step - half),
            high=math.exp(step + half),
            p=min(1.0, p * (signal.levels.size - 1)),
            runs_before=before[1] - before[0],
            runs_after=after[1] - after[0],
        )
