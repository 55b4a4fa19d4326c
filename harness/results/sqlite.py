"""Results in SQLite: one file, which needs no server."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, cast, create_engine, event, func
from sqlalchemy.exc import DBAPIError

from harness.core.errors import LabError, ResultsError
from harness.results.database import HEAD, Database, LaunchRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from harness.core.errors import HarnessError

__all__ = ["SqliteStore"]

BUSY_TIMEOUT_S = 30
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteStore(Database):
    """A results database in a file, made where there is none.

    One that cannot be written to is read all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_only = path.exists() and not _is_writable(path)
        engine = create_engine(f"sqlite:///{path}", creator=self._connect)
        event.listen(engine, "connect", self._configure)
        super().__init__(engine, str(path))

    def _connect(self) -> sqlite3.Connection:
        target = self._path.absolute().as_uri()
        if self._read_only:
            # Where nothing can be made beside it, SQLite reads only what it takes for immutable;
            # a log beside it holds what is not in the file itself yet, and has to be read, too.
            log = self._path.with_name(f"{self._path.name}-wal")
            pending = log.exists() and log.stat().st_size
            target += "?mode=ro" if pending else "?mode=ro&immutable=1"
        return sqlite3.connect(target, timeout=BUSY_TIMEOUT_S, check_same_thread=False, uri=True)

    def _configure(self, connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # A power cut must not take back a launch that was reported as stored.
        cursor.execute("PRAGMA synchronous = FULL")
        # This one does not heed the busy timeout while another controller makes the same database.
        give_up = time.monotonic() + BUSY_TIMEOUT_S
        while not self._read_only:
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
        cursor.close()

    def _fault(self, error: DBAPIError) -> HarnessError:
        message = f"{self._path}: {error.orig}"
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # without what extends it
        if code in _DAMAGED:
            return ResultsError(message, hint="move the file away; a new one will be created")
        if code == sqlite3.SQLITE_READONLY:
            return LabError(message, hint="make the workspace writable, or use another one")
        return LabError(
            message,
            hint="free space on its disk, or wait for other writers; then: harness run --resume",
        )

    def _version(self, connection: Connection) -> int:
        number = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        # The first edition set it alone, and did not always when it added a table or an index.
        return number if self._read_only or number > HEAD else super()._version(connection)

    def _lock(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _upgraded(self, connection: Connection) -> None:
        # By it earlier versions know that this one is newer than they are.
        connection.exec_driver_sql(f"PRAGMA user_version = {HEAD:d}")

    def _without(self, names: Collection[str]) -> ColumnElement[str]:
        return func.json_remove(LaunchRow.record, *(f"$.{name}" for name in names))

    def _field(self, record: Any, name: str) -> ColumnElement[str]:  # noqa: ANN401
        return func.json_extract(record, f"$.{name}")

    def _log_bytes(self) -> ColumnElement[int]:
        return func.length(cast(self._field(LaunchRow.record, "log"), LargeBinary))

    def _without_log(self) -> ColumnElement[str]:
        return func.json_set(LaunchRow.record, "$.log", "")

    def _give_room_back(self) -> None:
        with suppress(DBAPIError), self._engine.connect() as connection:
            # Else its file stays as large as it was, and is filled again: so it does where another
            # controller is in the way.
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")


def _is_writable(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return all(os.access(each, os.W_OK, effective_ids=effective) for each in (path, path.parent))
