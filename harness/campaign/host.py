"""One host's launches: its share of a run is measured, one launch at a time."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.campaign import reasons
from harness.campaign.judge import judge
from harness.campaign.launch import DeviceBusyError, LaunchLostError
from harness.campaign.queue import FIRST, Queue
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
from harness.campaign.share import is_unread
from harness.core.clock import SteadyClock
from harness.core.errors import HarnessError
from harness.core.records import Category, Launch, Measured, OutputCheck, Role, Status
from harness.lab.leases import LeasedError
from harness.transports.base import TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from harness.campaign.launch import Ended, Launcher
    from harness.campaign.observer import Observer
    from harness.campaign.on_device import Absent, OnDevice
    from harness.campaign.plan import Slot
    from harness.campaign.prepare import Prepared
    from harness.campaign.recovery import Recovery
    from harness.campaign.share import Share
    from harness.core.reason import Reason
    from harness.core.records import CaseRecord, DeviceRecord

__all__ = ["Means", "measure"]


@dataclass
class Means:
    """What shares of a run are measured with, here; several hosts' threads use it at once.

    Attributes
    ----------
    prepared
        Case id to what its launches need.
    devices
        Device name to the device, where it was reached.
    absent
        Device name to one that was not reached; it is tried again.
    recovery
        States of the devices.
    record
        Stores what became known of a host's cases, and of a device that joined.
    has_ended
        Whether another run, by its id, has ended: what it left behind, nobody comes for.
    wall
        Tells the times that are stored.
    pause
        Lets so many seconds pass, or fewer when it is over.
    hosts
        How many share the run.
    idle
        Those of them that have nothing but devices that were put aside.
    stop
        Set when the run is interrupted.
    left_out
        Case id to why the rest of its launches is not made.
    active
        Host to the launch that is under way there.
    """

    prepared: dict[str, Prepared]
    devices: dict[str, OnDevice]
    absent: dict[str, Absent]
    recovery: Recovery
    observer: Observer
    record: Callable[[Sequence[CaseRecord], DeviceRecord | None], None]
    has_ended: Callable[[str], bool]
    pause: Callable[[float], object]
    wall: SteadyClock = field(default_factory=SteadyClock)
    hosts: int = 1
    idle: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)
    left_out: dict[str, Reason] = field(default_factory=dict)
    active: dict[str, tuple[Launcher, str]] = field(default_factory=dict)


def measure(share: Share, means: Means) -> Generator[Launch, None, None]:
    """Make a host's pending launches, and yield each as it ends.

    A launch is yielded once, and removed from its device only when the next one is asked for: who
    takes it has stored it by then. One that was yielded and not stored, since who took it did not
    live to, is collected by the next who measures this share.
    """
    return _Host(share, means).launches()


class _Host:
    """A share that is being measured."""

    def __init__(self, share: Share, means: Means) -> None:
        self._share = share
        self._means = means
        self._queue = Queue(share)
        self._queue.left_out = means.left_out
        for record in share.cases:
            if why := means.left_out.get(record.case.id):
                self._queue.leave_out_case(record.case.id, why)
        self._records = list(share.cases)
        self._recovery = means.recovery
        self._observer = means.observer
        self._stop = means.stop

    @property
    def _devices(self) -> dict[str, OnDevice]:
        """Those of the host that were reached."""
        found = self._means.devices
        return {name: found[name] for name in self._share.devices if name in found}

    def launches(self) -> Generator[Launch, None, None]:
        """See :func:`measure`."""
        for device in self._devices.values():
            with suppress(TransportError):
                self._take_stock(device)
        host, queue, means = self._share.host, self._queue, self._means
        while not self._stop.is_set() and (queue.left() or self._second_stage()):
            self._look_after()
            slot = queue.next(self._recovery.clock(), self._is_aside)
            if slot is not None:
                self._keep_leases()
                self._observer.begins(host, queue.case_of(slot).label, len(queue.left()))
                yield from self._make(slot)
                continue
            if all(map(self._is_aside, queue.devices())):
                means.idle.add(host)
            means.pause(self._nothing_due_s())
            means.idle.discard(host)
        means.idle.add(host)
        if self._stop.is_set():
            return
        for name, device in self._devices.items():
            if not self._is_aside(name):
                with suppress(TransportError):
                    device.tidy()

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
        ours = {name for name in kept if name.startswith(f"{self._share.run}-")}
        settled = {name for name in ours if self._queue.is_settled(name)}
        launcher.uncollected |= ours - settled
        over = {name for name in kept if self._is_over(name.rsplit("-", 3)[0])}
        if settled | over:
            launcher.forget(sorted(settled | over))
        if ours - settled:
            # Else all others would find a busy device.
            self._queue.put_first(set(launcher.living()))

    def _is_over(self, run: str) -> bool:
        return run != self._share.run and self._means.has_ended(run)

    def _is_aside(self, device: str) -> bool:
        return bool(self._recovery.of(device).aside)

    def _nothing_due_s(self) -> float:
        """Return how long the host has nothing to do, as far as is known."""
        later = self._queue.due_in_s(self._recovery.clock(), self._is_aside)
        pause_s = self._recovery.pause_s(self._queue.devices())
        return max(0.01, min([pause_s, *later]))

    def _look_after(self) -> None:
        """Look after the host's devices that were put aside, and drop those that stay away."""
        for name in self._recovery.aside():
            if name not in self._queue.devices():
                continue
            if self._recovery.is_due(name):
                try:
                    if name in self._means.absent:
                        self._join(self._means.absent[name])
                    else:
                        self._devices[name].answers()
                except HarnessError as error:
                    self._recovery.still_away(name, error.reason)
                else:
                    self._recovery.back(self._devices[name].device)
                    self._refill(self._devices[name])
            idle = len(self._means.idle - {self._share.host})
            others_work = idle < self._means.hosts - 1 or not all(
                map(self._is_aside, self._queue.devices())
            )
            if self._recovery.is_lost(name, others_work=others_work):
                left_out = reasons.NOT_REACHED if name in self._means.absent else reasons.ASIDE
                self._queue.leave_out_device(name, left_out(why=self._recovery.of(name).aside))

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
                raise failed from None
            joined = absent.join()
        name = absent.device.name
        self._take_stock(joined.device)
        self._means.devices[name] = joined.device
        self._means.prepared.update(joined.prepared)
        del self._means.absent[name]
        now = {record.case.id: record for record in joined.cases}
        self._records = [now.get(record.case.id, record) for record in self._records]
        self._means.record(self._records, joined.record)
        for record in joined.cases:
            if record.refused is not None:
                self._queue.leave_out_case(record.case.id, record.refused)

    def _refill(self, device: OnDevice) -> None:
        """Fill model caches again that a restarted device may have had in memory."""
        with suppress(TransportError):
            if device.has_restarted():
                self._queue.refill(device.device.name)

    def _second_stage(self) -> int:
        """Plan and record what the first stage of the host's cases asks for; at most once.

        Returns how many launches that is.
        """
        records = self._queue.asked_for(self._records)
        if records == self._records:
            return 0
        self._records = records
        self._means.record(records, None)
        more = self._queue.second_stage(records)
        if more:
            self._observer.asks_for_more(self._share.host, more)
        return more

    def _keep_leases(self) -> None:
        """Renew what would run out while the host's other devices are measured."""
        for name, each in self._devices.items():
            if each.launcher.lease and not self._is_aside(name):
                with suppress(TransportError):  # the next launch there tells what is wrong
                    each.launcher.lease.keep()

    def _make(self, slot: Slot) -> Generator[Launch, None, None]:
        """Make a launch, yield it, and decide by its end what becomes of it and of others."""
        queue, active, host = self._queue, self._means.active, self._share.host
        device = self._devices[queue.case_of(slot).device]
        name = queue.name(slot)
        active[host] = (device.launcher, name)
        try:
            if self._stop.is_set():  # since the host was asked: nobody would end this launch
                return
            launch, cause = self._launch(name, slot, queue.attempts(slot))
        finally:
            del active[host]
        # What we ended is neither a result nor a failure; what was done in time is a result.
        stopped = self._stop.is_set() and launch.status is not Status.OK
        if not stopped:
            yield launch  # and it is stored when this goes on
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
        if slot.role in FIRST and launch.status is Status.INVALID and not queue.holds(slot):
            self._give_up(slot, _why(launch))

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
                self._give_up(slot, _why(launch))
            case PowerCycle():
                failed = self._recovery.power_cycle(device, on.answers)
                if failed is None:
                    queue.forgive(slot)
                    self._refill(on)
                elif not self._stop.is_set():
                    why = reasons.POWER_CYCLED(why=_why(launch), cycle=failed.reason)
                    self._recovery.put_aside(device, why)
            case Aside(may_return):
                self._recovery.put_aside(device, _why(launch), may_return=may_return)

    def _give_up(self, slot: Slot, why: Reason) -> None:
        case = self._queue.case_of(slot)
        self._queue.leave_out_case(case.id, reasons.GIVEN_UP(why=why))
        self._observer.gave_up(self._devices[case.device].device.host, case.label, why)

    def _launch(self, name: str, slot: Slot, attempt: int) -> tuple[Launch, Cause | None]:
        """Make a launch; return what it gave, and why it failed if it did."""
        prepared = self._means.prepared[slot.case_id]
        device = self._devices[prepared.case.device]
        patience = device.launcher.patience
        stands = partial(self._observer.stands, device.device.host, prepared.case.label)
        patience.on_change = lambda away: stands("away" if away else "running")
        rate = self._queue.rate_of(slot.case_id)
        job = prepared.job(name, slot, self._share.protocol, rate)
        handling = prepared.handling(slot, self._share.protocol)
        begun = self._means.wall.now()
        clock = time.monotonic()
        category: Category | None = None
        found = Measured()
        ended: Ended | None = None
        check: OutputCheck | None = None
        failure: TransportError | None = None
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
            found = verdict.measured
            if status is Status.OK and verdict.outputs:
                fills = slot.role is Role.FILL
                check = patience(
                    partial(device.check, job, prepared, verdict.outputs, fills_cache=fills)
                )
                if not check.passed:
                    status, reason = Status.INVALID, reasons.WRONG_OUTPUTS(why=check.reason)
        except TransportError as error:
            failure = error
            status, category, reason = Status.FAILED, _category(error), error.reason
        launch = Launch(
            id=f"{self._share.run}-{slot.case_id}-{slot.slot}-{attempt}",
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
        return launch, cause_of(launch, failure) if failed else None


def _why(launch: Launch) -> Reason:
    """Return why a launch failed: each that did has a reason."""
    assert launch.reason  # noqa: S101 - for the type checker
    return launch.reason


def _category(error: TransportError) -> Category:
    match error:
        case TransferError():
            return Category.DEPLOY
        case DeviceBusyError() | LaunchLostError() | LeasedError():
            return Category.DEVICE
        case _:
            return Category.CONNECTION
