"""Execution: the launches of a run, one at a time per host, each stored as it ends."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from harness.analysis.summary import FEWEST, launches_needed
from harness.campaign.judge import judge
from harness.campaign.launch import DeviceBusyError, LaunchLostError
from harness.campaign.plan import order
from harness.devices.leases import LeasedError
from harness.results.schema import Category, Launch, OutputCheck, Role, Status
from harness.transport.base import TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from harness.campaign.launch import Ended, Launcher
    from harness.campaign.on_device import OnDevice
    from harness.campaign.plan import Slot
    from harness.campaign.prepare import Prepared
    from harness.results.schema import CaseRecord, Run
    from harness.results.store import Store

__all__ = ["Execution", "Observer"]

# A case whose first launches fail in a row is given up: the next one would fail likewise.
FAILURES_IN_A_ROW = 2
GRACE_S = 5.0  # from a launch's end to its thread's, when a run is interrupted


class Observer(Protocol):
    """What is told of an execution's progress, from the hosts' threads."""

    def begins(self, host: str, case: str, launches_left: int) -> None:
        """Tell that a launch begins."""

    def stands(self, host: str, case: str, state: str) -> None:
        """Tell that a launch is ``waiting`` for its device, ``running``, or its link ``away``."""

    def ended(self, host: str, launch: Launch) -> None:
        """Tell that a launch has ended and is stored."""

    def gave_up(self, host: str, case: str) -> None:
        """Tell that the rest of a case's launches is left out."""

    def asks_for_more(self, host: str, launches: int) -> None:
        """Tell that the first stage asked for so many launches in a second one."""

    def put_aside(self, host: str, device: str) -> None:
        """Tell that the rest of a device's launches is left out: it is somebody else's now."""


class Execution:
    """One run's launches.

    Parameters
    ----------
    run
        With the launches that it already has: they are not made again, unless they failed.
    prepared
        Case id to what its launches need.
    devices
        Device name to the device, where it was reached.

    Attributes
    ----------
    run
        With what a second stage asked for, once that is known.
    """

    def __init__(
        self,
        run: Run,
        prepared: Mapping[str, Prepared],
        devices: Mapping[str, OnDevice],
        store: Store,
        observer: Observer,
    ) -> None:
        self.run = run
        self._prepared = prepared
        self._store = store
        self._observer = observer
        self._stop = threading.Event()
        self._active: dict[str, tuple[Launcher, str]] = {}
        self._devices = devices
        hosts = {name: each.device for name, each in devices.items()}
        self._hosts = hosts
        self._plan = order(run.cases, hosts, run.seed)
        self._recording = threading.Lock()
        self._history: defaultdict[tuple[str, int], list[Launch]] = defaultdict(list)
        for launch in sorted(run.launches, key=lambda launch: launch.attempt):
            self._history[launch.case_id, launch.slot].append(launch)
        self._invalid = Counter(
            (launch.case_id, launch.role)
            for launch in run.launches
            if launch.status is Status.INVALID
        )
        self._failing: Counter[str] = Counter()
        self._taken: set[str] = set()  # devices that are somebody else's by now

    def pending(self) -> dict[str, list[Slot]]:
        """Return each host's launches that are still to be made."""
        return {
            host: [slot for slot in slots if self._is_pending(slot)]
            for host, slots in self._plan.items()
        }

    def measure(self) -> None:
        """Make the pending launches.

        Raises
        ------
        KeyboardInterrupt
            The user's; runners on devices are ended first, and what is stored stays.
        """
        pending = self.pending()
        if self.run.launches:
            self._clear(pending)
            self._join_first(pending)
        workers: list[Future[None]] = []
        with ThreadPoolExecutor(max(1, len(pending)), thread_name_prefix="host") as pool:
            try:
                workers += [pool.submit(self._host, host, slots) for host, slots in pending.items()]
                wait(workers, return_when="FIRST_EXCEPTION")
            finally:
                # Also where one host's worker met an error of ours: the others end cleanly.
                self._stop.set()
                self._end_active(workers)
            for worker in workers:
                worker.result()
        for device in self._devices.values():
            with suppress(TransportError):
                device.forget_model_caches()

    def _join_first(self, pending: Mapping[str, list[Slot]]) -> None:
        """Put what an earlier controller left running first: all else would find a busy device."""
        alive: set[str] = set()
        for device in self._devices.values():
            with suppress(TransportError):
                alive.update(device.launcher.living())
        for slots in pending.values():
            slots.sort(key=lambda slot: self._name(slot) not in alive)

    def _is_pending(self, slot: Slot) -> bool:
        if slot.role is Role.FILL:
            # Whatever an earlier controller had filled may be gone, or half of it.
            every = (each for slots in self._plan.values() for each in slots)
            others = (each for each in every if each.case_id == slot.case_id and each != slot)
            return any(map(self._is_pending, others))
        attempts = self._history[slot.case_id, slot.slot]
        if not attempts or attempts[-1].status is Status.FAILED:
            return True
        return attempts[-1].status is Status.INVALID and self._may_redo(slot)

    def _may_redo(self, slot: Slot) -> bool:
        return self._invalid[slot.case_id, slot.role] <= self.run.protocol.redo_budget

    def _name(self, slot: Slot) -> str:
        """Return the id on its device of a slot's next launch.

        A launch whose link was given up may have gone on there: the next attempt goes by its
        name, and so collects it.
        """
        attempts = self._history[slot.case_id, slot.slot]
        number = len(attempts)
        while number and attempts[number - 1].category is Category.CONNECTION:
            number -= 1
        return f"{self.run.id}-{slot.case_id}-{slot.slot}-{number}"

    def _clear(self, pending: Mapping[str, Sequence[Slot]]) -> None:
        """Remove from the devices what earlier controllers stored and did not live to remove."""
        wanted = {self._name(slot) for slots in pending.values() for slot in slots}
        for device in self._devices.values():
            with suppress(TransportError):
                ours = [
                    launch
                    for launch in device.launcher.kept()
                    if launch.startswith(f"{self.run.id}-") and launch not in wanted
                ]
                if ours:
                    device.launcher.forget(ours)

    def _end_active(self, workers: Sequence[Future[None]]) -> None:
        active = list(self._active.values())
        for launcher, launch in active:
            launcher.interrupt(launch)
        if wait(workers, timeout=GRACE_S).not_done:
            for launcher, _ in active:
                launcher.hang_up()

    def _host(self, host: str, slots: list[Slot]) -> None:
        left = list(slots)
        while not self._stop.is_set() and (left or (left := self._second_stage(host))):
            slot = left[0]
            case = self._prepared[slot.case_id].case
            self._keep_leases(host)
            lost = False
            if self._failing[slot.case_id] < FAILURES_IN_A_ROW:
                self._observer.begins(host, case.label, len(left))
                lost = self._fill(host, slot)
                if self._failing[slot.case_id] == FAILURES_IN_A_ROW:
                    self._observer.gave_up(host, case.label)
            if case.device in self._taken:
                left = [each for each in left[1:] if self._device_of(each) != case.device]
                self._observer.put_aside(host, case.device)
            elif lost:
                # The host's other devices need not wait for this one. When it is back, it goes on
                # with this launch, which may still hold it.
                left.sort(key=lambda each: self._device_of(each) == case.device)
            else:
                del left[0]

    def _second_stage(self, host: str) -> list[Slot]:
        """Plan and record what the first stage of a host's cases asks for; at most once."""
        with self._recording:  # hosts end their first stages at any time
            records = [self._asking(record, host) for record in self.run.cases]
            if records == self.run.cases:
                return []
            self.run = self.run.model_copy(update={"cases": records})
            self._store.update(self.run)
            before = len(self._plan[host])
            self._plan[host] = order(records, self._hosts, self.run.seed)[host]
            more = self._plan[host][before:]
        if more:
            self._observer.asks_for_more(host, len(more))
        return more

    def _asking(self, record: CaseRecord, host: str) -> CaseRecord:
        """Return a case's record with what its first stage asks for, where that is to be told."""
        settled = record.more is not None or record.refused is not None
        if settled or self._hosts[record.case.device].host != host:
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

    def _keep_leases(self, host: str) -> None:
        """Renew what would run out while the host's other devices are measured."""
        for each in self._devices.values():
            if each.device.host == host and each.launcher.lease:
                with suppress(TransportError):  # the next launch there tells what is wrong
                    each.launcher.lease.keep()

    def _device_of(self, slot: Slot) -> str:
        return self._prepared[slot.case_id].case.device

    def _fill(self, host: str, slot: Slot) -> bool:
        """Make a slot's launch, and make it again while it is invalid and the budget lasts.

        Return whether the link to its device was lost, so that it may be under way there.
        """
        attempts = self._history[slot.case_id, slot.slot]
        while not self._stop.is_set():
            prepared = self._prepared[slot.case_id]
            device = self._devices[prepared.case.device]
            name = self._name(slot)
            self._active[host] = (device.launcher, name)
            try:
                launch = self._launch(name, slot, len(attempts))
            finally:
                del self._active[host]
            # What we ended is neither a result nor a failure; what was done in time is a result.
            stopped = self._stop.is_set() and launch.status is not Status.OK
            if not stopped:
                self._store.add(self.run.id, launch)
                self._observer.ended(host, launch)
                attempts.append(launch)
            lost = launch.category is Category.CONNECTION
            # One that had ended, but whose outputs were not checked any more, is collected later.
            unread = stopped and launch.exit is not None and launch.exit.reason != "stopped"
            if not unread and (stopped or not lost):
                with suppress(TransportError):
                    device.launcher.forget([name])
            if stopped:
                break
            if launch.status is Status.FAILED:
                self._failing[slot.case_id] += 1
            else:
                self._failing[slot.case_id] = 0
            if launch.status is Status.INVALID:
                self._invalid[slot.case_id, slot.role] += 1
                if self._may_redo(slot):
                    continue
            if slot.role is Role.FILL and launch.status is not Status.OK and not lost:
                self._failing[slot.case_id] = FAILURES_IN_A_ROW  # the others would find no cache
            return lost
        return False

    def _launch(self, name: str, slot: Slot, attempt: int) -> Launch:
        prepared = self._prepared[slot.case_id]
        device = self._devices[prepared.case.device]
        patience = device.launcher.patience
        stands = partial(self._observer.stands, device.device.host, prepared.case.label)
        patience.on_change = lambda away: stands("away" if away else "running")
        job = prepared.job(name, slot, self.run.protocol)
        handling = prepared.handling(slot, self.run.protocol)
        begun = datetime.now(UTC)
        clock = time.monotonic()
        category: Category | None = None
        fields: dict[str, Any] = {}
        ended: Ended | None = None
        check: OutputCheck | None = None
        try:
            links = patience(partial(device.deploy, prepared, job))
            if prepared.case.model_cache == "kept":
                cache = device.model_cache(prepared, links)
                job = job.model_copy(update={"model_cache": cache})
            ended = device.launcher.run(
                job,
                links,
                prepared.runner.command(job),
                handling,
                on_state=stands,
            )
            ended = prepared.runner.translate(ended, job)
            required = prepared.runner.returns_outputs
            verdict = judge(ended, job, slot.role, outputs_required=required)
            status, category, reason = verdict.status, verdict.category, verdict.reason
            fields = verdict.fields
            if status is Status.OK and verdict.outputs:
                fills = slot.role is Role.FILL
                check = patience(
                    partial(device.check, job, prepared, verdict.outputs, fills_cache=fills)
                )
                if not check.passed:
                    status, reason = Status.INVALID, f"wrong outputs: {check.reason}"
        except TransportError as error:
            if isinstance(error, LeasedError):
                self._taken.add(prepared.case.device)
            hint = f" (try: {error.hint})" if error.hint else ""
            status, category, reason = Status.FAILED, _category(error), f"{error.message}{hint}"
        return Launch(
            id=f"{self.run.id}-{slot.case_id}-{slot.slot}-{attempt}",
            case_id=slot.case_id,
            role=slot.role,
            slot=slot.slot,
            attempt=attempt,
            position=slot.position,
            started=begun,
            status=status,
            category=category,
            reason=reason,
            outputs=check,
            wall_s=None if ended and ended.collected else time.monotonic() - clock,
            log=ended.log if ended else "",
            exit=ended.outside.exit if ended else None,
            watch=ended.outside.environment if ended else [],
            conditions=ended.outside.conditions if ended else None,
            **fields,
        )


def _category(error: TransportError) -> Category:
    match error:
        case TransferError():
            return Category.DEPLOY
        case DeviceBusyError() | LaunchLostError() | LeasedError():
            return Category.DEVICE
        case _:
            return Category.CONNECTION
