"""The part of docs/detection.md about recorded launches, made of a recording."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.detection.drawing import COLOURS, draw, table
from benchmarks.detection.recorded import QUIET, Row, by_rule
from benchmarks.detection.simulation import EFFECTS
from harness.analysis.comparison import Verdict
from harness.analysis.gate import FRESH
from harness.core.text import count
from harness.report.verdicts import finding_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.detection.recorded import Recorded, Recording, Trial

NONE: Final = (
    "None are recorded yet: `python -m benchmarks.detection.record` needs a quiet machine.\n"
)
LAUNCHES_PLOT: Final = "detection-recorded.svg"
RULES_PLOT: Final = "detection-recorded-rules.svg"


def section(recording: Recording | None, plots: Path) -> str:
    """Return the part's text, and draw its plots."""
    for name in (LAUNCHES_PLOT, RULES_PLOT):
        (plots / name).unlink(missing_ok=True)
    if recording is None:
        return NONE
    _plot_launches(recording, plots / LAUNCHES_PLOT)
    rows = by_rule(recording.trials, [0.0])
    if rows:
        _plot_rules(rows, plots / RULES_PLOT)
    parts = [
        "**The machine was busy: these figures test the code, and prove nothing else.**\n"
        if recording.busy
        else "",
        _sessions(recording),
        "### Every alarm\n\n" + _alarms(recording),
        f"![Recorded launches by session](images/{LAUNCHES_PLOT})\n",
        _cases(recording),
        "### The rules on the same recorded launches\n\n" + _rules(recording.trials),
        f"![False alarms on recorded launches by rule](images/{RULES_PLOT})\n" if rows else "",
        _effects(recording.trials),
    ]
    return "\n".join(filter(None, parts))


def _sessions(recording: Recording) -> str:
    head = ["session", "UTC", "others' share of processors before", "boots", "launches", "failed"]
    rows = []
    for session in recording.sessions:
        boots = [
            f"{name} {(device['boot_id'] or 'unknown')[:8]}"
            for name, device in sorted(session["devices"].items())
        ]
        kept = [case for run in session["runs"] for case in run["cases"]]
        kept += [case for run in session["runs"] if run["gate"] for case in run["gate"]["fresh"]]
        launches = [launch for case in kept for launch in case["launches"]]
        rows.append(
            [
                str(session["session"] + 1),
                f"{session['started'][:16]} to {session['finished'][11:16]}".replace("T", " "),
                f"{session['others_percent']:.1f} %",
                ", ".join(boots),
                str(len(launches)),
                str(sum(launch["status"] != "ok" for launch in launches)),
            ]
        )
    return table(head, rows)


def _alarms(recording: Recording) -> str:
    trials = recording.trials
    verdicts = Counter(each.verdict for each in trials)
    said = ", ".join(f"{verdicts[each]} {each}" for each in Verdict if verdicts[each])
    lines = [f"{count(len(trials), 'comparison')}: {said}.", ""]
    alarms = [
        f"- {each.case}, session {each.session + 1}: {finding_in_words(finding)}"
        for each in trials
        for finding in each.alarms
    ]
    lines += alarms or ["No quantity of any comparison was said to have changed."]
    expected = sum(run["gate"]["alarms_expected"] for run in _judged(recording))
    quantities = sum(len(each.findings) for each in trials)
    chance = (
        f"With the spread of these launches, {expected:.2g} regressions were to be expected "
        f"by chance, over {quantities} quantities."
    )
    blocks = max((len(each.fresh[0]) for each in trials if each.fresh), default=0)
    fresh = (
        f"Fresh launches per side that decided: at most {blocks}, whereas the gate makes {FRESH}."
    )
    lines += ["", chance, *([fresh] if blocks else []), "", *_failed(recording)]
    return "\n".join(lines) + "\n"


def _judged(recording: Recording) -> list[dict]:
    return [run for session in recording.sessions for run in session["runs"] if run["gate"]]


def _failed(recording: Recording) -> list[str]:
    return [
        f"- {case}, session {session + 1}: a launch {reason}"
        for (_, case), sessions in recording.cases.items()
        for session, each in sessions.items()
        for reason in each.failed
    ]


def _cases(recording: Recording) -> str:
    later = [session["session"] for session in recording.sessions[1:]]
    by_case = {(each.campaign, each.case, each.session): each for each in recording.trials}
    rows = []
    for campaign, case in recording.cases:
        variation = recording.variation((campaign, case))
        trials = [by_case.get((campaign, case, session)) for session in later]
        rows.append(
            [
                campaign,
                case,
                f"{100 * variation:.2f} %" + (" (quiet)" if variation <= QUIET else ""),
                *map(_said, trials),
            ]
        )
    return table(["campaign", "case", "launch variation", *_against(later)], rows)


def _against(later: Sequence[int]) -> list[str]:
    return [f"session {session + 1} against 1" for session in later]


def _said(trial: Trial | None) -> str:
    if trial is None:
        return "not compared"
    words = [f"**{trial.verdict}**"]
    latency = trial.latency
    if latency is not None and latency.verdict != trial.verdict:
        words.append(f"latency **{latency.verdict}**")
    if min(len(trial.candidate.figures), len(trial.baseline.figures)):
        words.append(f"stored {100 * (trial.shift - 1):+.1f} %")
    if latency is not None and latency.fresh:
        words.append(f"fresh {100 * (latency.ratio.center - 1):+.1f} %")
    if trial.why:
        words.append(trial.why)
    return ", ".join(words)


def _rules(trials: Sequence[Trial]) -> str:
    """Return false alarms by rule: of all, by kind of device, by session."""
    groups = {
        "all": list(trials),
        "this machine": [each for each in trials if not each.emulated],
        "emulated boards": [each for each in trials if each.emulated],
    }
    for session in sorted({each.session for each in trials}):
        groups[f"session {session + 1}"] = [each for each in trials if each.session == session]
    found = {
        name: {row.rule: row for row in by_rule(group, [0.0])} for name, group in groups.items()
    }
    rows = [
        [rule, *(_share(of_group.get(rule)) for of_group in found.values())]
        for rule in found["all"]
    ]
    return table(["false alarms by latency", *groups], rows)


def _share(row: Row | None) -> str:
    if row is None:
        return "–"
    share = row.share
    return f"{row.alarms} of {row.of} [{100 * share.low:.0f}, {100 * share.high:.0f} %]"


def _effects(trials: Sequence[Trial]) -> str:
    """Return what rules would have found had the candidate been slower."""
    rows: dict[str, list[str]] = {}
    told = []
    for effect in EFFECTS[1:]:
        of_effect = by_rule(trials, [effect])
        if of_effect:
            told.append(f"+{100 * effect:g} %")
            for row in of_effect:
                rows.setdefault(row.rule, []).append(_share(row))
    if not told:
        return ""
    return (
        "How often an effect would have been found if the later session's launches had been slower "
        "by it (their figures multiplied by it); only comparisons where the gate made fresh "
        "launches, or needs none:\n\n"
        + table(["found", *told], [[rule, *row] for rule, row in rows.items()])
    )


def _plot_launches(recording: Recording, path: Path) -> None:
    """Draw every launch over its case's mean in the first session."""
    values = []
    for (_, case), sessions in recording.cases.items():
        first = min(sessions)
        center = _center(sessions[first])
        for session, each in sessions.items():
            values += [
                {"case": case, "session": str(session + 1), "relative": 100 * (figure / center - 1)}
                for figure in each.figures
                if center
            ]
    x = {"field": "relative", "type": "quantitative", "title": "% over the first session's mean"}
    draw(
        {
            "data": {"values": values},
            "width": 420,
            "height": {"step": 14},
            "mark": {"type": "point", "filled": True, "opacity": 0.7, "size": 25},
            "encoding": {
                "x": x,
                "y": {
                    "field": "case",
                    "type": "nominal",
                    "sort": None,
                    "title": None,
                    "axis": {"labelLimit": 400, "grid": True},
                },
                "yOffset": {"field": "session", "type": "nominal"},
                "color": {
                    "field": "session",
                    "type": "nominal",
                    "scale": {"range": COLOURS},
                    "legend": {"orient": "bottom"},
                },
            },
        },
        path,
    )


def _center(recorded: Recorded) -> float:
    return float(np.exp(np.log(recorded.figures).mean())) if recorded.figures else 0.0


def _plot_rules(rows: Sequence[Row], path: Path) -> None:
    values = [
        {
            "rule": row.rule,
            "share": 100 * row.share.value,
            "low": 100 * row.share.low,
            "high": 100 * row.share.high,
        }
        for row in rows
    ]
    y = {"field": "rule", "type": "nominal", "sort": None, "title": None}
    x = {"type": "quantitative", "title": "false alarms, % of comparisons"}
    draw(
        {
            "data": {"values": values},
            "width": 420,
            "height": {"step": 22},
            "encoding": {"y": {**y, "axis": {"labelLimit": 300}}},
            "layer": [
                {
                    "mark": {"type": "rule", "color": COLOURS[0]},
                    "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
                },
                {
                    "mark": {"type": "point", "filled": True, "color": COLOURS[0], "size": 60},
                    "encoding": {"x": {"field": "share", **x}},
                },
            ],
        },
        path,
    )
