"""What failed in a run, grouped by cause: category and reason, what differs each time left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.records import Category, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.analysis.cases import CaseResult
    from harness.core.records import Launch, Run

__all__ = ["LEFT_OUT", "REFUSED", "FailureGroup", "failure_groups", "normalised", "without_hint"]

INVALID: Final = "invalid"
WRONG: Final = "outputs wrong"
REFUSED: Final = "refused"
LEFT_OUT: Final = "not measured"

_HINT = re.compile(r" \(try: (?P<hint>.*)\)$", re.DOTALL)
# Launch ids, hashes and addresses; then numbers, with what may stand in them.
_VARYING = (
    (re.compile(r"\b[\w.-]+-[0-9a-f]{12}-\d+-\d+\b"), "…"),
    (re.compile(r"\b(?:0x)?[0-9a-f]{12,}\b"), "…"),
    (re.compile(r"0x[0-9a-f]+\b"), "…"),
    (re.compile(r"(?<![\w.])\d+(?:[.,:]\d+)*"), "N"),
)
_REASON_LIMIT = 500

_TODO: Final = {
    Category.CONNECTION: "harness devices doctor {device}; then harness run --resume {run}",
    Category.DEPLOY: "harness devices doctor {device}: the link, and room in its work folder",
    Category.DEVICE: "harness devices doctor {device}; then harness run --resume {run}",
    Category.TIMEOUT: "is it slow, or does it hang? harness results logs {run} --failed; a slow "
    "one needs a higher time_limit in the campaign's protocol",
    Category.RUNNER: "harness results logs {run} --failed",
    Category.ENGINE: "harness results logs {run} --failed",
    INVALID: "docs/conditions.md says what makes a launch invalid",
    WRONG: "the engine, its backend or the artifact computes something else than the model: try "
    "another version or precision; tolerances stand in the model's file",
    REFUSED: "correct the campaign or the device's file, or leave the case out with --only",
    LEFT_OUT: "harness run --resume {run}",
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
        Without what differs each time.
    example
        The first reason in full; untrusted.
    launches
        How many of them; of cases that were refused or not measured, planned ones.
    made_good
        How many of them were made again, and went well.
    devices, cases
        By name and label, in the run's order.
    todo
        What to do.
    """

    category: str
    reason: str
    example: str
    launches: int
    made_good: int
    devices: list[str]
    cases: list[str]
    todo: str


@dataclass(frozen=True)
class _Failure:
    result: CaseResult
    category: str
    reason: str
    launches: int = 1
    made_good: int = 0


def without_hint(reason: str) -> str:
    """Return a reason without what it says to do."""
    return _HINT.sub("", reason)


def normalised(reason: str) -> str:
    """Return a reason without its hint, and without what differs from one time to the next."""
    text = " ".join(without_hint(reason[:_REASON_LIMIT]).split())
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
            key = (failure.category, normalised(failure.reason))
            groups.setdefault(key, []).append(failure)
    found = [_group(run, *key, failures) for key, failures in groups.items()]
    return sorted(
        found, key=lambda group: (group.made_good >= group.launches, -group.launches, group.reason)
    )


def _failures(result: CaseResult) -> list[_Failure]:
    record = result.record
    if record.refused is not None:
        return [_Failure(result, REFUSED, record.refused, launches=len(record.roles))]
    found = [
        _Failure(
            result,
            _category(launch),
            launch.reason,
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


def _todo(category: str, reason: str) -> str:
    # A case that its runner cannot do is no better a second time.
    return _TODO[REFUSED if category == LEFT_OUT and "BadJob" in reason else category]


def _group(run: Run, category: str, reason: str, failures: list[_Failure]) -> FailureGroup:
    devices = list(dict.fromkeys(each.result.record.case.device for each in failures))
    hint = next((found["hint"] for each in failures if (found := _HINT.search(each.reason))), None)
    return FailureGroup(
        category=category,
        reason=reason,
        example=failures[0].reason,
        launches=sum(each.launches for each in failures),
        made_good=sum(each.made_good for each in failures),
        devices=devices,
        cases=list(dict.fromkeys(each.result.record.case.label for each in failures)),
        todo=hint or _todo(category, reason).format(device=devices[0], run=run.id),
    )
