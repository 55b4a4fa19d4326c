"""The pytest plugin, in sessions of pytest of its own.

A test double stands for the lab: what it "measured" comes from a file. The real thing is in
tests/e2e/test_pytest_plugin_e2e.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uv import find_uv_bin

import harness.api

# What a session in this process imports it forgets again, and NumPy can be imported only once.
import harness.campaign.session
from harness import pytest_plugin
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceRecord,
    FirstLoad,
    Launch,
    OutputCheck,
    Protocol,
    Run,
    Status,
)
from harness.pytest_plugin import AXES

pytest_plugins = ["pytester"]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = Case(model="m", device="d", engine="e")
FIGURES = [10.0, 10.2, 10.1, 10.3, 9.9]

UNUSED = ["cacheprovider", "hypothesispytest", "platformdirs", "faulthandler"]  # take time to load

# Stands for the lab: it is given the campaign, and returns what a file says.
DOUBLE = """
from pathlib import Path
import harness.pytest_plugin as plugin
from harness.campaign.spec import Campaign
from harness.core.errors import LabError
from harness.core.records import Run
from harness.core.yamlfile import load

def measured(workspace, campaign, wait_s):
    given = load(campaign, Campaign)
    print("campaign", campaign.name, given.model_dump_json(exclude_defaults=True), wait_s)
    found = workspace.root / "run.json"
    if not found.exists():
        raise LabError("d: no route to host", hint="is it on?")
    return Run.model_validate_json(found.read_text())

plugin._measured = measured
"""

TEST = """
import pytest

@pytest.mark.edge_case(model="m", device="d", engine="e")
def test_net(edge_measurement):
    assert edge_measurement.latency_ms.high < {limit}
"""


def run_of(figures=FIGURES, **more):
    launches = [
        Launch(
            **(
                {
                    "id": f"l{slot}", "case_id": CASE.id, "slot": slot, "attempt": 0,
                    "position": slot, "started": NOW, "status": Status.OK,
                    "figure_ns": figure * 1e6, "vmhwm_bytes": 20_000_000,
                    "outputs": OutputCheck(passed=True, tolerance=1e-3),
                    "first_load": FirstLoad(
                        process_ms=1, init_ms=2, first_ms=3 + slot,
                        page_cache="warm" if slot % 2 else "cold",
                    ),
                }
                | more
            )
        )
        for slot, figure in enumerate(figures)
    ]  # fmt: skip
    return Run(
        id="pytest-test-net-1", campaign="c", description="", specification="", seed=1,
        started=NOW, harness_version="0", protocol=Protocol(), models=[],
        cases=[CaseRecord(case=CASE, launches=len(figures))], launches=launches,
        devices=[
            DeviceRecord(name="d", description="", transport="ssh", host="h", emulated=False)
        ],
    )  # fmt: skip


@pytest.fixture
def lab(pytester, monkeypatch):
    """Return what writes what the lab is to have measured, in a workspace around the tests."""
    monkeypatch.delenv("EDGE_HARNESS_WORKSPACE", raising=False)
    monkeypatch.setattr(pytest_plugin, "_measured", pytest_plugin._measured)  # put back, after
    for folder in ("devices", "campaigns"):
        pytester.mkdir(folder)
    pytester.makeconftest(DOUBLE)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers")

    def lab(run):
        (pytester.path / "run.json").write_text(run.model_dump_json())

    lab(run_of())
    return lab


@pytest.fixture
def session(pytester, lab):
    """Return what runs pytest over the one test, with a limit that its latency keeps or not."""

    def session(*arguments, limit=11, text=TEST):
        pytester.makepyfile(test_net=text.replace("{limit}", str(limit)))
        without = [word for name in UNUSED for word in ("-p", f"no:{name}")]
        return pytester.runpytest_inprocess(*without, *arguments)

    return session


def test_three_lines(session):
    assert len(TEST.strip().splitlines()) == 2 + 3
    session("-p", "no:benchmark").assert_outcomes(passed=1)
    session("-p", "no:benchmark", limit=10).assert_outcomes(failed=1)


def test_what_a_test_gets(session):
    text = """
        import pytest

        @pytest.mark.edge_case(model="m", device="d", engine="e")
        def test_net(edge_measurement):
            got = edge_measurement
            assert got.latency_ms.n == 5
            assert got.figures_ms == (10.0, 10.2, 10.1, 10.3, 9.9)
            assert got.first_load_ms == 1 + 2 + 5
            assert got.memory_mb == 20
            assert got.case.model == got.result.record.case.model == "m"
            assert got.run == "pytest-test-net-1"
            assert str(got) == "10.1 ms [9.90 \N{EN DASH} 10.3], 5 launches"
        """
    session(text=text).assert_outcomes(passed=1)


def test_what_the_marker_says_is_what_is_measured(session):
    text = """
        import pytest

        pytestmark = pytest.mark.edge_case(
            model="m", device="d", engine="e", backend="npu:rknn", precision="int8", threads=4,
            cpus=[0, 1], model_cache="kept", busy_cpus=2, launches=3, wait_s=60,
            protocol={"page_cache": "both"},
        )

        @pytest.mark.parametrize("a", ["x/../y z"])
        def test_net(edge_measurement, a):
            pass
        """
    result = session("-s", text=text)
    result.assert_outcomes(passed=1)
    line = next(line for line in result.outlines if "campaign " in line).partition("campaign ")[2]
    name, _, given = line.partition(" ")
    assert name == "pytest-test-net-x-y-z.yaml"
    campaign, _, wait_s = given.rpartition(" ")
    assert float(wait_s) == 60
    assert json.loads(campaign) == {
        "description": "test_net.py::test_net[x/../y z]",
        "matrix": [
            {
                "models": ["m"], "devices": ["d"], "engines": ["e"], "backends": ["npu:rknn"],
                "precisions": ["int8"], "threads": [4], "cpus": [[0, 1]], "busy_cpus": [2],
                "model_caches": ["kept"],
            }
        ],
        "launches": 3,
        "protocol": {"page_cache": "both"},
    }  # fmt: skip


def test_every_axis_of_a_case_can_be_said():
    of_scenario = {"rate_per_s", "bound_ms", "percentile"}
    assert set(AXES) == set(Case.model_fields) - {"side"} - of_scenario


# -- a lab that fails is an error ---------------------------------------------------------------


def test_a_device_that_cannot_be_reached_is_an_error_also_in_junit(session, pytester):
    (pytester.path / "run.json").unlink()
    result = session("--junitxml=junit.xml")
    result.assert_outcomes(errors=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*LabError: d: no route to host*", "*try: is it on?*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*Benchmark fixture was not used*")
    junit = (pytester.path / "junit.xml").read_text()
    assert 'errors="1" failures="0"' in junit


FAILED = {"status": Status.FAILED, "category": Category.ENGINE, "reason": "crashed"}
INVALID = {"status": Status.INVALID, "reason": "throttled: 1.2 GHz"}
WRONG = {
    "status": Status.INVALID,
    "reason": "wrong outputs: off",
    "outputs": OutputCheck(passed=False, reason="off", tolerance=1e-3),
}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (FAILED, "*LabError: m · d · e: failed: no launch succeeded: crashed*"),
        (INVALID, "*ResultsError: m · d · e: invalid: 5 of 5 launches were invalid: throttled*"),
        (WRONG, "*ResultsError: m · d · e: outputs wrong: wrong outputs: off*"),
    ],
)
def test_launches_that_gave_nothing_are_an_error(session, lab, fields, message):
    lab(run_of(**fields))
    result = session()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message, "*harness results logs pytest-test-net-1*"])


def test_a_launch_that_is_lacking_is_an_error(session, lab):
    run = run_of()
    lab(run.model_copy(update={"launches": run.launches[:4]}))
    result = session()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*1 of 5 launches are missing*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("", "*needs a marker that names a case*"),
        ('@pytest.mark.edge_case("m")', "*needs a marker that names a case*"),
        ('@pytest.mark.edge_case(modl="m")', "*edge_case has no 'modl'*"),
        ("@pytest.mark.edge_case(model=object())", "*not JSON serializable*"),
        ('@pytest.mark.edge_case(model="m")', "*matrix.0.devices: field required*"),
        ('@pytest.mark.edge_case(model="../m", device="d", engine="e")', "*matrix.0.models.0*"),
    ],
)
def test_mistakes_are_errors_with_what_to_do(session, marker, message):
    text = f"import pytest\n\n{marker}\ndef test_net(edge_measurement):\n    pass\n"
    result = session(text=text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_workspace_is_looked_for_around_the_test(session, pytester):
    (pytester.path / "campaigns").rmdir()
    result = session()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*is a workspace*"])


# -- pytest-benchmark ---------------------------------------------------------------------------


def test_launches_are_rounds(session, pytester):
    session("--benchmark-json=out.json").assert_outcomes(passed=1)
    (entry,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert entry["fullname"] == "test_net.py::test_net"
    assert entry["stats"]["data"] == [figure / 1e3 for figure in FIGURES]
    assert (entry["stats"]["rounds"], entry["stats"]["iterations"]) == (5, 1)
    assert entry["stats"]["median"] == 0.0101
    assert entry["options"]["timer"] == "edge_harness_launch_figure"
    extra = entry["extra_info"]
    assert (extra["case"], extra["device"], extra["emulated"]) == (CASE.id, "d", False)
    assert extra["latency_low_ms"] < extra["latency_ms"] < extra["latency_high_ms"]


def test_compare_and_its_failure_work_on_device_measurements(session, lab):
    session("--benchmark-save=before").assert_outcomes(passed=1)
    # pytest-benchmark warns of a --benchmark-compare whose processor is at another clock by now.
    ignored = "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"
    again = session("--benchmark-compare", "--benchmark-compare-fail=mean:5%", "-W", ignored)
    assert again.ret == 0
    again.stdout.fnmatch_lines(["*test_net*(0001_before*", "*test_net*(NOW)*"])
    lab(run_of([1.1 * figure for figure in FIGURES]))
    slower = session(
        "--benchmark-compare", "--benchmark-compare-fail=mean:5%", "-W", ignored, limit=99
    )
    assert slower.ret != 0
    assert "Performance has regressed" in "\n".join([*slower.outlines, *slower.errlines])


def test_the_options_of_pytest_benchmark_hold(session):
    session("--benchmark-only").assert_outcomes(passed=1)
    session("--benchmark-skip").assert_outcomes(skipped=1)
    session("--benchmark-disable").assert_outcomes(passed=1)


def test_the_tests_own_benchmark_marker_stays(session, pytester):
    text = TEST.replace("def test_net", '@pytest.mark.benchmark(group="nets")\ndef test_net')
    session("--benchmark-json=out.json", text=text).assert_outcomes(passed=1)
    (entry,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert entry["group"] == "nets"


def test_ordinary_benchmarks_beside_are_left_alone(session):
    text = TEST + "\n\ndef test_other(benchmark):\n    assert benchmark(lambda: 5) == 5\n"
    session("--benchmark-only", "--benchmark-max-time=0.01", text=text).assert_outcomes(passed=2)


def test_where_it_is_not_used_nothing_is_imported(tmp_path):
    program = (
        "import sys, pytest\n"
        "assert pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', '.']) == 5\n"
        "print(sorted({'numpy', 'pydantic', 'harness.results', 'harness.cli'} & {*sys.modules}))\n"
        "print('harness.pytest_plugin' in sys.modules)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        said = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    assert said.stdout.splitlines()[-2:] == ["[]", "True"]


def test_the_marker_is_explained(pytester):
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["*@pytest.mark.edge_case(model, device, engine*"])


@pytest.mark.full
@pytest.mark.parametrize(
    "releases",
    [["pytest-benchmark==4.0.0", "pytest==8.0.*"], ["pytest-benchmark", "pytest"]],
    ids=["oldest", "newest"],
)
def test_other_releases_of_pytest_benchmark(tmp_path, releases):
    """In an environment of their own, before all else of this one: JSON, and what compares it."""
    uv, python = find_uv_bin(), tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True
    )
    install = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, *releases], check=True)
    here = [sysconfig.get_path("purelib"), str(Path(harness.__file__).parents[1])]
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "all-else.pth").write_text("\n".join(here))
    for folder in ("devices", "campaigns"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conftest.py").write_text(DOUBLE)
    (tmp_path / "test_net.py").write_text(TEST.replace("{limit}", "99"))

    def session(*arguments):
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "test_net.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for scale in (1.0, 1.1):
        run = run_of([scale * figure for figure in FIGURES])
        (tmp_path / "run.json").write_text(run.model_dump_json())
        saved = session("--benchmark-only", "--benchmark-autosave", "--benchmark-json=out.json")
        assert saved.returncode == 0, saved.stdout + saved.stderr
        (entry,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
        assert entry["stats"]["data"] == pytest.approx([scale * each / 1e3 for each in FIGURES])
        assert entry["extra_info"]["case"] == CASE.id
    compared = session("--benchmark-compare=0001", "--benchmark-compare-fail=mean:5%")
    assert compared.returncode != 0
    assert "Performance has regressed" in compared.stdout + compared.stderr
    same = session("--benchmark-compare=0002", "--benchmark-compare-fail=mean:5%")
    assert same.returncode == 0, same.stdout + same.stderr
    (tmp_path / "run.json").unlink()
    broken = session("--benchmark-compare=0002")
    assert broken.returncode == 1
    assert "1 error" in broken.stdout
