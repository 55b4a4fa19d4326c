"""From a run to one self-contained HTML file: no script, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import statistics
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness import text
from harness.analysis.cases import State
from harness.report import charts, facts, findings
from harness.report.view import ReportView

if TYPE_CHECKING:
    from datetime import datetime

    from harness.results.schema import Run

__all__ = ["render"]

POINTS_PER_LAUNCH: Final = 200
POINTS_PER_REPORT: Final = 40_000
FEWEST_POINTS: Final = 12


def render(run: Run) -> str:
    """Return the report of a run as one HTML document."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": text.count,
        "mb": text.megabytes,
        "change": text.change,
        "median": statistics.median,
        "ms": text.milliseconds,
        "percent": text.percent,
        "pretty": _pretty,
        "shell": shlex.quote,
        "when": _when,
    }
    view = ReportView.of(run)
    traced = sum(len(case.traces) for case in view.cases)
    style = files("harness.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        run=run,
        view=view,
        charts=charts,
        facts=facts.words,
        find=findings.find,
        State=State,
        points=max(FEWEST_POINTS, min(POINTS_PER_LAUNCH, POINTS_PER_REPORT // max(traced, 1))),
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _finalize(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
    """Make whatever a template prints honest and harmless, before it is escaped."""
    if value is None:
        return text.UNKNOWN
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.visible(value)
    return value


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
