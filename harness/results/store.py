"""What every results database offers, whichever keeps it.

A launch is stored before the next one begins, and its identity (run, case, slot, attempt) is
unique: a run that is killed at any point continues with no result lost or doubled.
:meth:`harness.workspace.Workspace.store` opens the one of a workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from types import TracebackType

    from harness.core.records import Case, Category, DeviceEvent, DeviceRecord, Launch, Run, Status
    from harness.results.imported import ImportedTable

__all__ = ["CONFIRMING", "DeviceLaunches", "RunSummary", "Store"]

CONFIRMING: Final = "check:"
"""What the campaign's name of a run that decides suspicions begins with; no campaign's own does."""


@dataclass(frozen=True)
class RunSummary:
    """A run in one line: how many launches it planned, and how they ended so far.

    Attributes
    ----------
    planned
        None where the run's record is damaged.
    """

    id: str
    campaign: str
    started: datetime
    finished: datetime | None
    planned: int | None
    launches: dict[Status, int]


@dataclass(frozen=True)
class DeviceLaunches:
    """How many of a run's launches on a device ended in one way; the start of the newest."""

    device: str
    run: str
    status: Status
    category: Category | None
    count: int
    newest: datetime


class Store(Protocol):
    """A results database; its methods may be called from several threads.

    Every method may raise a :class:`LabError` where the database cannot be reached or written to,
    and a :class:`ResultsError` where what it holds is damaged.
    """

    def close(self) -> None:
        """Close the database."""

    def create(self, run: Run) -> Run:
        """Store a new run, before its first launch, and return it.

        Where another run has its id (the campaign was begun twice in one second), the id gets a
        number.
        """

    def update(self, run: Run) -> None:
        """Store what changed of a run: its end, or its devices' facts. Launches stay."""

    def add(self, run_id: str, launch: Launch) -> None:
        """Store a launch; when this returns, it is on disk.

        Raises
        ------
        LabError
            It cannot be written: its disk is full, for example.
        """

    def load(self, run_id: str, *, samples: bool | Collection[str] = True) -> Run:
        """Return a run with all its launches.

        Parameters
        ----------
        samples
            Whether with what most bytes of a launch are, and its figures are not made of any more:
            single samples, readings of sensors, and logs. Without, many runs fit into memory; of a
            very large one, the ids of the cases whose launches have them.

        Raises
        ------
        SpecificationError
            There is no run of that id.
        """

    def find(self, run_id: str) -> str | None:
        """Return a run's id if there is such a run."""

    def latest(
        self,
        *,
        campaign: str | None = None,
        unfinished: bool = False,
        revision: str | None = None,
        but: Collection[str] = (),
    ) -> str | None:
        """Return the id of the newest run, or none.

        Parameters
        ----------
        campaign
            Only runs of this campaign.
        unfinished
            Only runs that were interrupted, or still run.
        but
            Not these.
        revision
            Only runs of the commit that begins with this, without changes to it.

        Runs that decide suspicions are left out: they are beside the run that they are of.
        """

    def expected_wall_s(self, case_id: str) -> float | None:
        """Return the mean time of a case's launches that went well, in s, over all runs."""

    def summaries(self) -> Iterator[RunSummary]:
        """Yield all runs, the newest first."""

    def versions(self, since: datetime | None = None) -> dict[str, str]:
        """Return a digest of each run that has launches, the newest run first.

        It is another one when launches came to the run, or what is known of it changed.

        Parameters
        ----------
        since
            Only runs that began then or later.
        """

    def measured(self) -> Iterator[tuple[str, DeviceRecord, Case]]:
        """Yield run, device and case of each case that had a launch go well, newest runs first."""

    def add_imported(self, table: ImportedTable, *, replace: bool = False) -> None:
        """Store somebody else's figures.

        Raises
        ------
        SpecificationError
            There is a table of that name, and it is not to be replaced.
        """

    def imported(self) -> list[ImportedTable]:
        """Return all imported tables, in the order of their import."""

    def load_imported(self, name: str) -> ImportedTable:
        """Return an imported table.

        Raises
        ------
        SpecificationError
            No such name.
        """

    def remove_imported(self, name: str) -> None:
        """Forget an imported table.

        Raises
        ------
        SpecificationError
            No such name.
        """

    def logs_bytes(self, before: datetime) -> tuple[int, int]:
        """Return how many launches that began before have a log, and how many bytes those are."""

    def drop_logs(self, before: datetime) -> None:
        """Forget what runners printed in launches that began before; all else of them stays."""

    def note(self, happened: DeviceEvent) -> None:
        """Store what happened to a device."""

    def device_events(self, device: str | None = None) -> list[DeviceEvent]:
        """Return what happened beside launches, to a device or to all, the oldest first."""

    def device_launches(self) -> list[DeviceLaunches]:
        """Return how the launches of each run on each device ended, the oldest run first."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
