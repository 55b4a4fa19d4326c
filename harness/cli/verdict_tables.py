"""Comparisons on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from harness.analysis.comparison import Verdict
from harness.analysis.expectations import Met
from harness.cli.grid import Column, Grid, is_wide
from harness.cli.tables import MARKS
from harness.cli.terminal import console
from harness.core.quantity import Summary
from harness.core.text import count, visible
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

    from rich.console import Console

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
    """Print what a gate found, the verdict first."""
    out = console()
    verdicts = {comparison.verdict for comparison in gate.comparisons}
    missed = any(outcome.met is Met.NO for outcome in gate.outcomes)
    mark = _mark(verdicts, missed=missed)
    out.print(f"{mark} [bold]{escape(visible(headline(gate)))}[/]")
    for outcome in gate.outcomes:
        if outcome.met is not Met.YES:
            out.print(f"{MARKS[outcome.met]} {escape(visible(outcome_in_words(outcome)))}")
    print_comparisons(gate.comparisons)
    for label in gate.new:
        out.print(f"[yellow]![/] {escape(visible(label))}: not in the baseline")
    for label in gate.gone:
        out.print(f"[yellow]![/] {escape(visible(label))}: not measured")
    if said := footnote(gate):
        out.print(f"[dim]{said}[/]")


def _mark(verdicts: set[Verdict | None], *, missed: bool) -> str:
    if missed or verdicts & {Verdict.REGRESSED, Verdict.INVALID}:
        return MARKS[Met.NO]
    return MARKS[Met.UNTOLD] if Verdict.INCONCLUSIVE in verdicts else MARKS[Met.YES]


def print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print what is to be said of comparisons, and their figures in a table."""
    out = console()
    _print_verdicts(out, comparisons)
    contrast = any(comparison.contrast for comparison in comparisons)
    table = Grid(
        Column("Case", wrap=20),
        Column("Quantity", wrap=10),
        Column("Baseline", 2, right=True),
        Column("Candidate", 1, right=True),
        Column("Speed-up" if contrast else "Change", right=True),
        *([] if contrast else [Column("Verdict", wrap=12)]),
    )
    for comparison in comparisons:
        label = escape(visible(_label(comparison)))
        for finding in comparison.findings:
            if not _shown(finding):
                continue
            table.add(label, escape(finding.name), *_figures(finding))
            label = ""
    if table.rows:
        out.print("")
        table.print(out)
        out.print("")
    single = sum(any(_is_single(finding) for finding in each.findings) for each in comparisons)
    if single:
        out.print(
            f"[yellow]![/] {count(single, 'case')}: one launch on a side has no interval; the "
            "difference may be chance (launches: 5 in the campaign)"
        )
    differing: dict[str, list[str]] = {}
    for comparison in comparisons:
        if comparison.differences and not comparison.refusals:
            differing.setdefault("; ".join(comparison.differences), []).append(comparison.label)
    for told, labels in differing.items():
        who = labels[0] if len(labels) == 1 else count(len(labels), "case")
        verb = "differs" if len(labels) == 1 else "differ"
        out.print(f"[dim]{escape(visible(f'{who} {verb} in {told}'))}[/]")


def _is_single(finding: Finding) -> bool:
    declared = finding.declared
    whole = declared.summary is Summary.INTERVAL and not declared.whole
    return whole and min(finding.ratio.n, finding.ratio.n_baseline) < 2  # noqa: PLR2004 - no spread


def _print_verdicts(out: Console, comparisons: Sequence[Comparison]) -> None:
    """Print what changed case by case, and what could not be decided once for each cause."""
    groups: dict[tuple[Verdict, str], list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.verdict not in (None, Verdict.UNCHANGED):
            key = (comparison.verdict, _cause(comparison))
            groups.setdefault(key, []).append(comparison)
    for (verdict, cause), alike in groups.items():
        if len(alike) == 1 or is_wide():
            lines = [f"{each.label}: {case_in_words(each)}" for each in alike]
        else:
            lines = [f"{count(len(alike), 'case')}: {cause} (--wide lists them)"]
        for line in lines:
            out.print(f"[{_COLOURS[verdict]}]{verdict}[/] {escape(visible(line))}")


def _cause(comparison: Comparison) -> str:
    """Return what cases of one verdict are grouped by; a change is a case's own."""
    if comparison.refusals:
        return case_in_words(comparison)
    if comparison.verdict is not Verdict.INCONCLUSIVE:
        return comparison.label
    undecided = [each for each in comparison.findings if each.verdict is Verdict.INCONCLUSIVE]
    suspected = any(each.suspected for each in undecided)
    what = "a change is suspected, not decided" if suspected else "interval too wide"
    names = ", ".join(dict.fromkeys(each.quantity for each in undecided))
    why = f". Unconfirmable: {comparison.unconfirmable}" if comparison.unconfirmable else ""
    return f"{names}: {what}{why}"


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
