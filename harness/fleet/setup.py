"""The centre's tables, functions and roles: made once, by the owner of the database."""

from __future__ import annotations

from contextlib import closing
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from harness.core.errors import SpecificationError
from harness.fleet.centre import Centre, conninfo
from harness.results.postgresql import LINK, PostgresqlStore

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

__all__ = ["collect", "init"]

_SETUP_LOCK: Final = 0x6564_6766  # advisory


def init(url: str, limit_bytes: int | None = None) -> bool:
    """Make a database the centre of a fleet; what is there already is left as it is.

    Parameters
    ----------
    limit_bytes
        What the files of one host's share may have together.

    Returns
    -------
    bool
        Whether anything was made.

    Raises
    ------
    SpecificationError
        psycopg or procrastinate is not installed, or the user may not do it.
    LabError
        The database cannot be reached.
    """
    Centre(url).close()  # says what is not installed
    try:
        from procrastinate.schema import SchemaManager  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise SpecificationError(
            "a fleet needs procrastinate", hint="pip install 'edge-harness[fleet]'"
        ) from None
    import psycopg  # noqa: PLC0415

    PostgresqlStore(url).close()  # makes the results' tables
    try:
        with closing(_connected(url)) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_SETUP_LOCK])
            made = False
            if not _there(connection, "public.procrastinate_jobs"):
                connection.execute(SchemaManager.get_schema())
                made = True
            if not _there(connection, "fleet.about"):
                script = files("harness.fleet").joinpath("schema", "1.sql").read_bytes()
                connection.execute(script)
                made = True
            if limit_bytes is not None:
                connection.execute("UPDATE fleet.about SET limit_bytes = %s", [limit_bytes])
            return made
    except psycopg.errors.InsufficientPrivilege as error:
        raise SpecificationError(
            f"this login may not make a centre: {str(error).partition(chr(10))[0]}",
            hint="do it as the database's owner, who also needs CREATEROLE",
        ) from None


def collect(url: str, older_days: int) -> int:
    """Remove files of shares that ended so long ago, and ended jobs; return the bytes freed.

    Raises
    ------
    SpecificationError, LabError
        As for :func:`init`.
    """
    import psycopg  # noqa: PLC0415 - an extra

    try:
        with closing(_connected(url)) as connection, connection.transaction():
            older = f"{older_days} days"
            freed = connection.execute("SELECT fleet.collect(%s)", [older]).fetchall()[0][0]
            connection.execute(
                """
                DELETE FROM procrastinate_jobs AS job WHERE status NOT IN ('todo', 'doing')
                    AND NOT EXISTS (SELECT FROM procrastinate_events WHERE job_id = job.id
                                    AND at > now() - %s::interval)
                """,
                [older],
            )
            connection.execute(
                "DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - interval '1 day'"
            )
    except psycopg.errors.InsufficientPrivilege:
        raise SpecificationError(
            "only the database's owner may remove files from the centre",
            hint="name that login in harness.yaml, for example in a workspace of its own",
        ) from None
    return int(freed)


def _connected(url: str) -> Connection[TupleRow]:
    import psycopg  # noqa: PLC0415 - an extra

    return psycopg.connect(conninfo(url), **LINK)


def _there(connection: Connection[TupleRow], table: str) -> bool:
    found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchall()
    return bool(found[0][0])
