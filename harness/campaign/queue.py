"""The queue of a host's launches: which is next, again, later, or not made at all.

It waits for nothing and asks no device: :mod:`harness.campaign.host` makes what it says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from harness.analysis.summary import FEWEST, launches_needed
from harness.campaign.plan import order
from harness.campaign.share import Attempt
from harness.core.records import Role, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from harness.campaign.plan import Slot
    from harness.campaign.share import Share
    from harness.core.reason import Reason
    from harness.core.records import Case, CaseRecord, Launch

__all__ = ["FIRST", "Queue"]

FIRST: Final = (Role.FILL, Role.SEARCH)
"""What launches are for without which a case's others cannot be made."""


class Queue:
    """What a host's share of a run plans, and what became of it.

    Attributes
    ----------
    left_out
        Case id to why the rest of its launches is not made.
    """

    def __init__(self, share: Share) -> None:
        self.left_out: dict[str, Reason] = {}
        self._share = share
        self._cases = {record.case.id: record.case for record in share.cases}
        self._plan = list(share.slots)
        self._history: defaultdict[tuple[str, int], list[Attempt]] = defaultdict(list)
        self._invalid: Counter[tuple[str, Role]] = Counter()
        for attempt in share.attempts:
            self._remember(attempt)
        self._tries: Counter[str] = Counter()  # case id to its failures in a row
        self._not_before: dict[str, float] = {}  # case id to when its next launch may begin
        self._left = self._pending()

    def left(self) -> list[Slot]:
        """Return the launches that are still to be made, in their order."""
        return list(self._left)

    def devices(self) -> set[str]:
        """Return the devices that launches are left for."""
        return {self.case_of(slot).device for slot in self._left}

    def case_of(self, slot: Slot) -> Case:
        """Return what a slot's launch measures."""
        return self._cases[slot.case_id]

    def attempts(self, slot: Slot) -> int:
        """Return how often a slot's launch was made."""
        return len(self._history[slot.case_id, slot.slot])

    def name(self, slot: Slot) -> str:
        """Return the id on its device of a slot's next launch.

        A launch that was not read to its end may have gone on there: the next attempt goes by its
        name, and so collects it.
        """
        return f"{self._share.run}-{slot.case_id}-{slot.slot}-{self._read(slot.case_id, slot.slot)}"

    def is_settled(self, name: str) -> bool:
        """Whether all that a launch of this run left on its device is stored, or not wanted."""
        try:
            _, case_id, slot, number = name.rsplit("-", 3)
            return int(number) < self._read(case_id, int(slot))
        except ValueError:
            return False

    def _read(self, case_id: str, slot: int) -> int:
        """Return how many of a slot's launches were read, up to the last of them."""
        attempts = self._history.get((case_id, slot), [])
        number = len(attempts)
        while number and attempts[number - 1].unread:
            number -= 1
        return number

    def put_first(self, names: Container[str]) -> None:
        """Have launches made first that go by some names on their devices."""
        self._left.sort(key=lambda slot: self.name(slot) not in names)

    def next(self, now: float, is_aside: Callable[[str], bool]) -> Slot | None:
        """Return the first launch that may begin now.

        Parameters
        ----------
        is_aside
            Whether a device is put aside.
        """
        unready: set[str] = set()
        for slot in self._left:
            away = is_aside(self.case_of(slot).device)
            due = not away and self._not_before.get(slot.case_id, 0.0) <= now
            if due and slot.case_id not in unready:
                return slot
            if slot.role in FIRST:
                unready.add(slot.case_id)
        return None

    def rate_of(self, case_id: str) -> float | None:
        """Return the rate that a search found for a case; none where none did yet."""
        found = [
            attempt.rate
            for (case, _), attempts in self._history.items()
            if case == case_id
            for attempt in attempts
            if attempt.status is Status.OK and attempt.rate is not None
        ]
        return found[-1] if found else None

    def due_in_s(self, now: float, is_aside: Callable[[str], bool]) -> list[float]:
        """Return after how long launches may begin that have to wait."""
        later = [
            self._not_before.get(slot.case_id, 0.0) - now
            for slot in self._left
            if not is_aside(self.case_of(slot).device)
        ]
        return [each for each in later if each > 0]

    def ended(self, slot: Slot, launch: Launch) -> None:
        """Take down how a slot's launch ended.

        It is off the queue, unless it failed, or is invalid and there is budget to make it again.
        """
        self._remember(Attempt.of(launch))
        if launch.status is Status.FAILED:
            self._tries[slot.case_id] += 1
            return
        self.forgive(slot)
        if self.holds(slot) and not self._is_pending(slot):
            self._left.remove(slot)

    def holds(self, slot: Slot) -> bool:
        """Whether a slot's launch is still to be made."""
        return slot in self._left

    def tries(self, slot: Slot) -> int:
        """Return how often in a row launches of a slot's case have failed."""
        return self._tries[slot.case_id]

    def forgive(self, slot: Slot) -> None:
        """Count the failures of a slot's case again."""
        self._tries.pop(slot.case_id, None)

    def postpone(self, slot: Slot, until: float) -> None:
        """Have no launch of a slot's case begin before then."""
        self._not_before[slot.case_id] = until

    def went_well(self, case_id: str) -> bool:
        """Whether a launch of a case went well in this run."""
        return any(
            attempt.status is Status.OK
            for (case, _), attempts in self._history.items()
            if case == case_id
            for attempt in attempts
        )

    def leave_out_case(self, case_id: str, why: Reason) -> None:
        """Make no more launches of a case."""
        self._leave_out(why, lambda slot: slot.case_id == case_id)

    def leave_out_device(self, device: str, why: Reason) -> None:
        """Make no more launches on a device."""
        self._leave_out(why, lambda slot: self.case_of(slot).device == device)

    def refill(self, device: str) -> None:
        """Have a device's model caches filled again, of the cases that it has launches left of."""
        left = self._left
        wanted = {slot.case_id for slot in left if self.case_of(slot).device == device}
        left[:0] = [
            slot
            for slot in self._plan
            if slot.role is Role.FILL and slot.case_id in wanted and slot not in left
        ]

    def asked_for(self, records: Sequence[CaseRecord]) -> list[CaseRecord]:
        """Return cases' records with what their first stages ask for, once they tell."""
        return [self._asking(record) for record in records]

    def second_stage(self, records: Sequence[CaseRecord]) -> int:
        """Queue what first stages asked for; return how many launches that is."""
        planned = {(slot.case_id, slot.slot) for slot in self._plan}
        more = [
            slot
            for slot in order(records, self._share.host, self._share.seed)
            if (slot.case_id, slot.slot) not in planned
        ]
        self._plan += more
        wanted = [slot for slot in more if slot.case_id not in self.left_out]
        self._left += wanted
        return len(wanted)

    def _remember(self, attempt: Attempt) -> None:
        self._history[attempt.case_id, attempt.slot].append(attempt)
        if attempt.status is Status.INVALID:
            self._invalid[attempt.case_id, attempt.role] += 1

    def _pending(self) -> list[Slot]:
        # A model cache is filled for them again: whatever an earlier controller had filled may be
        # gone, or half of it.
        cases = {
            slot.case_id
            for slot in self._plan
            if slot.role is not Role.FILL and self._is_pending(slot)
        }
        return [
            slot
            for slot in self._plan
            if (slot.case_id in cases if slot.role is Role.FILL else self._is_pending(slot))
        ]

    def _is_pending(self, slot: Slot) -> bool:
        attempts = self._history[slot.case_id, slot.slot]
        if not attempts or attempts[-1].status is Status.FAILED:
            return True
        within = self._invalid[slot.case_id, slot.role] <= self._share.protocol.redo_budget
        return attempts[-1].status is Status.INVALID and within

    def _leave_out(self, why: Reason, is_out: Callable[[Slot], bool]) -> None:
        for slot in self.left():
            if is_out(slot):
                self.left_out.setdefault(slot.case_id, why)
                self._left.remove(slot)

    def _asking(self, record: CaseRecord) -> CaseRecord:
        if record.more is not None or record.refused is not None:
            return record
        last = (self._history[record.case.id, slot][-1:] for slot in range(record.launches))
        figures = [
            each.figure_ns
            for attempts in last
            for each in attempts
            if each.status is Status.OK and each.figure_ns
        ]
        if record.precision is None or len(figures) < FEWEST:
            return record  # a resumption makes what failed again, and asks again
        needed = launches_needed(figures, record.precision, record.max_launches or 0)
        return record.model_copy(update={"more": needed - len(figures)})
