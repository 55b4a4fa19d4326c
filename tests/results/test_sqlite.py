"""What is SQLite's own: files of before, no room, damage, and folders that cannot be written to."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from harness.core.errors import LabError, ResultsError
from harness.core.records import Case, Category, Status
from harness.results.sqlite import SqliteStore
from harness.workspace import Workspace
from tests.results.conftest import CASE, NOW, make_launch, make_run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.sqlite"


@pytest.fixture
def store(path):
    with SqliteStore(path) as opened:
        yield opened


def test_a_database_of_before_launches_had_roles(store, path):
    """Cases keep their ids, and what was not recorded then has its default."""
    was = {
        "model": "m", "device": "d", "engine": "e", "backend": "cpu", "precision": "fp32",
        "threads": 1, "cpus": None,
    }  # fmt: skip
    assert CASE.id == hashlib.sha256(json.dumps(was, sort_keys=True).encode()).hexdigest()[:12]
    assert Case(**was, model_cache="kept").id != CASE.id
    store.create(make_run())
    store.add("r1", make_launch())
    later = {"role", "vmhwm_source", "pss_bytes", "pss_series", "device_memory", "runtime_bytes"}
    with closing(sqlite3.connect(path)) as database:
        record = make_launch().model_dump_json(exclude=later)
        database.execute("UPDATE launches SET record = ?", [record])
        later = {"cases": {0: {"case": {"model_cache"}, "memory_launches": True}}}
        protocol = {"page_cache": "evict", "time_limit": 120.0, "redo_budget": 1}
        run = json.loads(make_run().model_dump_json(exclude=later)) | {"protocol": protocol}
        database.execute("UPDATE runs SET record = ?", [json.dumps(run)])
        database.commit()
    assert store.load("r1").launches == [make_launch()]
    assert next(store.summaries()).planned == 5


def test_a_database_of_version_2_gets_the_columns_that_health_is_read_from(store, path):
    store.create(make_run())
    store.add("r1", make_launch(0))
    store.add("r1", make_launch(1, status=Status.FAILED, category=Category.DEVICE))
    before = store.device_launches()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP INDEX ix_launches_health")
        for table in ("alembic_version", "device_events"):
            database.execute(f"DROP TABLE {table}")
        for column in ("device", "category", "started"):
            database.execute(f"ALTER TABLE launches DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 2")
    with SqliteStore(path) as again:
        assert again.device_launches() == before
        assert again.device_events("d") == []
    assert [(each.device, each.status, each.category, each.count) for each in before] == [
        ("d", Status.OK, None, 1),
        ("d", Status.FAILED, Category.DEVICE, 1),
    ]
    assert before[1].newest == NOW + timedelta(seconds=1)


def test_a_disk_without_room_is_told_and_loses_nothing(store):
    def room(pages):
        """For so many more pages; the pool gives this connection out again."""
        with store._engine.connect() as connection:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")

    store.create(make_run())
    store.add("r1", make_launch(0))
    room(0)
    with pytest.raises(LabError, match="disk is full") as caught:
        store.add("r1", make_launch(1, log="x" * 100_000))
    assert "harness run --resume" in caught.value.hint
    room(1000)
    store.add("r1", make_launch(1))
    assert [launch.slot for launch in store.load("r1").launches] == [0, 1]


def test_a_database_from_a_newer_version(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ResultsError, match="version 99, newer"):
        SqliteStore(path)


def test_a_file_that_is_no_database(path):
    path.write_bytes(b"not a database, and long enough to be read as one" * 100)
    with pytest.raises(ResultsError, match="not a database"):
        SqliteStore(path)
    assert path.read_bytes().startswith(b"not a database")


@pytest.fixture
def filled(path):
    with SqliteStore(path) as store:
        store.create(make_run())
        for slot in range(40):
            store.add("r1", make_launch(slot, log="x" * 2000))
    return path


def _use(path):
    """Do what a run does: nothing of it may pass for done."""
    with SqliteStore(path) as store:
        store.create(make_run("r2"))
        store.add("r1", make_launch(50))
        assert len(store.load("r1").launches) == 41


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_a_truncated_database_is_refused(filled, share):
    content = filled.read_bytes()
    filled.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ResultsError, match=re.escape(str(filled))):
        _use(filled)


def test_a_database_with_a_page_of_rubbish_is_refused(filled):
    content = bytearray(filled.read_bytes())
    content[4096 : len(content)] = b"\xff" * (len(content) - 4096)
    filled.write_bytes(content)
    with pytest.raises(ResultsError, match="malformed"):
        _use(filled)


def test_damage_is_an_error_and_no_traceback(filled, workspace, cli):
    workspace.database.write_bytes(filled.read_bytes()[:9000])
    for words in (["results", "list"], ["results", "show", "r1"], ["export", "--all"]):
        said = cli(*words)
        assert (said.code, said.err.count("\n")) == (4, 2), said.err
        assert str(workspace.database) in said.err


@pytest.fixture
def _as_nobody():
    """Write as somebody to whom the files do not belong; root may write anywhere."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("log", ["", "pending"])
def test_where_nothing_can_be_written_results_are_read(filled, request, log):
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to others
    request.addfinalizer(lambda: shutil.rmtree(folder))
    path = folder / "results.sqlite"
    if log:  # not in the file itself yet: a controller that was killed leaves it so
        with SqliteStore(filled) as store:
            store.add("r1", make_launch(50))
            for name in ("", "-wal", "-shm"):
                shutil.copy(f"{filled}{name}", f"{path}{name}")
    else:
        shutil.copy(filled, path)
    for each in folder.iterdir():
        each.chmod(0o444)
    folder.chmod(0o555)
    request.getfixturevalue("_as_nobody")
    with SqliteStore(path) as store:
        assert len(store.load("r1").launches) == 40 + bool(log)
        with pytest.raises(LabError, match="readonly database") as caught:
            store.add("r1", make_launch(51))
        assert "writable" in caught.value.hint


def test_commands_read_a_workspace_that_cannot_be_written_to(request, cli, monkeypatch):
    root = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(root))
    for name in ("devices", "campaigns"):
        (root / name).mkdir()
    with Workspace(root).store() as store:
        store.create(make_run())  # interrupted, as far as can be told
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(root))
    commands = (["results", "list"], ["results", "show", "--json"])
    before = [cli(*words) for words in commands]
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    request.getfixturevalue("_as_nobody")
    assert [cli(*words) for words in commands] == before
    assert {said.code for said in before} == {0}
    assert "interrupted" in before[0].out
