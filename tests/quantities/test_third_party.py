"""A quantity of another package, of which more is better: it is shown wherever the own ones are.

The package is made here and installed as pip does it; the harness runs in processes of its own.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.analysis.gate import gate
from harness.campaign.spec import Campaign
from harness.core.records import Run
from harness.core.supervision import Exit
from harness.core.yamlfile import load
from harness.export.files import write
from harness.export.frames import load_results
from harness.export.rows import run_rows
from harness.quantities import QUANTITIES
from harness.report.verdicts import markdown
from harness.workspace import Workspace
from tests.analysis.conftest import make_case, make_run
from tests.test_pytest_plugin import DOUBLE, run_of

REPOSITORY = Path(__file__).parents[2]
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CASE = make_case()
PACKAGE = """
from harness.core.quantity import Better, Quantity, Unit

PLUGIN = Quantity(
    name="launch_rate",
    api_version=1,
    title="launch rate",
    label="Launch rate",
    unit=Unit("per_min", "1/min"),
    of=lambda launch: 60 / launch.exit.wall_s if launch.exit else None,
    better=Better.MORE,
    margin=0.05,
    tracked=True,
    expect="launch_rate_per_min",
)
# Its column is one that launches have for something else.
WALL = Quantity(
    name="wall", api_version=1, title="wall time", label="Wall time", unit=Unit("s", "s"),
    of=lambda launch: launch.exit.wall_s if launch.exit else None,
)
AGAIN = Quantity(
    name="speed", api_version=1, title="latency", label="Speed", unit=Unit("x", "x"),
    of=lambda launch: 1.0,
)
"""
UNEVEN = [1, 1.002, 0.998, 1.001, 0.999]


def exits(rate, spread=UNEVEN):
    """Return the ends of five launches that come to so many launches a minute."""
    return [
        Exit(reason="exited", status=0, wall_s=60 / rate * each, left_behind=0, log_bytes=0)
        for each in spread
    ]


def run_at(day, rate, **more):
    columns = {"figure_ms": [10 * each for each in UNEVEN], "exit": exits(rate, **more)}
    run = make_run({CASE: columns}, name=f"r{day}")
    started = NOW + timedelta(days=day)
    return run.model_copy(update={"started": started, "finished": started + timedelta(hours=1)})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the package, and a workspace whose runs have ever lower rates."""
    place = tmp_path_factory.mktemp("place")
    (place / "acme_quantities.py").write_text(PACKAGE)
    info = place / "acme_quantities-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-quantities\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(
        "[edge_harness.quantities]\nlaunch_rate = acme_quantities:PLUGIN\n"
        "wall = acme_quantities:WALL\nlatency = acme_quantities:AGAIN\n"
    )
    root = place / "workspace"
    for folder in ("devices", "models", "campaigns", "reports"):
        (root / folder).mkdir(parents=True)
    (root / "campaigns" / "strict.yaml").write_text(
        "matrix:\n  - models: [m]\n    devices: [d]\n    engines: [onnxruntime]\n"
        "expect:\n  - launch_rate_per_min: 25\n"
    )
    runs = [run_at(day, 30 if day < 4 else 20) for day in range(8)]
    expected = [{"launch_rate_per_min": 25.0}]
    record = runs[-1].model_dump(mode="json") | {"expectations": expected}
    runs[-1] = Run.model_validate(record)
    runs.append(run_at(9, 20, spread=[1, 2, 0.5, 1.5, 0.7]))
    with closing(Workspace(root).store()) as store:
        for run in runs:
            store.create(run)
            for launch in run.launches:
                store.add(run.id, launch)
    return place


COMMANDS = {
    "show": "results show r7",
    "json": "results show r7 --json",
    "case": "export r7 --level case --format csv",
    "launch": "export r7 -o launches.parquet",
    "report": "report r7 -o report.html",
    "compare": "compare r0 r7",
    "findings": "compare r0 r7 --json",
    "series": "history --json",
    "history": "history",
    "site": "site build site",
    "audit": "audit r9 --json",
}
SCRIPT = """
import contextlib, io, json, sys
from harness.cli.app import main
from tests.quantities.test_third_party import COMMANDS, judged
said = {}
for name, command in COMMANDS.items():
    sys.argv = ["harness", *command.split()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    said[name] = out.getvalue()
print(json.dumps(said | judged()))
"""


def judged():
    """Return what only a process with the package can tell, without a device."""

    def verdict(now, then):
        found = gate(run_at(1, now), run_at(0, then), "good")
        if found.undecided:
            found = found.settled(fresh(now, then), {})
        of_rate = found.comparisons[0].of("launch rate").verdict
        return [of_rate, *map(int, found.exit_codes(strict=False))]

    found = load_results("launches.parquet")
    campaign = load(Path("campaigns/strict.yaml"), Campaign, context={})
    return {
        "fell": verdict(20, 30),
        "rose": verdict(30, 20),
        "stayed": verdict(20, 20),
        "markdown": markdown(gate(run_at(1, 30), run_at(0, 30), "good")),
        "limits": campaign.expectations[0].limits,
        "old file": str(load_results("old.jsonl").launch_rate_per_min[0]),
        "wall": [
            found.wall_s.dropna().median() if found.wall_s.notna().any() else None,
            float(found.quantity_wall_s.median()),
        ],
        "faults": [[each.name, each.origin.package, each.reason] for each in QUANTITIES.faults],
        "frame": float(load_results("launches.parquet").launch_rate_per_min.median()),
    }


def fresh(now, then):
    """Return a run of fresh launches of both sides."""
    spread = [*UNEVEN, *UNEVEN]
    columns = {
        CASE.model_copy(update={"side": side}): {
            "figure_ms": [10 * each for each in spread],
            "exit": exits(rate, spread),
        }
        for side, rate in (("candidate", now), ("baseline", then))
    }
    return make_run(columns, name="fresh")


@pytest.fixture(scope="module")
def python(place):
    """Return what runs Python with the package installed, and returns what it printed."""

    def python(*arguments):
        path = os.pathsep.join([str(place), str(REPOSITORY)])
        variables = {"PYTHONPATH": path, "EDGE_HARNESS_WORKSPACE": str(place / "workspace")}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, **variables, "COLUMNS": "200"}, cwd=place / "workspace",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return python


@pytest.fixture(scope="module")
def said(place, python):
    """What commands print where the package is installed, by :data:`COMMANDS`, and verdicts."""
    # Written where it is not installed.
    with closing(Workspace(place / "workspace").store()) as store:
        rows = run_rows(store.load("r7"), "launch")
        write(rows, "launch", place / "workspace" / "old.jsonl", "jsonl")
    return json.loads(python("-c", SCRIPT).splitlines()[-1])


def test_results_have_a_column_and_say_that_too_little_is_a_miss(said):
    assert "Launch rate" in said["show"]
    assert "20.0 1/min" in said["show"]
    assert "launch rate missed: 20" in said["show"]
    assert "expected at least 25 1/min" in said["show"]
    assert said["limits"] == {"launch_rate_per_min": 25}


def test_json(said):
    (case,) = json.loads(said["json"])["cases"]
    found = case["quantities"]["launch_rate"]
    assert (found["unit"], found["better"]) == ("per_min", "more")
    assert found["states"][""]["value"] == pytest.approx(20, rel=1e-4)
    assert len(found["states"][""]["figures"]) == 5


def test_exports(said, place):
    (case,) = csv.DictReader(io.StringIO(said["case"]))
    assert float(case["launch_rate_per_min"]) == pytest.approx(20, rel=1e-4)
    low, high = (float(case[f"launch_rate_{end}_per_min"]) for end in ("low", "high"))
    assert low < 20 < high
    assert said["frame"] == pytest.approx(20, rel=1e-4)


def test_a_column_that_rows_have_already_gets_another_name(said):
    (case,) = csv.DictReader(io.StringIO(said["case"]))
    assert float(case["quantity_wall_s"]) == pytest.approx(3, rel=1e-4)
    assert said["wall"] == [None, pytest.approx(3, rel=1e-4)]


def test_a_declaration_with_the_title_of_another_is_left_out_and_named(said):
    (fault,) = said["faults"]
    assert fault == [
        "latency",
        "acme-quantities",
        "the quantity 'latency' has the title 'latency' already",
    ]


def test_a_file_from_before_the_package_was_installed_is_read(said, place):
    assert "launch_rate" not in (place / "workspace" / "old.jsonl").read_text()
    assert said["old file"] == "nan"


def test_the_report_has_a_table_and_a_chart(said, place):
    page = (place / "workspace" / "report.html").read_text()
    section = page[page.index('id="quantities"') :].split("<section ")[0]
    assert "launch rate: more is better" in section
    assert "<svg" in section
    assert "launch rate, 1/min" in section
    assert "20.0 1/min" in section.split("<table")[1]


def test_comparisons_suspect_what_fell(said):
    findings = json.loads(said["findings"])["comparisons"][0]["findings"]
    (found,) = (each for each in findings if each["quantity"] == "launch rate")
    assert (found["verdict"], found["suspected"]) == ("inconclusive", True)
    assert "launch rate" in said["compare"]


def test_the_gate_knows_which_way_is_worse(said):
    assert said["stayed"] == ["unchanged"]
    assert said["fell"] == ["regressed", 1]
    assert said["rose"] == ["improved"]
    assert "| launch rate |" in said["markdown"]


def test_the_history_follows_it_and_a_fall_is_worse(said):
    by_quantity = {each["quantity"]: each for each in json.loads(said["series"])}
    assert set(by_quantity) == {"latency", "launch rate"}
    rate = by_quantity["launch rate"]
    first = rate["points"][0]["launch_rate_per_min"]
    assert first["center"] == pytest.approx(30, rel=1e-4)
    assert [change["first_after"] for change in rate["changes"]] == ["r4"]
    assert by_quantity["latency"]["changes"] == []
    assert f"{CASE.label} · launch rate" in said["history"]
    assert "lower: \N{MINUS SIGN}33" in said["history"]


def test_the_site_follows_it(said, place):
    (page,) = (place / "workspace" / "site" / "trends").glob("*.html")
    assert "launch rate in 1/min, over runs" in page.read_text()
    assert "v-regressed>lower" in page.read_text().replace('"', "")


def test_the_audit_doubts_an_uneven_one(said):
    sentences = re.findall(r"the interval of its launch rate is [^\"]*", said["audit"])
    assert len(sentences) == 1


def test_pytest_enters_it(python, tmp_path):
    for folder in ("devices", "campaigns"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conftest.py").write_text(DOUBLE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = run_of(exit=exits(20)[0])
    (tmp_path / "run.json").write_text(run.model_dump_json())
    (tmp_path / "test_net.py").write_text(
        "import os, pytest\nos.environ.pop('EDGE_HARNESS_WORKSPACE')\n"
        "@pytest.mark.edge_case(model='m', device='d', engine='e')\n"
        "def test_net(edge_measurement):\n"
        "    assert edge_measurement.values['launch_rate_per_min'] > 19.9\n"
    )
    out = tmp_path / "out.json"
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--benchmark-json={out}", tmp_path)
    (entry,) = json.loads(out.read_text())["benchmarks"]
    assert entry["extra_info"]["launch_rate_per_min"] == pytest.approx(20, rel=1e-4)
