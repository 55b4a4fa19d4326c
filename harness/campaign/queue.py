"""The queue of a run's launches: which is next, again, later, or not made at all.

It waits for nothing and asks no device: :mod:`harness.campaign.execute` makes what it says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from harness.analysis.summary import FEWEST, launches_needed
from harness.campaign.plan import order
from harness.core.records import Category, Role, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from harness.campaign.plan import Slot
    from harness.core.records import Case, CaseRecord, Launch, Run
    from harness.lab.inventory import Device

__all__ = ["Queue", "is_unread"]


class _Attempt(NamedTuple):
    """What of a launch decides on others; the whole of it is stored, and may be large."""

    status: Status
    figure_ns: float | None
    unread: bool

    @classmethod
    def of(cls, launch: Launch) -> _Attempt:
        return cls(launch.status, launch.figure_ns, is_unread(launch))


def is_unread(launch: Launch) -> bool:
    """Whether a launch's end, or its outputs, were not read: they may still be on its device."""
    if launch.status is not Status.FAILED:
        return False
    return launch.exit is None or launch.category is Category.CONNECTION


class Queue:
    """What a run plans, by host, and what became of it.

    Hosts' threads use it at once, each with the slots of its own host.

    Parameters
    ----------
    run
        With the launches that it already has: they are not made again, unless they failed.
    devices
        Device name to device: all that the run has cases for.

    Attributes
    ----------
    left_out
        Case id to why the rest of its launches is not made.
    """

    def __init__(self, run: Run, devices: Mapping[str, Device]) -> None:
        self.left_out: dict[str, str] = {}
        self._run_id = run.id
        self._seed = run.seed
        self._redo_budget = run.protocol.redo_budget
        self._devices = devices
        self._cases = {record.case.id: record.case for record in run.cases}
        self._plan = order(run.cases, devices, run.seed)
        self._history: defaultdict[tuple[str, int], list[_Attempt]] = defaultdict(list)
        self._invalid: Counter[tuple[str, Role]] = Counter()
        for launch in sorted(run.launches, key=lambda launch: launch.attempt):
            self._remember(launch)
        self._tries: Counter[str] = Counter()  # case id to its failures in a row
        self._not_before: dict[str, float] = {}  # case id to when its next launch may begin
        self._left = self._pending()

    def left(self) -> dict[str, list[Slot]]:
        """Return each host's launches that are still to be made, in their order."""
        return {host: list(slots) for host, slots in self._left.items()}

    def left_of(self, host: str) -> int:
        """Return how many launches a host has still to make."""
        return len(self._left[host])

    def devices_of(self, host: str) -> set[str]:
        """Return the devices that launches of a host are left for."""
        return {self.case_of(slot).device for slot in self._left[host]}

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
        return f"{self._run_id}-{slot.case_id}-{slot.slot}-{self._read(slot.case_id, slot.slot)}"

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
        for slots in self._left.values():
            slots.sort(key=lambda slot: self.name(slot) not in names)

    def next(self, host: str, now: float, is_aside: Callable[[str], bool]) -> Slot | None:
        """Return a host's first launch that may begin now.

        Parameters
        ----------
        is_aside
            Whether a device is put aside.
        """
        unfilled: set[str] = set()
        for slot in self._left[host]:
            away = is_aside(self.case_of(slot).device)
            due = not away and self._not_before.get(slot.case_id, 0.0) <= now
            if due and slot.case_id not in unfilled:
                return slot
            if slot.role is Role.FILL:
                unfilled.add(slot.case_id)
        return None

    def due_in_s(self, host: str, now: float, is_aside: Callable[[str], bool]) -> list[float]:
        """Return after how long launches may begin that a host has to wait for."""
        later = [
            self._not_before.get(slot.case_id, 0.0) - now
            for slot in self._left[host]
            if not is_aside(self.case_of(slot).device)
        ]
        return [each for each in later if each > 0]

    def ended(self, slot: Slot, launch: Launch) -> None:
        """Take down how a slot's launch ended.

        It is off the queue, unless it failed, or is invalid and there is budget to make it again.
        """
        self._remember(launch)
        if launch.status is Status.FAILED:
            self._tries[slot.case_id] += 1
            return
        self.forgive(slot)
        if self.holds(slot) and not self._is_pending(slot):
            self._left[self._host_of(slot)].remove(slot)

    def holds(self, slot: Slot) -> bool:
        """Whether a slot's launch is still to be made."""
        return slot in self._left[self._host_of(slot)]

    def tries(self, slot: Slot) -> int:
        """Return how often in a row launches of a slot's case have failed."""
        return self._tries[slot.case_id]

    def forgive(self, slot: Slot) -> None:
        """Count the failures of a slot's case anew."""
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

    def leave_out_case(self, case_id: str, why: str) -> None:
        """Make no more launches of a case."""
        self._leave_out(self._cases[case_id].device, why, lambda slot: slot.case_id == case_id)

    def leave_out_device(self, device: str, why: str) -> None:
        """Make no more launches on a device."""
        self._leave_out(device, why, lambda slot: self.case_of(slot).device == device)

    def refill(self, device: str) -> None:
        """Have a device's model caches filled again, of the cases that it has launches left of."""
        host = self._devices[device].host
        left = self._left[host]
        wanted = {slot.case_id for slot in left if self.case_of(slot).device == device}
        left[:0] = [
            slot
            for slot in self._plan[host]
            if slot.role is Role.FILL and slot.case_id in wanted and slot not in left
        ]

    def asked_for(self, host: str, records: Sequence[CaseRecord]) -> list[CaseRecord]:
        """Return cases' records with what the first stages of a host ask for, once they tell."""
        return [self._asking(record, host) for record in records]

    def second_stage(self, host: str, records: Sequence[CaseRecord]) -> int:
        """Queue what the first stages of a host asked for; return how many launches that is."""
        planned = {(slot.case_id, slot.slot) for slot in self._plan[host]}
        more = [
            slot
            for slot in order(records, self._devices, self._seed)[host]
            if (slot.case_id, slot.slot) not in planned
        ]
        self._plan[host] = [*self._plan[host], *more]
        wanted = [slot for slot in more if slot.case_id not in self.left_out]
        self._left[host] += wanted
        return len(wanted)

    def _remember(self, launch: Launch) -> None:
        self._history[launch.case_id, launch.slot].append(_Attempt.of(launch))
        if launch.status is Status.INVALID:
            self._invalid[launch.case_id, launch.role] += 1

    def _host_of(self, slot: Slot) -> str:
        return self._devices[self.case_of(slot).device].host

    def _pending(self) -> dict[str, list[Slot]]:
        # A model cache is filled for them anew: whatever an earlier controller had filled may be
        # gone, or half of it.
        cases = {
            slot.case_id
            for slots in self._plan.values()
            for slot in slots
            if slot.role is not Role.FILL and self._is_pending(slot)
        }
        return {
            host: [
                slot
                for slot in slots
                if (slot.case_id in cases if slot.role is Role.FILL else self._is_pending(slot))
            ]
            for host, slots in self._plan.items()
        }

    def _is_pending(self, slot: Slot) -> bool:
        attempts = self._history[slot.case_id, slot.slot]
        if not attempts or attempts[-1].status is Status.FAILED:
            return True
        within = self._invalid[slot.case_id, slot.role] <= self._redo_budget
        return attempts[-1].status is Status.INVALID and within

    def _leave_out(self, device: str, why: str, is_out: Callable[[Slot], bool]) -> None:
        left = self._left[self._devices[device].host]
        for slot in list(left):
            if is_out(slot):
                self.left_out.setdefault(slot.case_id, why)
                left.remove(slot)

    def _asking(self, record: CaseRecord, host: str) -> CaseRecord:
        settled = record.more is not None or record.refused is not None
        if settled or self._devices[record.case.device].host != host:
            return record
        last = (self._history[record.case.id, slot][-1:] for slot in range(record.launches))
        figures = [
            each.figure_ns
            for attempts in last
            for each in attempts
            if each.status is Status.OK and each.figure_ns
        ]
        if record.precision is None or len(figures) < FEWEST:
            return record  # a resumption makes what failed again, and asks anew
        needed = launches_needed(figures, record.precision, record.max_launches or 0)
        return record.model_copy(update={"more": needed - len(figures)})
