"""The results database: nothing is lost, nothing doubled, and other files are left alone."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from harness.core.errors import LabError, ResultsError, SpecificationError
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceEvent,
    DeviceEventKind,
    Launch,
    Protocol,
    Run,
    Status,
)
from harness.results.imported import Cell, ImportedFigure, ImportedTable
from harness.results.sqlite import SqliteStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = Case(model="m", device="d", engine="e")


def _run(run_id="r1", started=NOW, **more):
    fields = {
        "campaign": "demo", "description": "", "specification": "", "seed": 1,
        "harness_version": "0", "protocol": Protocol(), "devices": [], "models": [],
        "cases": [CaseRecord(case=CASE, launches=5)],
    }  # fmt: skip
    return Run(id=run_id, started=started, **(fields | more))


def _launch(slot=0, attempt=0, status=Status.OK, **more):
    return Launch(
        id=f"r1-{slot}-{attempt}", case_id=CASE.id, slot=slot, attempt=attempt, position=slot,
        started=NOW + timedelta(seconds=slot), status=status, **more,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with SqliteStore(tmp_path / "results.sqlite") as opened:
        yield opened


def test_a_database_of_before_launches_had_roles(store, tmp_path):
    """Cases keep their ids, and what was not recorded then has its default."""
    was = {
        "model": "m", "device": "d", "engine": "e", "backend": "cpu", "precision": "fp32",
        "threads": 1, "cpus": None,
    }  # fmt: skip
    assert CASE.id == hashlib.sha256(json.dumps(was, sort_keys=True).encode()).hexdigest()[:12]
    assert Case(**was, model_cache="kept").id != CASE.id
    store.create(_run())
    store.add("r1", _launch())
    later = {"role", "vmhwm_source", "pss_bytes", "pss_series", "device_memory", "runtime_bytes"}
    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as database:
        record = _launch().model_dump_json(exclude=later)
        database.execute("UPDATE launches SET record = ?", [record])
        later = {"cases": {0: {"case": {"model_cache"}, "memory_launches": True}}}
        protocol = {"page_cache": "evict", "time_limit": 120.0, "redo_budget": 1}
        run = json.loads(_run().model_dump_json(exclude=later)) | {"protocol": protocol}
        database.execute("UPDATE runs SET record = ?", [json.dumps(run)])
        database.commit()
    assert store.load("r1").launches == [_launch()]
    assert next(store.summaries()).planned == 5


def test_a_database_of_version_2_gets_the_columns_that_health_is_read_from(store, tmp_path):
    store.create(_run())
    store.add("r1", _launch(0))
    store.add("r1", _launch(1, status=Status.FAILED, category=Category.DEVICE))
    before = store.device_launches()
    path = tmp_path / "results.sqlite"
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


def test_what_happened_to_a_device_is_kept_in_order_and_bounded(store):
    kinds = (DeviceEventKind.REACHED, DeviceEventKind.POWER_CYCLED)
    for kind in kinds:
        store.note(DeviceEvent(device="d", at=NOW, kind=kind, run="r1", detail="x" * 9999))
    store.note(DeviceEvent(device="other", at=NOW, kind=DeviceEventKind.REACHED))
    events = store.device_events("d")
    assert tuple(event.kind for event in events) == kinds
    assert {len(event.detail) for event in events} == {500}


def test_controllers_that_open_a_new_database_at_once(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        for number in range(5):
            path = tmp_path / f"{number}.sqlite"
            for opened in pool.map(SqliteStore, [path] * 6):
                opened.close()


def test_what_is_stored_comes_back(store, tmp_path):
    launch = _launch(samples_ns=[1, 2, 3], figure_ns=2.0, wall_s=4.0)
    store.create(_run())
    store.add("r1", launch)
    with SqliteStore(tmp_path / "results.sqlite") as another:
        assert another.load("r1") == _run(launches=[launch])
        assert another.expected_wall_s(CASE.id) == 4.0


def test_without_samples_all_is_there_that_figures_are_made_of(store):
    launch = _launch(figure_ns=0.1 + 0.2, wall_s=4.0, reason='ü "\\u2028', vmhwm_bytes=2**53 + 1)
    more = {"samples_ns": [1, 2], "warmup_ns": [3], "pss_series": [(1.0, 2)], "log": "printed"}
    store.create(_run())
    store.add("r1", launch.model_copy(update=more))
    assert store.load("r1", samples=False) == _run(launches=[launch])


def test_a_run_has_another_version_when_anything_of_it_is_another(store):
    store.create(_run("old"))
    store.create(_run("empty", NOW + timedelta(hours=1)))
    store.create(_run("r1", NOW + timedelta(hours=2)))
    store.add("old", _launch().model_copy(update={"id": "old"}))
    store.add("r1", _launch())
    first = store.versions()
    assert list(first) == ["r1", "old"]  # the newest first, and none without a launch
    assert store.versions() == first
    store.add("r1", _launch(1))
    second = store.versions()
    assert (second["old"] == first["old"], second["r1"] == first["r1"]) == (True, False)
    store.update(_run("r1", NOW + timedelta(hours=2), finished=NOW + timedelta(hours=3)))
    assert store.versions()["r1"] not in {first["r1"], second["r1"]}
    assert list(store.versions(NOW + timedelta(hours=1))) == ["r1"]


def test_runs_begun_in_the_same_second_are_two(store):
    ids = [store.create(_run()).id for _ in range(3)]
    assert ids == ["r1", "r1.2", "r1.3"]
    assert [store.load(run_id).id for run_id in ids] == ids


def test_old_logs_are_forgotten_and_nothing_else(store):
    store.create(_run())
    odd = {"samples_ns": [1, 2**53 + 1], "figure_ns": 1e-7, "reason": 'ü "\\u2028\u2028\n'}
    launches = [_launch(slot, log=f"ü{slot}", **odd) for slot in range(3)]
    for launch in launches:
        store.add("r1", launch)
    before = NOW + timedelta(seconds=2)
    assert store.logs_bytes(before) == (2, 6)
    store.drop_logs(before)
    assert store.logs_bytes(before) == (0, 0)
    pruned = [each.model_copy(update={"log": ""}) for each in launches[:2]]
    assert store.load("r1").launches == [*pruned, launches[2]]


def test_a_launch_is_stored_once(store):
    store.create(_run())
    store.add("r1", _launch())
    with pytest.raises(IntegrityError):
        store.add("r1", _launch())
    assert len(store.load("r1").launches) == 1


def test_a_disk_without_room_is_told_and_loses_nothing(store):
    def room(pages):
        """For so many more pages; the pool gives this connection out again."""
        with store._engine.connect() as connection:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")

    store.create(_run())
    store.add("r1", _launch(0))
    room(0)
    with pytest.raises(LabError, match="disk is full") as caught:
        store.add("r1", _launch(1, log="x" * 100_000))
    assert "harness run --resume" in caught.value.hint
    room(1000)
    store.add("r1", _launch(1))
    assert [launch.slot for launch in store.load("r1").launches] == [0, 1]


def test_updating_a_run_keeps_its_launches(store):
    store.create(_run())
    store.add("r1", _launch())
    store.update(_run(finished=NOW))
    assert len(store.load("r1").launches) == 1
    assert store.latest(unfinished=True) is None


def test_the_newest_run(store):
    assert store.latest() is None
    store.create(_run("old", NOW, finished=NOW))
    store.create(_run("new", NOW + timedelta(hours=1)))
    store.create(_run("other", NOW + timedelta(hours=2), campaign="other", finished=NOW))
    assert store.latest() == "other"
    assert store.latest(campaign="demo") == "new"
    assert store.latest(unfinished=True) == "new"
    assert [summary.id for summary in store.summaries()] == ["other", "new", "old"]


def test_summaries_count_launches(store):
    store.create(_run())
    store.add("r1", _launch(0))
    store.add("r1", _launch(1, status=Status.FAILED))
    (summary,) = store.summaries()
    assert summary.launches == {Status.OK: 1, Status.FAILED: 1}
    assert summary.planned == 5


def test_an_unknown_run_offers_the_nearest(store):
    store.create(_run("demo-20260102-030405"))
    with pytest.raises(SpecificationError) as caught:
        store.load("demo-20260102-030406")
    assert "demo-20260102-030405" in caught.value.hint


def test_a_database_from_a_newer_version(tmp_path):
    path = tmp_path / "results.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ResultsError, match="version 99, newer"):
        SqliteStore(path)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "results.sqlite"
    path.write_bytes(b"not a database, and long enough to be read as one" * 100)
    with pytest.raises(ResultsError, match="not a database"):
        SqliteStore(path)
    assert path.read_bytes().startswith(b"not a database")


def _table(name="others", device="their-board"):
    cell = Cell(line=2, column="ms", position=1, text="1.50")
    return ImportedTable(
        id=name, source="https://example.org", licence="unknown", imported=NOW,
        harness_version="0", file="a.csv", sha256="0" * 64,
        figures=[ImportedFigure(cell=cell, model="m", device=device, latency_ms=1.5)],
    )  # fmt: skip


def test_imported_tables_are_kept_apart_from_runs(store):
    store.add_imported(_table())
    assert store.imported() == [store.load_imported("others")] == [_table()]
    assert store.latest() is None
    assert not list(store.summaries())
    with pytest.raises(SpecificationError, match="already"):
        store.add_imported(_table(device="another"))
    store.add_imported(_table(device="another"), replace=True)
    assert [table.figures[0].device for table in store.imported()] == ["another"]
    store.remove_imported("others")
    with pytest.raises(SpecificationError, match="no imported table 'others'"):
        store.remove_imported("others")
