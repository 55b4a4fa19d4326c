"""What is stored, as the command line shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from harness.api import exit_codes
from harness.core.contract import Layer, Part
from harness.core.errors import ExitCode
from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceMemory,
    DeviceRecord,
    Expectation,
    FirstLoad,
    Launch,
    OutputCheck,
    Profile,
    Protocol,
    Role,
    Run,
    Status,
)
from harness.core.text import taken
from tests.analysis.conftest import make_case, make_run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD = Case(model="good", device="here", engine="onnxruntime")
BAD = Case(model="bad", device="here", engine="onnxruntime")


@pytest.fixture
def stored(workspace):
    cases = [CaseRecord(case=case, launches=2, memory_launches=1) for case in (GOOD, BAD)]
    run = Run(
        id="demo-1", campaign="demo", description="", specification="", seed=1, started=NOW,
        finished=NOW, harness_version="0", protocol=Protocol(), models=[], cases=cases,
        devices=[
            DeviceRecord(
                name="here", description="", transport="local", host="h", emulated=True
            )
        ],
    )  # fmt: skip
    load = FirstLoad(process_ms=1, import_ms=2, read_ms=3, init_ms=4, first_ms=5, page_cache="cold")
    with workspace.store() as store:
        store.create(run)
        for slot, figure in enumerate([1.0e6, 1.1e6]):
            store.add(
                run.id,
                Launch(
                    id=f"g{slot}", case_id=GOOD.id, slot=slot, attempt=0, position=slot,
                    started=NOW, status=Status.OK, figure_ns=figure, samples_ns=[int(figure)],
                    first_load=load, vmhwm_bytes=20_000_000,
                    outputs=OutputCheck(passed=True, tolerance=1e-3),
                ),
            )  # fmt: skip
        store.add(
            run.id,
            Launch(
                id="g2", case_id=GOOD.id, role=Role.MEMORY, slot=2, attempt=0, position=3,
                started=NOW, status=Status.OK, pss_bytes=30_000_000,
                device_memory=DeviceMemory(available_bytes=5_000_000),
            ),
        )  # fmt: skip
        store.add(
            run.id,
            Launch(
                id="b0", case_id=BAD.id, slot=0, attempt=0, position=2, started=NOW,
                status=Status.FAILED, category=Category.ENGINE, reason="crashed \x1b[2Jhere",
                log="a line\n\x1b]0;title\x07[bold]not markup[/bold]\n",
            ),
        )  # fmt: skip
    return run


def test_list(stored, cli):
    said = cli("results", "list")
    assert "demo-1" in said.out
    assert "1 failed, 3 ok of 6 planned" in said.out
    (row,) = json.loads(cli("results", "list", "--json").out)
    assert row["launches"] == {"ok": 3, "failed": 1}


def test_show(stored, cli):
    said = cli("results", "show")
    assert "1.05 ms" in said.out
    assert "20.0 MB" in said.out
    assert "2/2" in said.out
    assert "EMULATED" in said.out
    row = next(line for line in said.out.splitlines() if "30.0 MB" in line)
    assert row.split()[2:] == ["30.0", "MB", "5.00", "MB", *["unknown"] * 4]
    assert "no launch succeeded: crashed \ufffd[2Jhere" in said.out


def test_show_json_holds_everything(stored, cli):
    content = json.loads(cli("results", "show", "demo-1", "--json").out)
    good, bad = content["cases"]
    assert good["latency_ms"]["n"] == 2
    assert good["first_load_ms"]["cold"]["total"]["median"] == 15
    assert good["memory"] == {
        "vmhwm_bytes": [20_000_000] * 2, "vmhwm_sources": ["runner"], "pss_bytes": 30_000_000,
        "device": {
            "available_bytes": 5_000_000, "cma_bytes": None, "dma_buf_bytes": None,
            "driver_bytes": {},
        },
        "runtime_bytes": None,
    }  # fmt: skip
    assert good["latency_ms"]["low"] < 1.05 < good["latency_ms"]["high"]
    assert (bad["state"], bad["latency_ms"]) == ("failed", None)
    assert content["launches"][0]["samples_ns"] == [1_000_000]


def test_expectations_are_shown(stored, cli, workspace):
    run = stored.model_copy(
        update={
            "expectations": [
                Expectation(only=["good"], latency_ms=10, memory_mb=10),
                Expectation(only=["good"], latency_ms=1.05),
            ]
        }
    )
    with workspace.store() as store:
        store.update(run)
    said = cli("results", "show").out
    assert "good · here · onnxruntime: latency met: 1.049 ms [" in said
    assert "peak memory missed: 20 MB, expected at most 10 MB" in said
    assert "latency inconclusive: 1.049 ms [" in said
    found = json.loads(cli("results", "show", "--json").out)["expectations"]
    assert [each["met"] for each in found] == ["met", "missed", "inconclusive"]
    assert list(exit_codes(run.model_copy(update={"cases": [], "launches": []}), strict=True)) == []
    run = run.model_copy(update={"cases": run.cases[:1]})
    with workspace.store() as store:
        run = run.model_copy(update={"launches": store.load(run.id).of_case(GOOD.id)})
    assert list(exit_codes(run, strict=False)) == [ExitCode.REGRESSION]
    assert list(exit_codes(run, strict=True)) == [ExitCode.REGRESSION, ExitCode.INVALID]


@pytest.mark.parametrize("last", [Status.OK, Status.FAILED, None])
def test_a_launch_that_is_lacking_in_the_end_is_the_labs_failure(stored, workspace, cli, last):
    """A case with a latency, of which one launch failed or was never made."""
    with workspace.store() as store:
        run = store.load("demo-1")
    good = run.of_case(GOOD.id)[1:]
    failed = good[0].model_copy(
        update={
            "slot": 0, "id": "x", "status": Status.FAILED, "category": Category.TIMEOUT,
            "reason": "too late", "started": NOW - timedelta(seconds=1),
        }
    )  # fmt: skip
    again = [] if last is None else [failed]
    if last is Status.OK:
        again.append(good[0].model_copy(update={"slot": 0, "attempt": 1, "id": "y"}))
    run = run.model_copy(update={"cases": run.cases[:1], "launches": [*again, *good]})
    expected = [] if last is Status.OK else [ExitCode.LAB]
    assert list(exit_codes(run, strict=False)) == expected


def test_logs_are_pruned_when_asked_to(stored, cli):
    assert "1 launch," in cli("results", "prune", "--logs-older-than", "1d", "--dry-run").err
    assert "a line" in cli("results", "logs").out
    assert cli("results", "prune", "--logs-older-than", "1d").code == 0
    assert "a line" not in cli("results", "logs").out
    assert cli("results", "prune").code == 2


def test_what_failed_is_shown_by_cause(stored, cli):
    said = cli("results", "show").out
    assert "What failed" in said
    assert "try: harness results logs demo-1 --failed" in said
    assert "\x1b[2J" not in said
    (group,) = json.loads(cli("results", "show", "--json").out)["failures"]
    assert (group["category"], group["launches"], group["devices"]) == ("engine", 1, ["here"])


def test_logs_are_inert(stored, cli):
    said = cli("results", "logs", "--failed")
    assert "bad" in said.out
    assert "\x1b" not in said.out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "[bold]not markup[/bold]" in said.out
    assert "good" not in said.out


def test_an_unknown_run(stored, cli):
    said = cli("results", "show", "demo-2")
    assert said.code == 2
    assert "did you mean 'demo-1'?" in said.err


def test_nothing_measured_yet(workspace, cli):
    said = cli("results", "show")
    assert said.code == 2
    assert "harness run" in said.err


def test_nothing_to_resume(stored, cli):
    said = cli("run", "--resume")
    assert said.code == 2
    assert "no run was interrupted" in said.err


def test_a_campaigns_name_stands_for_its_newest_run(stored, cli):
    assert cli("results", "show", "demo").out == cli("results", "show", "demo-1").out
    assert "demo-1" in cli("results", "logs", "demo", "--failed").out + stored.id


def test_flags_of_one_kind_are_told_once(workspace, cli):
    cases = [make_case("onnxruntime", threads=threads) for threads in (1, 2, 3)]
    drifting = [10.0, 10.2, 10.4, 10.6, 10.8, 11.0, 11.2, 11.4]
    run = make_run(dict.fromkeys(cases, drifting))
    with workspace.store() as store:
        store.create(run)
        for launch in run.launches:
            store.add(run.id, launch)
    assert "! 3 cases: latency rises or falls" in cli("results", "show").out
    listed = cli("results", "show", "--wide").out
    assert listed.count("figures rise by 14 %") == 3


def test_memory_that_others_gave_back_is_freed():
    assert [taken(size) for size in (None, 0, 5e6, -5e6)] == [
        "unknown", "0 MB", "5.00 MB", "5.00 MB freed",
    ]  # fmt: skip


NPU = Case(model="m", device="d", engine="onnxruntime", backend="npu:x")


def profiled(name, *on_cpu, us, **fields):
    """Return a run with a profile: a subgraph on the NPU, and operators on the processor."""
    parts = [Part(name="subgraph 1", unit="NPU", operators=9)]
    parts += [Part(name=each, op="Conv", unit="CPU") for each in on_cpu]
    layers = [Layer(name="subgraph 1", op="", unit="NPU", us=us)]
    profile = Profile(parts=parts, layers=layers, unattributed_us=1.0)
    columns = {"role": [Role.MEASURE, Role.PROFILE], "profile": [None, profile]}
    return make_run({NPU: columns | {key: [value] * 2 for key, value in fields.items()}}, name=name)


@pytest.fixture
def upgraded(workspace):
    def store(**fields):
        with workspace.store() as found:
            for run in (
                profiled("old-1", us=100.0, engine_version="1.0"),
                profiled("new-1", "conv", us=150.0, engine_version="2.0", **fields),
            ):
                found.create(run.model_copy(update={"launches": []}))
                for launch in run.launches:
                    found.add(run.id, launch)

    return store


def test_layers_against_an_earlier_run_say_what_became_slower_and_what_left(cli, upgraded):
    upgraded()
    said = cli("results", "layers", "new-1", "--against", "old-1")
    assert said.code == 0
    assert "differs: engine: 1.0 → 2.0" in said.out
    assert "multiply-accumulates on the accelerator: 100 % → unknown" in said.out
    assert "left the accelerator: conv" in said.out
    assert "+50%" in said.out
    (found,) = json.loads(cli("results", "layers", "new-1", "--against", "old-1", "--json").out)
    assert (found["left"], found["returned"]) == (["conv"], [])
    assert found["layers"][0]["change"] == 50.0
    (shown,) = json.loads(cli("results", "layers", "new-1", "--json").out)
    assert shown["on_processor"] == ["conv"]


def test_a_simulator_is_not_compared_with_hardware(cli, upgraded):
    upgraded(simulated="a simulator")
    said = cli("results", "layers", "new-1", "--against", "old-1")
    assert said.code == ExitCode.SPECIFICATION
    assert "no case in common that both profiled" in said.err
