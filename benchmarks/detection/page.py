"""docs/detection.md, made of figures: nothing of it is typed by hand but the words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.detection import coverage, one_run, recorded_page, simulation
from benchmarks.detection.drawing import COLOURS, draw, table
from harness.analysis.comparison import MARGIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.detection.coverage import Coverage
    from benchmarks.detection.recorded import Recording
    from benchmarks.detection.study import Found, Share

OURS: Final = "ours"
TEMPLATE: Final = Path(__file__).parent / "page.md"


def write(
    folder: Path,
    found: Sequence[Found],
    covered: Sequence[Coverage],
    recording: Recording | None,
    bounds: Sequence[str],
    setting: Mapping[str, object],
) -> None:
    """Write the page and its plots.

    Parameters
    ----------
    folder
        The documentation's.
    recording
        Of real sessions; none where there is none.
    bounds
        Each bound in words, and whether it is kept.
    setting
        What else the page's text names.
    """
    plots = folder / "images"
    _plot_rules(found, 0.0, "False alarms", plots / "detection-alarms.svg")
    _plot_rules(found, 0.05, "Alarms at +5 %", plots / "detection-found.svg")
    _plot_coverage(covered, plots / "detection-coverage.svg")
    parts = {
        "GRID": _grid(),
        "MARGIN": _share(MARGIN),
        "BOUNDS": "\n".join(bounds),
        "SESSIONS": _sessions(found),
        "OURS": _ours(found),
        "RULES": "\n".join(_rules(found, effect) for effect in simulation.EFFECTS),
        "PILOTS": coverage.PILOTS,
        "PRECISION": _share(coverage.PRECISION),
        "MOST": coverage.MOST,
        "COVERED": _covered(covered),
        "TIMES": one_run.REPETITIONS,
        "ONE_RUN": one_run.section(),
        "RECORDED": recorded_page.section(recording, plots),
        **setting,
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"@{name}@", str(part))
    (folder / "detection.md").write_text(text, encoding="utf-8")


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def _grid() -> str:
    def shares(values: Sequence[float]) -> str:
        return ", ".join(f"{100 * value:g}" for value in values) + " %"

    shapes = (
        f"normal; drift by up to ±{_share(simulation.DRIFT)} over a session; bimodal: "
        f"{_share(simulation.MODE_SHARE)} of launches +{_share(simulation.MODE)}; skewed: "
        "an exponential tail"
    )
    inferences = f"{simulation.INFERENCES}, varying by {_share(simulation.WITHIN)}"
    return table(
        ["", ""],
        [
            ["launch variation", shares(simulation.VARIATIONS)],
            ["session effect", shares(simulation.SESSIONS)],
            ["shapes", shapes],
            ["effect", shares(simulation.EFFECTS)],
            ["inferences in a launch", inferences],
        ],
    )


def _name(each: Found) -> list[str]:
    cell = each.cell
    return [cell.shape, f"{100 * cell.session:g} %", f"{100 * cell.variation:g} %"]


def _percent(share: Share, *, interval: bool = True) -> str:
    shown = f"{100 * share.value:.1f}"
    return f"{shown} [{100 * share.low:.1f}, {100 * share.high:.1f}]" if interval else shown


def _ours(found: Sequence[Found]) -> str:
    rows = [
        [
            *_name(each),
            f"+{100 * each.cell.effect:g} %",
            _percent(each.alarms[OURS]),
            *(_percent(share, interval=False) for share in (each.improved, each.unchanged)),
            _percent(each.fresh, interval=False),
        ]
        for each in found
    ]
    head = [
        "shape",
        "session",
        "variation",
        "effect",
        "regressed",
        "improved",
        "unchanged",
        "fresh",
    ]
    return table(head, rows)


def _rules(found: Sequence[Found], effect: float) -> str:
    here = [each for each in found if each.cell.effect == effect]
    rules = list(here[0].alarms)
    rows = [[*_name(each), *(_percent(each.alarms[rule]) for rule in rules)] for each in here]
    title = f"### At {f'+{_share(effect)}' if effect else 'no change'}\n"
    return title + table(["shape", "session", "variation", *rules], rows)


def _sessions(found: Sequence[Found]) -> str:
    """Say what believing stored launches would cost, with and without session effects."""
    rows = []
    for each in found:
        cell = each.cell
        if cell.effect == 0 and cell.shape == "normal" and cell.variation in (0.005, 0.01, 0.02):
            rules = (OURS, "ours, without fresh launches", "t-test on inferences")
            rows.append([*_name(each)[1:], *(_percent(each.alarms[rule]) for rule in rules)])
    head = ["session", "variation", "ours", "ours, without fresh launches", "t-test on inferences"]
    return table(head, rows)


def _covered(covered: Sequence[Coverage]) -> str:
    names = [f"{low} launches" if low == high else f"{low}-{high}" for low, high in coverage.BINS]
    rows = []
    for each in covered:
        by = (each.by_launches.get(limits) for limits in coverage.BINS)
        split = [f"{100 * part[0] / part[1]:.1f} (n={part[1]})" if part else "" for part in by]
        varies = len(each.by_launches) > 1
        rows.append(
            [
                each.what,
                each.shape,
                f"{100 * each.variation:g} %",
                f"{each.launches:.1f}",
                f"{100 * each.covered / each.of:.1f}",
                *(split if varies else [""] * len(split)),
            ]
        )
    head = ["interval", "shape", "variation", "launches", "covered %", *names]
    return table(head, rows)


def _plot_rules(found: Sequence[Found], effect: float, title: str, path: Path) -> None:
    values = [
        {
            "rule": rule,
            "variation": 100 * each.cell.variation,
            "cell": f"{each.cell.shape}, session {100 * each.cell.session:g} %",
            "share": 100 * share.value,
            "low": 100 * share.low,
            "high": 100 * share.high,
        }
        for each in found
        if each.cell.effect == effect
        for rule, share in each.alarms.items()
    ]
    x = {
        "field": "variation",
        "type": "quantitative",
        "title": "launch variation, %",
    }
    colour = {
        "field": "rule",
        "type": "nominal",
        "sort": None,
        "scale": {"range": COLOURS},
        "legend": {"orient": "bottom", "columns": 3, "title": None, "labelLimit": 300},
    }
    line = {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": x,
            "y": {"field": "share", "type": "quantitative", "title": f"{title}, %"},
            "color": colour,
        },
    }
    bars = {
        "mark": {"type": "rule", "opacity": 0.5},
        "encoding": {
            "x": x,
            "y": {"field": "low", "type": "quantitative", "title": f"{title}, %"},
            "y2": {"field": "high"},
            "color": colour,
        },
    }
    draw(
        {
            "data": {"values": values},
            "facet": {"field": "cell", "type": "nominal", "title": None},
            "columns": 4,
            "spec": {"width": 170, "height": 130, "layer": [bars, line]},
        },
        path,
    )


def _plot_coverage(covered: Sequence[Coverage], path: Path) -> None:
    values = [
        {
            "what": each.what,
            "shape": each.shape,
            "variation": 100 * each.variation,
            "covered": 100 * each.covered / each.of,
        }
        for each in covered
    ]
    y = {"type": "quantitative", "scale": {"domain": [60, 100]}, "title": "covered, %"}
    line = {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "variation", "type": "quantitative", "title": "launch variation, %"},
            "y": {"field": "covered", **y},
            "color": {
                "field": "what",
                "type": "nominal",
                "sort": None,
                "scale": {"range": COLOURS},
                "legend": {"orient": "bottom", "columns": 2, "title": None, "labelLimit": 400},
            },
        },
    }
    ends = [
        {"mark": {"type": "rule", "strokeDash": [4, 3]}, "encoding": {"y": {"datum": bound, **y}}}
        for bound in (93, 97)
    ]
    draw(
        {
            "data": {"values": values},
            "facet": {"field": "shape", "type": "nominal", "sort": None, "title": None},
            "columns": 4,
            "spec": {"width": 170, "height": 150, "layer": [line, *ends]},
        },
        path,
    )
