"""A results database in SQL: what SQLite and PostgreSQL have in common.

It holds whole records as JSON beside the few columns that are searched. What each of the two does
in its own way is in :mod:`harness.results.sqlite` and :mod:`harness.results.postgresql`.
"""

from __future__ import annotations

import abc
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from pydantic import ValidationError
from sqlalchemy import (
    Double,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    and_,
    func,
    inspect,
    not_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from harness.core.errors import ResultsError, SpecificationError
from harness.core.reason import Reason, plain
from harness.core.records import Category, DeviceEvent, DeviceEventKind, Launch, Record, Run, Status
from harness.core.yamlfile import nearest
from harness.results.imported import ImportedTable
from harness.results.store import CONFIRMING, DeviceLaunches, RunSummary, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import TracebackType

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection, Engine

    from harness.core.errors import HarnessError
    from harness.core.records import Case, DeviceRecord

__all__ = ["HEAD", "METADATA", "Database"]

HEAD: Final = 4
"""The schema's version: that of the newest file in ``migrations/versions``."""
DETAIL_LIMIT = 500
BULK: Final = (
    "environment", "layers", "log", "profile", "pss_series",
    "samples_ns", "shape_changes", "warmup_ns", "watch",
)  # fmt: skip
"""Fields of a launch's record that most of its bytes are in."""

_STREAMED: Final = {"yield_per": 200}

# Ordered by bytes everywhere: points in time are compared as text.
TEXT: Final = String().with_variant(String(collation="C"), "postgresql")

ParsedT = TypeVar("ParsedT", bound=Record)
ResultT = TypeVar("ResultT")


class _Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: TEXT, float: Double()}


METADATA: Final = _Base.metadata


class RunRow(_Base):
    """A run: its record is without its launches."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign: Mapped[str]
    started: Mapped[str]
    finished: Mapped[str | None]
    record: Mapped[str]


class LaunchRow(_Base):
    """A launch."""

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


class ImportedRow(_Base):
    """An imported table."""

    __tablename__ = "imported"

    id: Mapped[str] = mapped_column(primary_key=True)
    imported: Mapped[str]
    record: Mapped[str]


class EventRow(_Base):
    """What happened to a device."""

    __tablename__ = "device_events"

    number: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(index=True)
    at: Mapped[str]
    run_id: Mapped[str | None]
    kind: Mapped[str]
    detail: Mapped[str]


class Database(Store, abc.ABC):
    """A results database in SQL.

    Parameters
    ----------
    where
        What messages call it.

    Raises
    ------
    ResultsError
        It is not a results database, damaged, or of a newer version.
    LabError
        It cannot be reached; or it is of an earlier version, and cannot be written to.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._device_of: dict[str, dict[str, str]] = {}
        try:
            self._open()
        except DBAPIError as error:
            self.close()
            raise self._fault(error) from error
        except BaseException:
            self.close()
            raise

    # What differs between databases.

    @abc.abstractmethod
    def _fault(self, error: DBAPIError) -> HarnessError:
        """Return what the driver's error is to a user."""

    def _version(self, connection: Connection) -> int:
        """Return the schema's version; 0 where there is none, or alembic did not set it."""
        if not inspect(connection).has_table("alembic_version"):
            return 0
        number = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return int(number or 0)

    def _upgraded(self, connection: Connection) -> None:
        """Do what is to be done after the schema's upgrade, in the same transaction."""

    @abc.abstractmethod
    def _lock(self, connection: Connection) -> None:
        """Keep others from changing the schema, until the transaction ends."""

    @abc.abstractmethod
    def _without(self, names: Collection[str]) -> ColumnElement[str]:
        """Return launches' records without some fields."""

    @abc.abstractmethod
    def _field(self, record: Any, name: str) -> ColumnElement[str]:  # noqa: ANN401
        """Return a field of records, which is a short text."""

    @abc.abstractmethod
    def _log_bytes(self) -> ColumnElement[int]:
        """Return how many bytes launches' logs have."""

    @abc.abstractmethod
    def _without_log(self) -> ColumnElement[str]:
        """Return launches' records with an empty log."""

    def _give_room_back(self) -> None:
        """Give back to the disk what forgotten logs took."""

    def _is_lost(self, error: DBAPIError) -> bool:
        """Whether the connection is gone, and a new one may come about in time."""
        del error
        return False

    def _may_retry(self, since: float | None) -> float | None:
        """Wait a little for a lost connection.

        Parameters
        ----------
        since
            What the last call returned; None for the first.

        Returns
        -------
        float or None
            To be passed to the next call; None where enough was waited.
        """
        del since
        return None

    # The schema.

    def _open(self) -> None:
        with self._engine.connect() as connection:
            found = self._version(connection)
            if found > HEAD:
                raise ResultsError(
                    f"{self._where}: schema version {found}, newer than this harness knows "
                    f"({HEAD})",
                    hint="upgrade edge-harness, or use another workspace",
                )
            if found == HEAD:
                return
            connection.rollback()
            # Two controllers may open a new or an old database at once: one at a time.
            self._lock(connection)
            if self._version(connection) < HEAD:
                from harness.results import migrations  # noqa: PLC0415 - alembic loads slowly

                migrations.upgrade(connection)
                self._upgraded(connection)
            connection.commit()

    # What a store does: see Store.

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def create(self, run: Run) -> Run:
        wanted = run.id
        for number in count(2):
            try:
                self._insert(run)
                break
            except IntegrityError:
                # Not a dash: a run's launches are known by "<run>-".
                run = run.model_copy(update={"id": f"{wanted}.{number}"})
        return run

    def _insert(self, run: Run) -> None:
        row = _run_columns(run)

        def is_stored(session: Session) -> bool:
            found = session.get(RunRow, run.id)
            return found is not None and found.record == row["record"]

        self._write(lambda session: session.add(RunRow(**row)), is_stored)

    def update(self, run: Run) -> None:
        self._write(lambda session: session.merge(RunRow(**_run_columns(run))))

    def add(self, run_id: str, launch: Launch) -> None:
        record = launch.model_dump_json()

        def add(session: Session) -> None:
            if run_id not in self._device_of:
                row = session.get_one(RunRow, run_id)
                self._device_of[run_id] = devices(self._run(row))
            session.add(
                LaunchRow(
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
                    record=record,
                )
            )

        def is_stored(session: Session) -> bool:
            found = session.get(LaunchRow, launch.id)
            return found is not None and found.record == record

        self._write(add, is_stored)

    def load(self, run_id: str, *, samples: bool | Collection[str] = True) -> Run:
        with self._reading() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                known = session.scalars(select(RunRow.id)).all()
                raise SpecificationError(
                    f"no run '{run_id}' in {self._where}",
                    hint=nearest(run_id, known) or "measure first: harness run CAMPAIGN",
                )
            run = self._run(row)
            wanted: list[tuple[Any, ColumnElement[bool]]] = [
                (LaunchRow.record, LaunchRow.run_id == run_id)
            ]
            if samples is not True:
                few = LaunchRow.case_id.in_(samples or ())
                wanted = [
                    (LaunchRow.record, and_(LaunchRow.run_id == run_id, few)),
                    (self._without(BULK), and_(LaunchRow.run_id == run_id, not_(few))),
                ]
            # Read as they come: the texts of many launches are larger than what is made of them.
            launches = [
                self._parsed(Launch, text, f"launch {name}")
                for record, condition in wanted
                for name, text in session.execute(
                    select(LaunchRow.id, record).where(condition), execution_options=_STREAMED
                )
            ]
        return run.model_copy(
            update={"launches": sorted(launches, key=lambda launch: launch.started)}
        )

    def find(self, run_id: str) -> str | None:
        with self._reading() as session:
            return session.scalars(select(RunRow.id).where(RunRow.id == run_id)).first()

    def latest(
        self,
        *,
        campaign: str | None = None,
        unfinished: bool = False,
        revision: str | None = None,
        but: Collection[str] = (),
    ) -> str | None:
        query = select(RunRow.id).order_by(RunRow.started.desc()).limit(1)
        query = query.where(~RunRow.campaign.startswith(CONFIRMING))
        if campaign is not None:
            query = query.where(RunRow.campaign == campaign)
        if but:
            query = query.where(RunRow.id.not_in(but))
        if unfinished:
            query = query.where(RunRow.finished.is_(None))
        if revision is not None:
            # As git describe has it: with a tag's name before it, or not.
            commit = self._field(RunRow.record, "revision")
            begins = commit.startswith(revision, autoescape=True)
            tagged = commit.contains(f"-g{revision}", autoescape=True)
            query = query.where(begins | tagged, ~commit.endswith("+"))
        with self._reading() as session:
            return session.scalars(query).first()

    def expected_wall_s(self, case_id: str) -> float | None:
        query = select(func.avg(LaunchRow.wall_s)).where(
            LaunchRow.case_id == case_id, LaunchRow.status == Status.OK.value
        )
        with self._reading() as session:
            return session.scalars(query).first()

    def summaries(self) -> Iterator[RunSummary]:
        counts = select(LaunchRow.run_id, LaunchRow.status, func.count()).group_by(
            LaunchRow.run_id, LaunchRow.status
        )
        with self._reading() as session:
            by_run: dict[str, dict[Status, int]] = {}
            for run_id, status, number in session.execute(counts):
                by_run.setdefault(run_id, {})[Status(status)] = number
            for row in session.scalars(select(RunRow).order_by(RunRow.started.desc())):
                try:
                    planned = sum(len(case.roles) for case in self._run(row).cases)
                except ResultsError:
                    planned = None  # others are listed all the same
                yield RunSummary(
                    id=row.id,
                    campaign=row.campaign,
                    started=datetime.fromisoformat(row.started),
                    finished=datetime.fromisoformat(row.finished) if row.finished else None,
                    planned=planned,
                    launches=by_run.get(row.id, {}),
                )

    def versions(self, since: datetime | None = None) -> dict[str, str]:
        launches = func.count(LaunchRow.id)
        query = (
            select(RunRow.id, RunRow.started, RunRow.record, launches)
            .join(LaunchRow, LaunchRow.run_id == RunRow.id)
            .group_by(RunRow.id)
            .order_by(RunRow.started.desc())
        )
        if since is not None:
            # As text, by a day too many: launches of years are not to be counted for a few runs.
            query = query.where(RunRow.started >= (since - timedelta(days=1)).isoformat())
        with self._reading() as session:
            return {
                run_id: sha256(f"{number} {record}".encode()).hexdigest()
                for run_id, started, record, number in session.execute(query)
                if since is None or datetime.fromisoformat(started) >= since
            }

    def measured(self) -> Iterator[tuple[str, DeviceRecord, Case]]:
        query = select(LaunchRow.run_id, LaunchRow.case_id).distinct()
        with self._reading() as session:
            well: dict[str, set[str]] = {}
            for run_id, case_id in session.execute(query.where(LaunchRow.status == Status.OK)):
                well.setdefault(run_id, set()).add(case_id)
            for row in session.scalars(select(RunRow).order_by(RunRow.started.desc())):
                if row.id not in well:
                    continue
                run = self._run(row)
                by_name = {device.name: device for device in run.devices}
                for record in run.cases:
                    if record.case.id in well[run.id]:
                        yield run.id, by_name[record.case.device], record.case

    def add_imported(self, table: ImportedTable, *, replace: bool = False) -> None:
        row = {
            "id": table.id,
            "imported": table.imported.isoformat(),
            "record": table.model_dump_json(),
        }

        def add(session: Session) -> None:
            if replace:
                session.merge(ImportedRow(**row))
            else:
                session.add(ImportedRow(**row))

        try:
            self._write(add)
        except IntegrityError:
            raise SpecificationError(
                f"imported table '{table.id}' already exists",
                hint="choose another --name, or pass --replace",
            ) from None

    def imported(self) -> list[ImportedTable]:
        query = select(ImportedRow).order_by(ImportedRow.imported, ImportedRow.id)
        with self._reading() as session:
            return [self._table(row) for row in session.scalars(query)]

    def load_imported(self, name: str) -> ImportedTable:
        with self._reading() as session:
            return self._table(self._imported_row(session, name))

    def remove_imported(self, name: str) -> None:
        self._write(lambda session: session.delete(self._imported_row(session, name)))

    def logs_bytes(self, before: datetime) -> tuple[int, int]:
        size = self._log_bytes()
        query = select(func.count(), func.coalesce(func.sum(size), 0)).where(
            LaunchRow.started < before.isoformat(), size > 0
        )
        with self._reading() as session:
            launches, total = session.execute(query).one()
        return launches, total

    def drop_logs(self, before: datetime) -> None:
        old = (LaunchRow.started < before.isoformat(), self._log_bytes() > 0)
        self._write(
            lambda session: session.execute(
                update(LaunchRow).where(*old).values(record=self._without_log()),
                execution_options={"synchronize_session": False},
            )
        )
        self._give_room_back()

    def note(self, happened: DeviceEvent) -> None:
        row = happened.model_dump(mode="json", exclude={"run"}) | {"run_id": happened.run}
        row["detail"] = _stored(happened.detail)
        same = select(EventRow.number).filter_by(**row)
        self._write(
            lambda session: session.add(EventRow(**row)),
            lambda session: session.scalars(same).first() is not None,
        )

    def device_events(self, device: str | None = None) -> list[DeviceEvent]:
        query = select(EventRow).order_by(EventRow.number)
        if device is not None:
            query = query.where(EventRow.device == device)
        with self._reading() as session:
            return [
                DeviceEvent(
                    device=row.device,
                    at=datetime.fromisoformat(row.at),
                    kind=DeviceEventKind(row.kind),
                    run=row.run_id,
                    detail=_read(row.detail),
                )
                for row in session.scalars(query)
            ]

    def device_launches(self) -> list[DeviceLaunches]:
        key = (LaunchRow.device, LaunchRow.run_id, LaunchRow.status, LaunchRow.category)
        query = (
            select(*key, func.count(), func.max(LaunchRow.started))
            .group_by(*key)
            .order_by(func.min(LaunchRow.started))
        )
        with self._reading() as session:
            return [
                DeviceLaunches(
                    device=device,
                    run=run,
                    status=Status(status),
                    category=Category(category) if category else None,
                    count=number,
                    newest=datetime.fromisoformat(newest),
                )
                for device, run, status, category, number, newest in session.execute(query)
                if device and newest
            ]

    def _imported_row(self, session: Session, name: str) -> ImportedRow:
        row = session.get(ImportedRow, name)
        if row is None:
            known = session.scalars(select(ImportedRow.id)).all()
            raise SpecificationError(
                f"no imported table '{name}' in {self._where}",
                hint=nearest(name, known) or "import one: harness import FILE.csv --help",
            )
        return row

    def _run(self, row: RunRow) -> Run:
        return self._parsed(Run, row.record, f"run {row.id}")

    def _table(self, row: ImportedRow) -> ImportedTable:
        return self._parsed(ImportedTable, row.record, f"imported table {row.id}")

    def _parsed(self, kind: type[ParsedT], record: str, what: str) -> ParsedT:
        try:
            return kind.model_validate_json(record)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise ResultsError(
                f"{self._where}: the record of {what} is damaged: {field}: {first['msg']}",
                hint="restore the database from a backup",
            ) from None

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
        except DBAPIError as error:
            raise self._fault(error) from error

    def _write(
        self,
        work: Callable[[Session], object],
        is_done: Callable[[Session], bool] = lambda _: False,
    ) -> None:
        """Write all that some work adds, or none of it.

        Where the connection is lost meanwhile, it is done again.

        Parameters
        ----------
        is_done
            Whether it was done already: a connection may be lost after what was written is stored.
        """
        waited: float | None = None
        while True:
            try:
                with Session(self._engine) as session, session.begin():
                    if waited is None or not is_done(session):
                        work(session)
            except IntegrityError:
                raise
            except DBAPIError as error:
                if self._is_lost(error) and (waited := self._may_retry(waited)) is not None:
                    continue
                raise self._fault(error) from error
            return


def devices(run: Run) -> dict[str, str]:
    """Return the device of each of a run's cases, by the case's id."""
    return {record.case.id: record.case.device for record in run.cases}


def _stored(detail: Reason | None) -> str:
    """Return a reason as a line of a device's history has it; a long one in words, cut off."""
    if detail is None:
        return ""
    stored = detail.model_dump_json()
    return stored if len(stored) <= DETAIL_LIMIT else str(detail)[:DETAIL_LIMIT]


def _read(stored: str) -> Reason | None:
    """Read it back; until schema version 3 it was a sentence."""
    with suppress(ValidationError):
        return Reason.model_validate_json(stored)
    return plain(stored) if stored else None


def _run_columns(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "campaign": run.campaign,
        "started": run.started.isoformat(),
        "finished": run.finished.isoformat() if run.finished else None,
        "record": run.model_dump_json(exclude={"launches"}),
    }
