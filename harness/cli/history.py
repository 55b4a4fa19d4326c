"""``harness history``."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import as_json, complete_case
from harness.core.errors import SpecificationError
from harness.core.text import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from harness.analysis.history import Change, Point, Series
    from harness.core.quantity import Quantity
    from harness.core.records import Case, Run
    from harness.core.revisions import Between
    from harness.results.store import Store

BARS = "▁▂▃▄▅▆▇█"
SHOWN = 40
MARKED = 3
NEW_DEVICE = "another device instance, or other inputs"


@click.command(
    epilog="""\b
Examples:
  harness history                              all cases
  harness history rk3588 'mobilenet*'          cases matching all patterns
  harness history 5f3a                         one case, by the start of its id
  harness history --by commit --since 2026-01-01
"""
)
@click.argument("patterns", metavar="[CASE]...", nargs=-1, shell_complete=complete_case)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only runs since this day (UTC).")
@click.option(
    "--by",
    "order",
    type=click.Choice(["date", "commit"]),
    default="date",
    show_default=True,
    help="Order by date of the runs or by commit.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 100),
    default=3.0,
    show_default=True,
    help="Smallest change to report, in percent.",
)
@wide_option
@as_json
@click.pass_context
def history(
    ctx: click.Context,
    patterns: Sequence[str],
    since: datetime | None,
    order: str,
    *,
    margin: float,
    as_json: bool,
) -> None:
    """Show how cases developed over stored runs, where they changed, and which commits to suspect.

    A change is reported where runs differ by more than usual from run to run. Another instance of a
    device starts a new series; new engines, kernels and clocks are marked.
    """
    from harness.analysis.history import histories
    from harness.cli.terminal import steps
    from harness.core.text import count

    root = workspace_of(ctx).root
    with workspace_of(ctx).store() as store, steps() as progress:
        runs: Iterable[Run] = _runs(
            store, since.replace(tzinfo=UTC) if since else None, progress.update
        )
        left_out = 0
        if order == "commit":
            runs, left_out = _by_commit(root, list(runs))
        found = histories(runs, margin=margin / 100)
    told = [
        _Told(series, [_Step.of(root, series, change) for change in series.changes])
        for series in found
        if _fits(series.case, patterns)
    ]
    if not told:
        raise SpecificationError(
            "no case was measured" + (f" that matches {' '.join(patterns)}" if patterns else ""),
            hint="harness history without a name lists all cases",
        )
    if as_json:
        click.echo(json.dumps([each.as_json() for each in told], indent=2))
        return
    _print(told)
    if left_out:
        click.echo(f"left out: {count(left_out, 'run')} of unknown commits", err=True)


def _runs(store: Store, since: datetime | None, progress: Any) -> Iterator[Run]:  # noqa: ANN401
    """Yield the runs that have ended launches, oldest first."""
    wanted = list(store.versions(since))
    for number, run_id in enumerate(reversed(wanted), 1):
        if number % 25 == 0:
            progress(f"reading run {number} of {len(wanted)}")
        yield store.load(run_id, samples=False)


def _by_commit(root: Path, runs: Sequence[Run]) -> tuple[list[Run], int]:
    """Return the runs of known commits, ancestors first, and how many are left out."""
    from harness.core.revisions import commits, full_name

    places = commits(root)
    names = {run.revision: full_name(root, run.revision) for run in runs}
    known = [
        (places[name], run) for run in runs if (name := names[run.revision]) and name in places
    ]
    return [run for _, run in sorted(known, key=lambda each: each[0])], len(runs) - len(known)


def _fits(case: Case, patterns: Sequence[str]) -> bool:
    """Return whether each pattern fits one of a case's names, or begins its id."""
    names = (case.model, case.device, case.engine, case.backend, case.precision, case.label)
    return all(
        case.id.startswith(pattern) or any(fnmatch.fnmatchcase(name, pattern) for name in names)
        for pattern in patterns
    )


@dataclass(frozen=True)
class _Step:
    """A change, with the runs on either side and what is between them."""

    quantity: Quantity
    change: Change
    good: Point
    bad: Point
    marks: tuple[str, ...]
    between: Between

    @classmethod
    def of(cls, root: Path, series: Series, change: Change) -> _Step:
        from harness.core.revisions import between

        good, bad = series.points[change.index - 1], series.points[change.index]
        marks = series.marks[change.index - 1]
        return cls(
            series.quantity, change, good, bad, marks, between(root, good.revision, bad.revision)
        )

    @property
    def is_worse(self) -> bool:
        return self.quantity.is_worse(self.change.ratio)

    @property
    def words(self) -> str:
        change = self.change
        way = self.quantity.change(change.ratio)
        low, high = difference(change.low), difference(change.high)
        once = ", in one run so far" if change.runs_after == 1 else ""
        return f"{way}: {difference(change.ratio)} [{low}, {high}] since {self.bad.run}{once}"


@dataclass(frozen=True)
class _Told:
    """A series, and its changes."""

    series: Series
    steps: list[_Step]

    def as_json(self) -> dict[str, Any]:
        case = self.series.case
        return {
            "case": case.id,
            "label": case.label,
            "quantity": self.series.quantity.title,
            "instance": self.series.instance,
            "points": [
                {
                    "run": point.run,
                    "started": point.started.isoformat(),
                    "revision": point.revision,
                    "dirty": point.dirty,
                    self.series.quantity.column: asdict(point.estimate),
                    "differs": list(marks),
                }
                for point, marks in zip(self.series.points, [(), *self.series.marks], strict=True)
            ],
            "changes": [
                {
                    **asdict(step.change),
                    "last_before": step.good.run,
                    "first_after": step.bad.run,
                    "differs": list(step.marks),
                    "commits": asdict(step.between),
                }
                for step in self.steps
            ],
        }


def _label(series: Series) -> str:
    """Name a series; that it is of the latency goes without saying."""
    from harness.quantities.latency import PLUGIN as LATENCY

    quantity = series.quantity
    return series.case.label + ("" if quantity is LATENCY else f" · {quantity.title}")


def _print(told: Sequence[_Told]) -> None:
    from rich.markup import escape

    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.core.text import visible

    out = console()
    table = Grid(
        Column("Case", 5),
        Column("", wrap=20),
        Column("Runs", 4, right=True),
        Column("Trend", 2),
        Column("Newest", right=True),
        Column("Since the first", 1, right=True),
        Column("Changes", 3, right=True),
    )
    seen: set[tuple[str, str]] = set()
    for each in told:
        series = each.series
        first, last = series.points[0].estimate.center, series.points[-1].estimate.center
        key = (series.case.id, series.quantity.name)
        again = f" ({NEW_DEVICE})" if key in seen else ""
        seen.add(key)
        table.add(
            f"[dim]{series.case.id}[/]",
            escape(visible(_label(series))) + f"[dim]{again}[/]",
            str(len(series.points)),
            _sparkline(series),
            series.quantity.text(last),
            difference(last / first) if len(series.points) > 1 else "",
            str(len(each.steps)) if each.steps else "none",
        )
    table.print(out)
    for each in told:
        if each.steps:
            out.print(f"\n[bold]{escape(visible(_label(each.series)))}[/]")
        for step in each.steps:
            _print_step(step)


def _print_step(step: _Step) -> None:
    from rich.text import Text

    from harness.cli.terminal import console
    from harness.core.text import count, visible

    out = console()
    out.print(Text(f"  {step.words}", style="red" if step.is_worse else "green"))
    out.print(Text(f"    last before: {step.good.run} ({step.good.revision or 'no commit'})"))
    span = step.between
    if span.range and span.count is not None:
        out.print(Text(f"    suspect: {count(span.count, 'commit')} in {span.range}"))
        for line in span.commits:
            out.print(Text(f"      {visible(line)}"), style="dim", soft_wrap=True)
        if span.count > len(span.commits):
            out.print(f"      … git log --oneline {span.range}", style="dim")
    if span.note:
        out.print(Text(f"    {visible(span.note)}"), soft_wrap=True)
    for mark in step.marks[:MARKED]:
        out.print(Text(f"    also differs: {visible(mark)}"), soft_wrap=True)


def _sparkline(series: Series) -> str:
    """Return the newest runs as bars, on a logarithmic scale; ``│`` before a change."""
    import math

    points = series.points[-SHOWN:]
    begin = len(series.points) - len(points)
    levels = [math.log(point.estimate.center) for point in points]
    low, high = min(levels), max(levels)
    # A flat line stays one: bars are drawn for what is more than noise.
    span = max(high - low, math.log1p(0.02))
    steps = {change.index - begin for change in series.changes}
    return "".join(
        ("│" if place in steps else "")
        + BARS[min(len(BARS) - 1, int((level - low) / span * len(BARS)))]
        for place, level in enumerate(levels)
    )
