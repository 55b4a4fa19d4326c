"""Comparisons on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column, Table

from harness.analysis.comparison import Verdict
from harness.analysis.expectations import Met
from harness.cli.tables import MARKS
from harness.cli.terminal import console
from harness.core.text import visible
from harness.report.verdicts import (
    case_in_words,
    change,
    footnote,
    headline,
    outcome_in_words,
    speedup,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.comparisons import Comparison, Finding
    from harness.analysis.gate import Gate

__all__ = ["print_comparisons", "print_gate"]

_COLOURS = {
    Verdict.REGRESSED: "red",
    Verdict.INVALID: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.IMPROVED: "green",
    Verdict.UNCHANGED: "green",
    None: "default",
}


def print_gate(gate: Gate) -> None:
    """Print what a gate found."""
    print_comparisons(gate.comparisons)
    out = console()
    for outcome in gate.outcomes:
        if outcome.met is not Met.YES:
            out.print(f"{MARKS[outcome.met]} {escape(visible(outcome_in_words(outcome)))}")
    for label in gate.new:
        out.print(f"[yellow]![/] {escape(visible(label))}: the baseline does not have it")
    for label in gate.gone:
        out.print(f"[yellow]![/] {escape(visible(label))}: it was not measured")
    if said := footnote(gate):
        out.print(f"[dim]{said}[/]")
    out.print(f"[bold]{escape(visible(headline(gate)))}[/]")


def print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print comparisons, each with the quantities that matter, and what is to be said of them."""
    out = console()
    contrast = any(comparison.contrast for comparison in comparisons)
    table = Table("Case", Column("Quantity", no_wrap=True), box=None)
    for name in ("Baseline", "Candidate", "Speed-up" if contrast else "Change"):
        table.add_column(name, justify="right", no_wrap=True)
    if not contrast:
        table.add_column("Verdict", no_wrap=True)
    for comparison in comparisons:
        label = escape(visible(_label(comparison)))
        for finding in comparison.findings:
            if not _shown(finding):
                continue
            table.add_row(label, escape(finding.name), *_figures(finding))
            label = ""
    if table.row_count:
        out.print(table)
        out.print("")
    for comparison in comparisons:
        colour = _COLOURS[comparison.verdict]
        if comparison.verdict not in (None, Verdict.UNCHANGED):
            words = f"{comparison.label}: {case_in_words(comparison)}"
            out.print(f"[{colour}]{comparison.verdict}[/] {escape(visible(words))}")
        if comparison.differences and not comparison.refusals:
            told = f"{comparison.label} differs in {'; '.join(comparison.differences)}"
            out.print(f"[dim]{escape(visible(told))}[/]")


def _label(comparison: Comparison) -> str:
    stamp = " (emulated)" if comparison.emulated else ""
    if not comparison.contrast:
        return comparison.label + stamp
    ours, its = (side.result.record.case for side in (comparison.candidate, comparison.baseline))
    other = its.setting if ours.device == its.device else f"{its.device} · {its.setting}"
    return f"{comparison.label}{stamp}\nagainst {other}"


def _shown(finding: Finding) -> bool:
    """Tell whether a quantity has a row: parts only where they changed."""
    quiet = finding.verdict in (None, Verdict.UNCHANGED)
    return not finding.declared.whole or not quiet


def _figures(finding: Finding) -> list[str]:
    found = [finding.text(finding.baseline), finding.text(finding.candidate)]
    if finding.verdict is None:
        time = finding.declared.unit.kind == "time"
        return [*found, speedup(finding.ratio) if time else change(finding.ratio)]
    colour = _COLOURS[finding.verdict]
    note = f" ({finding.note})" if finding.note == "suspected" else ""
    basis = ", fresh" if finding.fresh else ""
    return [*found, change(finding.ratio), f"[{colour}]{finding.verdict}[/]{basis}{note}"]
