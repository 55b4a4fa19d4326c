"""A submitted run, followed to its end: launches are told as they arrive at the centre."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from harness.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.campaign.observer import Observer
    from harness.core.records import Run
    from harness.fleet.centre import Centre
    from harness.results.store import Store

__all__ = ["follow", "planned"]

LOOK_S: Final = 2.0
PATIENCE_S: Final = 600.0  # with a centre that is away


def planned(run: Run) -> dict[str, int]:
    """Return how many launches each host has before it."""
    of_case = _hosts(run)
    left = dict.fromkeys(of_case.values(), 0)
    for record in run.cases:
        if record.refused is None:
            left[of_case[record.case.id]] += len(record.roles)
    return left


def _hosts(run: Run) -> dict[str, str]:
    """Return the host of each of a run's cases, by the case's id."""
    hosts = {device.name: device.host for device in run.devices}
    return {record.case.id: hosts[record.case.device] for record in run.cases}


def follow(
    run: Run, centre: Centre, store: Store, told: Observer, say: Callable[[str], None]
) -> Run:
    """Wait until a submitted run has ended; return it with its launches.

    Parameters
    ----------
    say
        Is told when a share's state changes.

    Raises
    ------
    KeyboardInterrupt
        The user's; the run is cancelled.
    LabError
        The centre stays away.
    """
    of_case, left = _hosts(run), planned(run)
    seen: set[str] = set()
    states: dict[str, str] = {}
    try:
        since = time.monotonic()
        while True:
            begun = time.monotonic()
            try:
                jobs = centre.jobs(run.id)
                _tell(store.load(run.id, samples=False), seen, of_case, left, told)
                since = time.monotonic()
            except LabError:
                if time.monotonic() - since > PATIENCE_S:
                    raise
                jobs = []
            for job in jobs:
                if states.get(job.id) != job.state:
                    states[job.id] = job.state
                    say(f"{job.id}: {job.state}")
            if jobs and not any(job.open for job in jobs):
                break
            # A large run takes a while to read: most of the time nobody does.
            time.sleep(max(LOOK_S, 10 * (time.monotonic() - begun)))
    except KeyboardInterrupt:
        centre.cancel(run.id, "whoever submitted it was interrupted")
        raise
    found = store.load(run.id)
    _tell(found, seen, of_case, left, told)
    return found


def _tell(
    run: Run, seen: set[str], of_case: dict[str, str], left: dict[str, int], told: Observer
) -> None:
    labels = {record.case.id: record.case.label for record in run.cases}
    for launch in run.launches:
        if launch.id in seen:
            continue
        seen.add(launch.id)
        host = of_case[launch.case_id]
        told.ended(host, launch)
        left[host] = max(0, left[host] - 1)
        told.begins(host, labels[launch.case_id], left[host])
