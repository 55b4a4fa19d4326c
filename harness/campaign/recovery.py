"""How the devices of a run stand: which are put aside, which return, and what is done for them.

What is to be done after a failure is decided by :mod:`harness.campaign.retry`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from harness.campaign import reasons
from harness.campaign.retry import FRUITLESS, RETURN_S, Failure, look_after_s
from harness.core.records import DeviceEvent, DeviceEventKind
from harness.lab.power import PowerCycleError, power_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.campaign.observer import Observer
    from harness.campaign.retry import Cause
    from harness.core.reason import Reason
    from harness.lab.inventory import Device
    from harness.results.store import Store

__all__ = ["Recovery", "note"]

STEP_S: Final = 2.0
"""The longest pause of a host, so that it hears of the other hosts' end."""


@dataclass
class Standing:
    """The state of a device.

    Attributes
    ----------
    aside
        Why it is put aside; none where it is measured.
    in_a_row
        Its failures since a launch ended well.
    fruitless
        How often it was put aside since then.
    cycles
        How often it was power-cycled.
    """

    aside: Reason | None = None
    may_return: bool = True
    since: float = 0.0
    looks: int = 0
    next_look: float = 0.0
    in_a_row: list[Failure] = field(default_factory=list)
    fruitless: int = 0
    cycles: int = 0


class Recovery:
    """The devices of one run, as far as they fail.

    Parameters
    ----------
    run_id
        The run's, for the devices' history.
    folder
        Of the workspace, in which power-cycle commands run.
    is_over
        Whether the run was interrupted.
    clock
        Tells the time, in seconds.
    return_s
        How long a device is waited for when nothing else is left to measure, in seconds.
    """

    def __init__(  # noqa: PLR0913 - all of them have names
        self,
        run_id: str,
        folder: Path,
        store: Store,
        observer: Observer,
        is_over: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        *,
        return_s: float | None = None,
    ) -> None:
        self.clock = clock
        self._return_s = RETURN_S if return_s is None else return_s
        self._run_id = run_id
        self._folder = folder
        self._store = store
        self._observer = observer
        self._is_over = is_over
        self._standings: dict[str, Standing] = {}
        self._power = threading.Lock()  # one at a time: several may hang on one switch

    def of(self, device: str) -> Standing:
        """Return the state of a device."""
        return self._standings.setdefault(device, Standing())

    def aside(self) -> list[str]:
        """Return the devices that are put aside."""
        return sorted(name for name, each in list(self._standings.items()) if each.aside)

    def failed(self, device: str, case: str, cause: Cause) -> list[Failure]:
        """Take down a failure; return the device's failures in a row."""
        failures = self.of(device).in_a_row
        failures.append(Failure(case, cause))
        return failures

    def went_well(self, device: str) -> None:
        """Take down that a launch ended as planned."""
        standing = self.of(device)
        standing.in_a_row.clear()
        standing.fruitless = 0

    def cycles_left(self, device: Device) -> int:
        """Return how often a device may still be power-cycled."""
        spec = device.spec.power_cycle
        return spec.most - self.of(device.name).cycles if spec else 0

    def put_aside(self, device: Device, why: Reason, *, may_return: bool = True) -> None:
        """Leave a device's launches out until it answers again."""
        standing = self.of(device.name)
        standing.fruitless += 1
        standing.aside = why
        standing.may_return = may_return and standing.fruitless < FRUITLESS
        standing.since = self.clock()
        standing.looks = 0
        standing.next_look = standing.since + look_after_s(0)
        self._note(device.name, DeviceEventKind.PUT_ASIDE, why)
        self._observer.put_aside(device.host, device.name, why, may_return=standing.may_return)

    def absent(self, device: str, why: Reason) -> None:
        """Take down that a device was not reached when the run began.

        It is tried again at once, and then for as long as others are measured.
        """
        now = self.clock()
        self._standings[device] = Standing(aside=why, since=now - self._return_s, next_look=now)

    def is_due(self, device: str) -> bool:
        """Whether a device that was put aside is to be looked after now."""
        standing = self.of(device)
        return bool(standing.aside and standing.may_return) and self.clock() >= standing.next_look

    def still_away(self, device: str, why: Reason) -> None:
        """Take down that a device was looked after in vain."""
        standing = self.of(device)
        standing.looks += 1
        standing.aside = why
        standing.next_look = self.clock() + look_after_s(standing.looks)

    def is_lost(self, device: str, *, others_work: bool) -> bool:
        """Whether a device is not waited for any more."""
        standing = self.of(device)
        if not standing.aside or not standing.may_return:
            return bool(standing.aside)
        return not others_work and self.clock() - standing.since >= self._return_s

    def back(self, device: Device) -> None:
        """Measure on a device again."""
        self.of(device.name).aside = None
        self._note(device.name, DeviceEventKind.CAME_BACK)
        self._observer.came_back(device.host, device.name)

    def power_cycle(self, device: Device, answers: Callable[[], str]) -> PowerCycleError | None:
        """Switch a device off and on and wait for its answer; return why not, if it failed."""
        spec = device.spec.power_cycle
        assert spec  # noqa: S101 - for the type checker: else there are no cycles left
        self._observer.power_cycles(device.host, device.name, None)
        with self._power:
            self.of(device.name).cycles += 1
            try:
                said = power_cycle(spec, self._folder, answers, self._is_over)
            except PowerCycleError as error:
                if not self._is_over():
                    self._note(device.name, DeviceEventKind.POWER_CYCLE_FAILED, error.reason)
                    self._observer.power_cycles(device.host, device.name, error.reason)
                return error
        self.of(device.name).in_a_row.clear()
        self._note(device.name, DeviceEventKind.POWER_CYCLED, reasons.ANSWERS(boot=said))
        self._observer.power_cycles(device.host, device.name, reasons.BACK())
        return None

    def pause_s(self, devices: Iterable[str]) -> float:
        """Return how long none of some devices is to be looked after, at most ``STEP_S``."""
        standings = map(self.of, devices)
        looks = [each.next_look - self.clock() for each in standings if each.aside]
        return max(0.0, min([STEP_S, *looks]))

    def _note(self, device: str, kind: DeviceEventKind, detail: Reason | None = None) -> None:
        note(self._store, device, kind, run=self._run_id, detail=detail)


def note(
    store: Store,
    device: str,
    kind: DeviceEventKind,
    *,
    run: str | None = None,
    detail: Reason | None = None,
) -> None:
    """Write a line of a device's history."""
    store.note(DeviceEvent(device=device, at=datetime.now(UTC), kind=kind, run=run, detail=detail))
