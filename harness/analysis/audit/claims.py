"""What a published table claims beyond what stands behind it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.analysis.audit import wording
from harness.analysis.audit.finding import Doubt, Evidence, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.analysis.audit.figures import Figure
    from harness.core.reason import Reason
    from harness.results.imported import ImportedFigure

__all__ = ["claims", "contradictions"]

DIGITS: Final = 5
OF_INTERVAL: Final = 0.01
SHOWN: Final = 10
SAMPLES_FOR: Final = {50: 11, 90: 64, 95: 130, 99: 662}
"""By the rule of :func:`harness.analysis.summary.percentiles`."""


def contradictions(figures: Sequence[Figure]) -> Iterator[Doubt]:
    """Yield things that have several figures."""
    things = defaultdict(list)
    for figure in figures:
        things[figure.model, figure.device, figure.setting].append(figure)
    for found in things.values():
        if len({figure.value for figure in found}) > 1:
            yield Doubt(
                "contradiction",
                Severity.WARNING,
                wording.CONTRADICTION(figure=str(found[0]), figures=len(found)),
                tuple(figure.evidence for figure in found),
            )


def claims(figures: Sequence[ImportedFigure]) -> Iterator[Doubt]:
    """Yield intervals, percentiles and digits that nothing stands behind."""
    needless = []
    for figure in figures:
        yield from _interval(figure)
        yield from _percentile(figure)
        if _needless(figure):
            needless.append(figure)
    if needless:
        most = max(_digits(figure.cell.text) for figure in needless)
        yield Doubt(
            "needless-digits",
            Severity.NOTE,
            wording.DIGITS(needless=len(needless), figures=len(figures), digits=most),
            tuple(_evidence(figure) for figure in needless[:SHOWN]),
        )


def _evidence(figure: ImportedFigure, value: Reason | None = None) -> Evidence:
    where = wording.CELL(line=figure.cell.line, column=figure.cell.column)
    return Evidence(where, figure.label, value or figure.cell.text)


def _of_samples(figure: ImportedFigure) -> Reason:
    return wording.OF_SAMPLES(figure=figure.cell.text, samples=figure.samples)


def _interval(figure: ImportedFigure) -> Iterator[Doubt]:
    low, high = figure.low_ms, figure.high_ms
    if low is None and high is None:
        return
    shown = {"figure": figure.latency_ms, "low": low or 0, "high": high or math.inf}
    if (low is not None and low > figure.latency_ms) or (
        high is not None and high < figure.latency_ms
    ):
        yield Doubt(
            "false-interval",
            Severity.ERROR,
            wording.NOT_IN_INTERVAL(figure=figure.label),
            (_evidence(figure, wording.CLAIMED(**shown)),),
        )
    elif figure.launches == 1:
        yield Doubt(
            "false-interval",
            Severity.WARNING,
            wording.INTERVAL_OF_ONE(figure=figure.label),
            (_evidence(figure, wording.CLAIMED(**shown, launches=1)),),
        )


def _percentile(figure: ImportedFigure) -> Iterator[Doubt]:
    found = re.fullmatch(r"p(\d\d)", (figure.statistic or "").lower())
    needed = SAMPLES_FOR.get(int(found[1])) if found else None
    if needed and figure.samples is not None and figure.samples < needed:
        yield Doubt(
            "few-for-percentile",
            Severity.WARNING,
            wording.FEW_SAMPLES(
                figure=figure.label,
                statistic=figure.statistic,
                samples=figure.samples,
                needed=needed,
            ),
            (
                _evidence(
                    figure, wording.OF_SAMPLES(figure=figure.cell.text, samples=figure.samples)
                ),
            ),
        )


def _needless(figure: ImportedFigure) -> bool:
    if figure.low_ms is None or figure.high_ms is None:
        return _digits(figure.cell.text) > DIGITS
    decimals = len(figure.cell.text.partition(".")[2])
    unit = figure.latency_ms / float(figure.cell.text)  # milliseconds
    width = figure.high_ms - figure.low_ms
    return _digits(figure.cell.text) > 2 and 10.0**-decimals * unit < OF_INTERVAL * width  # noqa: PLR2004


def _digits(text: str) -> int:
    """Return how many significant digits a number has; trailing zeros after the point count."""
    mantissa = re.split("[eE]", text)[0].lstrip("+-")
    return len(mantissa.replace(".", "").lstrip("0"))
