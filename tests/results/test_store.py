"""The results database, of either kind: nothing is lost, nothing doubled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from harness.core.errors import ResultsError, SpecificationError
from harness.core.records import DeviceEvent, DeviceEventKind, Status
from harness.results import migrations
from harness.results.database import HEAD, METADATA
from harness.results.imported import Cell, ImportedFigure, ImportedTable
from tests.results.conftest import CASE, NOW, make_launch, make_run


def test_migrations_lead_to_what_the_code_knows(store):
    assert ScriptDirectory.from_config(migrations.configuration()).get_current_head() == str(HEAD)
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_database_of_a_newer_version(store, place):
    place.execute("UPDATE alembic_version SET version_num = '99'")
    with pytest.raises(ResultsError, match="version 99, newer"):
        place.open()


def test_a_damaged_record_is_named_and_others_are_listed(store, place):
    for number, run_id in enumerate(["sound", "r1"]):
        store.create(make_run(run_id, NOW + timedelta(hours=number)))
    store.add("r1", make_launch())
    store.add_imported(_table())
    place.execute("UPDATE launches SET record = '{}'")
    with pytest.raises(ResultsError, match="record of launch r1-0-0 is damaged: id"):
        store.load("r1")
    place.execute("UPDATE runs SET record = '{}' WHERE id = 'r1'")
    with pytest.raises(ResultsError, match="record of run r1 is damaged"):
        store.load("r1")
    assert [(each.id, each.planned) for each in store.summaries()] == [("r1", None), ("sound", 5)]
    place.execute("UPDATE imported SET record = '{'")
    with pytest.raises(ResultsError, match="imported table others is damaged"):
        store.imported()


def test_what_happened_to_a_device_is_kept_in_order_and_bounded(store):
    kinds = (DeviceEventKind.REACHED, DeviceEventKind.POWER_CYCLED)
    for kind in kinds:
        store.note(DeviceEvent(device="d", at=NOW, kind=kind, run="r1", detail="x" * 9999))
    store.note(DeviceEvent(device="other", at=NOW, kind=DeviceEventKind.REACHED))
    events = store.device_events("d")
    assert tuple(event.kind for event in events) == kinds
    assert {len(str(event.detail)) for event in events} == {500}


def test_controllers_that_open_a_new_database_at_once(place):
    with ThreadPoolExecutor(6) as pool:
        for opened in list(pool.map(lambda _: place.open(), range(6))):
            with opened:
                assert list(opened.summaries()) == []


def test_what_is_stored_comes_back(store, place):
    launch = make_launch(samples_ns=[1, 2, 3], figure_ns=2.0, wall_s=4.0)
    store.create(make_run())
    store.add("r1", launch)
    with place.open() as another:
        assert another.load("r1") == make_run(launches=[launch])
        assert another.expected_wall_s(CASE.id) == 4.0


def test_without_samples_all_is_there_that_figures_are_made_of(store):
    launch = make_launch(
        figure_ns=0.1 + 0.2, wall_s=4.0, reason='ü "\\u2028 \\u0000', vmhwm_bytes=2**53 + 1
    )
    more = {"samples_ns": [1, 2], "warmup_ns": [3], "pss_series": [(1.0, 2)], "log": "printed\0"}
    store.create(make_run())
    store.add("r1", launch.model_copy(update=more))
    assert store.load("r1", samples=False) == make_run(launches=[launch])
    assert store.load("r1", samples=["another"]) == make_run(launches=[launch])
    assert store.load("r1", samples=[CASE.id]) == store.load("r1")
    assert store.load("r1").launches[0].samples_ns == [1, 2]


def test_a_run_has_another_version_when_anything_of_it_is_another(store):
    store.create(make_run("old"))
    store.create(make_run("empty", NOW + timedelta(hours=1)))
    store.create(make_run("r1", NOW + timedelta(hours=2)))
    store.add("old", make_launch().model_copy(update={"id": "old"}))
    store.add("r1", make_launch())
    first = store.versions()
    assert list(first) == ["r1", "old"]  # the newest first, and none without a launch
    assert store.versions() == first
    store.add("r1", make_launch(1))
    second = store.versions()
    assert (second["old"] == first["old"], second["r1"] == first["r1"]) == (True, False)
    store.update(make_run("r1", NOW + timedelta(hours=2), finished=NOW + timedelta(hours=3)))
    assert store.versions()["r1"] not in {first["r1"], second["r1"]}
    assert list(store.versions(NOW + timedelta(hours=1))) == ["r1"]


def test_runs_begun_in_the_same_second_are_two(store):
    ids = [store.create(make_run()).id for _ in range(3)]
    assert ids == ["r1", "r1.2", "r1.3"]
    assert [store.load(run_id).id for run_id in ids] == ids


def test_old_logs_are_forgotten_and_nothing_else(store):
    store.create(make_run())
    odd = {"samples_ns": [1, 2**53 + 1], "figure_ns": 1e-7, "reason": 'ü "\\u2028\u2028\n'}
    launches = [make_launch(slot, log=f"ü{slot}", **odd) for slot in range(3)]
    for launch in launches:
        store.add("r1", launch)
    before = NOW + timedelta(seconds=2)
    assert store.logs_bytes(before) == (2, 6)
    store.drop_logs(before)
    assert store.logs_bytes(before) == (0, 0)
    pruned = [each.model_copy(update={"log": ""}) for each in launches[:2]]
    assert store.load("r1").launches == [*pruned, launches[2]]


def test_a_log_with_the_one_character_that_databases_lack(store):
    launch = make_launch(log="a\0b")
    store.create(make_run())
    store.add("r1", launch)
    assert store.load("r1").launches == [launch]
    pruned = [launch.model_copy(update={"log": ""})]
    assert store.load("r1", samples=False).launches == pruned
    store.drop_logs(NOW + timedelta(hours=1))
    assert store.load("r1").launches == pruned


def test_a_launch_is_stored_once(store):
    store.create(make_run())
    store.add("r1", make_launch())
    with pytest.raises(IntegrityError):
        store.add("r1", make_launch())
    assert len(store.load("r1").launches) == 1


def test_updating_a_run_keeps_its_launches(store):
    store.create(make_run())
    store.add("r1", make_launch())
    store.update(make_run(finished=NOW))
    assert len(store.load("r1").launches) == 1
    assert store.latest(unfinished=True) is None


def test_the_newest_run(store):
    assert store.latest() is None
    store.create(make_run("old", NOW, finished=NOW))
    store.create(make_run("new", NOW + timedelta(hours=1)))
    store.create(make_run("other", NOW + timedelta(hours=2), campaign="other", finished=NOW))
    assert store.latest() == "other"
    assert store.latest(campaign="demo") == "new"
    assert store.latest(unfinished=True) == "new"
    assert [summary.id for summary in store.summaries()] == ["other", "new", "old"]


def test_summaries_count_launches(store):
    store.create(make_run())
    store.add("r1", make_launch(0))
    store.add("r1", make_launch(1, status=Status.FAILED))
    (summary,) = store.summaries()
    assert summary.launches == {Status.OK: 1, Status.FAILED: 1}
    assert summary.planned == 5


def test_an_unknown_run_offers_the_nearest(store):
    store.create(make_run("demo-20260102-030405"))
    with pytest.raises(SpecificationError) as caught:
        store.load("demo-20260102-030406")
    assert "demo-20260102-030405" in caught.value.hint


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
