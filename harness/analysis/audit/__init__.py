"""The audit: what cannot be true in results, ours or others'.

Every rule is one for results of any kind: its bounds come from chance, arithmetic or physics, as
:data:`RULES` says of each, and from no table that was looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.audit import figures
from harness.analysis.audit.claims import claims, contradictions
from harness.analysis.audit.finding import RULES, Doubt, Evidence, Rule, Severity
from harness.analysis.audit.launches import launches
from harness.analysis.audit.orders import orders
from harness.analysis.audit.repeats import repeats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.records import Run
    from harness.results.imported import ImportedTable

__all__ = ["RULES", "Doubt", "Evidence", "Rule", "Severity", "audit_run", "audit_table"]

_ORDER = list(Severity)
_NOTHING: Mapping[str, int] = {}
_NO_PEAKS: Mapping[tuple[str, str, str], float] = {}


def audit_run(
    run: Run,
    results: Sequence[CaseResult],
    *,
    macs: Mapping[str, int] = _NOTHING,
    peaks: Mapping[tuple[str, str, str], float] = _NO_PEAKS,
) -> list[Doubt]:
    """Return what is found in a run, the gravest first.

    Parameters
    ----------
    results
        The run's, by :func:`harness.analysis.cases.case_results`.
    macs
        Model to the multiply-accumulates of one inference, where the run does not know them.
    peaks
        Device, backend and precision (empty: any) to the operations per second of its maker's
        word, a multiply-accumulate being two; where known.
    """
    devices = {device.name: device for device in run.devices}
    macs = {**macs, **{model.name: model.macs for model in run.models if model.macs}}
    known = [
        figures.of_case(result, devices[result.record.case.device], macs) for result in results
    ]
    found = [figure for figure in known if figure is not None]
    return _sorted(
        [*repeats(found), *orders(found, peaks), *launches(results, devices)],
    )


def audit_table(
    table: ImportedTable,
    *,
    macs: Mapping[str, int] = _NOTHING,
    peaks: Mapping[tuple[str, str, str], float] = _NO_PEAKS,
) -> list[Doubt]:
    """Return what is found in somebody else's table, the gravest first.

    Parameters
    ----------
    macs, peaks
        As for :func:`audit_run`, with the table's own names.
    """
    ordered = sorted(table.figures, key=lambda each: (each.cell.line, each.cell.position))
    found = [figures.of_imported(figure, macs) for figure in ordered]
    return _sorted(
        [*repeats(found), *contradictions(found), *orders(found, peaks), *claims(ordered)]
    )


def _sorted(findings: Iterable[Doubt]) -> list[Doubt]:
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
