"""Figures that are in more than one place: repeated, shifted by columns, scaled."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal

from harness.analysis.audit import wording
from harness.analysis.audit.finding import Doubt, Severity

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from harness.analysis.audit.figures import Figure
    from harness.core.reason import Reason

__all__ = ["coincidence", "repeats"]

ALIKE: Final = 0.01
"""How near to each other figures of one model on two devices are taken to be, as a fraction.

Two boards of one kind come as near as that; most pairs of figures are much further apart. The
smaller it is taken, the likelier a coincidence seems, and the less is reported."""
MODELS_ALIKE: Final = 0.1
"""The same for two models."""
CHANCE: Final = 0.01
"""How many coincidences of a kind may be expected, at most, in a table where all is in order."""
LIKELY: Final = 0.3
"""From this probability on, that two figures are equal tells nothing, not even among others."""
SAME: Final = 1e-9
"""Figures that differ by less, relatively, are one number; converting units costs that much."""
NEAR: Final = 1.3
"""Figures of different things fall on each other only where they are within this factor."""
ENDING: Final = 0.01
"""How often the last two digits of a figure are those of another, at the least."""
ENDINGS: Final = 3
PAIRED: Final = 50
"""Of figures that are all equal, so many are compared in pairs; the rest adds nothing."""

_SHIFTED: Final = {
    ("model", True): wording.MODEL_SHIFTED_ON,
    ("model", False): wording.MODEL_SHIFTED_BACK,
    ("device", True): wording.DEVICE_SHIFTED_ON,
    ("device", False): wording.DEVICE_SHIFTED_BACK,
}
_THINGS: Final = {
    "model": wording.MODELS,
    "device": wording.DEVICES,
    "setting": wording.SETTINGS,
}

Axis = Literal["model", "device"]
Pair = tuple["Figure", "Figure"]


def repeats(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Yield what is found of repetitions, figures in the order in which they are.

    What whole rows have in common is not reported again figure by figure, nor once more for the
    table's other axis.
    """
    groups = list(_equal(figures))
    pairs = [
        pair
        for group in groups
        for pair in combinations(group[:PAIRED], 2)
        if _coincidence(*pair) < LIKELY
    ]
    told: set[Pair] = set()
    for axis in ("model", "device"):
        for rule, reason, found in _rows(figures, pairs, axis):
            if not told.issuperset(found):
                told.update(found)
                yield _finding(rule, reason, found)
    for group in groups:
        yield from _single(group, figures, told)
    yield from _endings(figures)


def _equal(figures: Sequence[Figure]) -> Iterator[list[Figure]]:
    """Yield groups of equal figures, each in the figures' order."""
    order = {id(figure): number for number, figure in enumerate(figures)}
    group: list[Figure] = []
    for figure in sorted(figures, key=lambda figure: figure.value):
        if group and figure.value - group[-1].value > SAME * figure.value:
            yield sorted(group, key=lambda figure: order[id(figure)])
            group = []
        group.append(figure)
    yield sorted(group, key=lambda figure: order[id(figure)])


def coincidence(digit: float, value: float, alike: float = ALIKE) -> float:
    r"""Return the probability that two figures of different things are equal to the last digit.

    The difference of two normal variables with a standard deviation of :math:`\sigma` each has
    the density :math:`1 / (2 \sqrt\pi \sigma)` at 0, which one unit of the digit is a part of.

    Parameters
    ----------
    digit
        One unit of the last digit.
    value
        The figures, in the same unit.
    alike
        How near to each other they are taken to be: :math:`\sigma` as a fraction of the value.
    """
    return min(1.0, digit / value / (2 * math.sqrt(math.pi) * alike))


def _coincidence(one: Figure, other: Figure) -> float:
    alike = ALIKE if one.model == other.model else MODELS_ALIKE
    return coincidence(max(one.resolution, other.resolution), one.value, alike)


def _rows(
    figures: Sequence[Figure], pairs: Iterable[Pair], axis: Axis
) -> Iterator[tuple[str, Reason, list[Pair]]]:
    """Compare the rows of the table that has models (or devices) as rows, all else as columns."""
    columns: dict[Hashable, int] = {}
    rows: defaultdict[str, dict[int, Figure]] = defaultdict(dict)
    placed: dict[int, int] = {}
    for figure in figures:
        other = figure.device if axis == "model" else figure.model
        column = columns.setdefault((figure.setting, other), len(columns))
        if rows[getattr(figure, axis)].setdefault(column, figure) is figure:
            placed[id(figure)] = column
    order = {name: number for number, name in enumerate(rows)}
    found: defaultdict[tuple[str, str, int], list[Pair]] = defaultdict(list)
    for pair in pairs:
        # In one order of names: a shift to the right of one is a shift to the left of the other.
        a, b = sorted(pair, key=lambda figure: order[getattr(figure, axis)])
        names = getattr(a, axis), getattr(b, axis)
        if names[0] != names[1] and placed.keys() >= {id(a), id(b)}:
            found[*names, placed[id(b)] - placed[id(a)]].append(pair)
    tried = math.comb(len(rows), 2)
    for (one_name, other_name, shift), equal in found.items():
        if len(equal) < 2:  # noqa: PLR2004 - see the rule
            continue
        chance = tried * math.prod(_coincidence(*pair) for pair in equal)
        common = len(rows[one_name].keys() & rows[other_name].keys())
        if shift == 0 and chance * math.comb(common, len(equal)) < CHANCE:
            both = {"one": one_name, "other": other_name, "figures": common}
            if len(equal) == common:
                yield "identical-rows", wording.IDENTICAL(**both), equal
            else:
                yield "identical-rows", wording.MOSTLY_IDENTICAL(**both, same=len(equal)), equal
        elif shift and chance * 2 * len(columns) < CHANCE:
            shifted = _SHIFTED[axis, shift > 0]
            reason = shifted(figures=len(equal), one=one_name, other=other_name, columns=abs(shift))
            yield "shifted-columns", reason, equal
    yield from _scaled(rows, tried)


def _scaled(
    rows: Mapping[str, Mapping[int, Figure]], tried: int
) -> Iterator[tuple[str, Reason, list[Pair]]]:
    """Yield pairs of rows whose figures have one ratio, to the last digit."""
    for one, other in combinations(rows, 2):
        columns = sorted(rows[one].keys() & rows[other].keys())
        if len(columns) < 3:  # noqa: PLR2004 - see the rule
            continue
        common = [(rows[one][column], rows[other][column]) for column in columns]
        ratio = _ratio(common, tried)
        if ratio and abs(ratio - 1) > SAME:
            reason = wording.SCALED(figures=len(common), other=other, ratio=ratio, one=one)
            yield "scaled-rows", reason, common


def _ratio(pairs: Sequence[Pair], tried: int) -> float | None:
    """Return the ratio of two rows, where it is one and the same to the last digit."""
    low, high = 0.0, math.inf
    widths = []
    for a, b in pairs:  # the bounds of each ratio, given how its two figures were rounded
        lower = (b.value - b.resolution / 2) / (a.value + a.resolution / 2)
        upper = (b.value + b.resolution / 2) / max(a.value - a.resolution / 2, a.value / 2)
        low, high = max(low, lower), min(high, upper)
        if low > high:
            return None
        widths.append((upper - lower) / upper)
    # The widest bounds fix the ratio; each other pair had to fall into them.
    chance = tried * math.prod(coincidence(width, 1.0) for width in sorted(widths)[:-1])
    return (low + high) / 2 if chance < CHANCE else None


def _single(group: Sequence[Figure], figures: Sequence[Figure], told: set[Pair]) -> Iterator[Doubt]:
    """Yield a figure that appears for several things, where whole rows do not explain it."""
    things = list({(each.model, each.device, each.setting): each for each in group}.values())
    if len(things) < 2:  # noqa: PLR2004 - one is no repetition
        return
    if told.issuperset(combinations(group[:PAIRED], 2)):
        return
    if _expected(things, figures) < CHANCE:
        values = (
            (counted, len({getattr(each, name) for each in things}))
            for name, counted in _THINGS.items()
        )
        differ = [counted(n=number) for counted, number in values if number > 1]
        yield Doubt(
            "repeated-figure",
            Severity.ERROR,
            wording.REPEATED(figure=things[0].text, times=len(things), things=differ),
            tuple(each.evidence for each in things),
            _cases(things),
        )


def _expected(things: Sequence[Figure], figures: Sequence[Figure]) -> float:
    """Return how often so many figures of a sound table are equal, at most."""
    pair = math.comb(len(figures), 2) * _coincidence(things[0], things[1])
    if len(things) == 2:  # noqa: PLR2004 - one pair
        return pair
    # Each more has to fall on the first; and only what is near it can.
    value = things[0].value
    near = sum(value / NEAR < figure.value < value * NEAR for figure in figures)
    groups = len(figures) / near * math.comb(near, len(things))
    return min(pair, groups * math.prod(_coincidence(things[0], each) for each in things[1:]))


def _endings(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Yield rows of a table whose figures differ, and end in the same digits column by column."""
    endings = {id(each): ending for each in figures if (ending := _ending(each)) is not None}
    # Of a clock that counts coarsely there are few endings, and more of them are alike.
    seen = Counter(endings.values())
    total = sum(seen.values())
    chance = max(ENDING, sum(number * (number - 1) for number in seen.values()) / max(1, total**2))
    told: set[Pair] = set()
    for axis in ("model", "device"):
        rows: defaultdict[str, dict[Hashable, Figure]] = defaultdict(dict)
        for figure in figures:
            other = figure.device if axis == "model" else figure.model
            rows[getattr(figure, axis)].setdefault((figure.setting, other), figure)
        tried = math.comb(len(rows), 2)
        for one, other in combinations(rows, 2):
            common = [
                (rows[one][column], rows[other][column])
                for column in rows[one]
                if column in rows[other]
            ]
            known = [pair for pair in common if all(id(each) in endings for each in pair)]
            alike = [
                pair
                for pair in known
                if endings[id(pair[0])] == endings[id(pair[1])]
                and abs(pair[0].value - pair[1].value) > SAME * pair[0].value
            ]
            if len(alike) < ENDINGS or told.issuperset(alike):
                continue
            if tried * _tail(len(known), len(alike), chance) < CHANCE:
                told.update(alike)
                yield Doubt(
                    "repeated-digits",
                    Severity.WARNING,
                    wording.SAME_ENDINGS(
                        one=one, other=other, alike=len(alike), figures=len(known)
                    ),
                    tuple(figure.evidence for pair in alike for figure in pair),
                    _cases(figure for pair in alike for figure in pair),
                )


def _ending(figure: Figure) -> tuple[int, str] | None:
    """Return how many decimals a figure has, and its last two digits; none where it has few.

    What a figure in single precision has beyond its sixth digit is noise, and no ending.
    """
    if figure.place is None:
        return None
    text = f"{float(figure.text):.6g}"
    digits = re.sub(r"\D", "", text).lstrip("0")
    if len(digits) < 4 or "e" in text:  # noqa: PLR2004 - two of which lead
        return None
    return len(text.partition(".")[2]), digits[-2:]


def _tail(number: int, least: int, chance: float) -> float:
    """Return the probability that of so many figures so many end alike, or more."""
    return sum(
        math.comb(number, each) * chance**each * (1 - chance) ** (number - each)
        for each in range(least, number + 1)
    )


def _finding(rule: str, reason: Reason, pairs: Iterable[Pair]) -> Doubt:
    figures = [figure for pair in pairs for figure in pair]
    evidence = tuple(figure.evidence for figure in figures)
    return Doubt(rule, Severity.ERROR, reason, evidence, _cases(figures))


def _cases(figures: Iterable[Figure]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(case for figure in figures for case in figure.cases))
