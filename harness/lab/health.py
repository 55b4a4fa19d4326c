"""How a device fared over runs: what the results database tells of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.core.records import DeviceEventKind, Status
from harness.core.text import count

if TYPE_CHECKING:
    from datetime import datetime

    from harness.results.store import Store

__all__ = ["Health", "RunHealth", "health"]

RECENT: Final = 10
"""How many runs are recent."""

_SEEN = frozenset(
    {DeviceEventKind.REACHED, DeviceEventKind.CAME_BACK, DeviceEventKind.POWER_CYCLED}
)


@dataclass
class RunHealth:
    """How a device fared in one run.

    Attributes
    ----------
    run
        Empty for what happened before a run began, since no device could be reached.
    launches
        By how they ended.
    failures
        Failed ones, by category.
    events
        What else happened, by kind.
    """

    run: str
    at: datetime
    launches: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Health:
    """How a device fared over runs.

    Attributes
    ----------
    runs
        The newest first.
    last_seen
        When it was known to answer.
    """

    device: str
    runs: list[RunHealth]
    last_seen: datetime | None

    @property
    def recent(self) -> RunHealth:
        """The sum of its newest runs."""
        newest = self.runs[:RECENT]
        return RunHealth(
            run=count(len(newest), "run"),
            at=newest[0].at,
            launches=sum((each.launches for each in newest), Counter()),
            failures=sum((each.failures for each in newest), Counter()),
            events=sum((each.events for each in newest), Counter()),
        )

    @property
    def in_words(self) -> str:
        """Its newest runs in a few words."""
        if not self.runs:
            return "never measured"
        sums = self.recent
        made = sum(sums.launches.values())
        words = [f"{sums.launches[Status.OK]} of {made} launches succeeded"] if made else []
        words += [
            f"{number} {kind}"
            for kind, number in (*sums.failures.most_common(), *sums.events.most_common())
            if kind != DeviceEventKind.REACHED
        ]
        if sums.launches[Status.INVALID]:
            words.append(f"{sums.launches[Status.INVALID]} invalid")
        return ", ".join(words) or "reached"


def health(store: Store) -> dict[str, Health]:
    """Return how each device of the results fared."""
    runs: dict[str, dict[str, RunHealth]] = {}
    seen: dict[str, datetime] = {}

    def of(device: str, run: str, at: datetime) -> RunHealth:
        found = runs.setdefault(device, {}).setdefault(run, RunHealth(run, at))
        found.at = max(found.at, at)
        return found

    for each in store.device_launches():
        found = of(each.device, each.run, each.newest)
        found.launches[each.status.value] += each.count
        if each.category:
            found.failures[each.category.value] += each.count
        if each.status is not Status.FAILED:
            seen[each.device] = max(seen.get(each.device, each.newest), each.newest)
    for event in store.device_events():
        of(event.device, event.run or "", event.at).events[event.kind.value] += 1
        if event.kind in _SEEN:
            seen[event.device] = max(seen.get(event.device, event.at), event.at)
    return {
        device: Health(
            device,
            sorted(found.values(), key=lambda run: run.at, reverse=True),
            seen.get(device),
        )
        for device, found in runs.items()
    }
