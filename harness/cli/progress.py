"""Progress on the terminal: launches as they are made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from harness.analysis.cases import NS_PER_MS
from harness.api import Observer
from harness.campaign.retry import RETURN_S
from harness.cli.terminal import Steps, stderr
from harness.core.reason import ENGLISH
from harness.core.records import Status
from harness.core.text import count, milliseconds, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from rich.progress import TaskID

    from harness.analysis.gate import Gate
    from harness.core.errors import LabError
    from harness.core.reason import Reason
    from harness.core.records import Case, Launch, Run
    from harness.export.follow import Follower

__all__ = ["LiveProgress"]


_MARKS = {
    Status.OK: "[green]ok[/]",
    Status.FAILED: "[red]failed[/]",
    Status.INVALID: "[yellow]invalid[/]",
}
_WAITS = {
    "waiting": "waits for its device to cool or to be quiet: ",
    "away": "waits for its link: ",
    "silent": "is not answered: ",
}
_TOLD = {
    "away": "the link dropped; it is tried again",
    "silent": "the device's answer is overdue; if none comes, its link is made again",
}


class LiveProgress(Observer):
    """What is prepared in one line, a bar for each host, and a line for each launch that ends.

    Parameters
    ----------
    export
        Given each launch that ends; where it fails, that is told once.
    ends
        What is said where the user ends the run; by default how to continue with it.
    """

    def __init__(self, export: Follower | None = None, *, ends: str = "") -> None:
        self._export = export
        self._ends = ends
        self._steps = Steps()
        self._told: set[tuple[str, Reason]] = set()
        self._console = stderr()
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._decides: Gate | None = None
        self._cases: dict[str, Case] = {}
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._progress = self._bars()

    def _bars(self) -> Progress:
        return Progress(
            TextColumn("{task.fields[host]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(table_column=Column(min_width=5, no_wrap=True)),
            TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            refresh_per_second=2,  # this machine may be what is measured
            disable=not self._console.is_terminal,
        )

    def preparing(self, step: str) -> None:
        """Show what is done before launches are made."""
        self._steps.update(step)

    def begun(self, run: Run, launches: Mapping[str, int], warnings: Sequence[str]) -> None:
        """Show how many launches each host has before it."""
        self._steps.stop()
        for warning in warnings:
            self._console.print(f"[yellow]warning:[/] {escape(visible(warning))}")
        if self._export:
            self._export.begin(run)
        self._run = run
        self._cases = {record.case.id: record.case for record in run.cases}
        self._totals = dict(launches)
        self._progress = self._bars()
        for host, total in launches.items():
            self._tasks[host] = self._progress.add_task("", total=total, host=host)
        self._progress.start()

    def finished(self, run: Run) -> None:
        """Take the bars away."""
        del run
        self._run = None
        self._progress.stop()

    def deciding(self, found: Gate, blocks: int) -> None:
        """Say how many cases are launched again."""
        self._decides = found
        self._console.print(
            f"{len(found.undecided)} of {len(found.comparisons)} cases are decided on fresh "
            f"launches, {blocks} of either side"
        )

    def undecided(self, error: LabError) -> None:
        """Say why suspicions were not decided."""
        self._steps.stop()
        self._progress.stop()
        self._console.print(f"[red]error:[/] {escape(visible(error.with_hint))}")

    def begins(self, host: str, case: str, launches_left: int) -> None:
        """Show which case a host is busy with, and how many launches it has behind it."""
        done = max(0, self._totals[host] - launches_left)
        self._progress.update(self._tasks[host], description=case, completed=done)

    def stands(self, host: str, case: str, state: str) -> None:
        """Show what a launch waits for; a link that fails is told in a line of its own."""
        self._progress.update(self._tasks[host], description=f"{_WAITS.get(state, '')}{case}")
        if state in _TOLD:
            self._say(f"{case}: {_TOLD[state]}")

    def ended(self, host: str, launch: Launch) -> None:
        """Print a launch's line; what its device cannot do is said once."""
        del host
        self._follow(launch)
        case = self._cases[launch.case_id]
        label = case.label
        figure = f" · {milliseconds(launch.figure_ns / NS_PER_MS)}" if launch.figure_ns else ""
        with self._lock:
            self._console.print(
                f"{_MARKS[launch.status]} {label} · [dim]{launch.name}[/]{figure}",
                highlight=False,
            )
            if launch.reason:
                self._console.print(
                    f"   {visible(str(launch.reason))}", markup=False, highlight=False
                )
            if hint := ENGLISH.hint(launch.reason):
                self._console.print(f"   try: {visible(hint)}", markup=False, highlight=False)
            for unmet in launch.conditions.unmet if launch.conditions else ():
                if (case.device, unmet) not in self._told:
                    self._told.add((case.device, unmet))
                    self._console.print(
                        f"[yellow]warning:[/] {case.device}: {escape(visible(str(unmet)))}",
                        highlight=False,
                    )

    def again(self, host: str, case: str, after_s: float) -> None:
        """Say that a failed launch is made again."""
        del host
        self._say(f"{case}: it is made again in {after_s:g} s")

    def asks_for_more(self, host: str, launches: int) -> None:
        """Count the launches that the first stage asked for."""
        self._totals[host] += launches
        self._progress.update(self._tasks[host], total=self._totals[host])
        self._say(f"{count(launches, 'more launch')}, for the precision that was asked for")

    def gave_up(self, host: str, case: str, why: Reason) -> None:
        """Say that a case's other launches are left out."""
        del host, why
        self._say(f"{case}: its other launches are left out; --resume tries again")

    def put_aside(self, host: str, device: str, why: Reason, *, may_return: bool) -> None:
        """Say that a device's launches are left out, for now or for good."""
        if may_return:
            self._progress.update(self._tasks[host], description=f"{device} is put aside")
            known = self._run.protocol.wait_for_device_s if self._run else None
            seconds = RETURN_S if known is None else known
            then = (
                "it is asked again now and then, and goes on when it answers; when nothing else is "
                f"left to measure, it is waited for {seconds:g} s (protocol: wait_for_device_s)"
            )
        else:
            then = "its other launches are left out; --resume continues with them"
        self._say(f"{device} is put aside: {why}; {then}")

    def came_back(self, host: str, device: str) -> None:
        """Say that a device goes on."""
        del host
        self._say(f"{device} answers again, and goes on")

    def power_cycles(self, host: str, device: str, outcome: Reason | None) -> None:
        """Say that a device is switched off and on, and what came of it."""
        if outcome is None:
            self._progress.update(self._tasks[host], description=f"{device} is power-cycled")
            self._say(f"{device} does not work: it is power-cycled")
        else:
            self._say(f"{device}: {outcome}")

    def _follow(self, launch: Launch) -> None:
        if self._export and (fault := self._export(launch)):
            self._say(f"warning: not exported any more: {fault}")

    def _say(self, line: str) -> None:
        with self._lock:
            self._console.print(f"   {visible(line)}", markup=False, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._steps.stop()
        self._progress.stop()
        if not isinstance(error, KeyboardInterrupt):
            return
        if self._decides:
            baseline, run = self._decides.baseline, self._decides.run.id
            self._console.print(
                f"decide again with: harness check --baseline {baseline} --run {run}"
            )
        elif self._run:
            self._console.print(
                self._ends
                or f"what is stored stays; continue with: harness run --resume {self._run.id}"
            )
