"""What the first edition stored is read: a database, a baseline and exports recorded then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import harness
from harness.campaign.baselines import load_baseline
from harness.core.records import DeviceEventKind
from harness.export.files import read
from harness.results.database import HEAD

RECORDED = Path(__file__).parents[1] / "data" / "results"
EXPECTED = json.loads((RECORDED / "expected.json").read_text())


@pytest.fixture
def recorded(workspace):
    shutil.copy(RECORDED / "edition-1.sqlite", workspace.database)
    return workspace


def test_a_database_shows_the_same(recorded, cli):
    shown = json.loads(cli("results", "show", "--json").out)
    assert {key: shown[key] for key in ("id", "campaign", "seed")} == {
        key: EXPECTED[key] for key in ("id", "campaign", "seed")
    }
    assert EXPECTED["cases"]
    for kind in ("cases", "launches"):
        found = [
            {key: now[key] for key in before}
            for before, now in zip(EXPECTED[kind], shown[kind], strict=True)
        ]
        assert found == EXPECTED[kind]
    (listed,) = json.loads(cli("results", "list", "--json").out)
    assert (listed["state"], listed["launches"]) == ("finished", {"ok": 8, "failed": 2})


def test_a_database_is_migrated_once_and_known_to_earlier_versions(recorded):
    for _ in range(2):
        with recorded.store() as store:
            (event,) = store.device_events()
            assert event.kind is DeviceEventKind.REACHED
            assert [table.id for table in store.imported()] == ["others"]
    with closing(sqlite3.connect(recorded.database)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (str(HEAD),)
        ]
        assert database.execute("PRAGMA user_version").fetchone() == (HEAD,)


def test_a_baseline_is_loaded(workspace):
    workspace.baselines.mkdir()
    shutil.copy(RECORDED / "good.json", workspace.baselines)
    run = load_baseline(workspace, "good").run
    assert run.id == EXPECTED["id"]
    figures = {launch.id: launch.figure_ns for launch in run.launches}
    kept = [each for each in EXPECTED["launches"] if each["role"] == "measure"]
    assert figures == {each["id"]: each["figure_ns"] for each in kept}


@pytest.mark.parametrize(
    ("name", "level", "count"),
    [
        ("cases.jsonl", "case", 3),
        ("launches.csv", "launch", 10),
        ("samples.parquet", "sample", 104),
    ],
)
def test_an_export_is_read(name, level, count):
    row, rows = read(RECORDED / name)
    assert row.level == level
    assert len(list(rows)) == count
    assert set(harness.load_results(RECORDED / name)["run"]) == {EXPECTED["id"]}
