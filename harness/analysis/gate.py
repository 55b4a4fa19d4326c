"""What a run is, held against a baseline and its campaign's expectations, as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.analysis import reasons
from harness.analysis.cases import case_results
from harness.analysis.comparison import Verdict
from harness.analysis.comparisons import (
    alarms_expected,
    compare_runs,
    compare_sides,
    settle,
    with_adjusted_p,
)
from harness.analysis.expectations import Met, check_expectations
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.analysis.comparisons import Comparison
    from harness.analysis.expectations import Outcome
    from harness.core.reason import Reason
    from harness.core.records import Run

__all__ = ["FRESH", "Gate", "gate"]

FRESH: Final = 12
"""Fresh launches of either side by which a suspicion is decided: see docs/detection.md."""


@dataclass(frozen=True)
class Gate:
    """A run held against a baseline.

    Attributes
    ----------
    baseline
        Its name.
    new, gone
        Cases, in words, that only the run or only the baseline has.
    lab_failed
        Whether fresh launches were called for, and no device could be had.
    """

    run: Run
    baseline: str
    comparisons: list[Comparison]
    outcomes: list[Outcome] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    lab_failed: bool = False

    @property
    def undecided(self) -> list[str]:
        """The ids of the cases that fresh launches are to decide."""
        return [each.candidate.result.record.case.id for each in self.comparisons if each.undecided]

    @property
    def alarms_expected(self) -> float:
        """How many false alarms there would be on average if nothing had changed."""
        return alarms_expected(self.comparisons)

    def settled(self, fresh: Run | None, unconfirmable: Mapping[str, Reason]) -> Gate:
        """Return it as fresh launches decide it.

        Parameters
        ----------
        fresh
            The run of both sides.
        unconfirmable
            Case id to why there are no fresh launches.
        """
        sides = compare_sides(fresh) if fresh else {}
        settled = []
        for each in self.comparisons:
            case_id = each.candidate.result.record.case.id
            if each.undecided:
                reason = unconfirmable.get(case_id, reasons.NOT_FRESH())
                each = settle(each, sides.get(case_id), reason)  # noqa: PLW2901 - the same one
            settled.append(each)
        return replace(self, comparisons=with_adjusted_p(settled))

    def exit_codes(self, *, strict: bool) -> Iterator[ExitCode]:
        """Yield what the comparisons and expectations come to."""
        if self.lab_failed:
            yield ExitCode.LAB
        for comparison in self.comparisons:
            match comparison.verdict:
                case Verdict.REGRESSED:
                    yield ExitCode.REGRESSION
                case Verdict.INVALID:
                    yield ExitCode.INVALID
                case Verdict.INCONCLUSIVE if strict:
                    yield ExitCode.INVALID
        for outcome in self.outcomes:
            if outcome.met is Met.NO:
                yield ExitCode.REGRESSION
            if outcome.met is Met.UNTOLD and strict:
                yield ExitCode.INVALID


def gate(
    run: Run,
    baseline: Run,
    name: str,
    changes: Iterable[str] = (),
    *,
    expectations: bool = True,
) -> Gate:
    """Hold a run against a baseline, by stored launches.

    Parameters
    ----------
    name
        The baseline's.
    changes
        As for :func:`harness.analysis.comparisons.compare`.
    expectations
        Whether it is held against its campaign's expectations, too.
    """
    results = case_results(run)
    ours = {record.case.id: record.case.label for record in run.cases}
    its = {record.case.id: record.case.label for record in baseline.cases}
    return Gate(
        run=run,
        baseline=name,
        comparisons=compare_runs(
            run, baseline, results=results, changes=changes, names=(None, name)
        ),
        outcomes=check_expectations(run, results) if expectations else [],
        new=[label for case_id, label in ours.items() if case_id not in its],
        gone=[label for case_id, label in its.items() if case_id not in ours],
    )
