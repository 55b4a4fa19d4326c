"""Execution: the launches of a run, one at a time per host, each stored as it ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from harness.campaign.judge import judge
from harness.campaign.launch import DeviceBusyError, LaunchLostError
from harness.campaign.plan import order
from harness.results.schema import Category, Launch, OutputCheck, Status
from harness.transport.base import CommandTimeoutError, TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.campaign.launch import Ended, Launcher
    from harness.campaign.on_device import OnDevice
    from harness.campaign.plan import Slot
    from harness.campaign.prepare import Prepared
    from harness.results.schema import Run
    from harness.results.store import Store

__all__ = ["Execution", "Observer"]

# A case whose first launches fail in a row is given up: the next one would fail likewise.
FAILURES_IN_A_ROW = 2


class Observer(Protocol):
    """What is told of an execution's progress, from the hosts' threads."""

    def begins(self, host: str, case: str, launches_left: int) -> None:
        """Tell that a launch begins."""

    def ended(self, host: str, launch: Launch) -> None:
        """Tell that a launch has ended and is stored."""

    def gave_up(self, host: str, case: str) -> None:
        """Tell that the rest of a case's launches is left out."""


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
    """

    def __init__(
        self,
        run: Run,
        prepared: Mapping[str, Prepared],
        devices: Mapping[str, OnDevice],
        store: Store,
        observer: Observer,
    ) -> None:
        self._run = run
        self._prepared = prepared
        self._store = store
        self._observer = observer
        self._stop = threading.Event()
        self._active: dict[str, tuple[Launcher, str]] = {}
        self._devices = devices
        hosts = {name: each.device for name, each in devices.items()}
        self._plan = order(run.cases, hosts, run.seed)
        self._history = {
            (launch.case_id, launch.slot): launch
            for launch in sorted(run.launches, key=lambda launch: launch.attempt)
        }
        self._invalid = Counter(
            launch.case_id for launch in run.launches if launch.status is Status.INVALID
        )
        self._failing: Counter[str] = Counter()

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
        with ThreadPoolExecutor(max(1, len(pending)), thread_name_prefix="host") as pool:
            try:
                workers = [pool.submit(self._host, host, slots) for host, slots in pending.items()]
                wait(workers, return_when="FIRST_EXCEPTION")
            finally:
                # Also where one host's worker met an error of ours: the others end cleanly.
                self._stop.set()
                self._end_active()
            for worker in workers:
                worker.result()

    def _is_pending(self, slot: Slot) -> bool:
        last = self._history.get((slot.case_id, slot.slot))
        if last is None or last.status is Status.FAILED:
            return True
        return last.status is Status.INVALID and self._may_redo(slot.case_id)

    def _may_redo(self, case_id: str) -> bool:
        return self._invalid[case_id] <= self._run.protocol.redo_budget

    def _end_active(self) -> None:
        for launcher, launch in list(self._active.values()):
            with suppress(TransportError):
                launcher.stop([launch])

    def _host(self, host: str, slots: list[Slot]) -> None:
        for index, slot in enumerate(slots):
            if self._stop.is_set():
                return
            if self._failing[slot.case_id] < FAILURES_IN_A_ROW:
                label = self._prepared[slot.case_id].case.label
                self._observer.begins(host, label, len(slots) - index)
                self._fill(host, slot)
                if self._failing[slot.case_id] == FAILURES_IN_A_ROW:
                    self._observer.gave_up(host, label)

    def _fill(self, host: str, slot: Slot) -> None:
        """Make a slot's launch, and make it again while it is invalid and the budget lasts."""
        last = self._history.get((slot.case_id, slot.slot))
        attempt = 0 if last is None else last.attempt + 1
        while not self._stop.is_set():
            prepared = self._prepared[slot.case_id]
            device = self._devices[prepared.case.device]
            launch_id = f"{self._run.id}-{slot.case_id}-{slot.slot}-{attempt}"
            self._active[host] = (device.launcher, launch_id)
            try:
                launch = self._launch(launch_id, slot, attempt)
            finally:
                del self._active[host]
            # What we ended is neither a result nor a failure; what was done in time is a result.
            stopped = self._stop.is_set() and launch.status is not Status.OK
            if not stopped:
                self._store.add(self._run.id, launch)
                self._observer.ended(host, launch)
            with suppress(TransportError):
                device.launcher.forget([launch_id])
            if stopped:
                return
            if launch.status is Status.FAILED:
                self._failing[slot.case_id] += 1
                return
            self._failing[slot.case_id] = 0
            if launch.status is Status.OK:
                return
            self._invalid[slot.case_id] += 1
            if not self._may_redo(slot.case_id):
                return
            attempt += 1

    def _launch(self, launch_id: str, slot: Slot, attempt: int) -> Launch:
        prepared = self._prepared[slot.case_id]
        device = self._devices[prepared.case.device]
        job = prepared.job(launch_id, self._run.protocol)
        begun = datetime.now(UTC)
        clock = time.monotonic()
        category: Category | None = None
        fields: dict[str, Any] = {}
        ended: Ended | None = None
        check: OutputCheck | None = None
        try:
            links = device.deploy(prepared, job)
            ended = device.launcher.run(job, links, prepared.runner.command(job))
            ended = prepared.runner.translate(ended, job)
            verdict = judge(ended, job, outputs_required=prepared.runner.returns_outputs)
            status, category, reason = verdict.status, verdict.category, verdict.reason
            fields = verdict.fields
            if status is Status.OK and verdict.outputs:
                check = device.check(job, prepared, verdict.outputs)
                if not check.passed:
                    status, reason = Status.INVALID, f"wrong outputs: {check.reason}"
        except TransportError as error:
            device.forget_deployed()
            status, category, reason = Status.FAILED, _category(error), error.message
        return Launch(
            id=launch_id,
            case_id=slot.case_id,
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
            **fields,
        )


def _category(error: TransportError) -> Category:
    match error:
        case TransferError():
            return Category.DEPLOY
        case CommandTimeoutError():
            return Category.TIMEOUT
        case DeviceBusyError() | LaunchLostError():
            return Category.DEVICE
        case _:
            return Category.CONNECTION
