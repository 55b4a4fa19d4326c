"""Execution: a run's shares, each measured by a thread; every launch is stored as it ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.campaign.host import Means, measure
from harness.campaign.queue import Queue
from harness.campaign.recovery import Recovery
from harness.campaign.share import shares
from harness.core.clock import SteadyClock
from harness.core.futures import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from harness.campaign.observer import Observer
    from harness.campaign.on_device import Absent, OnDevice
    from harness.campaign.plan import Slot
    from harness.campaign.prepare import Prepared
    from harness.campaign.share import Share
    from harness.core.records import CaseRecord, DeviceRecord, Run
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
    shares
        What each host measures.
    means
        What they are measured with.
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
        self._store = store
        self._observer = observer
        self._stop = threading.Event()
        self._devices = dict(devices)
        hosts = {name: each.device for name, each in devices.items()}
        hosts |= {name: each.device for name, each in absent.items()}
        self.shares = shares(run, hosts)
        self._recording = threading.Lock()
        self._ended: dict[str, bool] = {}  # other runs
        recovery = Recovery(
            run.id,
            folder,
            store,
            observer,
            is_over=self._stop.is_set,
            clock=clock,
            return_s=run.protocol.wait_for_device_s,
        )
        for name, each in absent.items():
            recovery.absent(name, each.error.reason)
        self.means = Means(
            prepared=dict(prepared),
            devices=self._devices,
            absent=dict(absent),
            recovery=recovery,
            observer=observer,
            record=self._record,
            has_ended=self._has_ended,
            pause=pause or self._stop.wait,
            hosts=len(self.shares),
            stop=self._stop,
            wall=self._wall,
        )

    def pending(self) -> dict[str, list[Slot]]:
        """Return each host's launches that are still to be made."""
        return {share.host: Queue(share).left() for share in self.shares if share.slots}

    def measure(self) -> None:
        """Make the pending launches.

        Raises
        ------
        KeyboardInterrupt
            The user's; runners on devices are ended first, and what is stored stays.
        """
        workers: list[Future[None]] = []
        with ThreadPoolExecutor(max(1, len(self.shares)), thread_name_prefix="host") as pool:
            try:
                workers += [pool.submit(self._measure, share) for share in self.shares]
                finish(workers)
            finally:
                # Also where one host's worker met an error of ours: the others end cleanly.
                self._stop.set()
                self._end_active(workers)

    def outcome(self) -> Run:
        """Return the run with its end and what became of its cases, without its launches."""
        return self.run.model_copy(
            update={
                "launches": [],
                "finished": self._wall.now(),
                "clock_jumped_s": self._wall.jumped_s or self.run.clock_jumped_s,
                "cases": [
                    record.model_copy(update={"left_out": self.means.left_out.get(record.case.id)})
                    for record in self.run.cases
                ],
            }
        )

    def _measure(self, share: Share) -> None:
        with closing(measure(share, self.means)) as launches:
            for launch in launches:
                self._store.add(self.run.id, launch)
                self._observer.ended(share.host, launch)

    def _record(self, records: Sequence[CaseRecord], joined: DeviceRecord | None) -> None:
        """Store what became known of a host's cases, and of a device that joined."""
        now = {record.case.id: record for record in records}
        with self._recording:  # hosts do it at any time
            cases = [now.get(record.case.id, record) for record in self.run.cases]
            devices = [
                joined if joined and each.name == joined.name else each for each in self.run.devices
            ]
            self.run = self.run.model_copy(update={"devices": devices, "cases": cases})
            self._store.update(self.run)

    def _has_ended(self, run_id: str) -> bool:
        """Whether a run of this workspace has ended: what it left behind, nobody comes for."""
        if run_id not in self._ended:
            known = self._store.find(run_id)
            run = self._store.load(run_id, samples=False) if known else None
            self._ended[run_id] = bool(run and (run.finished or run.confirms))
        return self._ended[run_id]

    def _end_active(self, workers: Sequence[Future[None]]) -> None:
        active = list(self.means.active.values())
        for launcher, launch in active:
            launcher.interrupt(launch)
        if wait(workers, timeout=GRACE_S).not_done:
            for launcher, _ in active:
                launcher.hang_up()
