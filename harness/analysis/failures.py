"""What failed in a run, grouped by cause: category and reason, what differs each time left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.analysis import reasons
from harness.core.reason import Reason
from harness.core.records import Category, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.reason import Code, Fact
    from harness.core.records import Launch, Run

__all__ = ["LEFT_OUT", "REFUSED", "FailureGroup", "alike", "failure_groups"]

INVALID: Final = "invalid"
WRONG: Final = "outputs wrong"
REFUSED: Final = "refused"
LEFT_OUT: Final = "not measured"

# Launch ids, hashes and addresses; then numbers, with what may be in them.
_VARYING = (
    (re.compile(r"\b[\w.-]+-[0-9a-f]{12}-\d+-\d+\b"), "…"),
    (re.compile(r"\b(?:0x)?[0-9a-f]{12,}\b"), "…"),
    (re.compile(r"0x[0-9a-f]+\b"), "…"),
    (re.compile(r"(?<![\w.])\d+(?:[.,:]\d+)*"), "N"),
)
_REASON_LIMIT = 500

_TODO: Final = {
    Category.CONNECTION: reasons.DOCTOR_RESUME,
    Category.DEPLOY: reasons.DOCTOR_DEPLOY,
    Category.DEVICE: reasons.DOCTOR_RESUME,
    Category.TIMEOUT: reasons.SLOW_OR_HANGING,
    Category.RUNNER: reasons.READ_LOGS,
    Category.ENGINE: reasons.READ_LOGS,
    INVALID: reasons.READ_CONDITIONS,
    WRONG: reasons.OTHER_PRECISION,
    REFUSED: reasons.CORRECT,
    LEFT_OUT: reasons.RESUME,
}


@dataclass(frozen=True)
class FailureGroup:
    """What failed for one cause.

    Attributes
    ----------
    category
        Of the launches that failed; else ``invalid``, ``outputs wrong``, ``refused`` or
        ``not measured``.
    reason
        The first of them; what differs each time is alike to the group.
    launches
        How many of them; of cases that were refused or not measured, planned ones.
    made_good
        How many of them were made again, and went well.
    devices, cases
        By name and label, in the run's order.
    todo
        What to do, where the reason itself has no hint.
    """

    category: str
    reason: Reason
    launches: int
    made_good: int
    devices: list[str]
    cases: list[str]
    todo: Reason


@dataclass(frozen=True)
class _Failure:
    result: CaseResult
    category: str
    reason: Reason
    launches: int = 1
    made_good: int = 0


def alike(reason: Reason) -> str:
    """Return what is the same of a reason each time: its code, and words without numbers."""
    told = [
        [alike(each) if isinstance(each, Reason) else _normal(each) for each in _listed(fact)]
        for _, fact in sorted(reason.facts.items())
    ]
    return f"{reason.code} {told}"


def _listed(fact: Fact) -> Sequence[Reason | str]:
    match fact:
        case list():
            return fact
        case int() | float():
            return []
    return [fact]


def _normal(text: str) -> str:
    text = " ".join(text[:_REASON_LIMIT].split())
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return text


def failure_groups(run: Run, results: Iterable[CaseResult]) -> list[FailureGroup]:
    """Return what failed in a run by cause, what is not made good and most frequent first.

    Parameters
    ----------
    results
        The run's, by :func:`harness.analysis.cases.case_results`.
    """
    groups: dict[tuple[str, str], list[_Failure]] = {}
    for result in results:
        for failure in _failures(result):
            key = (failure.category, alike(failure.reason))
            groups.setdefault(key, []).append(failure)
    found = [_group(run, category, failures) for (category, _), failures in groups.items()]
    return sorted(
        found,
        key=lambda group: (
            group.made_good >= group.launches,
            -group.launches,
            alike(group.reason),
        ),
    )


def _failures(result: CaseResult) -> list[_Failure]:
    record = result.record
    if record.refused is not None:
        return [_Failure(result, REFUSED, record.refused, launches=len(record.roles))]
    found = [
        _Failure(
            result,
            _category(launch),
            launch.reason or reasons.UNEXPLAINED(),
            made_good=_made_good(result, launch),
        )
        for launch in result.launches
        if launch.status is not Status.OK
    ]
    if record.left_out and result.unmade:
        found.append(_Failure(result, LEFT_OUT, record.left_out, launches=result.unmade))
    return found


def _category(launch: Launch) -> str:
    if launch.category:
        return launch.category.value
    return WRONG if launch.outputs and not launch.outputs.passed else INVALID


def _made_good(result: CaseResult, failed: Launch) -> bool:
    return any(
        launch.slot == failed.slot and launch.status is Status.OK for launch in result.launches
    )


def _todo(category: str, failure: Reason) -> Code:
    # A case that its runner cannot do is no better a second time.
    bad_job = any(each.facts.get("kind") == "BadJob" for each in failure.chain())
    return _TODO[REFUSED if category == LEFT_OUT and bad_job else category]


def _group(run: Run, category: str, failures: list[_Failure]) -> FailureGroup:
    devices = list(dict.fromkeys(each.result.record.case.device for each in failures))
    todo = _todo(category, failures[0].reason)
    known = {"device": devices[0], "run": run.id}
    return FailureGroup(
        category=category,
        reason=failures[0].reason,
        launches=sum(each.launches for each in failures),
        made_good=sum(each.made_good for each in failures),
        devices=devices,
        cases=list(dict.fromkeys(each.result.record.case.label for each in failures)),
        todo=todo(**{name: known[name] for name in todo.facts}),
    )
