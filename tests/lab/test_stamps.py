"""The stamp of what has never run on its hardware, and what takes it away."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

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
from harness.lab.stamps import STAMP, stamps

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RKNN = ("rknn", "npu:rknpu")
FACTS = {"abi": "arm64-linux", "soc": "rockchip,rk3588"}
DEVICE = """\
transport: ssh
address: root@board
abi: arm64-linux
class: rockchip-rknn
"""


@pytest.fixture
def store(workspace):
    found = workspace.store()
    yield found
    found.close()


@pytest.fixture
def have_run(store):
    """Store a run of one launch on a device."""

    def run(name, *, status=Status.OK, backend="npu:rknpu", emulated=False, its_class=None, facts):
        case = Case(model="m", device="board", engine="rknn", backend=backend)
        device = DeviceRecord(
            name="board", description="", transport="ssh", host="board", emulated=emulated,
            device_class=its_class, facts=facts,
        )  # fmt: skip
        store.create(
            Run(
                id=name, campaign="c", description="", specification="", seed=1, started=NOW,
                harness_version="0", protocol=Protocol(), devices=[device], models=[],
                cases=[CaseRecord(case=case, launches=1)],
            )
        )  # fmt: skip
        category = None if status is Status.OK else Category.ENGINE
        store.add(
            name,
            Launch(
                id=f"{name}-1", case_id=case.id, slot=0, attempt=0, position=0, started=NOW,
                status=status, category=category,
            ),
        )  # fmt: skip

    return run


def of_rknn(workspace):
    [found] = [
        stamp
        for stamp in stamps(workspace, "rockchip-rknn")
        if (stamp.engine, stamp.backend) == RKNN
    ]
    return found.text, found.run


def test_a_launch_that_went_well_on_such_a_device_takes_the_stamp_away(workspace, have_run):
    assert of_rknn(workspace) == (STAMP, None)
    have_run("failed", status=Status.FAILED, facts=FACTS)
    have_run("emulated", emulated=True, facts=FACTS)
    have_run("on-its-cpu", backend="cpu", facts=FACTS)
    have_run("another-chip", facts={**FACTS, "soc": "brcm,bcm2711"})
    assert of_rknn(workspace) == (STAMP, None)
    have_run("real", facts=FACTS)
    assert of_rknn(workspace) == (None, "real")


def test_the_class_that_a_devices_file_named_counts_more_than_its_facts(workspace, have_run):
    have_run("named", its_class="rockchip-rknn", facts={})
    assert of_rknn(workspace) == (None, "named")


def test_show_has_the_stamp_until_then(workspace, have_run, cli):
    (workspace.devices / "board.yaml").write_text(DEVICE)
    assert f"# rknn npu:rknpu: {STAMP}" in cli("devices", "show", "board").out
    have_run("real", facts=FACTS)
    assert "# rknn npu:rknpu: run on such a device: real" in cli("devices", "show", "board").out
    shown = json.loads(cli("devices", "show", "board", "--json").out)
    assert shown["class"] == "rockchip-rknn"
    assert {"engine": "rknn", "backend": "npu:rknpu", "run": "real", "text": None} in shown[
        "stamps"
    ]


def test_without_results_no_database_is_made(workspace):
    assert of_rknn(workspace) == (STAMP, None)
    assert not workspace.database.exists()


def test_probe_has_a_verdict_for_each_backend(workspace, cli):
    (workspace.devices / "here.yaml").write_text(
        "transport: local\nabi: x86_64-linux\nengines: {onnxruntime: {runner: ours}}\n"
    )
    [told] = json.loads(cli("devices", "probe", "here", "--json").out)
    assert told["class"] == "x86-linux"
    [verdict] = [each for each in told["verdicts"] if each["engine"] == "onnxruntime"]
    assert (verdict["backend"], verdict["state"]) == ("cpu", "not usable")
    assert verdict["reasons"] == ["runner 'ours' is not registered in this workspace"]
    said = cli("devices", "probe", "here").out
    assert "onnxruntime cpu  not usable: runner 'ours' is not registered" in said
    assert "try: harness runners build, then harness runners add" in said
