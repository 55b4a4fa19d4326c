"""What the site shows: campaigns, trends and devices, sorted out of many runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from harness.analysis.cases import State, case_results
from harness.analysis.history import baselines_of, histories
from harness.quantities.latency import PLUGIN as LATENCY
from harness.report.view import DeviceView, colours_of
from harness.results.store import CONFIRMING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.analysis.history import Change, Point, Series
    from harness.analysis.summary import Estimate
    from harness.core.quantity import Quantity
    from harness.core.records import Case, DeviceRecord, Run
    from harness.core.revisions import Between
    from harness.lab.health import Health

__all__ = [
    "CampaignPage",
    "DevicePage",
    "Group",
    "History",
    "RunLine",
    "Step",
    "Trend",
    "file_name",
    "report_of",
]

_SAFE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_JOIN: Final = "--"
_KEPT: Final = 60  # characters of a name that is no file name


def file_name(*names: str) -> str:
    """Return a file name, without its ending, that no other names have.

    Names come from results, and may hold anything. What is not plainly a file name on every system
    and every web server, be it for a capital letter, gets a digest behind what is left of it.
    """
    joined = _JOIN.join(names)
    if _SAFE.fullmatch(joined) and (len(names) == 1 or not any(_JOIN in name for name in names)):
        return joined
    left = re.sub(r"[^a-z0-9._-]+", "-", joined.lower()).strip("._-")[:_KEPT]
    return f"{left or 'x'}-{sha256(json.dumps(names).encode()).hexdigest()[:12]}"


def report_of(run_id: str) -> str:
    """Return where a run's report is in the site."""
    return f"reports/{file_name(run_id)}.html"


@dataclass(frozen=True)
class RunLine:
    """A run in one line.

    Attributes
    ----------
    measured, cases
        How many cases have a latency, of how many.
    statuses
        Its launches by how they ended.
    """

    run: Run
    cases: int
    measured: int
    statuses: Counter[str]

    @classmethod
    def of(cls, run: Run) -> RunLine:
        """Count what is in a run."""
        found = case_results(run)
        return cls(
            run=run.model_copy(update={"launches": [], "cases": [], "specification": ""}),
            cases=len(found),
            measured=sum(result.state is State.MEASURED for result in found),
            statuses=Counter(launch.status.value for launch in run.launches),
        )

    @property
    def campaign(self) -> str:
        """Its campaign, also where it decides suspicions of another run of it."""
        return (
            self.run.campaign.removeprefix(CONFIRMING) if self.run.confirms else self.run.campaign
        )

    @property
    def report(self) -> str:
        """Where its report is in the site."""
        return report_of(self.run.id)


@dataclass(frozen=True)
class Step:
    """A change in a trend, with the runs on either side and what is between them."""

    trend: Trend
    change: Change
    good: Point
    bad: Point
    marks: Sequence[str]
    between: Between


@dataclass(frozen=True)
class Trend:
    """A series, and what is drawn into it.

    Attributes
    ----------
    number
        Which of its case's series it is, from 1.
    of
        How many its case has.
    baselines
        Name to what it has for the case, in the quantity's unit.
    """

    series: Series
    number: int
    of: int
    colour: int
    baselines: Mapping[str, Estimate]
    steps: list[Step] = field(default_factory=list)

    @property
    def case(self) -> Case:
        """Its case."""
        return self.series.case

    @property
    def quantity(self) -> Quantity:
        """The quantity that it is of."""
        return self.series.quantity

    @property
    def is_of_latency(self) -> bool:
        """Whether it is of what goes without saying."""
        return self.quantity is LATENCY

    @property
    def id(self) -> str:
        """Its identifier in its page."""
        what = "" if self.is_of_latency else f"-{self.quantity.key}"
        return f"case-{self.case.id}{what}" + (f"-{self.number}" if self.of > 1 else "")

    @property
    def newest(self) -> Point:
        """Its newest run."""
        return self.series.points[-1]

    @property
    def since_first(self) -> float | None:
        """The ratio of its newest run to its first."""
        first = self.series.points[0]
        return self.newest.estimate.center / first.estimate.center if self.of_many else None

    @property
    def of_many(self) -> bool:
        """Whether it has more than one run."""
        return len(self.series.points) > 1

    @property
    def rows(self) -> list[tuple[Point, tuple[str, ...]]]:
        """Its runs, the newest first, each with what else changed with it."""
        pairs = zip(self.series.points, [(), *self.series.marks], strict=True)
        return list(pairs)[::-1]

    def against(self, baseline: str) -> float:
        """Return the ratio of its newest run to a baseline."""
        return self.newest.estimate.center / self.baselines[baseline].center


@dataclass(frozen=True)
class Group:
    """The trends of one model on one device: a page."""

    model: str
    device: str
    emulated: bool
    trends: list[Trend]

    @property
    def path(self) -> str:
        """Where its page is in the site."""
        return f"trends/{file_name(self.device, self.model)}.html"

    @property
    def runs(self) -> int:
        """In how many runs one of its cases was measured."""
        return len({point.run for trend in self.trends for point in trend.series.points})

    @property
    def newest(self) -> Point:
        """The newest run of any of its cases."""
        points = (trend.newest for trend in self.trends)
        return max(points, key=lambda point: point.started)

    @cached_property
    def steps(self) -> list[Step]:
        """All changes of its cases."""
        return [step for trend in self.trends for step in trend.steps]

    @property
    def baselines(self) -> list[str]:
        """The baselines that one of its cases is in."""
        return sorted({name for trend in self.trends for name in trend.baselines})


@dataclass(frozen=True)
class CampaignPage:
    """A campaign and its runs, the newest first."""

    name: str
    lines: list[RunLine]

    @property
    def path(self) -> str:
        """Where its page is in the site."""
        return f"campaigns/{file_name(self.name)}.html"

    @property
    def newest(self) -> RunLine:
        """Its newest run, of those that decide no suspicion if there is one."""
        own = [line for line in self.lines if line.run.confirms is None]
        return (own or self.lines)[0]

    @property
    def statuses(self) -> Counter[str]:
        """The launches of all its runs by how they ended."""
        return sum((line.statuses for line in self.lines), Counter())


@dataclass(frozen=True)
class DevicePage:
    """A device, how it fared, and what was measured on it.

    Attributes
    ----------
    record
        As its newest run knew it; none where no run began.
    health
        None where no launch or event is on record.
    """

    name: str
    record: DeviceRecord | None
    health: Health | None
    groups: list[Group]

    @property
    def path(self) -> str:
        """Where its page is in the site."""
        return f"devices/{file_name(self.name)}.html"

    @property
    def emulated(self) -> bool:
        """Whether it is emulated."""
        return bool(self.record and self.record.emulated)

    @property
    def summary(self) -> list[str]:
        """It in a few words."""
        return DeviceView(self.record, ()).summary if self.record else []


@dataclass(frozen=True)
class History:
    """All that the site shows but the reports themselves.

    Attributes
    ----------
    lines
        The newest run first.
    baselines
        Name to the id of its run.
    """

    lines: list[RunLine]
    campaigns: list[CampaignPage]
    groups: list[Group]
    devices: list[DevicePage]
    baselines: dict[str, str]

    @classmethod
    def of(
        cls,
        runs: Iterable[Run],
        health: Mapping[str, Health],
        baselines: Mapping[str, Run],
        between: Callable[[str | None, str | None], Between],
    ) -> History:
        """Sort runs.

        Parameters
        ----------
        runs
            With launches, the oldest first; their single samples are not needed. They are taken
            one by one, and not kept.
        health
            By the name of the device.
        baselines
            Name to run.
        between
            Tells which commits are between two revisions.
        """
        lines: list[RunLine] = []
        records: dict[str, DeviceRecord] = {}

        def noted() -> Iterator[Run]:
            for run in runs:
                lines.insert(0, RunLine.of(run))
                records.update({record.name: record for record in run.devices})
                yield run

        trends = _trends(histories(noted()), baselines, between)
        campaigns: dict[str, list[RunLine]] = {}
        for line in lines:
            campaigns.setdefault(line.campaign, []).append(line)
        groups = _groups(trends, records)
        return cls(
            lines=lines,
            campaigns=[CampaignPage(name, found) for name, found in campaigns.items()],
            groups=groups,
            devices=[
                DevicePage(
                    name,
                    records.get(name),
                    health.get(name),
                    [group for group in groups if group.device == name],
                )
                for name in sorted({*records, *health})
            ],
            baselines={name: run.id for name, run in baselines.items()},
        )

    @cached_property
    def reports(self) -> dict[str, str]:
        """Where the report of each run is."""
        return {line.run.id: line.report for line in self.lines}

    @property
    def steps(self) -> list[tuple[Group, Step]]:
        """All changes, the newest first."""
        found = [(group, step) for group in self.groups for step in group.steps]
        return sorted(found, key=lambda each: each[1].bad.started, reverse=True)


def _trends(
    found: Sequence[Series],
    baselines: Mapping[str, Run],
    between: Callable[[str | None, str | None], Between],
) -> list[Trend]:
    colours = colours_of(sorted({series.case.engine for series in found}))
    several = Counter((series.case.id, series.quantity.name) for series in found)
    seen: Counter[tuple[str, str]] = Counter()
    trends = []
    for series, known in zip(found, baselines_of(found, baselines), strict=True):
        key = (series.case.id, series.quantity.name)
        seen[key] += 1
        trend = Trend(
            series=series,
            number=seen[key],
            of=several[key],
            colour=colours[series.case.engine],
            baselines=known,
        )
        for change in series.changes:
            good, bad = series.points[change.index - 1], series.points[change.index]
            marks = series.marks[change.index - 1]
            span = between(good.revision, bad.revision)
            trend.steps.append(Step(trend, change, good, bad, marks, span))
        trends.append(trend)
    return trends


def _groups(trends: Iterable[Trend], records: Mapping[str, DeviceRecord]) -> list[Group]:
    groups: dict[tuple[str, str], list[Trend]] = {}
    for trend in trends:
        groups.setdefault((trend.case.device, trend.case.model), []).append(trend)
    return [
        Group(
            model=model,
            device=device,
            emulated=device in records and records[device].emulated,
            trends=sorted(
                found, key=lambda each: (each.case.setting, each.quantity.place, each.number)
            ),
        )
        for (device, model), found in sorted(groups.items())
    ]
