"""Comparisons in words: for the terminal, a pull request (Markdown), CI (JUnit) and scripts."""

from __future__ import annotations

import html
from dataclasses import asdict
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from junitparser import Error as JUnitError
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.analysis.comparison import Verdict
from harness.analysis.comparisons import COMPARED
from harness.analysis.expectations import Met
from harness.core.text import count, difference, times, visible

if TYPE_CHECKING:
    from harness.analysis.comparison import Ratio
    from harness.analysis.comparisons import Comparison, Finding
    from harness.analysis.expectations import Outcome
    from harness.analysis.gate import Gate
    from harness.core.errors import LabError

__all__ = [
    "as_json",
    "case_in_words",
    "change",
    "finding_in_words",
    "gate_as_json",
    "headline",
    "junit",
    "junit_of_failure",
    "markdown",
    "markdown_of_failure",
    "outcome_in_words",
    "speedup",
]


def change(found: Ratio) -> str:
    """Return a ratio as a change in percent, with its interval: ``+5.1 % [+4.2, +6.0]``."""
    if found.low is None or found.high is None:
        return difference(found.center)
    # In digits that tell the ends apart, three decimals at most.
    half = 100 * (found.high - found.low) / 2
    decimals = 1 if half >= 0.05 else 2 if half >= 0.005 else 3  # noqa: PLR2004 - half a digit
    ends = (found.low, found.center, found.high)
    low, center, high = (difference(each, decimals) for each in ends)
    if low == high:
        return center
    return f"{center} [{low.removesuffix(' %')}, {high.removesuffix(' %')}]"


def speedup(found: Ratio) -> str:
    """Return how many times as fast the candidate is, with the interval: ``3.9× [3.8, 4.1]``."""
    ratio = found.inverse
    if ratio.low is None or ratio.high is None:
        return times(ratio.center)
    return f"{times(ratio.center)} [{times(ratio.low)}, {times(ratio.high)}]"


def finding_in_words(finding: Finding) -> str:
    """Say what changed of a quantity, with its size, interval, and what that rests on."""
    found = finding.ratio
    either = f"{found.n} and {found.n_baseline}" if found.n != found.n_baseline else f"{found.n}"
    basis = "fresh launches of either side" if finding.fresh else "launches"
    words = f"{finding.name} {change(found)}, {either} {basis}"
    verdict = f" {finding.verdict}" if finding.verdict else ""
    return f"{words}:{verdict}" + (f" ({finding.note})" if finding.note else "")


def case_in_words(comparison: Comparison) -> str:
    """Say in a sentence or two what came of a case."""
    if comparison.refusals:
        reasons = "; ".join(str(reason) for _, reason in comparison.refusals)
        words = f"not comparable: {reasons}"
    else:
        told = [each for each in comparison.findings if each.verdict is comparison.verdict]
        words = "; ".join(map(finding_in_words, told[:4]))
    if comparison.unconfirmable:
        words += f". Unconfirmable: {comparison.unconfirmable}"
    return words


def outcome_in_words(outcome: Outcome) -> str:
    """Say what came of an expectation, with the interval."""
    bound = "at least" if outcome.at_least else "at most"
    unit = f" {outcome.unit}" if outcome.unit else ""
    found = "unknown"
    if outcome.value is not None:
        found = f"{outcome.value:.4g}{unit}"
        if outcome.low is not None and outcome.high is not None and outcome.low < outcome.high:
            found += f" [{outcome.low:.4g}, {outcome.high:.4g}]"
    said = f"{outcome.result.record.case.label}: {outcome.quantity} {outcome.met}: {found}"
    reason = f"; {outcome.reason}" if outcome.reason else ""
    return f"{said}, expected {bound} {outcome.limit:g}{unit}{reason}"


def headline(gate: Gate) -> str:
    """Say in a line what a gate came to."""
    verdicts = [comparison.verdict for comparison in gate.comparisons]
    told = [f"{verdicts.count(each)} {each}" for each in Verdict if each in verdicts]
    missed = sum(outcome.met is Met.NO for outcome in gate.outcomes)
    told += [f"{count(missed, 'expectation')} missed"] if missed else []
    return f"{count(len(verdicts), 'case')} against {gate.baseline}: {', '.join(told) or 'nothing'}"


def footnote(gate: Gate) -> str:
    """Say how many false alarms are to be expected, and that p-values are adjusted."""
    quantities = sum(len(comparison.findings) for comparison in gate.comparisons)
    if not quantities:
        return ""
    each = gate.alarms_expected / max(1, len(gate.comparisons))
    return (
        f"If nothing had changed, launches that vary like these would raise "
        f"{gate.alarms_expected:.2g} false alarms in all, {each:.2g} a case; p-values in JSON are "
        f"adjusted for {count(quantities, 'comparison')} (Holm)."
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison in a script's words."""
    return {
        "case_id": comparison.candidate.result.record.case.id,
        "case": comparison.label,
        "baseline_case": comparison.baseline.result.record.case.label,
        "emulated": comparison.emulated,
        "candidate_run": comparison.candidate.run.id,
        "baseline": comparison.baseline.name,
        "contrast": comparison.contrast,
        "verdict": comparison.verdict,
        "refusals": [
            {"kind": kind, "code": reason.code, "reason": str(reason)}
            for kind, reason in comparison.refusals
        ],
        "differences": comparison.differences,
        "confirmed_by": comparison.confirmed_by,
        "unconfirmable": str(comparison.unconfirmable or ""),
        "findings": [asdict(finding) for finding in comparison.findings],
    }


def gate_as_json(gate: Gate) -> dict[str, Any]:
    """Return a gate in a script's words."""
    return {
        "run": gate.run.id,
        "baseline": gate.baseline,
        "comparisons": [as_json(comparison) for comparison in gate.comparisons],
        "expectations": [
            {
                "case_id": outcome.result.record.case.id,
                "quantity": outcome.quantity,
                "met": outcome.met,
                "said": outcome_in_words(outcome),
            }
            for outcome in gate.outcomes
        ],
        "new_cases": gate.new,
        "gone_cases": gate.gone,
        "alarms_expected": gate.alarms_expected,
    }


_SYMBOLS = {
    Verdict.REGRESSED: "❌",
    Verdict.INVALID: "⛔",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.IMPROVED: "🟢",
    Verdict.UNCHANGED: "✅",
}


def markdown(gate: Gate) -> str:
    """Return a summary for a pull request."""
    lines = [f"### {_cell(headline(gate))}", ""]
    if any(comparison.emulated for comparison in gate.comparisons):
        lines += ["Some devices are **emulated**: what they show is behaviour, never speed.", ""]
    compared = [each.title for each in COMPARED if not each.whole]
    titles = [each for each in compared if any(map(methodcaller("of", each), gate.comparisons))]
    lines += ["| | " + " | ".join(["case", *titles]) + " |", "|---|---|" + "---|" * len(titles)]
    for comparison in gate.comparisons:
        symbol = _SYMBOLS[comparison.verdict or Verdict.INVALID]
        cells = map(comparison.of, titles)
        shown = [change(cell.ratio) if cell else "–" for cell in cells]
        row = [f"{symbol} {comparison.verdict or ''}", _cell(comparison.label), *shown]
        lines.append(f"| {' | '.join(row)} |")
    told = [
        f"- **{_cell(comparison.label)}**: {_cell(case_in_words(comparison))}"
        for comparison in gate.comparisons
        if comparison.verdict is not Verdict.UNCHANGED
    ]
    told += [
        f"- {_cell(outcome_in_words(outcome))}"
        for outcome in gate.outcomes
        if outcome.met is not Met.YES
    ]
    told += [f"- {_cell(label)}: not in the baseline" for label in gate.new]
    told += [f"- {_cell(label)}: not measured" for label in gate.gone]
    lines += ["", *told] if told else []
    lines += ["", f"<sub>Run `{_cell(gate.run.id)}`. {footnote(gate)}</sub>", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return text that may quote a device, with nothing that Markdown or HTML would take."""
    cleaned = html.escape(visible(text).replace("\n", " "), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|" else char for char in cleaned)


def _xml(text: str) -> str:
    """Return text that may quote a device, without characters that XML 1.0 does not have."""
    return visible(text).translate({0xFFFE: "\ufffd", 0xFFFF: "\ufffd"})


def junit(gate: Gate) -> str:
    """Return JUnit XML: one test for each case, and one for each expectation of it.

    A regression or miss is a failure; what is invalid, an error; what cannot be told is skipped.
    """
    suite = TestSuite("edge-harness")
    for comparison in gate.comparisons:
        test = TestCase(
            _xml(comparison.label),
            classname=_xml(f"baseline {gate.baseline}"),
            time=_seconds(comparison),
        )
        words = _xml(case_in_words(comparison))
        match comparison.verdict:
            case Verdict.REGRESSED:
                test.result = [Failure(words, "regressed")]
            case Verdict.INVALID | None:
                test.result = [JUnitError(words, "invalid")]
            case Verdict.INCONCLUSIVE:
                test.result = [Skipped(f"inconclusive: {words}")]
        test.system_out = _xml("\n".join(map(finding_in_words, comparison.findings)))
        suite.add_testcase(test)
    for outcome in gate.outcomes:
        label = outcome.result.record.case.label
        test = TestCase(_xml(f"{label}: {outcome.quantity}"), classname="expectations")
        words = _xml(outcome_in_words(outcome))
        if outcome.met is Met.NO:
            test.result = [Failure(words, "missed")]
        elif outcome.met is Met.UNTOLD:
            test.result = [Skipped(words)]
        suite.add_testcase(test)
    return _document(suite)


def junit_of_failure(baseline: str, error: LabError) -> str:
    """Return JUnit XML of a check that could not measure: one test, in error."""
    suite = TestSuite("edge-harness")
    test = TestCase("measurement", classname=_xml(f"baseline {baseline}"))
    test.result = [JUnitError(_xml(error.with_hint), "lab")]
    suite.add_testcase(test)
    return _document(suite)


def markdown_of_failure(baseline: str, error: LabError) -> str:
    """Return what a pull request is told of a check that could not measure."""
    said = _cell(error.with_hint)
    return f"### Not measured: the lab failed\n\n- against {_cell(baseline)}: {said}\n"


def _seconds(comparison: Comparison) -> float:
    """Return how long a case's launches took."""
    return sum(launch.wall_s or 0.0 for launch in comparison.candidate.result.launches)


def _document(suite: TestSuite) -> str:
    document = JUnitXml("edge-harness")
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    text: str = document.tostring().decode()  # type: ignore[no-untyped-call]
    return text
