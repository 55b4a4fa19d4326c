"""The results database: SQLite, written as each launch ends.

The database holds whole records as JSON beside the few columns that are searched. A launch is
committed to disk before the next one begins, and its identity (run, case, slot, attempt) is
unique: a run that is killed at any point goes on with no result lost or doubled.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    cast,
    create_engine,
    event,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from harness.core.errors import LabError, ResultsError, SpecificationError
from harness.core.records import (
    SCHEMA_VERSION,
    Category,
    DeviceEvent,
    DeviceEventKind,
    Launch,
    Run,
    Status,
)
from harness.core.yamlfile import nearest
from harness.results.imported import ImportedTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from harness.core.records import Case, DeviceRecord

__all__ = ["DeviceLaunches", "RunSummary", "Store"]

BUSY_TIMEOUT_S = 30
CONFIRMING = "check:"
"""What the campaign's name of a run that decides suspicions begins with; no campaign's own does."""
DETAIL_LIMIT = 500
_BULK = (
    "environment", "layers", "log", "pss_series",
    "samples_ns", "shape_changes", "warmup_ns", "watch",
)  # fmt: skip


class _Base(DeclarativeBase):
    pass


class _RunRow(_Base):
    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str]
    started: Mapped[str]
    finished: Mapped[str | None]
    record: Mapped[str]


class _LaunchRow(_Base):
    __tablename__ = "launches"
    __table_args__ = (
        UniqueConstraint("run_id", "case_id", "slot", "attempt"),
        # All that a device's health is made of: records are large, and not read for it.
        Index("ix_launches_health", "device", "run_id", "status", "category", "started"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    case_id: Mapped[str]
    slot: Mapped[int]
    attempt: Mapped[int]
    status: Mapped[str]
    wall_s: Mapped[float | None]
    device: Mapped[str | None]
    category: Mapped[str | None]
    started: Mapped[str | None]
    record: Mapped[str]


class _ImportedRow(_Base):
    __tablename__ = "imported"

    id: Mapped[str] = mapped_column(primary_key=True)
    imported: Mapped[str]
    record: Mapped[str]


class _EventRow(_Base):
    __tablename__ = "device_events"

    number: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(index=True)
    at: Mapped[str]
    run_id: Mapped[str | None]
    kind: Mapped[str]
    detail: Mapped[str]


@dataclass(frozen=True)
class RunSummary:
    """A run in one line: how many launches it planned, and how they ended so far."""

    id: str
    campaign: str
    started: datetime
    finished: datetime | None
    planned: int
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


class Store:
    """A results database, made where there is none.

    Raises
    ------
    ResultsError
        The file is no database of ours, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _configure)
        self._device_of: dict[str, dict[str, str]] = {}
        try:
            with self._engine.connect() as connection:
                found = _version(connection)
                if found <= SCHEMA_VERSION and _lacks_something(connection):
                    # Two controllers may open a new or an old database at once: one at a time.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    if _lacks_something(connection):
                        _bring_up_to_date(connection)
                    connection.commit()
        except DBAPIError as error:
            self.close()
            raise ResultsError(
                f"{path}: {error.orig}", hint="move the file away; a new one is made"
            ) from error
        if found > SCHEMA_VERSION:
            self.close()
            raise ResultsError(
                f"{path}: schema version {found}, newer than this harness knows ({SCHEMA_VERSION})",
                hint="upgrade edge-harness, or use another workspace",
            )

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def create(self, run: Run) -> Run:
        """Store a new run, before its first launch, and return it.

        Where another run has its id (the campaign was begun twice in one second), the id gets a
        number.
        """
        wanted = run.id
        for number in count(2):
            try:
                with self._writing() as session:
                    session.add(_RunRow(**_run_columns(run)))
                break
            except IntegrityError:
                # Not a dash: a run's launches are known by "<run>-".
                run = run.model_copy(update={"id": f"{wanted}.{number}"})
        return run

    def update(self, run: Run) -> None:
        """Store what changed of a run: its end, or its devices' facts. Launches stay."""
        with self._writing() as session:
            session.merge(_RunRow(**_run_columns(run)))

    def add(self, run_id: str, launch: Launch) -> None:
        """Store a launch; when this returns, it is on disk.

        Raises
        ------
        LabError
            It cannot be written: its disk is full, for example.
        """
        with self._writing() as session:
            if run_id not in self._device_of:
                row = session.get_one(_RunRow, run_id)
                self._device_of[run_id] = _devices(row.record)
            session.add(
                _LaunchRow(
                    id=launch.id,
                    run_id=run_id,
                    case_id=launch.case_id,
                    slot=launch.slot,
                    attempt=launch.attempt,
                    status=launch.status.value,
                    wall_s=launch.wall_s,
                    device=self._device_of[run_id].get(launch.case_id),
                    category=launch.category.value if launch.category else None,
                    started=launch.started.isoformat(),
                    record=launch.model_dump_json(),
                )
            )

    def load(self, run_id: str, *, samples: bool = True) -> Run:
        """Return a run with all its launches.

        Parameters
        ----------
        samples
            Whether with what most bytes of a launch are, and its figures are not made of any more:
            single samples, readings of sensors, and logs. Without, many runs fit into memory.

        Raises
        ------
        SpecificationError
            There is no run of that id.
        """
        with self._session() as session:
            row = session.get(_RunRow, run_id)
            if row is None:
                known = session.scalars(select(_RunRow.id)).all()
                raise SpecificationError(
                    f"no run '{run_id}' in {self._path}",
                    hint=nearest(run_id, known) or "measure first: harness run CAMPAIGN",
                )
            thin = func.json_remove(_LaunchRow.record, *(f"$.{name}" for name in _BULK))
            records = session.scalars(
                select(_LaunchRow.record if samples else thin).where(_LaunchRow.run_id == run_id)
            ).all()
            launches = [Launch.model_validate_json(record) for record in records]
            run = Run.model_validate_json(row.record)
        return run.model_copy(
            update={"launches": sorted(launches, key=lambda launch: launch.started)}
        )

    def find(self, run_id: str) -> str | None:
        """Return a run's id if there is such a run."""
        with self._session() as session:
            return session.scalars(select(_RunRow.id).where(_RunRow.id == run_id)).first()

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

        Runs that decide suspicions are left out: they stand beside the run that they are of.
        """
        query = select(_RunRow.id).order_by(_RunRow.started.desc()).limit(1)
        query = query.where(~_RunRow.campaign.startswith(CONFIRMING))
        if campaign is not None:
            query = query.where(_RunRow.campaign == campaign)
        if but:
            query = query.where(_RunRow.id.not_in(but))
        if unfinished:
            query = query.where(_RunRow.finished.is_(None))
        if revision is not None:
            # As git describe has it: with a tag's name before it, or not.
            commit = func.json_extract(_RunRow.record, "$.revision")
            begins = commit.startswith(revision, autoescape=True)
            tagged = commit.contains(f"-g{revision}", autoescape=True)
            query = query.where(begins | tagged, ~commit.endswith("+"))
        with self._session() as session:
            return session.scalars(query).first()

    def expected_wall_s(self, case_id: str) -> float | None:
        """Return the mean time of a case's launches that went well, in s, over all runs."""
        query = select(func.avg(_LaunchRow.wall_s)).where(
            _LaunchRow.case_id == case_id, _LaunchRow.status == Status.OK.value
        )
        with self._session() as session:
            return session.scalars(query).first()

    def summaries(self) -> Iterator[RunSummary]:
        """Yield all runs, the newest first."""
        counts = select(_LaunchRow.run_id, _LaunchRow.status, func.count()).group_by(
            _LaunchRow.run_id, _LaunchRow.status
        )
        with self._session() as session:
            by_run: dict[str, dict[Status, int]] = {}
            for run_id, status, count in session.execute(counts):
                by_run.setdefault(run_id, {})[Status(status)] = count
            for row in session.scalars(select(_RunRow).order_by(_RunRow.started.desc())):
                run = Run.model_validate_json(row.record)
                yield RunSummary(
                    id=run.id,
                    campaign=run.campaign,
                    started=run.started,
                    finished=run.finished,
                    planned=sum(len(case.roles) for case in run.cases),
                    launches=by_run.get(run.id, {}),
                )

    def versions(self, since: datetime | None = None) -> dict[str, str]:
        """Return a digest of each run that has launches, the newest run first.

        It is another one when launches came to the run, or what is known of it changed.

        Parameters
        ----------
        since
            Only runs that began then or later.
        """
        launches = func.count(_LaunchRow.id)
        query = (
            select(_RunRow.id, _RunRow.started, _RunRow.record, launches)
            .join(_LaunchRow, _LaunchRow.run_id == _RunRow.id)
            .group_by(_RunRow.id)
            .order_by(_RunRow.started.desc())
        )
        with self._session() as session:
            return {
                run_id: sha256(f"{number} {record}".encode()).hexdigest()
                for run_id, started, record, number in session.execute(query)
                if since is None or datetime.fromisoformat(started) >= since
            }

    def measured(self) -> Iterator[tuple[str, DeviceRecord, Case]]:
        """Yield run, device and case of each case that had a launch go well, newest runs first."""
        query = select(_LaunchRow.run_id, _LaunchRow.case_id).distinct()
        with self._session() as session:
            well: dict[str, set[str]] = {}
            for run_id, case_id in session.execute(query.where(_LaunchRow.status == Status.OK)):
                well.setdefault(run_id, set()).add(case_id)
            for row in session.scalars(select(_RunRow).order_by(_RunRow.started.desc())):
                if row.id not in well:
                    continue
                run = Run.model_validate_json(row.record)
                devices = {device.name: device for device in run.devices}
                for record in run.cases:
                    if record.case.id in well[run.id]:
                        yield run.id, devices[record.case.device], record.case

    def add_imported(self, table: ImportedTable, *, replace: bool = False) -> None:
        """Store somebody else's figures.

        Raises
        ------
        SpecificationError
            There is a table of that name, and it is not to be replaced.
        """
        row = {
            "id": table.id,
            "imported": table.imported.isoformat(),
            "record": table.model_dump_json(),
        }
        try:
            with self._writing() as session:
                if replace:
                    session.merge(_ImportedRow(**row))
                else:
                    session.add(_ImportedRow(**row))
        except IntegrityError:
            raise SpecificationError(
                f"there is an imported table '{table.id}' already",
                hint="give it another --name, or --replace the one that is there",
            ) from None

    def imported(self) -> list[ImportedTable]:
        """Return all imported tables, in the order of their import."""
        query = select(_ImportedRow.record).order_by(_ImportedRow.imported, _ImportedRow.id)
        with self._session() as session:
            return [ImportedTable.model_validate_json(each) for each in session.scalars(query)]

    def load_imported(self, name: str) -> ImportedTable:
        """Return an imported table.

        Raises
        ------
        SpecificationError
            There is none of that name.
        """
        with self._session() as session:
            row = self._imported_row(session, name)
            return ImportedTable.model_validate_json(row.record)

    def remove_imported(self, name: str) -> None:
        """Forget an imported table.

        Raises
        ------
        SpecificationError
            There is none of that name.
        """
        with self._writing() as session:
            session.delete(self._imported_row(session, name))

    def _imported_row(self, session: Session, name: str) -> _ImportedRow:
        row = session.get(_ImportedRow, name)
        if row is None:
            known = session.scalars(select(_ImportedRow.id)).all()
            raise SpecificationError(
                f"no imported table '{name}' in {self._path}",
                hint=nearest(name, known) or "import one: harness import FILE.csv --help",
            )
        return row

    def logs_bytes(self, before: datetime) -> tuple[int, int]:
        """Return how many launches that began before have a log, and how many bytes those are."""
        log = func.json_extract(_LaunchRow.record, "$.log")
        size = func.length(cast(log, LargeBinary))
        query = select(func.count(), func.coalesce(func.sum(size), 0)).where(
            _LaunchRow.started < before.isoformat(), log != ""
        )
        with self._session() as session:
            launches, total = session.execute(query).one()
        return launches, total

    def drop_logs(self, before: datetime) -> None:
        """Forget what runners printed in launches that began before; all else of them stays."""
        log = func.json_extract(_LaunchRow.record, "$.log")
        with self._session() as session, session.begin():
            session.execute(
                update(_LaunchRow)
                .where(_LaunchRow.started < before.isoformat(), log != "")
                .values(record=func.json_set(_LaunchRow.record, "$.log", ""))
            )
        with suppress(DBAPIError), self._engine.connect() as connection:
            # Else its file stays as large as it was, and is filled again: so it does where another
            # controller is in the way.
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")

    def note(self, happened: DeviceEvent) -> None:
        """Store what happened to a device."""
        row = happened.model_dump(mode="json", exclude={"run"}) | {"run_id": happened.run}
        with self._writing() as session:
            session.add(_EventRow(**row | {"detail": happened.detail[:DETAIL_LIMIT]}))

    def device_events(self, device: str | None = None) -> list[DeviceEvent]:
        """Return what happened beside launches, to a device or to all, the oldest first."""
        query = select(_EventRow).order_by(_EventRow.number)
        if device is not None:
            query = query.where(_EventRow.device == device)
        with self._session() as session:
            return [
                DeviceEvent(
                    device=row.device,
                    at=datetime.fromisoformat(row.at),
                    kind=DeviceEventKind(row.kind),
                    run=row.run_id,
                    detail=row.detail,
                )
                for row in session.scalars(query)
            ]

    def device_launches(self) -> list[DeviceLaunches]:
        """Return how the launches of each run on each device ended, the oldest run first."""
        key = (_LaunchRow.device, _LaunchRow.run_id, _LaunchRow.status, _LaunchRow.category)
        query = (
            select(*key, func.count(), func.max(_LaunchRow.started))
            .group_by(*key)
            .order_by(func.min(_LaunchRow.started))
        )
        with self._session() as session:
            return [
                DeviceLaunches(
                    device=device,
                    run=run,
                    status=Status(status),
                    category=Category(category) if category else None,
                    count=count,
                    newest=datetime.fromisoformat(newest),
                )
                for device, run, status, category, count, newest in session.execute(query)
                if device and newest
            ]

    def _session(self) -> AbstractContextManager[Session]:
        return Session(self._engine)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """Write all that is added, or none of it."""
        try:
            with self._session() as session, session.begin():
                yield session
        except OperationalError as error:
            raise LabError(
                f"{self._path}: {error.orig}",
                hint="make room on its disk, or wait for whoever writes to it; "
                "then go on: harness run --resume",
            ) from error


def _run_columns(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "campaign": run.campaign,
        "started": run.started.isoformat(),
        "finished": run.finished.isoformat() if run.finished else None,
        "record": run.model_dump_json(exclude={"launches"}),
    }


def _devices(record: str) -> dict[str, str]:
    """Return the device of each of a stored run's cases, by the case's id."""
    cases = [case.case for case in Run.model_validate_json(record).cases]
    return {case.id: case.device for case in cases}


def _version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _lacks_something(connection: Connection) -> bool:
    found = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    tables = _Base.metadata.tables.values()
    indexes = {str(index.name) for table in tables for index in table.indexes}
    wanted = {table.name for table in tables} | indexes
    return _version(connection) < SCHEMA_VERSION or not wanted <= found


def _bring_up_to_date(connection: Connection) -> None:
    """Make what is missing in a new database, or in one of an earlier version."""
    if inspect(connection).has_table("launches"):
        known = {column["name"] for column in inspect(connection).get_columns("launches")}
        for name in ("device", "category", "started"):
            if name not in known:
                connection.exec_driver_sql(f"ALTER TABLE launches ADD COLUMN {name} VARCHAR")
        launches = _Base.metadata.tables["launches"]
        category, started = (
            func.json_extract(launches.c.record, f"$.{name}") for name in ("category", "started")
        )
        connection.execute(update(launches).values(category=category, started=started))
        for run_id, record in connection.execute(select(_RunRow.id, _RunRow.record)).all():
            for case_id, device in _devices(record).items():
                of_case = (launches.c.run_id == run_id, launches.c.case_id == case_id)
                connection.execute(update(launches).where(*of_case).values(device=device))
        for index in launches.indexes:
            index.create(connection, checkfirst=True)
    _Base.metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION:d}")


def _configure(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # A power cut must not take back a launch that was reported as stored.
    cursor.execute("PRAGMA synchronous = FULL")
    # This one does not heed the busy timeout while another controller makes the same new database.
    give_up = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
    cursor.close()
