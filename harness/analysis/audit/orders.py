"""Figures that are implausible beside each other: orderings, speed-ups, operations per second."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from scipy.stats import kendalltau

from harness.analysis.audit import wording
from harness.analysis.audit.finding import Doubt, Evidence, Severity
from harness.analysis.peak import achieved
from harness.core.text import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.analysis.audit.figures import Figure
    from harness.core.reason import Reason

__all__ = ["orders"]

FASTER: Final = 1.5
ALIKE: Final = 2.0
ROWS: Final = 3
BEYOND_REASON: Final = 1000.0
SUPERLINEAR: Final = 1.25
SLOWER: Final = 1.5
OUT_OF_LINE: Final = 5.0
DEVIATIONS: Final = 5.0
NORMAL_MAD: Final = 1.4826  # from a median absolute deviation to a standard deviation
BIGGER: Final = 2.0
MUCH_BIGGER: Final = 8.0
CLEARLY: Final = 1.1
SAVED: Final = 4.0
SIZES: Final = 5
FALLING: Final = -0.7
BY_CHANCE: Final = 0.01

Peaks: TypeAlias = "Mapping[tuple[str, str, str], float]"


def orders(figures: Sequence[Figure], peaks: Peaks) -> Iterator[Doubt]:
    """Yield what is found of orderings, speed-ups and operations per second.

    Parameters
    ----------
    peaks
        Device, backend (an imported table may leave its backends empty) and precision (empty: any)
        to the most operations per second that it has by its maker's word.
    """
    yield from _backends(figures)
    yield from _threads(figures)
    yield from _out_of_line([figure for figure in figures if not figure.emulated])
    rates = list(_rates(figures))
    yield from rates
    if not rates:  # which say it of each pair
        yield from _bigger(figures)
    yield from _beyond(figures, peaks)


def _grouped(
    figures: Sequence[Figure], key: Callable[[Figure], Hashable]
) -> dict[Hashable, list[Figure]]:
    groups: defaultdict[Hashable, list[Figure]] = defaultdict(list)
    for figure in figures:
        groups[key(figure)].append(figure)
    return groups


def _backends(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Compare each two backends of what is else the same."""
    pairs: defaultdict[tuple[str, str], list[tuple[Figure, Figure]]] = defaultdict(list)
    for alike in _grouped(figures, _but_backend).values():
        by_backend = {_backend(figure): figure for figure in alike}
        for one, other in combinations(sorted(by_backend), 2):
            if _kind(by_backend[one]) != _kind(by_backend[other]):
                pairs[one, other].append((by_backend[one], by_backend[other]))
    for found in pairs.values():
        speed_ups = [first.value / second.value for first, second in found]
        for index, (first, second) in enumerate(found):
            fast, slow = (second, first) if speed_ups[index] > 1 else (first, second)
            times = slow.value / fast.value
            if times > BEYOND_REASON:
                yield _finding(
                    "implausible-speed-up",
                    Severity.WARNING,
                    wording.FASTER(fast=str(fast), times=times, slow=_backend(slow)),
                    fast,
                    slow,
                )
            others = speed_ups[:index] + speed_ups[index + 1 :]
            if len(others) >= ROWS and _swapped(speed_ups[index], others):
                usual = sorted(max(each, 1 / each) for each in others)
                yield _finding(
                    "swapped-columns",
                    Severity.WARNING,
                    wording.SWAPPED(
                        model=fast.model,
                        device=fast.device,
                        fast=_backend(fast),
                        times=times,
                        slow=_backend(slow),
                        others=len(others),
                        low=usual[0],
                        high=usual[-1],
                    ),
                    first,
                    second,
                )


def _backend(figure: Figure) -> str:
    """Return the engine and the kind of backend of a figure, in words."""
    return "/".join(part for part in (figure.setting.engine, _kind(figure)) if part)


def _kind(figure: Figure) -> str:
    """Return a backend without the name of its NPU, which tells devices apart rather than kinds."""
    return figure.setting.backend.partition(":")[0]


def _but_backend(figure: Figure) -> Hashable:
    setting = figure.setting
    return figure.model, figure.device, setting.precision, setting.threads, setting.variant


def _swapped(speed_up: float, others: Sequence[float]) -> bool:
    """Return whether a speed-up is the inverse of what all others are like."""
    sign = 1 if others[0] > 1 else -1
    usual = [sign * math.log(each) for each in others]
    this = -sign * math.log(speed_up)
    slack = math.log(ALIKE)
    return (
        min(usual) > math.log(FASTER)
        and this > math.log(FASTER)
        and min(usual) - slack < this < max(usual) + slack
    )


def _threads(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Compare each two numbers of threads of what is else the same."""

    def but_threads(figure: Figure) -> Hashable:
        setting = figure.setting
        return (
            figure.model, figure.device, setting.engine, setting.backend, setting.precision,
            setting.variant,
        )  # fmt: skip

    for alike in _grouped(figures, but_threads).values():
        by_threads = sorted({each.setting.threads: each for each in alike}.items())
        for (fewer, one), (more, other) in combinations(by_threads, 2):
            speed_up = one.value / other.value
            of = {"model": one.model, "device": one.device}
            if 1 / speed_up > SLOWER:
                yield _finding(
                    "threads-slower",
                    Severity.WARNING,
                    wording.THREADS_SLOWER(**of, more=more, times=1 / speed_up, fewer=fewer),
                    one,
                    other,
                )
            elif speed_up > SUPERLINEAR * more / fewer:
                yield _finding(
                    "implausible-speed-up",
                    Severity.WARNING,
                    wording.SUPERLINEAR(**of, more=more / fewer, times=speed_up),
                    one,
                    other,
                )


def _out_of_line(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Compare each figure with what its row and column lead to expect."""
    rows = list(dict.fromkeys(figure.model for figure in figures))
    columns = list(dict.fromkeys((figure.device, figure.setting) for figure in figures))
    if len(rows) < ROWS or len(columns) < ROWS:
        return
    table = np.full((len(rows), len(columns)), np.nan)
    for figure in figures:
        row, column = rows.index(figure.model), columns.index((figure.device, figure.setting))
        if np.isnan(table[row, column]):
            table[row, column] = math.log(figure.value)
    # Only where a row and a column have enough to expect something of.
    known = ~np.isnan(table)
    enough = known & (known.sum(axis=1, keepdims=True) >= ROWS) & (known.sum(axis=0) >= ROWS)
    residuals = _polished(np.where(enough, table, np.nan))
    # What rows and columns have taken up of the deviations is missing from the residuals.
    freedom = enough.sum() - enough.any(axis=1).sum() - enough.any(axis=0).sum() + 1
    if freedom < 1 or not enough.any():
        return
    usual = NORMAL_MAD * float(np.nanmedian(np.abs(residuals))) * enough.sum() / freedom
    bound = max(math.log(OUT_OF_LINE), DEVIATIONS * usual)
    for figure in figures:
        row, column = rows.index(figure.model), columns.index((figure.device, figure.setting))
        off = float(residuals[row, column])
        if abs(off) > bound and math.isclose(table[row, column], math.log(figure.value)):
            expected = Evidence(
                wording.CALCULATED(),
                wording.EXPECTED(figure=str(figure)),
                milliseconds(figure.value / math.exp(off)),
            )
            unlike = wording.ABOVE if off > 0 else wording.BELOW
            yield Doubt(
                "out-of-line",
                Severity.WARNING,
                unlike(figure=str(figure), times=math.exp(abs(off))),
                (figure.evidence, expected),
                figure.cases,
            )


def _polished(table: NDArray[np.float64], rounds: int = 10) -> NDArray[np.float64]:
    """Return a table's residuals by median polish; nan where nothing is known.

    References
    ----------
    J. W. Tukey, "Exploratory Data Analysis", Addison-Wesley 1977, chapter 11.
    """
    left = np.ma.masked_invalid(table)
    for _ in range(rounds):
        left = left - np.ma.median(left, axis=1, keepdims=True)  # type: ignore[no-untyped-call]
        left = left - np.ma.median(left, axis=0, keepdims=True)  # type: ignore[no-untyped-call]
    found: NDArray[np.float64] = left.filled(np.nan)
    return found


def _rates(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Find figures that fall as models grow, as frames per second do."""
    sized = [figure for figure in figures if figure.macs]
    groups = [
        alike
        for alike in _grouped(sized, lambda figure: (figure.device, figure.setting)).values()
        if len({figure.macs for figure in alike}) >= SIZES
    ]
    for alike in groups:
        falls = kendalltau(
            [figure.macs for figure in alike],
            [figure.value for figure in alike],
            alternative="less",
        )
        if falls.statistic <= FALLING and falls.pvalue * len(groups) < BY_CHANCE:
            ordered = sorted(alike, key=lambda figure: figure.macs or 0)
            yield _finding(
                "rate-for-latency",
                Severity.ERROR,
                wording.FALLING(
                    device=ordered[0].device, setting=str(ordered[0].setting), models=len(alike)
                ),
                *ordered,
            )


def _bigger(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Compare models of which one computes several times as much."""
    sized = [figure for figure in figures if figure.macs]
    for alike in _grouped(sized, lambda figure: (figure.device, figure.setting)).values():
        ordered = sorted(alike, key=lambda figure: figure.macs or 0)
        for small, big in combinations(ordered, 2):
            times = (big.macs or 0) / (small.macs or 1)
            if times >= BIGGER and _faster(big, small):
                severity = Severity.WARNING if times >= MUCH_BIGGER else Severity.NOTE
                yield _finding(
                    "bigger-model-faster",
                    severity,
                    wording.BIGGER_FASTER(
                        device=big.device,
                        setting=str(big.setting),
                        big=big.model,
                        times=times,
                        small=small.model,
                        share=big.value / small.value,
                    ),
                    big,
                    small,
                    *(_operations(each) for each in (big, small)),
                )


def _faster(one: Figure, other: Figure) -> bool:
    if one.ends and other.ends:
        return one.ends[1] < other.ends[0]
    return one.value * CLEARLY < other.value


def _beyond(figures: Sequence[Figure], peaks: Peaks) -> Iterator[Doubt]:
    """Compare operations per second with what the chip has."""
    for figure in figures:
        where = (figure.device, figure.setting.backend)
        peak = peaks.get((*where, figure.setting.precision)) or peaks.get((*where, ""))
        if not peak or not figure.macs:
            continue
        reached = 1e12 * achieved(figure.macs, figure.value).tops
        if reached > peak:
            severity = Severity.ERROR if reached > SAVED * peak else Severity.WARNING
            yield _finding(
                "beyond-peak",
                severity,
                wording.BEYOND_PEAK(
                    figure=str(figure),
                    reached=reached / 1e9,
                    times=reached / peak,
                    peak=peak / 1e9,
                ),
                figure,
                _operations(figure),
                Evidence(
                    wording.PEAK(),
                    f"{figure.device} {figure.setting.backend}",
                    wording.PEAK_RATE(peak=peak),
                ),
            )


def _operations(figure: Figure) -> Evidence:
    return Evidence(wording.OPERATIONS(), figure.model, wording.MACS(macs=figure.macs))


def _finding(rule: str, severity: Severity, reason: Reason, *on: Figure | Evidence) -> Doubt:
    evidence = tuple(each if isinstance(each, Evidence) else each.evidence for each in on)
    cases = (case for each in on if not isinstance(each, Evidence) for case in each.cases)
    return Doubt(rule, severity, reason, evidence, tuple(dict.fromkeys(cases)))
