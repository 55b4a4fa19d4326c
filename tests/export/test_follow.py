"""A run's launches appended to a file as they end."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from harness.cli.progress import LiveProgress
from harness.core.errors import SpecificationError
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceRecord,
    Launch,
    Protocol,
    Run,
    Status,
)
from harness.export.files import read
from harness.export.follow import Follower
from harness.export.rows import LaunchRow, run_rows

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = Case(model="m", device="d", engine="e")


def a_run(run_id="r1", launches=()):
    device = DeviceRecord(name="d", description="", transport="local", host="h", emulated=False)
    return Run(
        id=run_id, campaign="c", description="", specification="", seed=1, started=NOW,
        harness_version="0", protocol=Protocol(), devices=[device], models=[],
        cases=[CaseRecord(case=CASE, launches=9)], launches=list(launches),
    )  # fmt: skip


def a_launch(slot, status=Status.OK, run_id="r1", **more):
    return Launch(
        id=f"{run_id}-{CASE.id}-{slot}-0", case_id=CASE.id, slot=slot, attempt=0, position=slot,
        started=NOW + timedelta(seconds=slot), status=status, figure_ns=1e6, **more,
    )  # fmt: skip


def following(path, run):
    follower = Follower(path)
    follower.begin(run)
    return follower


def ids(path):
    return [json.loads(line)["launch"] for line in path.read_text().splitlines()]


def test_each_launch_is_a_line_as_harness_export_writes_it(tmp_path):
    path = tmp_path / "night.jsonl"
    launches = [
        a_launch(0),
        a_launch(1, Status.FAILED, category=Category.ENGINE, reason="no\nsuch\u2028op"),
    ]
    follower = following(path, a_run())
    assert path.read_text() == ""
    for number, launch in enumerate(launches, 1):
        follower(launch)
        assert path.read_bytes().count(b"\n") == number  # not when the run ends
    row, rows = read(path)
    assert row is LaunchRow
    assert rows == [dict(each) for each in run_rows(a_run(launches=launches), "launch")]
    assert path.read_text().startswith('{"table_schema":"edge-harness.launch/1",')


def test_a_resumed_run_appends_what_the_file_lacks_and_doubles_nothing(tmp_path):
    path = tmp_path / "night.jsonl"
    launches = [a_launch(slot) for slot in range(4)]
    other = following(path, a_run("r0"))
    other(a_launch(0, run_id="r0"))
    first = following(path, a_run())
    first(launches[0])
    # Stored, and the controller was killed before or within the line.
    with path.open("a") as file:
        file.write('{"table_schema":"edge-harness.laun')
    again = following(path, a_run(launches=launches[:3]))
    again(launches[3])
    assert ids(path) == [f"r0-{CASE.id}-0-0", *(launch.id for launch in launches)]
    following(path, a_run(launches=launches))
    assert len(ids(path)) == 5


@pytest.mark.parametrize("cut", [1, 30, 700])
def test_a_file_that_ends_within_its_first_line_begins_anew(tmp_path, cut):
    path = tmp_path / "night.jsonl"
    following(path, a_run(launches=[a_launch(0)]))
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    following(path, a_run(launches=[a_launch(0)]))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content", [b"a shopping list", b"a shopping list\n", b'{"run": 1}\n', b"\0" * 100]
)
def test_a_file_of_something_else_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match=r"mine.jsonl:1: not a row of edge-harness"):
        following(path, a_run())
    assert path.read_bytes() == content


def test_rows_of_another_kind_among_ours_are_refused(tmp_path):
    path = tmp_path / "night.jsonl"
    following(path, a_run(launches=[a_launch(0)]))
    with path.open("a") as file:
        file.write('{"table_schema":"edge-harness.case/1"}\n')
    with pytest.raises(SpecificationError, match=r"night.jsonl:2: not a row"):
        following(path, a_run())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SpecificationError, match="No such file"):
        following(tmp_path / "none" / "night.jsonl", a_run())


def test_two_controllers_append_to_one_file(tmp_path):
    path = tmp_path / "night.jsonl"
    followers = [(name, following(path, a_run(name))) for name in ("r1", "r2")]

    def append(pair):
        name, follower = pair
        for slot in range(20):
            follower(a_launch(slot, run_id=name, reason="x" * 5000))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, followers))
    assert len(set(ids(path))) == len(ids(path)) == 40


def test_a_full_disk_is_told_and_the_run_goes_on(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    follower = following(tmp_path / "night.jsonl", a_run())
    progress = LiveProgress(follower)
    progress.begun(a_run(), {}, [])
    monkeypatch.setattr("harness.export.follow.os.fsync", full)
    for slot in range(3):
        progress.ended("h", a_launch(slot))
    assert "No space left" in follower.fault
    assert capsys.readouterr().err.count("not exported any more") == 1
