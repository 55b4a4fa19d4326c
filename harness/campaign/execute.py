"""Execution: the launches of a run, one at a time per host, each stored as it ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.campaign.judge import judge
from harness.campaign.launch import DeviceBusyError, LaunchLostError
from harness.campaign.queue import Queue, is_unread
from harness.campaign.recovery import Recovery
from harness.campaign.retry import (
    Again,
    Aside,
    Cause,
    GiveUp,
    PowerCycle,
    cause_of,
    cause_of_error,
    next_step,
)
from harness.core.clock import SteadyClock
from harness.core.errors import HarnessError, LabError
from harness.core.futures import finish
from harness.core.records import Category, Launch, Measured, OutputCheck, Role, Status
from harness.lab.leases import LeasedError
from harness.transports.base import TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from harness.campaign.launch import Ended, Launcher
    from harness.campaign.observer import Observer
    from harness.campaign.on_device import Absent, OnDevice
    from harness.campaign.plan import Slot
    from harness.campaign.prepare import Prepared
    from harness.core.records import Run
    from harness.results.store import Store

__all__ = ["Execution"]

GRACE_S = 5.0  # from a launch's end to its thread's, when a run is interrupted


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
    absent
        Device name to one that was not reached; it is tried again.
    folder
        Of the workspace, in which power-cycle commands run.
    pause, clock
        Let time pass and tell it, in seconds, between launches; by default this machine's.
    wall
        Tells the times that are stored.

    Attributes
    ----------
    run
        With what a second stage asked for, once that is known.
    """

    def __init__(  # noqa: PLR0913 - all that a run is made of
        self,
        run: Run,
        prepared: Mapping[str, Prepared],
        devices: Mapping[str, OnDevice],
        store: Store,
        observer: Observer,
        *,
        absent: Mapping[str, Absent] = MappingProxyType({}),
        folder: Path,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: SteadyClock | None = None,
    ) -> None:
        self.run = run
        self._wall = wall or SteadyClock()
        self._prepared = dict(prepared)
        self._store = store
        self._observer = observer
        self._stop = threading.Event()
        self._active: dict[str, tuple[Launcher, str]] = {}
        self._devices = dict(devices)
        self._absent = dict(absent)
        hosts = {name: each.device for name, each in devices.items()}
        hosts |= {name: each.device for name, each in absent.items()}
        self._queue = Queue(run, hosts)
        self._hosts = len(self._queue.left())
        self._recording = threading.Lock()
        self._ended: dict[str, bool] = {}  # other runs
        self._waiting: set[str] = set()  # hosts with nothing but devices that were put aside
        self._pause = pause or self._stop.wait
        self._recovery = Recovery(
            run.id, folder, store, observer, is_over=self._stop.is_set, clock=clock
        )
        for name, each in absent.items():
            self._recovery.absent(name, each.why)

    def pending(self) -> dict[str, list[Slot]]:
        """Return each host's launches that are still to be made."""
        return self._queue.left()

    def measure(self) -> None:
        """Make the pending launches.

        Raises
        ------
        KeyboardInterrupt
            The user's; runners on devices are ended first, and what is stored stays.
        """
        pending = self.pending()
        for device in self._devices.values():
            with suppress(TransportError):
                self._take_stock(device)
        workers: list[Future[None]] = []
        with ThreadPoolExecutor(max(1, len(pending)), thread_name_prefix="host") as pool:
            try:
                workers += [pool.submit(self._host, host) for host in pending]
                finish(workers)
            finally:
                # Also where one host's worker met an error of ours: the others end cleanly.
                self._stop.set()
                self._end_active(workers)
        for name, device in self._devices.items():
            if not self._recovery.of(name).aside:
                with suppress(TransportError):
                    device.tidy()

    def outcome(self) -> Run:
        """Return the run with its end and what became of its cases, without its launches."""
        return self.run.model_copy(
            update={
                "launches": [],
                "finished": self._wall.now(),
                "clock_jumped_s": self._wall.jumped_s or self.run.clock_jumped_s,
                "cases": [
                    record.model_copy(
                        update={"left_out": self._queue.left_out.get(record.case.id, "")}
                    )
                    for record in self.run.cases
                ],
            }
        )

    def _take_stock(self, device: OnDevice) -> None:
        """Look for what earlier controllers left on a device, which it will be asked for first.

        What of this run is stored is removed, and so is what nobody will come for: the launches of
        runs that have ended.

        Raises
        ------
        TransportError
            It does not answer.
        """
        launcher = device.launcher
        kept = launcher.kept()
        ours = {name for name in kept if name.startswith(f"{self.run.id}-")}
        settled = {name for name in ours if self._queue.is_settled(name)}
        launcher.uncollected |= ours - settled
        over = {name for name in set(kept) - ours if self._has_ended(name.rsplit("-", 3)[0])}
        if settled | over:
            launcher.forget(sorted(settled | over))
        if ours - settled:
            # Else all others would find a busy device.
            self._queue.put_first(set(launcher.living()))

    def _has_ended(self, run_id: str) -> bool:
        """Whether a run of this workspace has ended: what it left behind, nobody comes for."""
        if run_id not in self._ended:
            known = self._store.find(run_id)
            run = self._store.load(run_id, samples=False) if known else None
            self._ended[run_id] = bool(run and (run.finished or run.confirms))
        return self._ended[run_id]

    def _end_active(self, workers: Sequence[Future[None]]) -> None:
        active = list(self._active.values())
        for launcher, launch in active:
            launcher.interrupt(launch)
        if wait(workers, timeout=GRACE_S).not_done:
            for launcher, _ in active:
                launcher.hang_up()

    def _host(self, host: str) -> None:
        queue = self._queue
        while not self._stop.is_set() and (queue.left_of(host) or self._second_stage(host)):
            self._look_after(host)
            slot = queue.next(host, self._recovery.clock(), self._is_aside)
            if slot is not None:
                self._keep_leases(host)
                self._observer.begins(host, queue.case_of(slot).label, queue.left_of(host))
                self._make(host, slot)
                continue
            if all(map(self._is_aside, queue.devices_of(host))):
                self._waiting.add(host)
            self._pause(self._nothing_due_s(host))
            self._waiting.discard(host)
        self._waiting.add(host)

    def _is_aside(self, device: str) -> bool:
        return bool(self._recovery.of(device).aside)

    def _nothing_due_s(self, host: str) -> float:
        """Return how long a host has nothing to do, as far as is known."""
        later = self._queue.due_in_s(host, self._recovery.clock(), self._is_aside)
        pause_s = self._recovery.pause_s(self._queue.devices_of(host))
        return max(0.01, min([pause_s, *later]))

    def _look_after(self, host: str) -> None:
        """Look after the host's devices that were put aside, and drop those that stay away."""
        for name in self._recovery.aside():
            if name not in self._queue.devices_of(host):
                continue
            if self._recovery.is_due(name):
                try:
                    if name in self._absent:
                        self._join(self._absent[name])
                    else:
                        self._devices[name].answers()
                except HarnessError as error:
                    self._recovery.still_away(name, error.message)
                else:
                    self._recovery.back(self._devices[name].device)
                    self._refill(self._devices[name])
            others_work = len(self._waiting - {host}) < self._hosts - 1 or not all(
                map(self._is_aside, self._queue.devices_of(host))
            )
            if self._recovery.is_lost(name, others_work=others_work):
                what = "not reached:" if name in self._absent else "device put aside because"
                why = f"{what} {self._recovery.of(name).aside}"
                self._queue.leave_out_device(name, why)

    def _join(self, absent: Absent) -> None:
        """Take a device in that could not be reached when the run began.

        Raises
        ------
        HarnessError
            It cannot be reached now, either.
        """
        try:
            joined = absent.join()
        except HarnessError:
            away = cause_of_error(absent.error) is Cause.LINK
            if not (away and self._recovery.cycles_left(absent.device)):
                raise
            if failed := self._recovery.power_cycle(absent.device, absent.answers):
                raise LabError(failed) from None
            joined = absent.join()
        name = absent.device.name
        self._take_stock(joined.device)
        self._devices[name] = joined.device
        self._prepared.update(joined.prepared)
        del self._absent[name]
        now = {record.case.id: record for record in joined.cases}
        with self._recording:
            devices = [joined.record if each.name == name else each for each in self.run.devices]
            cases = [now.get(record.case.id, record) for record in self.run.cases]
            self.run = self.run.model_copy(update={"devices": devices, "cases": cases})
            self._store.update(self.run)
        for record in joined.cases:
            if record.refused is not None:
                self._queue.leave_out_case(record.case.id, record.refused)

    def _refill(self, device: OnDevice) -> None:
        """Fill model caches again that a restarted device may have had in memory."""
        with suppress(TransportError):
            if device.has_restarted():
                self._queue.refill(device.device.name)

    def _second_stage(self, host: str) -> int:
        """Plan and record what the first stage of a host's cases asks for; at most once.

        Returns how many launches that is.
        """
        with self._recording:  # hosts end their first stages at any time
            records = self._queue.asked_for(host, self.run.cases)
            if records == self.run.cases:
                return 0
            self.run = self.run.model_copy(update={"cases": records})
            self._store.update(self.run)
            more = self._queue.second_stage(host, records)
        if more:
            self._observer.asks_for_more(host, more)
        return more

    def _keep_leases(self, host: str) -> None:
        """Renew what would run out while the host's other devices are measured."""
        for name, each in self._devices.items():
            away = self._recovery.of(name).aside
            if each.device.host == host and each.launcher.lease and not away:
                with suppress(TransportError):  # the next launch there tells what is wrong
                    each.launcher.lease.keep()

    def _make(self, host: str, slot: Slot) -> None:
        """Make a launch, and decide by its end what becomes of it and of others."""
        queue = self._queue
        device = self._devices[queue.case_of(slot).device]
        name = queue.name(slot)
        self._active[host] = (device.launcher, name)
        try:
            if self._stop.is_set():  # since the host was asked: nobody would end this launch
                return
            launch, cause = self._launch(name, slot, queue.attempts(slot))
        finally:
            del self._active[host]
        # What we ended is neither a result nor a failure; what was done in time is a result.
        stopped = self._stop.is_set() and launch.status is not Status.OK
        if not stopped:
            self._store.add(self.run.id, launch)
            self._observer.ended(host, launch)
            queue.ended(slot, launch)
        # What is neither stored nor known to be nothing stays on the device, to be collected.
        if name not in device.launcher.uncollected or not (stopped or is_unread(launch)):
            with suppress(TransportError):
                device.launcher.forget([name])
        if stopped:
            return
        if cause is not None:
            self._failed(device, slot, launch, cause)
            return
        self._recovery.went_well(device.device.name)
        if slot.role is Role.FILL and launch.status is Status.INVALID and not queue.holds(slot):
            self._give_up(slot, launch.reason)

    def _failed(self, on: OnDevice, slot: Slot, launch: Launch, cause: Cause) -> None:
        device, queue = on.device, self._queue
        step = next_step(
            cause,
            queue.tries(slot),
            self._recovery.failed(device.name, slot.case_id, cause),
            went_well=queue.went_well(slot.case_id),
            cycles_left=self._recovery.cycles_left(device),
        )
        match step:
            case Again(after_s):
                queue.postpone(slot, self._recovery.clock() + after_s)
                self._observer.again(device.host, queue.case_of(slot).label, after_s)
                if cause is Cause.LOST:
                    self._refill(on)
            case GiveUp():
                self._give_up(slot, launch.reason)
            case PowerCycle():
                failed = self._recovery.power_cycle(device, on.answers)
                if failed is None:
                    queue.forgive(slot)
                    self._refill(on)
                elif not self._stop.is_set():
                    self._recovery.put_aside(device, f"{launch.reason}; {failed}")
            case Aside(may_return):
                self._recovery.put_aside(device, launch.reason, may_return=may_return)

    def _give_up(self, slot: Slot, why: str) -> None:
        case = self._queue.case_of(slot)
        self._queue.leave_out_case(case.id, f"given up after a launch that failed: {why}")
        self._observer.gave_up(self._devices[case.device].device.host, case.label, why)

    def _launch(self, name: str, slot: Slot, attempt: int) -> tuple[Launch, Cause | None]:
        """Make a launch; return what it gave, and why it failed if it did."""
        prepared = self._prepared[slot.case_id]
        device = self._devices[prepared.case.device]
        patience = device.launcher.patience
        stands = partial(self._observer.stands, device.device.host, prepared.case.label)
        patience.on_change = lambda away: stands("away" if away else "running")
        job = prepared.job(name, slot, self.run.protocol)
        handling = prepared.handling(slot, self.run.protocol)
        begun = self._wall.now()
        clock = time.monotonic()
        category: Category | None = None
        found = Measured()
        ended: Ended | None = None
        check: OutputCheck | None = None
        failure: TransportError | None = None
        said = False
        try:
            links = device.links(prepared, job)
            if prepared.case.model_cache == "kept":
                cache = device.model_cache(prepared, links)
                job = job.model_copy(update={"model_cache": cache})
            if name in device.launcher.uncollected:
                ended = device.launcher.collect(job, handling, on_state=stands)
            if ended is None or ended.cut_short:
                patience(partial(device.deploy, prepared, job))
                ended = device.launcher.run(
                    job,
                    links,
                    prepared.runner.command(job),
                    handling,
                    on_state=stands,
                )
            ended = prepared.runner.translate(ended, job)
            excluded = prepared.excluded
            verdict = judge(ended, job, slot.role, runner=prepared.runner, excluded=excluded)
            status, category, reason = verdict.status, verdict.category, verdict.reason
            found, said = verdict.measured, verdict.said
            if status is Status.OK and verdict.outputs:
                fills = slot.role is Role.FILL
                check = patience(
                    partial(device.check, job, prepared, verdict.outputs, fills_cache=fills)
                )
                if not check.passed:
                    status, reason = Status.INVALID, f"wrong outputs: {check.reason}"
        except TransportError as error:
            failure = error
            hint = f" (try: {error.hint})" if error.hint else ""
            status, category, reason = Status.FAILED, _category(error), f"{error.message}{hint}"
        launch = Launch(
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
            **dict(found),
        )
        failed = status is Status.FAILED
        return launch, cause_of(launch, failure, said=said) if failed else None


def _category(error: TransportError) -> Category:
    match error:
        case TransferError():
            return Category.DEPLOY
        case DeviceBusyError() | LaunchLostError() | LeasedError():
            return Category.DEVICE
        case _:
            return Category.CONNECTION
