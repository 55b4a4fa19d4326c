"""The drill's oracle: what devices' journals say, against what is stored.

It looks at no code of the harness but the records, and decides nothing by what the harness says
of itself: a journal's launch is found again by its samples, which no other launch has.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from harness.core.records import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from drill.journal import Done, Journal
    from harness.core.records import Launch, Run

__all__ = ["Audit", "Failing", "Met", "audit"]

_Slot: TypeAlias = tuple[str, int]
_Records: TypeAlias = dict[tuple[int, ...], list["Launch"]]


@dataclass(frozen=True)
class Failing:
    """How a launch may have ended that a fault met, by the store.

    Attributes
    ----------
    says
        A regular expression for the reason: its code, one within it, or words of the device's own.
    """

    status: Status
    category: str | None
    says: str = ""

    def fits(self, launch: Launch) -> bool:
        """Whether a launch ended like that."""
        if (launch.status, launch.category) != (self.status, self.category):
            return False
        if launch.reason is None:
            return not self.says
        codes = [each.code for each in launch.reason.chain()]
        return (
            re.search(self.says, "\n".join([*codes, str(launch.reason)]), re.MULTILINE) is not None
        )


@dataclass(frozen=True)
class Met:
    """What was done to a run.

    Attributes
    ----------
    launches
        The names on their devices of those that faults met.
    failing
        How these may have ended, beside going well.
    must_fail
        Whether they have to have ended so; where one did not, its fault was overlooked.
    spreads
        Whether launches that were not met themselves may have ended so, too: the fault was
        their device's.
    """

    launches: Collection[str] = ()
    failing: Sequence[Failing] = ()
    must_fail: bool = False
    spreads: bool = False


@dataclass
class Audit:
    """What does not agree, in sentences."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    misattributed: list[str] = field(default_factory=list)

    def __add__(self, other: Audit) -> Audit:
        return Audit(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.misattributed + other.misattributed,
        )

    @property
    def clean(self) -> bool:
        """Whether all agrees."""
        return not (self.lost or self.doubled or self.misattributed)


def audit(run: Run, journals: Sequence[Journal], met: Met) -> Audit:
    """Compare a run that was resumed to its end with its devices' journals."""
    records: _Records = defaultdict(list)
    for launch in run.launches:
        if launch.samples_ns:
            records[tuple(launch.samples_ns)].append(launch)
    completed = [done for journal in journals for done in journal.done]
    counted = [records.get(done.samples, []) for done in completed]
    results = Counter(
        (launch.case_id, launch.slot) for launch in run.launches if launch.status is Status.OK
    )
    slots = {
        (record.case.id, slot): f"{record.case.label}, launch {slot}"
        for record in run.cases
        for slot in range(len(record.roles))
    }
    return Audit(
        lost=[
            *(
                f"{done.launch} on {done.device}: completed, and not in the results"
                for done, found in zip(completed, counted, strict=True)
                if not found
            ),
            *(f"{name}: there is no result" for slot, name in slots.items() if not results[slot]),
        ],
        doubled=[
            *(
                f"{done.launch} on {done.device}: counted twice, as {', '.join(ids)}"
                for done, found in zip(completed, counted, strict=True)
                # A failed launch is on record with what it had, and counts for nothing.
                if len(ids := [each.id for each in found if each.status is not Status.FAILED]) > 1
            ),
            *(f"{name}: two results" for slot, name in slots.items() if results[slot] > 1),
        ],
        misattributed=[
            *_moved(run, completed, records),
            *_unknown(run, journals, records),
            *_unexplained(run, met),
        ],
    )


def _moved(run: Run, completed: Sequence[Done], records: _Records) -> Iterator[str]:
    """Yield results that are another case's, device's or slot's."""
    cases = {record.case.id: record.case for record in run.cases}
    for done in completed:
        for launch in records.get(done.samples, []):
            case = cases[launch.case_id]
            if (case.model, case.device) != (done.model, done.device):
                yield (
                    f"{launch.id}: stored for {case.model} on {case.device}, "
                    f"and was {done.model} on {done.device}"
                )
            elif _slot(done.launch) != (launch.case_id, launch.slot):
                yield f"{launch.id}: stored for another slot than {done.launch}"


def _unknown(run: Run, journals: Sequence[Journal], records: _Records) -> Iterator[str]:
    """Yield results whose samples nobody took on their device."""
    devices = {record.case.id: record.case.device for record in run.cases}
    # What a launch had taken when it was ended is a beginning of what it would have taken.
    taken = {
        (entry.device, entry.samples[:length])
        for journal in journals
        for entry in journal.sampled
        for length in range(1, len(entry.samples) + 1)
    }
    for samples, launches in records.items():
        for launch in launches:
            if (devices[launch.case_id], samples) not in taken:
                yield f"{launch.id}: its samples are not in its device's journal"


def _unexplained(run: Run, met: Met) -> Iterator[str]:
    """Yield launches that ended otherwise than what was done to them explains."""
    struck = {_slot(name) for name in met.launches}
    failed: set[_Slot] = set()
    for launch in run.launches:
        if launch.status is Status.OK:
            continue
        slot = (launch.case_id, launch.slot)
        failed.add(slot)
        if slot not in struck and not met.spreads:
            yield f"{launch.id}: {_end(launch)}, and nothing was done to it"
        elif not any(each.fits(launch) for each in met.failing):
            yield f"{launch.id}: {_end(launch)}, which is not what was done to it"
    if met.must_fail:
        for case, number in sorted(struck - failed):
            yield f"{case}-{number}: it was spoiled, and never ended so"


def _end(launch: Launch) -> str:
    category = f" ({launch.category.value})" if launch.category else ""
    return f"{launch.status.value}{category}: {launch.reason!r}"


def _slot(name: str) -> _Slot:
    """Return case and slot of a launch's name on its device: RUN-CASE-SLOT-NUMBER."""
    _, case, slot, _ = name.rsplit("-", 3)
    return case, int(slot)
