"""Results databases of either kind, which the same tests run on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from harness.core.records import Case, CaseRecord, Launch, Protocol, Run, Status
from harness.results.postgresql import PostgresqlStore
from harness.results.sqlite import SqliteStore
from tests.postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = Case(model="m", device="d", engine="e")


def make_run(run_id="r1", started=NOW, **more):
    fields = {
        "campaign": "demo", "description": "", "specification": "", "seed": 1,
        "harness_version": "0", "protocol": Protocol(), "devices": [], "models": [],
        "cases": [CaseRecord(case=CASE, launches=5)],
    }  # fmt: skip
    return Run(id=run_id, started=started, **(fields | more))


def make_launch(slot=0, attempt=0, status=Status.OK, **more):
    return Launch(
        id=f"r1-{slot}-{attempt}", case_id=CASE.id, slot=slot, attempt=attempt, position=slot,
        started=NOW + timedelta(seconds=slot), status=status, **more,
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a database is: how the harness opens it, and how others get at it."""

    open: object
    execute: object


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.new_database()
        execute = partial(server.execute, database=url.rpartition("/")[2])
        return Place(partial(PostgresqlStore, url, patience_s=30), execute)
    path = tmp_path / "results.sqlite"

    def execute(statement):
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()

    return Place(partial(SqliteStore, path), execute)


@pytest.fixture
def store(place):
    with place.open() as opened:
        yield opened
