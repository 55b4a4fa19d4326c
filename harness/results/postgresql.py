"""Results in PostgreSQL: a database that several hosts share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import String, case, cast, column, create_engine, func, literal, make_url, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.exc import ArgumentError, OperationalError

from harness.core.errors import LabError, SpecificationError
from harness.results.database import Database, LaunchRow

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import URL, ColumnElement, TableValuedAlias
    from sqlalchemy.engine import Connection
    from sqlalchemy.exc import DBAPIError

    from harness.core.errors import HarnessError

__all__ = ["LINK", "PostgresqlStore", "location"]

PATIENCE_S = 120.0
_PAUSE_S = 0.5
_SCHEMA_LOCK = 0x6564_6765  # advisory: any number, the same in every version
LINK: Final[dict[str, Any]] = {
    # A server that is gone without a word is noticed within a minute.
    "connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip
_LOST = ("08", "57P")  # SQLSTATE: connection exceptions, and a server that goes down or comes up
_READ_ONLY = "25006"


def location(url: str) -> URL:
    """Return where a database is.

    Raises
    ------
    SpecificationError
        It is no URL of a PostgreSQL database, or has a password in it.
    """
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # a port that is not a number
        found = None
    if found is None or found.drivername not in ("postgresql", "postgres"):
        raise SpecificationError(
            "'results' is not the URL of a PostgreSQL database",
            hint="results: postgresql://USER@HOST:PORT/DATABASE; leave it out for SQLite",
        )
    if found.password is not None or "password" in found.query:
        raise SpecificationError(
            "'results' has a password in its URL",
            hint="remove it, and set PGPASSWORD, or add a line to ~/.pgpass: "
            "HOST:PORT:DATABASE:USER:PASSWORD",
        )
    return found.set(drivername="postgresql+psycopg")


class PostgresqlStore(Database):
    """A results database on a PostgreSQL server.

    Parameters
    ----------
    url
        Without a password: that comes from ``PGPASSWORD`` or ``~/.pgpass``.
    patience_s
        How long what is to be written waits for a server that went away, in s.

    Raises
    ------
    SpecificationError
        The URL is wrong, or psycopg is not installed.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        where = location(url)
        self._patience_s = patience_s
        try:
            engine = create_engine(where, pool_pre_ping=True, connect_args=LINK)
        except ModuleNotFoundError:
            raise SpecificationError(
                "results in PostgreSQL need psycopg", hint="pip install 'edge-harness[postgresql]'"
            ) from None
        super().__init__(engine, where.set(drivername="postgresql").render_as_string())

    def _fault(self, error: DBAPIError) -> HarnessError:
        reason = str(error.orig).partition("\n")[0]
        state = getattr(error.orig, "sqlstate", None)
        if state == _READ_ONLY:
            hint = "it is a replica, or set read-only: name the primary server in harness.yaml"
        elif self._is_lost(error):
            hint = (
                "see that it is up, and that 'results' in harness.yaml, and PGPASSWORD or "
                "~/.pgpass, are right"
            )
        else:
            hint = "see the server's log; a run continues with: harness run --resume"
        return LabError(f"{self._where}: {reason}", hint=hint)

    def _is_lost(self, error: DBAPIError) -> bool:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # the client's own: no connection, or it broke
            return error.connection_invalidated or isinstance(error, OperationalError)
        return str(state).startswith(_LOST)

    def _may_retry(self, since: float | None) -> float | None:
        now = time.monotonic()
        since = now if since is None else since
        if now - since >= self._patience_s:
            return None
        time.sleep(_PAUSE_S)
        return since

    def _lock(self, connection: Connection) -> None:
        connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))

    def _without(self, names: Collection[str]) -> ColumnElement[str]:
        fields = _fields()
        kept = select(_object(fields, fields.c.value)).where(fields.c.key.not_in(names))
        return kept.correlate(LaunchRow).scalar_subquery()

    def _field(self, record: Any, name: str) -> ColumnElement[str]:  # noqa: ANN401
        return func.json_extract_path_text(_json(record), name)

    def _log_bytes(self) -> ColumnElement[int]:
        return func.octet_length(self._field(LaunchRow.record, "log"))

    def _without_log(self) -> ColumnElement[str]:
        fields = _fields()
        empty = cast(literal('""', String), JSON)
        value = case((fields.c.key == "log", empty), else_=fields.c.value)
        return select(_object(fields, value)).correlate(LaunchRow).scalar_subquery()


def _json(record: Any) -> ColumnElement[Any]:  # noqa: ANN401 - a column
    """Return records as JSON of which PostgreSQL takes all: it has no character U+0000."""
    return cast(func.regexp_replace(record, r"(?<!\\)((?:\\\\)*)\\u0000", r"\1\\ufffd", "g"), JSON)


def _fields() -> TableValuedAlias:
    record = _json(LaunchRow.record)
    return func.json_each(record).table_valued(column("key", String), column("value", JSON))


def _object(fields: TableValuedAlias, value: ColumnElement[Any]) -> ColumnElement[str]:
    # Text, not binary JSON: each number stays as it was written.
    return cast(func.json_object_agg(fields.c.key, value), String)
