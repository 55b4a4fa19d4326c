"""Static SVG: Vega-Lite draws, and what it drew is made small.

Colours are CSS custom properties (``var(--engine-0)``), so that one SVG serves light, dark and
paper. Text is handed to Vega as data, never as an expression.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import vl_convert
from markupsafe import Markup

from harness.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Strip", "Trace", "strips", "traces"]

VEGA_LITE: Final = "6.4"

_WIDTH = 440
_ROW = 50
_LABEL, _BAR, _DOTS = 12, 25, 39
_CHARACTER, _VALUE_LENGTH = 8, 28
_TRACES_SIZE = (330, 130)
_FAR = 4
"""Beyond so many times the middle sample, a linear scale shows nothing but the farthest."""
_MOST_TICKS = 6
# As harness.text writes thousands.
_LABEL_EXPR = "replace(datum.label, regexp(',', 'g'), '\u202f')"

_SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_NOISE = {"class", "version", "pointer-events", "font-family", "role"}
_DEFAULTS = {
    "opacity": "1",
    "stroke-width": "1",
    "stroke-opacity": "1",
    "fill-opacity": "1",
    "font-weight": "normal",
    "text-anchor": "start",
    "x2": "0",
    "y2": "0",
    "transform": "translate(0,0)",
}


@dataclass(frozen=True)
class Strip:
    """One row: a label and a value in words, and beneath them what was measured.

    Attributes
    ----------
    colour
        A CSS custom property.
    center, interval
        An estimate, and the ends of its interval.
    parts
        Lengths of a bar's parts, stacked from 0, in colours ``var(--part-0)`` and on; a single
        one is in the row's own colour.
    dots
        One a launch, in the launches' order.
    crosses
        Launches that do not count.
    """

    label: str
    value: str
    colour: str
    center: float | None = None
    interval: tuple[float, float] | None = None
    parts: Sequence[float] = ()
    dots: Sequence[float] = ()
    crosses: Sequence[float] = ()

    @property
    def end(self) -> float:
        """The largest value that is drawn."""
        high = self.interval[1] if self.interval else 0.0
        return max(high, self.center or 0.0, math.fsum(self.parts), *self.dots, *self.crosses)


@dataclass(frozen=True)
class Trace:
    """One launch over time: points ``(inference, milliseconds)``, and whether it counts."""

    warmup: Sequence[tuple[float, float]]
    timed: Sequence[tuple[float, float]]
    counts: bool = True


def strips(rows: Sequence[Strip], *, axis: str, description: str) -> Markup:
    """Draw rows over one scale that begins at 0.

    Parameters
    ----------
    axis
        The quantity and its unit.
    description
        The chart in a sentence, for who cannot see it.
    """
    height = len(rows) * _ROW
    end = max((row.end for row in rows), default=0.0) or 1.0
    x: dict[str, Any] = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [0, end], "nice": 5},
        "axis": {"title": axis, "tickCount": 5, "labelExpr": _LABEL_EXPR},
    }
    y: dict[str, Any] = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [height, 0], "nice": False, "zero": False, "padding": 0},
        "axis": None,
    }
    colour = {"field": "colour", "type": "nominal", "scale": None}
    layers = [
        _layer(
            [
                {"x": 0, "x2": row.center, "y": top + _BAR, "colour": row.colour}
                for top, row in _tops(rows)
                if row.center is not None
            ],
            {"type": "rule", "strokeWidth": 1, "opacity": 0.35},
            {"x": x, "x2": {"field": "x2"}, "y": y, "color": colour},
        ),
        _layer(
            [
                {"x": row.interval[0], "x2": row.interval[1], "y": top + _BAR, "colour": row.colour}
                for top, row in _tops(rows)
                if row.interval
            ],
            {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"},
            {"x": x, "x2": {"field": "x2"}, "y": y, "color": colour},
        ),
        _layer(
            [
                {"x": row.center, "y": top + _BAR, "colour": row.colour}
                for top, row in _tops(rows)
                if row.center is not None
            ],
            {"type": "point", "shape": "diamond", "size": 90, "filled": True, "opacity": 1},
            {"x": x, "y": y, "color": colour},
        ),
        _layer(
            [part for top, row in _tops(rows) for part in _bar(row, top + _BAR)],
            {"type": "bar", "height": 9, "stroke": "var(--paper)", "strokeWidth": 1},
            {"x": x, "x2": {"field": "x2"}, "y": y, "color": colour},
        ),
        _layer(
            [
                {"x": value, "y": top + _DOTS + 3 * (number % 3 - 1), "colour": row.colour}
                for top, row in _tops(rows)
                for number, value in enumerate(row.dots)
            ],
            {"type": "point", "size": 28, "filled": True, "opacity": 0.75},
            {"x": x, "y": y, "color": colour},
        ),
        _layer(
            [
                {"x": value, "y": top + _DOTS, "colour": "var(--muted)"}
                for top, row in _tops(rows)
                for value in row.crosses
            ],
            {"type": "point", "shape": "M-1,-1L1,1M1,-1L-1,1", "size": 22, "opacity": 1},
            {"x": x, "y": y, "color": colour},
        ),
        _text(rows, "label", {"align": "left", "fontWeight": 600}, {"value": 0}),
        _text(rows, "value", {"align": "right"}, {"value": _WIDTH}),
    ]
    # The scale needs a layer that is there even where nothing was measured.
    frame = _layer([{"x": 0, "y": 0}], {"type": "point", "opacity": 0}, {"x": x, "y": y})
    spec = {"width": _WIDTH, "height": height, "layer": [frame, *filter(_drawn, layers)]}
    return _svg(spec, description)


def traces(launches: Sequence[Trace], *, colour: str, description: str) -> Markup:
    """Draw every sample of launches as a dot: grey in warm-up, pale where a launch does not count.

    The vertical scale need not begin at 0, and is logarithmic where samples lie far apart.
    """
    timed = sorted(point[1] for trace in launches for point in trace.timed)
    everything = [point[1] for trace in launches for point in (*trace.warmup, *trace.timed)]
    middle = timed[len(timed) // 2]
    # Noise of 1 % must not look like a mountain range, nor vanish below one slow sample.
    low, high = min(*everything, 0.9 * middle), max(*everything, 1.1 * middle)
    scale: dict[str, Any] = {"domain": [low, high], "zero": False, "nice": 4}
    ticks: dict[str, Any] = {"tickCount": 4}
    if low > 0 and high > _FAR * middle:
        scale = {"domain": [low, high], "type": "log"}
        ticks = {"values": _log_ticks(low, high)}
    encoding = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "scale": {"zero": True},
            "axis": {"title": "inference", "tickCount": 4, "grid": False, "labelExpr": _LABEL_EXPR},
        },
        "y": {
            "field": "y",
            "type": "quantitative",
            "scale": scale,
            "axis": {"title": None, "minExtent": 34, "labelExpr": _LABEL_EXPR, **ticks},
        },
    }
    layers = [
        _layer(
            [
                point
                for trace in launches
                if trace.counts is counts
                for x, y in getattr(trace, phase)
                for point in ({"x": x, "y": y}, {"x": x, "y": None})
            ],
            # A line that breaks after each point, with round ends, is a dot in a tenth of the
            # bytes of one.
            {
                "type": "line",
                "invalid": "break-paths-show-domains",
                "strokeCap": "round",
                "strokeWidth": 2.6,
                "opacity": 0.8 if counts else 0.3,
                "color": ink,
            },
            {**encoding, "order": {"value": 0}},
        )
        for counts in (True, False)
        for phase, ink in (("warmup", "var(--muted)"), ("timed", colour))
    ]
    width, height = _TRACES_SIZE
    spec = {"width": width, "height": height, "layer": list(filter(_drawn, layers))}
    return _svg(spec, description)


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    for ticks in (fine, fine[::3]):
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= _MOST_TICKS:
            break
    return inside


def _tops(rows: Sequence[Strip]) -> list[tuple[int, Strip]]:
    return [(number * _ROW, row) for number, row in enumerate(rows)]


def _bar(row: Strip, y: int) -> list[dict[str, Any]]:
    found = []
    start = 0.0
    for number, length in enumerate(row.parts):
        colour = row.colour if len(row.parts) == 1 else f"var(--part-{number})"
        found.append({"x": start, "x2": start + length, "y": y, "colour": colour})
        start += length
    return found


def _layer(
    values: list[dict[str, Any]], mark: dict[str, Any], encoding: dict[str, Any]
) -> dict[str, Any]:
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def _text(
    rows: Sequence[Strip], name: str, mark: dict[str, Any], x: dict[str, Any]
) -> dict[str, Any]:
    values = []
    for top, row in _tops(rows):
        texts = {"label": row.label, "value": row.value[:_VALUE_LENGTH]}
        # The label gives way to the value; both grow a little on a phone.
        room = {"label": _WIDTH - _CHARACTER * (len(texts["value"]) + 2), "value": _WIDTH}
        text = visible(texts[name]).replace("\n", " ")
        values.append({"y": top + _LABEL, "text": text, "room": room[name]})
    encoding = {
        "x": x,
        "y": {"field": "y", "type": "quantitative"},
        "text": {"field": "text", "type": "nominal"},
    }
    limit = {"limit": {"expr": "datum.room"}}
    return _layer(values, {"type": "text", "baseline": "middle", **limit, **mark}, encoding)


def _drawn(layer: dict[str, Any]) -> bool:
    return bool(layer["data"]["values"])


_CONFIG: dict[str, Any] = {
    "aria": False,
    "background": None,
    "padding": {"left": 2, "right": 2, "top": 2, "bottom": 2},
    "view": {"stroke": None},
    "text": {"color": "var(--ink)", "fontSize": 13},
    "axis": {
        "domainColor": "var(--rule)",
        "gridColor": "var(--rule)",
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelPadding": 5,
        "ticks": False,
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "axisY": {"domain": False},
}


def _svg(spec: dict[str, Any], description: str) -> Markup:
    """Render a specification to a small SVG without style, script or identifiers."""
    svg = vl_convert.vegalite_to_svg({**spec, "config": _CONFIG}, vl_version=VEGA_LITE)
    root = ET.fromstring(svg)  # noqa: S314 - Vega's own output, its text escaped
    # The page gives the width; the proportions come from the viewBox.
    root.tag = "svg"
    root.attrib = {
        "viewBox": _rounded(root.attrib["viewBox"]),
        "role": "img",
        "aria-label": visible(description),
    }
    _prune(root)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - serialised from a tree


def _prune(parent: ET.Element) -> None:
    """Drop what draws nothing, and what says nothing: half the bytes of Vega's output."""
    kept: list[ET.Element] = []
    for child in parent:
        invisible = child.get("display") == "none" or child.get("opacity") == "0"
        if invisible or child.get("class") in {"background", "foreground"}:
            continue
        child.tag = child.tag.removeprefix(_SVG)
        child.attrib = {
            name: _rounded(value)
            for name, value in child.attrib.items()
            if name not in _NOISE
            and not name.startswith("aria-")
            and _DEFAULTS.get(name) != _rounded(value)
            and not (name.startswith("stroke-") and "stroke" not in child.attrib)
        }
        _prune(child)
        if child.tag == "g" and not len(child):
            continue
        kept.extend(child if child.tag == "g" and not child.attrib else [child])
    parent[:] = kept


def _rounded(value: str) -> str:
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
