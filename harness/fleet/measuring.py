"""One share, measured by an agent as a local run would, and sent as its launches end."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from harness.campaign.elsewhere import receive
from harness.campaign.host import measure
from harness.campaign.launch import DeviceBusyError
from harness.campaign.locks import HostBusyError
from harness.campaign.observer import Observer
from harness.campaign.reach import Claim
from harness.core.errors import HarnessError, LabError, unexpected
from harness.core.text import visible
from harness.fleet.centre import FORMAT, AwayError, Centre, Claimed, LostError, RefusedError
from harness.fleet.own import Sent, fetch, own
from harness.fleet.spool import Spool, SpoolFullError
from harness.lab.leases import LeasedError
from harness.results.store import CONFIRMING
from harness.workspace import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.campaign.host import Means
    from harness.campaign.share import Share
    from harness.core.records import CaseRecord, DeviceRecord, Launch, Run
    from harness.lab.inventory import Device
    from harness.workspace import Workspace

__all__ = ["Measuring", "Outcome"]

RENEW_S: Final = 20.0  # of a term of minutes
RETRY_S: Final = 2.0  # of a centre that is away
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Outcome(StrEnum):
    """How an agent leaves a share."""

    ENDED = "ended"
    LATER = "later"
    """Somebody else holds it or its devices, or the agent ends: it is taken up again."""


class Measuring:
    """One share while an agent has it.

    Parameters
    ----------
    url
        Of the centre: two threads work on a share, each with a connection of its own.
    devices
        The lab's, by name.
    agent, instance
        The agent's name, and what tells it from others of that name.
    log
        Takes lines for the agent's log.
    """

    def __init__(  # noqa: PLR0913 - all of them have names
        self,
        share: str,
        url: str,
        workspace: Workspace,
        devices: Mapping[str, Device],
        *,
        agent: str,
        instance: str,
        log: Callable[[str], None],
    ) -> None:
        self._id = share
        self._url = url
        self._workspace = workspace
        self._devices = devices
        self._agent = agent
        self._instance = instance
        self._say = log
        self._means: Means | None = None
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._cancelled = threading.Event()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._known: dict[str, Any] = {"cases": {}, "devices": {}}
        self._told = self._told_before = 0
        self._renew_at = 0.0
        self._refused = False

    def stop(self) -> None:
        """Begin no more launches; the one under way goes on on its device."""
        self._stop.set()
        self._wake.set()
        if self._means:
            self._means.stop.set()

    def hang_up(self) -> None:
        """Let go of the launch that is under way; whoever takes the share next collects it."""
        if self._means:
            for launcher, _ in list(self._means.active.values()):
                launcher.patience.end()
                launcher.hang_up()

    def run(self) -> Outcome:
        """Measure the share.

        Raises
        ------
        AwayError
            The centre was away when it was to be claimed.
        """
        with Centre(self._url) as centre:
            claimed = centre.claim(self._id, self._instance)
            if isinstance(claimed, str):
                self._log(f"not taken: {claimed}")
                return Outcome.LATER if claimed == "held" else Outcome.ENDED
            self._log(f"taken, fence {claimed.fence}")
            try:
                return self._hold(claimed, centre)
            except LostError as error:
                self._log(error.message)
                return Outcome.ENDED

    def _hold(self, claimed: Claimed, centre: Centre) -> Outcome:
        try:
            run, share = self._read(claimed)
        except LabError as error:
            centre.leave(self._id, claimed.fence, "failed", error.message)
            return Outcome.ENDED
        spool = Spool(self._workspace, self._id)
        ended = False
        try:
            run = spool.begin(run, centre.launches(self._id, claimed.fence))
            if claimed.state == "cancelling":
                self._cancel()
            sender = threading.Thread(target=self._send, args=(claimed.fence, spool))
            sender.start()
            try:
                state, reason = self._measure(claimed, run, share, spool, centre)
            finally:
                self._over.set()
                self._wake.set()
                sender.join()
            if self._lost.is_set():
                self._log(f"lost; {spool.unsent} launches stay in its spool")
                return Outcome.ENDED
            if spool.unsent:
                self._log(f"{spool.unsent} launches stay in its spool, to be sent later")
                return Outcome.LATER
            with suppress(AwayError):
                centre.leave(self._id, claimed.fence, state, reason)
                self._log(state + (f": {reason}" if reason else ""))
                ended = state != "waiting"
            return Outcome.ENDED if ended else Outcome.LATER
        finally:
            spool.close(ended=ended and not self._refused)

    def _read(self, claimed: Claimed) -> tuple[Run, Share]:
        """Return what was sent; all of it is a stranger's."""
        if claimed.format != FORMAT:
            older = "this agent" if claimed.format > FORMAT else "the submitter"
            raise LabError(
                f"it was sent by edge-harness {visible(claimed.harness)}, in a form that agent "
                f"{self._agent} does not take: upgrade {older}"
            )
        try:
            sent = Sent.model_validate_json(claimed.content)
            check_name(sent.run.campaign.removeprefix(CONFIRMING), "campaign")
        except (HarnessError, ValueError) as error:
            raise LabError(f"it makes no sense: {visible(str(error))[:300]}") from None
        run = sent.run
        if not (_SAFE.fullmatch(run.id) and _SAFE.fullmatch(run.lease)) or sent.share.run != run.id:
            raise LabError("its run has no valid name")
        return run, sent.share

    def _measure(
        self, claimed: Claimed, run: Run, share: Share, spool: Spool, centre: Centre
    ) -> tuple[str, str]:
        """Measure what is left; return how the share is to be left, and why."""
        try:
            fetch(share, claimed, centre, self._log)
            share = own(share, run, self._workspace, self._devices, self._agent, self._log)
            self._record(spool, run, share.cases)
            wait_s = 0.0  # who has a device may have it for hours: the queue asks again
            with receive(
                share, self._workspace, spool.store, _Told(self._log),
                claim=Claim(run.lease, run.campaign, wait_s),
                record=lambda cases, device: self._record(spool, run, cases, device),
                has_ended=self._has_ended, progress=self._log,
            ) as means:  # fmt: skip
                self._means = means
                if self._stop.is_set() or self._cancelled.is_set() or self._lost.is_set():
                    means.stop.set()
                for launch in measure(share, means):
                    spool.add(run.id, launch)
                    self._wake.set()
                left_out = dict(means.left_out)
            self._left_out(spool, run, left_out)
        except (AwayError, DeviceBusyError, HostBusyError, LeasedError, SpoolFullError) as error:
            return "waiting", error.message
        except HarnessError as error:
            return "failed", error.message
        except Exception as error:  # noqa: BLE001 - one share never ends the agent
            return "failed", unexpected(error)
        finally:
            self._means = None
        if self._cancelled.is_set():
            return "cancelled", ""
        return ("waiting" if self._stop.is_set() else "done"), ""

    def _record(
        self,
        spool: Spool,
        run: Run,
        cases: Sequence[CaseRecord],
        device: DeviceRecord | None = None,
    ) -> None:
        """Keep what became known of cases and a device, and send it with what is sent next."""
        now = spool.store.load(run.id, samples=False)
        ours = {record.case.id: record for record in cases}
        hosts = {each.name: each.host for each in now.devices}
        if device is not None:
            device = device.model_copy(update={"host": hosts.get(device.name, device.host)})
        spool.store.update(
            now.model_copy(
                update={
                    "launches": [],
                    "cases": [ours.get(each.case.id, each) for each in now.cases],
                    "devices": [
                        device if device and each.name == device.name else each
                        for each in now.devices
                    ],
                }
            )
        )
        for name, record in ours.items():
            self._known["cases"][name] = record.model_dump(mode="json")
        if device is not None:
            self._known["devices"][device.name] = device.model_dump(mode="json")
        self._told += 1
        self._wake.set()

    def _left_out(self, spool: Spool, run: Run, left_out: Mapping[str, Any]) -> None:
        now = spool.store.load(run.id, samples=False).cases
        changed = [
            record.model_copy(update={"left_out": left_out.get(record.case.id)}) for record in now
        ]
        if changed != now:
            self._record(spool, run, changed)

    def _has_ended(self, run: str) -> bool:
        """Whether nobody comes for what a run left on a device; where it is not known, not."""
        with suppress(LabError), Centre(self._url) as centre:
            return centre.is_over(run)
        return False

    def _send(self, fence: int, spool: Spool) -> None:
        """Send what is measured, and renew the lease, until the share is over and all is sent."""
        with Centre(self._url) as centre:
            away = False
            while True:
                over = self._over.is_set()
                try:
                    if not self._sent(fence, spool, centre):
                        return
                    if away:
                        self._log("the centre is back")
                    away = False
                    if over:
                        return
                except LabError as error:  # away, or its disk is full
                    if not away:
                        self._log(f"{error.message}; measuring goes on")
                    away = True
                    if self._stop.is_set() and self._over.is_set():
                        return  # the next agent sends it
                    time.sleep(RETRY_S)
                    continue
                self._wake.wait(RENEW_S)
                self._wake.clear()

    def _sent(self, fence: int, spool: Spool, centre: Centre) -> bool:
        """Send what there is; return whether the share is still this agent's."""

        def add(launch: Launch) -> None:
            try:
                centre.add(self._id, fence, launch)
            except RefusedError as error:
                self._log(f"launch {launch.id} stays in the spool alone: {error.message}")
                self._refused = True

        try:
            if time.monotonic() >= self._renew_at:
                state = centre.renew(self._id, fence)
                self._renew_at = time.monotonic() + RENEW_S
                if state == "cancelling" and not self._cancelled.is_set():
                    self._log("cancelled")
                    self._cancel()
            told = self._told
            if told != self._told_before:
                centre.report(self._id, fence, self._known["cases"], self._known["devices"])
                self._told_before = told
            spool.flush(add, lambda event: centre.note(self._id, fence, event))
        except LostError as error:
            self._log(error.message)
            self._lost.set()
            self._interrupt()
            return False
        return True

    def _cancel(self) -> None:
        self._cancelled.set()
        self._interrupt()

    def _interrupt(self) -> None:
        """End the launch that is under way, on its device."""
        if means := self._means:
            means.stop.set()
            for launcher, launch in list(means.active.values()):
                launcher.interrupt(launch)

    def _log(self, line: str) -> None:
        self._say(f"{self._id}: {visible(line)}")


class _Told(Observer):
    """Writes an agent's log of a share."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log

    def gave_up(self, host: str, case: str, why: Any) -> None:  # noqa: ANN401 - a reason
        """Tell that the rest of a case's launches is left out."""
        del host
        self._log(f"{case}: given up: {why}")

    def put_aside(self, host: str, device: str, why: Any, *, may_return: bool) -> None:  # noqa: ANN401
        """Tell that a device's launches are left out, for now or for good."""
        del host, may_return
        self._log(f"{device} is put aside: {why}")

    def came_back(self, host: str, device: str) -> None:
        """Tell that a device that was put aside answers again."""
        del host
        self._log(f"{device} answers again")
