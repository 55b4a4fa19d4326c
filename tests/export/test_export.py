"""Exported tables: what goes out comes in again, and what is damaged is refused."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.core.contract import EnvironmentEvent, Layer, Part
from harness.core.errors import ResultsError, SpecificationError
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceMemory,
    DeviceRecord,
    FirstLoad,
    Launch,
    ModelRecord,
    OutputCheck,
    Profile,
    Protocol,
    Role,
    Run,
    Status,
    Throttling,
)
from harness.export.files import FORMATS, kind_of, read, write
from harness.export.rows import (
    LEVELS,
    ImportedRow,
    MeasuredRow,
    SampleRow,
    imported_rows,
    run_rows,
)
from harness.results.imported import Cell, ImportedFigure, ImportedTable

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
GOOD = Case(model="good", device="here", engine="e", cpus=(0, 1), shapes={"x": (1, 3, 8, 8)})
BAD = Case(model="bad", device="here", engine="e", backend="npu:rknn", batch=4)
PROFILE = Profile(
    parts=[Part(name="subgraph 1", unit="NPU", operators=7)],
    layers=[Layer(name="a", op="Conv", unit="CPU", us=1.5), Layer(name="b", op="", cycles=9)],
    unattributed_us=0.25,
)
DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def make_run(run_id="demo-1", reason="crashed"):
    rng = random.Random(run_id)
    launches = [
        Launch(
            id=f"{run_id}-{slot}", case_id=GOOD.id, slot=slot, attempt=0, position=slot,
            started=NOW + timedelta(seconds=slot), status=Status.OK,
            figure_ns=rng.lognormvariate(14, 0.01),
            samples_ns=[rng.randrange(10**6, 10**7) for _ in range(20)],
            warmup_ns=[5, 4], warmup_reason="steady", vmhwm_bytes=20_000_001 + slot,
            vmhwm_source="runner", cpu_ms_per_inference=0.1 + 0.2, wall_s=1 / 3,
            first_load=FirstLoad(
                process_ms=1, import_ms=2, read_ms=0.1, init_ms=4, first_ms=5,
                page_cache="warm" if slot % 2 else "cold",
            ),
            outputs=OutputCheck(passed=True, relative_error=1e-7, tolerance=1e-3),
            throttling=Throttling(watched=["clocks"] if slot else []),
            profile=PROFILE if slot else None,
            environment=[EnvironmentEvent(phase="during", temperatures_c={"cpu": 41.5 + slot})],
        )
        for slot in range(3)
    ]  # fmt: skip
    launches += [
        Launch(
            id=f"{run_id}-m", case_id=GOOD.id, role=Role.MEMORY, slot=3, attempt=0, position=3,
            started=NOW, status=Status.OK, pss_bytes=3,
            device_memory=DeviceMemory(available_bytes=-5),
        ),
        Launch(
            id=f"{run_id}-b", case_id=BAD.id, slot=0, attempt=0, position=4, started=NOW,
            status=Status.FAILED, category=Category.ENGINE, reason=reason,
        ),
    ]  # fmt: skip
    return Run(
        id=run_id, campaign="demo", description="", specification="", seed=1,
        started=NOW + timedelta(days=int(run_id[-1])), harness_version="0",
        revision="0123456789ab+", protocol=Protocol(),
        models=[ModelRecord(name="good", title="", source="", licence="", inputs=[], macs=10**9)],
        cases=[CaseRecord(case=GOOD, launches=3), CaseRecord(case=BAD, launches=3)],
        devices=[
            DeviceRecord(
                name="here", description="", transport="local", host="h", emulated=True,
                facts={"soc": "rk3588", "kernel": "6.1"},
            )
        ],
        launches=launches,
    )  # fmt: skip


def make_table():
    cell = Cell(line=2, column="ms", position=1, text="=1.50")
    figure = ImportedFigure(
        cell=cell.model_copy(update={"text": "1.50"}), model="m", device="d", latency_ms=1.5
    )
    return ImportedTable(
        id="others", source="https://example.org", licence="unknown", imported=NOW,
        published=date(2023, 1, 2), harness_version="0", file="a.csv", sha256="0" * 64,
        figures=[figure, figure.model_copy(update={"threads": 4, "source": "=elsewhere"})],
    )  # fmt: skip


@pytest.fixture
def stored(workspace):
    with workspace.store() as store:
        for run_id in ("demo-1", "demo-2"):
            run = make_run(run_id)
            store.create(run.model_copy(update={"launches": []}))
            for launch in run.launches:
                store.add(run_id, launch)
        store.add_imported(make_table())
    return workspace


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_exported_is_what_is_stored(stored, cli, tmp_path, level, suffix):
    path = tmp_path / f"out{suffix}"
    every = [] if level == "imported" else ["--all"]
    said = cli("export", *every, "--level", level, "-o", path)
    assert (said.code, said.out) == (0, "")
    from_file = harness.load_results(path)
    from_store = harness.load_results(level=level)
    pd.testing.assert_frame_equal(from_file, from_store)
    assert list(from_file.columns) == list(LEVELS[level].model_fields)
    assert set(from_file.table_schema) == {f"edge-harness.{level}/1"}
    assert f"{len(from_file)} rows" in said.err
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".out")] == []


def test_cases(stored):
    cases = harness.load_results(level="case", runs=["demo-1"])
    good, bad = (row for _, row in cases.iterrows())
    assert (good.state, good.launches_counted, good.launches_planned) == ("measured", 3, 3)
    assert good.latency_low_ms < good.latency_ms < good.latency_high_ms
    assert (good.first_load_cold_ms, good.first_load_warm_ms) == (12.1, 12.1)
    assert good.peak_memory_bytes == 20_000_002
    assert good.device_memory_bytes == -5
    assert (good.model_macs, good.soc, good.cpus) == (10**9, "rk3588", "0,1")
    assert json.loads(good.shapes) == {"x": [1, 3, 8, 8]}
    assert good.revision == "0123456789ab+"
    assert (bad.state, bad.batch, bad.backend) == ("failed", 4, "npu:rknn")
    assert pd.isna(bad.latency_ms)
    assert pd.isna(bad.model_macs)
    assert not bad.outputs_checked


def test_launches(stored):
    launches = harness.load_results(runs=["demo-2"]).set_index("launch").sort_index()
    assert list(launches.index) == [f"demo-2-{end}" for end in ("0", "1", "2", "b", "m")]
    assert list(launches.counted) == [True, True, True, False, False]
    first = launches.loc["demo-2-0"]
    assert first.started == pd.Timestamp(NOW)
    assert pd.isna(first.throttled)
    assert launches.loc["demo-2-1"].throttled is not pd.NA
    assert not launches.loc["demo-2-1"].throttled
    assert (first.page_cache, first.hottest_c, first.samples) == ("cold", 41.5, 20)
    assert first.cpu_ms == 0.1 + 0.2
    failed = launches.loc["demo-2-b"]
    assert (failed.status, failed.category, failed.reason) == ("failed", "engine", "crashed")
    assert pd.isna(failed.latency_ms)
    assert launches.loc["demo-2-m"].role == "memory"
    assert pd.isna(first.reason)


def test_samples(stored):
    samples = harness.load_results(level="sample", runs=["demo-1"])
    assert len(samples) == 3 * 22
    timed = samples[(samples.launch == "demo-1-0") & (samples.phase == "timed")]
    assert list(timed["index"]) == list(range(20))
    assert list(timed.latency_ns) == make_run().launches[0].samples_ns


def test_imported_figures_are_never_among_the_measured(stored):
    assert "others" not in harness.load_results().to_csv()
    imported = harness.load_results(level="imported")
    assert list(imported.source) == ["https://example.org", "=elsewhere"]
    assert list(imported.threads.isna()) == [True, False]


def test_the_newest_run_by_default_and_named_runs_in_their_order(stored, cli):
    rows = [json.loads(line) for line in cli("export").out.splitlines()]
    assert {row["run"] for row in rows} == {"demo-2"}
    said = cli("export", "demo-2", "demo-1", "--format", "csv", "--level", "case")
    rows = list(csv.DictReader(said.out.splitlines()))
    assert [row["run"] for row in rows] == ["demo-2"] * 2 + ["demo-1"] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo-3"], "no run 'demo-3'"),
        (["demo-1", "--all"], "--all"),
        (["demo-1", "--level", "imported"], "imported"),
        (["-o", "a.txt"], "unknown format"),
        (["--format", "parquet"], "Parquet is not a text format"),
        (["-o", "/nowhere/a.csv"], "existing folder"),
        (["--level", "galaxy"], "galaxy"),
    ],
)
def test_mistakes(stored, cli, arguments, message):
    said = cli("export", *arguments)
    assert (said.code, message in said.err) == (2, True), said.err


def test_a_run_that_is_not_there_leaves_no_file_and_keeps_what_was(stored, cli, tmp_path):
    path = tmp_path / "kept.csv"
    path.write_text("what was")
    assert cli("export", "demo-1", "demo-3", "-o", path).code == 2
    assert path.read_text() == "what was"
    assert not list(tmp_path.glob(".*.part"))


# -- what a device or a publisher may have written ---------------------------------------------

NASTY = ["=cmd|'/c calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''=1", "'quoted'",
         "\uff1d1", 'a "b", c', "two\nlines", "\u202e", "plain", "'"]  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("reason", NASTY)
def test_any_text_comes_back_as_it_was(tmp_path, suffix, reason):
    path = tmp_path / f"a{suffix}"
    write(run_rows(make_run(reason=reason), "launch"), "launch", path, FORMATS[suffix])
    _, rows = read(path)
    assert rows[-1]["reason"] == reason


@pytest.mark.parametrize("reason", NASTY)
def test_no_cell_of_a_csv_file_is_a_formula(tmp_path, reason):
    path = tmp_path / "a.csv"
    write(run_rows(make_run(reason=reason), "launch"), "launch", path, "csv")
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, cell in row.items():
                if kind_of(LEVELS["launch"], name) == "text":
                    assert not re.match("[=+\\-@\t\r\n\uff1d]", cell)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=100, deadline=None)
def test_texts_survive_csv(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("texts") / "a.csv"
    row = SampleRow.model_construct(**dict(next(run_rows(make_run(), "sample"))) | {"engine": text})
    write([row], "sample", path, "csv")
    assert read(path)[1][0]["engine"] == text


@given(st.floats(1e-300, 1e300), st.floats(0, 1e300) | st.none())
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("suffix", FORMATS)
def test_numbers_survive_to_the_last_digit(tmp_path_factory, suffix, number, other):
    path = tmp_path_factory.mktemp("numbers") / f"a{suffix}"
    table = make_table()
    figure = table.figures[0].model_copy(update={"latency_ms": number, "low_ms": other})
    row = next(imported_rows([table.model_copy(update={"figures": [figure]})]))
    write([row], "imported", path, FORMATS[suffix])
    assert (read(path)[1][0]["latency_ms"], read(path)[1][0]["low_ms"]) == (number, other)


# -- damaged files -----------------------------------------------------------------------------


@pytest.fixture
def exported(tmp_path):
    def exported(suffix, level="launch"):
        path = tmp_path / f"a{suffix}"
        write(run_rows(make_run(), level), level, path, FORMATS[suffix])
        return path

    return exported


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_cut_off_anywhere(exported, suffix):
    path = exported(suffix)
    whole = path.read_bytes()
    for end in (*range(1, len(whole) - 1, len(whole) // 40), len(whole) - 1):
        if suffix != ".parquet" and whole[end - 1 : end] == b"\n":
            continue  # between two lines: what is there is right
        path.write_bytes(whole[:end])
        with pytest.raises(ResultsError) as error:
            read(path)
        assert "harness export" in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(ResultsError, match=r"no rows|damaged"):
        read(path)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".jsonl", "launch/1", "launch/2", "newer than this harness knows"),
        (".csv", "launch/1", "launch/2", "newer than this harness knows"),
        (".jsonl", "edge-harness.launch/1", "another", "not a table written by harness export"),
        (".csv", "table_schema", "what", "not a table written by harness export"),
        (".jsonl", '"slot":0', '"slot":"zero"', "a.jsonl:1: slot: "),
        (".jsonl", '"slot":0', '"slot":0,"more":1', "a.jsonl:1: more: "),
        (".jsonl", '"slot":0,', "", "a.jsonl:1: slot: "),
        (".jsonl", '"wall_s":0.3333333333333333', '"wall_s":NaN', "wall_s: "),
        (".jsonl", "{", "[", "not a JSON object"),
        (".csv", ",slot,", ",slat,", "slot: "),
        (".csv", "demo-1-0,", "demo-1-0,,", "cells instead of"),
    ],
)
def test_a_file_that_was_changed(exported, suffix, old, new, message):
    path = exported(suffix)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ResultsError) as error:
        read(path)
    assert message in error.value.message


def test_a_parquet_file_of_others(tmp_path, exported):
    path = tmp_path / "others.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ResultsError, match="not a table written by harness export"):
        read(path)
    ours = pq.read_table(exported(".parquet"))
    pq.write_table(ours.drop_columns(["slot"]), path)
    with pytest.raises(ResultsError, match="no column slot"):
        read(path)
    pq.write_table(ours.set_column(0, "slot", pa.array(["x"] * 5)), path)
    with pytest.raises(ResultsError, match="unknown column slot"):
        read(path)
    newer = {b"edge_harness_schema": b"edge-harness.launch/9"}
    pq.write_table(ours.replace_schema_metadata(newer), path)
    with pytest.raises(ResultsError, match="newer"):
        read(path)


def test_sources_that_are_none(tmp_path, workspace):
    with pytest.raises(SpecificationError, match="No such file"):
        harness.load_results(tmp_path / "a.csv")
    with pytest.raises(SpecificationError, match="no results database"):
        harness.load_results(tmp_path / "a.sqlite")
    with pytest.raises(SpecificationError, match="no results database"):
        harness.load_results()
    with pytest.raises(SpecificationError, match="no level 'lunch'"):
        harness.load_results(level="lunch")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ResultsError, match="not UTF-8"):
        harness.load_results(tmp_path / "a.csv")


def test_a_level_or_runs_of_a_file(exported):
    with pytest.raises(SpecificationError, match="level 'launch', not 'case'"):
        harness.load_results(exported(".csv"), level="case")
    with pytest.raises(SpecificationError, match="from a database"):
        harness.load_results(exported(".csv"), runs=["demo-1"])


def test_a_workspace_and_a_database_are_sources(stored):
    by_default = harness.load_results()
    pd.testing.assert_frame_equal(by_default, harness.load_results(stored.root))
    pd.testing.assert_frame_equal(by_default, harness.load_results(stored.database))


def test_a_database_of_a_newer_version(stored):
    with closing(sqlite3.connect(stored.database)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ResultsError, match="newer"):
        harness.load_results()


@pytest.mark.parametrize(("module", "source"), [("pandas", None), ("pyarrow", "a.parquet")])
def test_without_the_optional_packages_the_error_says_what_to_install(
    monkeypatch, tmp_path, module, source
):
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SpecificationError) as error:
        harness.load_results(source and tmp_path / source)
    assert f"needs {module}, which is not installed" in error.value.message
    assert error.value.hint == "pip install 'edge-harness[data]'"


def test_importing_harness_imports_nothing_heavy():
    program = (
        "import sys, harness; print(sorted({'pandas', 'numpy', 'sqlalchemy'} & {*sys.modules}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


# -- the schema --------------------------------------------------------------------------------


def test_layers_are_exported_with_placement_and_what_is_in_none():
    rows = [row for row in run_rows(make_run(), "layer") if row.launch.endswith("-1")]
    assert [(row.what, row.name, row.time_us, row.cycles, row.operators) for row in rows] == [
        ("part", "subgraph 1", None, None, 7),
        ("layer", "a", 1.5, None, None),
        ("layer", "b", None, 9, None),
        ("unattributed", None, 0.25, None, None),
    ]


def test_every_field_of_a_case_is_exported():
    """A new axis of campaigns needs a column: without it, rows could not be told apart."""
    assert set(Case.model_fields) <= set(LEVELS["case"].model_fields)


@pytest.mark.parametrize("level", LEVELS)
def test_the_documentation_has_every_column(level):
    text = DOCS.read_text(encoding="utf-8")
    section = text.split(f"### `{level}`")[1].split("\n### ")[0].split("\n## ")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", section))
    common = set() if level == "imported" else set(MeasuredRow.model_fields)
    if level in ("launch", "sample", "layer"):
        common |= {"launch", "role", "status", "counted"}
    columns = set(LEVELS[level].model_fields)
    assert columns - common - {"table_schema"} <= named


def test_kinds():
    assert kind_of(ImportedRow, "published") == "date"
    assert kind_of(ImportedRow, "imported") == "time"
    assert kind_of(ImportedRow, "threads") == "integer"


class Terminal(io.StringIO):
    """A text stream that people look at."""

    def isatty(self):
        return True


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_no_text_of_others_makes_a_terminal_obey(form):
    run = make_run(reason="\x1b]0;title\x07 \x9b31m")
    for stream in (Terminal(), io.StringIO()):
        write(run_rows(run, "launch"), "launch", stream, form)
        assert ("\x9b" in stream.getvalue()) is (not stream.isatty())
        assert "\x1b" not in stream.getvalue() or not stream.isatty()
