"""Static SVG, drawn directly: the few kinds of charts of a report, in as few bytes as they take.

Colours are classes (``k0`` and on for engines, ``b0`` and on for parts), which the style sheet
sets: one SVG serves light, dark and paper. Dots are lines of no length with round ends, a tenth of
the bytes of circles.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from harness.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = [
    "Level",
    "Panel",
    "Point",
    "RunBar",
    "Series",
    "Strip",
    "Trace",
    "lines",
    "outcomes",
    "scatter",
    "spark",
    "strips",
    "traces",
    "trend",
]

_WIDTH = 440
_ROW = 50
_LABEL, _BAR, _DOTS = 16, 25, 39
_FOOT = 34
_GAP = 12
_NARROW, _WIDE = 9.0, 15.0  # of a character in px, bold and as large as on a phone
_TRACES = (330, 130)
_MARGIN = 46
_FAR = 4
"""Beyond so many times the middle sample, a linear scale shows nothing but the farthest."""
_LINE = 16  # of text, as high as on a phone
_MOST_TICKS = 6
_THOUSAND = 1e4
_STEP = 70  # that a change's size takes
_FLAT = math.log1p(0.02)
"""A line is drawn for what is more than noise."""


@dataclass(frozen=True)
class Strip:
    """One row: a label and a value in words, and beneath them what was measured.

    Attributes
    ----------
    colour
        The number of its engine's colour.
    center, interval
        An estimate, and the ends of its interval.
    parts
        Lengths of a bar's parts, stacked from 0, in the parts' colours; a single one is in the
        row's own colour.
    dots
        One a launch, in the launches' order.
    crosses
        Launches that do not count.
    """

    label: str
    value: str
    colour: int
    center: float | None = None
    interval: tuple[float, float] | None = None
    parts: Sequence[float] = ()
    dots: Sequence[float] = ()
    crosses: Sequence[float] = ()

    @property
    def end(self) -> float:
        """The largest value that is drawn."""
        high = self.interval[1] if self.interval else 0.0
        known = (high, self.center or 0.0, math.fsum(self.parts), *self.dots, *self.crosses)
        return max(value for value in known if math.isfinite(value))


@dataclass(frozen=True)
class Trace:
    """One launch over time: points ``(inference, milliseconds)``, and whether it counts."""

    warmup: Sequence[tuple[float, float]]
    timed: Sequence[tuple[float, float]]
    counts: bool = True


@dataclass(frozen=True)
class Level:
    """Runs of one case from one change to the next.

    Attributes
    ----------
    points
        Center and ends of each run's interval.
    mean
        Their level.
    step
        By how much it differs from the one before, in words.
    marks
        Of each point, whether something else changed with it.
    """

    points: Sequence[tuple[float, float | None, float | None]]
    mean: float
    step: str
    marks: Sequence[bool]


@dataclass(frozen=True)
class RunBar:
    """How many launches of one run were ok, invalid and failed."""

    day: str
    ok: int
    invalid: int
    failed: int


@dataclass(frozen=True)
class Series:
    """Points in order, ``(x, y, low, high)``; without an interval the last two are ``None``."""

    name: str
    colour: int
    points: Sequence[tuple[float, float, float | None, float | None]]


@dataclass(frozen=True)
class Panel:
    """One of several charts over the same x axis: dots, or lines through the points."""

    title: str
    series: Sequence[Series]
    dots: bool = False


@dataclass(frozen=True)
class Point:
    """A case in a plane; ``front`` where no other is better in every respect.

    Attributes
    ----------
    note
        What stands behind the label where there is room.
    """

    label: str
    colour: int
    x: float
    y: float
    front: bool
    note: str = ""


def strips(
    rows: Sequence[Strip], *, axis: str, description: str, mark: float | None = None
) -> Markup:
    """Draw rows over one scale that begins at 0.

    Parameters
    ----------
    axis
        The quantity and its unit.
    description
        The chart in a sentence, for who cannot see it.
    mark
        A value to draw a line at: no difference, or a limit.
    """
    height = len(rows) * _ROW
    ticks = _ticks(0.0, max((row.end for row in rows), default=0.0) or 1.0, 5)
    end = ticks[-1]

    def at(value: float) -> float:
        return min(max(value, 0.0), end) / end * _WIDTH

    out = [_axis(ticks, at, height, axis)]
    if mark is not None and mark <= end:
        out.append(f'<path class="mk" d="M{_n(at(mark))} 0V{height}"/>')
    for number, row in enumerate(rows):
        out.append(_strip(row, number * _ROW, at))
    return _svg(_WIDTH, height + _FOOT, out, description)


def traces(launches: Sequence[Trace], *, colour: int, name: str) -> Markup:
    """Draw every sample of launches as a dot: grey in warm-up, pale where a launch does not count.

    The vertical scale need not begin at 0, and is logarithmic where samples are far apart. There is
    no word in it: one drawing serves a page in every language, and its caption says what it is.

    Parameters
    ----------
    name
        The identifier of the chart; that of its caption is the same with ``-c`` behind it.
    """
    timed = sorted(point[1] for trace in launches for point in trace.timed)
    every = [point for trace in launches for point in (*trace.warmup, *trace.timed)]
    middle = timed[len(timed) // 2]
    # Noise of 1 % must not look like a mountain range, nor vanish below one slow sample.
    low = min(*(y for _, y in every), 0.9 * middle)
    high = max(*(y for _, y in every), 1.1 * middle)
    width, height = _TRACES
    last = max(x for x, _ in every)
    x_ticks = [tick for tick in _ticks(0.0, last, 3) if tick <= last]
    logarithmic = low > 0 and high > _FAR * middle
    y_ticks = _log_ticks(low, high) if logarithmic else _inner(_ticks(low, high, 3), low, high)
    inverse = [
        _scale(low, high, logarithmic=logarithmic),
        _scale(0.0, last or 1.0, logarithmic=False),
    ]

    def y_of(value: float) -> float:
        return height - inverse[0](value) * height

    def x_of(value: float) -> float:
        return _MARGIN + inverse[1](value) * width

    out = [_grid(y_ticks, y_of, _MARGIN, width)]
    out.append(_below(x_ticks, x_of, height + 16))
    for counts in (True, False):
        for phase, kind in (("warmup", "w"), ("timed", f"s k{colour}")):
            dots = _dots(
                (x_of(x), y_of(y))
                for trace in launches
                if trace.counts is counts
                for x, y in getattr(trace, phase)
            )
            if dots:
                pale = "" if counts else " a"
                out.append(f'<path class="{kind}{pale}" d="{dots}"/>')
    return _named(_MARGIN + width + 6, height + 22, out, name)


def trend(
    levels: Sequence[Level],
    days: Sequence[str],
    baselines: Mapping[str, float],
    *,
    colour: int,
    name: str,
) -> Markup:
    """Draw a case over runs: intervals, levels between changes, and baselines; without a word.

    Parameters
    ----------
    days
        Of each run.
    name
        The identifier of the chart; that of its caption is the same with ``-c`` behind it.
    """
    top, height, width = 34, 132, _WIDTH - _MARGIN - 8
    points = [point for level in levels for point in level.points]
    centers = sorted(center for center, _, _ in points)
    middle = centers[len(centers) // 2]
    ends = [end for _, *ends in points for end in ends if end is not None and math.isfinite(end)]
    every = [*centers, *ends, *baselines.values()]
    low, high = min(*every, 0.95 * middle), max(*every, 1.05 * middle)
    logarithmic = low > 0 and high > _FAR * low
    ticks = _log_ticks(low, high) if logarithmic else _inner(_ticks(low, high, 4), low, high)
    scale = _scale(low, high, logarithmic=logarithmic)

    def y_of(value: float) -> float:
        return top + height - min(max(scale(value), 0.0), 1.0) * height

    def x_of(place: float) -> float:
        return _MARGIN + 8 + (place + 0.5) / len(points) * (width - 8)

    bottom = top + height
    out = [_grid(ticks, y_of, _MARGIN, width + 8), _days(days, x_of, bottom + 16)]
    out += _baselines(baselines, y_of)
    number, last = 0, -math.inf
    for level in levels:
        if number:
            x = x_of(number - 0.5)
            out.append(f'<path class="ch" d="M{_n(x)} {top - 14}V{bottom}"/>')
            at = min(max(x, _MARGIN + 34), _WIDTH - 34)
            if at - last > _STEP:  # else it is left to the table
                out.append(_title(level.step, at, 12))
                last = at
        out.append(f'<g class="k{colour}">{_level(level, number, x_of, y_of)}</g>')
        number += len(level.points)
    marks = [mark for level in levels for mark in level.marks]
    changed = [f"M{_n(x_of(place))} {bottom}l-3.5 6h7z" for place, mark in enumerate(marks) if mark]
    if changed:
        out.append(f'<path class="ot" d="{"".join(changed)}"/>')
    return _named(_WIDTH, bottom + 22, out, name)


def spark(values: Sequence[float], changes: Collection[int], *, colour: int, name: str) -> Markup:
    """Draw a case over runs in a table's cell: a flat line where they differ by less than 2 %.

    Parameters
    ----------
    changes
        Places of the first values after a change.
    """
    width, height = 120, 26
    logs = [math.log(value) for value in values]
    low, span = min(logs), max(max(logs) - min(logs), _FLAT)
    low -= (span - (max(logs) - low)) / 2

    def x_of(place: float) -> float:
        return 3 + (place + 0.5) / len(values) * (width - 6)

    points = [
        (x_of(place), height - 3 - (value - low) / span * (height - 6))
        for place, value in enumerate(logs)
    ]
    out = [f'<path class="ch" d="M{_n(x_of(place - 0.5))} 0V{height}"/>' for place in changes]
    if len(points) > 1:
        joined = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        out.append(f'<path class="c k{colour}" d="M{joined}"/>')
    out.append(f'<path class="o k{colour}" d="{_dots(points[-1:])}"/>')
    return _named(width, height, out, name, kind="spark")


def outcomes(runs: Sequence[RunBar], *, name: str) -> Markup:
    """Draw how the launches of each run ended, stacked; without a word.

    Parameters
    ----------
    name
        As of :func:`trend`.
    """
    top, height, width = 8, 96, _WIDTH - _MARGIN - 8
    ticks = _ticks(0.0, float(max(1, *(run.ok + run.invalid + run.failed for run in runs))), 3)
    ticks = [tick for tick in ticks if tick == int(tick)]

    def y_of(value: float) -> float:
        return top + height - value / ticks[-1] * height

    def x_of(place: float) -> float:
        return _MARGIN + 8 + (place + 0.5) / len(runs) * (width - 8)

    wide = min(24.0, 0.72 * width / len(runs))
    out = [_grid(ticks, y_of, _MARGIN, width + 8)]
    for kind, number in (("ok", 0), ("iv", 1), ("fa", 2)):
        bars = ""
        for place, run in enumerate(runs):
            ended = (run.ok, run.invalid, run.failed)
            if ended[number]:
                below = sum(ended[:number])
                low, high = _n(y_of(below)), _n(y_of(below + ended[number]))
                bars += f"M{_n(x_of(place) - wide / 2)} {low}V{high}h{_n(wide)}V{low}z"
        if bars:
            out.append(f'<path class="{kind}" d="{bars}"/>')
    out.append(_days([run.day for run in runs], x_of, top + height + 16))
    return _named(_WIDTH, top + height + 22, out, name)


def lines(panels: Sequence[Panel], *, axis: str, description: str) -> Markup:
    """Draw panels below each other over one x axis, each with a scale of its own."""
    width, each = _WIDTH - _MARGIN, 96
    xs = [point[0] for panel in panels for series in panel.series for point in series.points]
    low, high = min(xs), max(xs)
    ticks = _inner(_ticks(low, high, 5), low, high)
    scale = _scale(low, high, logarithmic=False) if high > low else (lambda _: 0.5)

    def x_of(value: float) -> float:
        return _MARGIN + 4 + scale(value) * (width - 8)

    out: list[str] = []
    top = 0
    for panel in panels:
        top += 20
        out.append(f'<text x="{_MARGIN}" y="{top - 6}">{_text(panel.title, _WIDTH)}</text>')
        out.append(_panel(panel, x_of, top, each))
        top += each
    out.append(_below(ticks, x_of, top + 16))
    out.append(_title(axis, _MARGIN + width / 2, top + 32))
    return _svg(_WIDTH, top + 38, out, description)


def scatter(points: Sequence[Point], *, x: str, y: str, description: str) -> Markup:
    """Draw cases in a plane from 0; those that none is better than in every respect are filled."""
    height, width = 220, _WIDTH - _MARGIN - 8
    x_ticks = _ticks(0.0, max(point.x for point in points) or 1.0, 5)
    y_ticks = _ticks(0.0, max(point.y for point in points) or 1.0, 4)

    def x_of(value: float) -> float:
        return _MARGIN + value / x_ticks[-1] * width

    def y_of(value: float) -> float:
        return 20 + height - value / y_ticks[-1] * height

    out = [_title(y, _MARGIN, 10, anchor=""), _grid(y_ticks, y_of, _MARGIN, width)]
    out.append(_below(x_ticks, x_of, height + 36))
    out.append(_title(x, _MARGIN + width / 2, height + 52))
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda point: not point.front):
        left, top = x_of(point.x), y_of(point.y)
        kind = "pf" if point.front else "po"
        out.append(f'<circle class="{kind} k{point.colour}" cx="{left:.0f}" cy="{top:.0f}" r="5"/>')
        out.append(_beside(point, left, top, taken))
    return _svg(_WIDTH, height + 58, out, description)


def _baselines(baselines: Mapping[str, float], y_of: _At) -> list[str]:
    """Draw a line across for each; names where there is room."""
    out, taken = [], list[float]()
    for label, value in sorted(baselines.items(), key=lambda each: each[1]):
        y = y_of(value)
        out.append(f'<path class="mk" d="M{_MARGIN} {_n(y)}H{_WIDTH}"/>')
        if all(abs(y - other) > _LABEL for other in taken):
            out.append(f'<text class="t e" x="{_WIDTH}" y="{_n(y - 4)}">{_text(label, 160)}</text>')
            taken.append(y)
    return out


def _level(level: Level, first: int, x_of: _At, y_of: _At) -> str:
    """Draw runs and their level; the first of them is so many places from the left."""
    y, end = _n(y_of(level.mean)), first + len(level.points)
    out = [f'<path class="c" d="M{_n(x_of(first - 0.5))} {y}H{_n(x_of(end - 0.5))}"/>']
    bars = "".join(
        f"M{_n(x_of(place))} {_n(y_of(low))}V{_n(y_of(high))}"
        for place, (_, low, high) in enumerate(level.points, first)
        if low is not None and high is not None
    )
    if bars:
        out.append(f'<path class="v" d="{bars}"/>')
    dots = ((x_of(place), y_of(each[0])) for place, each in enumerate(level.points, first))
    return "".join([*out, f'<path class="o" d="{_dots(dots)}"/>'])


def _days(days: Sequence[str], x_of: _At, y: float) -> str:
    """Write days below an axis: the first, the last, and one between where there is room."""
    places = sorted({0, len(days) // 2, len(days) - 1} if len(days) > 2 else {0, len(days) - 1})  # noqa: PLR2004
    out, seen = [], set()
    for place in places:
        if days[place] in seen:
            continue
        seen.add(days[place])
        half = _length(days[place]) / 2
        x = min(max(x_of(place), _MARGIN - 8 + half), _WIDTH - half)
        out.append(f'<text x="{x:.0f}" y="{_n(y)}">{escape(days[place])}</text>')
    return f'<g class="t m">{"".join(out)}</g>'


def _beside(point: Point, left: float, top: float, taken: list[tuple[float, float, float]]) -> str:
    """Write beside a point what has room, and take that room; the rest is left to the table."""
    for label in dict.fromkeys((f"{point.label}{point.note}", point.label)):
        wide = _length(label)
        end = left + _GAP + wide > _WIDTH
        start = left - _GAP - wide if end else left + _GAP
        if all(start + wide < x0 or x1 < start or abs(top - y) > _LINE for x0, x1, y in taken):
            taken.append((start, start + wide, top))
            kind, x = ("t e", left - 9) if end else ("t", left + 9)
            return f'<text class="{kind}" x="{x:.0f}" y="{top + 4:.0f}">{_text(label, wide)}</text>'
    return ""


def _strip(row: Strip, top: int, at: _At) -> str:
    kind = f'<g class="k{row.colour}">'
    value = _cut(row.value, _WIDTH * 0.62)
    room = _WIDTH - _length(value) - 2 * _NARROW
    out = [
        kind,
        f'<text class="l" y="{top + _LABEL}">{_text(row.label, room)}</text>',
        f'<text class="e" x="{_WIDTH}" y="{top + _LABEL}">{escape(value)}</text>',
    ]
    middle = top + _BAR
    if row.center is not None:
        x = at(row.center)
        out.append(f'<path class="g" d="M0 {middle}H{_n(x)}"/>')
        if row.interval:
            low, high = (at(end) for end in row.interval)
            out.append(f'<path class="i" d="M{_n(low)} {middle}H{_n(high)}"/>')
        out.append(f'<path class="d" d="M{_n(x)} {middle - 5}l5 5-5 5-5-5z"/>')
    start = 0.0
    for number, length in enumerate(row.parts):
        part = "b" if len(row.parts) == 1 else f"b{number}"
        left, right = at(start), at(start + length)
        if right > left:  # in whole pixels, and one at least: of a large page bars are a good part
            wide = max(1, round(right) - round(left))
            out.append(f'<path class="{part}" d="M{left:.0f} {middle}h{wide}"/>')
        start += length
    if row.dots:
        dots = _dots(
            (at(value), top + _DOTS + 3 * (number % 3 - 1)) for number, value in enumerate(row.dots)
        )
        out.append(f'<path class="o" d="{dots}"/>')
    if row.crosses:
        crosses = (f"M{at(v) - 3:.0f} {top + _DOTS - 3}l6 6m0-6l-6 6" for v in row.crosses)
        out.append(f'<path class="x" d="{"".join(crosses)}"/>')
    return "".join([*out, "</g>"])


def _panel(panel: Panel, x_of: _At, top: int, height: int) -> str:
    ys = [
        value
        for series in panel.series
        for _, y, low, high in series.points
        for value in (y, low, high)
        if value is not None and math.isfinite(value)
    ]
    low, high = min(ys), max(ys)
    middle = sorted(ys)[len(ys) // 2]
    low, high = min(low, 0.95 * middle), max(high, 1.05 * middle)
    if low == high:
        high = low + 1.0
    scale = _scale(low, high, logarithmic=False)

    def y_of(value: float) -> float:
        return top + height - min(max(scale(value), 0.0), 1.0) * height

    out = [_grid(_inner(_ticks(low, high, 3), low, high), y_of, _MARGIN, _WIDTH - _MARGIN)]
    for series in panel.series:
        points = [(x_of(x), y_of(y)) for x, y, _, _ in series.points]
        if panel.dots:
            out.append(f'<path class="s k{series.colour}" d="{_dots(points)}"/>')
            continue
        bars = "".join(
            f"M{_n(x_of(x))} {_n(y_of(a))}V{_n(y_of(b))}"
            for x, _, a, b in series.points
            if a is not None and b is not None
        )
        if bars:
            out.append(f'<path class="i k{series.colour}" d="{bars}"/>')
        joined = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        out.append(f'<path class="c k{series.colour}" d="M{joined}"/>')
        if len(points) <= 40:  # noqa: PLR2004 - more would be a caterpillar
            out.append(f'<path class="o k{series.colour}" d="{_dots(points)}"/>')
    return "".join(out)


def _axis(ticks: Sequence[float], at: _At, height: int, title: str) -> str:
    grid = "".join(f"M{_n(at(tick))} 0V{height}" for tick in ticks)
    out = [f'<path class="r" d="{grid}"/>']
    out.append(_below(ticks[1:-1], at, height + 14, among=ticks))
    first, last = _tick(ticks[0], ticks), _tick(ticks[-1], ticks)
    out.append(f'<text class="t" y="{height + 14}">{first}</text>')
    out.append(f'<text class="t e" x="{_n(at(ticks[-1]))}" y="{height + 14}">{last}</text>')
    out.append(_title(title, _WIDTH / 2, height + 30))
    return "".join(out)


def _grid(ticks: Sequence[float], y_of: _At, left: float, width: float) -> str:
    grid = "".join(f"M{_n(left)} {_n(y_of(tick))}h{_n(width)}" for tick in ticks)
    texts = "".join(
        f'<text x="{_n(left - 6)}" y="{y_of(tick) + 4:.0f}">{_tick(tick, ticks)}</text>'
        for tick in ticks
    )
    return f'<path class="r" d="{grid}"/><g class="t e">{texts}</g>'


def _below(
    ticks: Sequence[float], x_of: _At, y: float, among: Sequence[float] | None = None
) -> str:
    texts = "".join(
        f'<text x="{x_of(tick):.0f}" y="{y:.0f}">{_tick(tick, among or ticks)}</text>'
        for tick in ticks
    )
    return f'<g class="t m">{texts}</g>' if texts else ""


def _dots(points: Iterable[tuple[float, float]]) -> str:
    """Return a path of dots, each relative to the one before: whole pixels do, and are short."""
    out = []
    x = y = 0
    for left, top in points:
        to_x, to_y = round(left), round(top)
        down = to_y - y
        out.append(f"m{to_x - x}{'' if down < 0 else ' '}{down}h0")
        x, y = to_x, to_y
    return "".join(out)


def _title(text: str, x: float, y: float, anchor: str = " m") -> str:
    return f'<text class="t{anchor}" x="{_n(x)}" y="{_n(y)}">{_text(text, _WIDTH)}</text>'


def _scale(low: float, high: float, *, logarithmic: bool) -> _At:
    """Return the function from a value to its place between 0 and 1."""
    if logarithmic:
        first, last = math.log(low), math.log(high)
        return lambda value: (math.log(value) - first) / (last - first)
    return lambda value: (value - low) / (high - low)


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Return round values from one that is at most ``low`` to one that is at least ``high``."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low, low + 1.0]
    rough = span / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _inner(ticks: Iterable[float], low: float, high: float) -> list[float]:
    return [tick for tick in ticks if low <= tick <= high]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    for ticks in (fine, fine[::3]):
        inside = _inner(ticks, low, high)
        if len(inside) <= _MOST_TICKS:
            break
    return inside


def _tick(value: float, ticks: Sequence[float]) -> str:
    """Return the text of a tick, with the decimals that all of them need."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else value or 1.0
    decimals = next(
        (digits for digits in range(7) if abs(round(step, digits) - step) < step * 1e-6), 6
    )
    if max(map(abs, ticks)) >= _THOUSAND:
        return f"{value:,.{decimals}f}".replace(",", "\u202f")
    return f"{value:.{decimals}f}"


def _text(text: str, room: float) -> Markup:
    """Return text that has room; where it is cut off, all of it shows under the pointer."""
    cut = escape(_cut(text, room))
    return cut if not cut.endswith("…") else cut + Markup("<title>{}</title>").format(visible(text))


def _cut(text: str, room: float) -> str:
    """Return text in one line that has room for it, its end left out where it has not."""
    text = visible(text).replace("\n", " ").replace("\t", " ")
    if _length(text) <= room:
        return text
    kept = ""
    for char in text:
        if _length(kept + char) > room - _WIDE:
            break
        kept += char
    return kept.rstrip() + "…"


def _length(text: str) -> float:
    if text.isascii():
        return len(text) * _NARROW
    return sum(
        _WIDE if unicodedata.east_asian_width(char) in {"W", "F"} else _NARROW for char in text
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _svg(width: float, height: float, content: Iterable[str], description: str) -> Markup:
    # The page gives the width; the proportions come from the viewBox.
    said = escape(visible(description))
    box = f"0 0 {_n(width)} {_n(height)}"
    return Markup(  # noqa: S704 - made of numbers, and of text that was escaped
        f'<svg viewBox="{box}" role="img" aria-label="{said}">{"".join(content)}</svg>'
    )


def _named(
    width: float, height: float, content: Iterable[str], name: str, kind: str = ""
) -> Markup:
    """Return a drawing without a word, which serves a page in every language.

    What it is is said by the element whose identifier is its own with ``-c`` behind it.
    """
    said = f'data-t="{escape(name)}" aria-labelledby="{escape(name)}-c"'
    if kind:
        said = f'class="{kind}" {said}'
    return Markup(  # noqa: S704 - made of numbers, and of text that was escaped
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" {said}>{"".join(content)}</svg>'
    )


if TYPE_CHECKING:
    from collections.abc import Callable

    _At = Callable[[float], float]
