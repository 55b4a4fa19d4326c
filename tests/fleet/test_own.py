"""What a lab takes from a submitter, and what never: what a malicious one could try."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from harness.campaign.share import Checks, Kit, shares
from harness.core.errors import LabError
from harness.core.records import ArtifactRecord, Case, CaseRecord, Launch, Status
from harness.fleet.centre import FORMAT, AwayError, Claimed
from harness.fleet.measuring import Measuring
from harness.fleet.own import Sent, fetch, own
from harness.fleet.spool import Spool, SpoolFullError
from harness.lab.leases import LeasedError
from harness.lab.runners import RunnerSpec
from harness.models.manifest import Manifest, Model
from tests.fleet.conftest import DEVICE, device
from tests.results.conftest import NOW, make_run

CASE = Case(model="m", device="d", engine="onnxruntime")


def _model():
    manifest = Manifest.model_validate(
        {
            "title": "M", "licence": "x", "source": {"kind": "paddle.vision", "function": "f"},
            "inputs": [{"name": "x", "shape": [1, 2]}],
        }
    )  # fmt: skip
    return Model(name="m", manifest=manifest, folder=None)


def _share(**more):
    record = CaseRecord(case=CASE, launches=2, **more)
    run = make_run("r", lease="r-x", cases=[record], devices=[DEVICE])
    (share,) = shares(run, {"d": device(engines={"onnxruntime": {"python": "/submitters"}})})
    kit = Kit(
        checks=Checks(),
        interpreter="/submitters/python",
        registered="submitters",
        runner=RunnerSpec.model_construct(tool="edge-runner", program="0" * 64, libraries={}),
    )
    return run, share.model_copy(update={"kits": {CASE.id: kit}, "models": {"m": _model()}})


def test_a_device_is_measured_with_its_labs_own_files(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = device(
        engines={"onnxruntime": {"python": "/labs/python", "backends": {
            "cpu": {"options": {"a": "lab"}, "variables": {"B": "lab"}}}}},
        power_cycle={"command": ["relay"]},
    )  # fmt: skip
    forged = {
        "options": {"a": "theirs"},
        "variables": {"LD_PRELOAD": "/tmp/theirs.so"},
        "runner_files": {"edge_runner.py": "0" * 64},
        "engine_from": "/theirs",
    }
    run, share = _share(**forged)
    found = own(share, run, workspace, {"d": mine}, "lab", print)
    (record,), kit = found.cases, found.kits[CASE.id]
    assert (record.options, record.variables) == ({"a": "lab"}, {"B": "lab"})
    assert record.runner_files["edge_runner.py"] != "0" * 64
    assert (record.engine_from, kit.interpreter) == ("/labs/python", "/labs/python")
    assert (kit.registered, kit.runner) == ("", None)
    assert found.devices == {"d": mine.spec}
    assert "theirs" not in found.model_dump_json()


def test_a_device_that_was_renamed_meanwhile_is_named(workspace):
    run, share = _share()
    with pytest.raises(LabError, match=r"lab has no device 'd' any more") as caught:
        own(share, run, workspace, {"other": device("other")}, "lab", print)
    assert "harness fleet" in caught.value.hint


def test_what_a_lab_refuses_is_the_cases_reason(workspace):
    run, share = _share()
    (record,) = own(share, run, workspace, {"d": device()}, "lab", print).cases
    assert "onnxruntime" in str(record.refused)


def test_launches_that_there_are_are_not_made_again(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run, share = _share()
    made = Launch(
        id=f"r-{CASE.id}-0-0", case_id=CASE.id, slot=0, attempt=0, position=0, started=NOW,
        status=Status.OK,
    )  # fmt: skip
    run = run.model_copy(update={"launches": [made]})
    mine = device(engines={"onnxruntime": {"python": "/labs/python"}})
    found = own(share, run, workspace, {"d": mine}, "lab", print)
    assert [(each.slot, each.status) for each in found.attempts] == [(0, Status.OK)]


@pytest.mark.parametrize(
    ("identity", "form", "names"),
    [
        ("../../etc", "onnx", ["model.onnx"]),
        ("a" * 64, "onnx", ["../model.onnx"]),
        ("a" * 64, "onnx", ["model.onnx", "/etc/cron.d/x"]),
        ("a" * 64, "no-such", ["model.onnx"]),
    ],
)
def test_an_artifact_does_not_leave_the_cache(tmp_path, monkeypatch, identity, form, names):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artifact = ArtifactRecord(
        id=identity, format=form, target="any", files=dict.fromkeys(names, "0" * 64), size_bytes=1
    )
    _, share = _share(artifact=artifact)
    claimed = Claimed("r/h", "measuring", 1, FORMAT, "0", "", [])
    with pytest.raises(LabError, match=r"no sound record"):
        fetch(share, claimed, None, print)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_not_sent_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    artifact = ArtifactRecord(
        id="a" * 64, format="onnx", target="any", files={"model.onnx": "0" * 64}, size_bytes=1
    )
    _, share = _share(artifact=artifact)
    claimed = Claimed("r/h", "measuring", 1, FORMAT, "0", "", [])
    with pytest.raises(LabError, match=r"lacks model.onnx"):
        fetch(share, claimed, None, print)


@pytest.fixture
def measuring(workspace):
    return Measuring("r/h", "", workspace, {}, agent="lab", instance="one", log=print)


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        (FORMAT + 1, "", "upgrade this agent"),
        (FORMAT - 1, "", "upgrade the submitter"),
        (FORMAT, "{", "makes no sense"),
        (FORMAT, "{}", "makes no sense"),
    ],
)
def test_a_share_that_cannot_be_read_is_left_with_the_reason(measuring, form, content, said):
    with pytest.raises(LabError, match=said):
        measuring._read(Claimed("r/h", "measuring", 1, form, "9.9", content, []))


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SpoolFullError("its disk is full"), "waiting"),
        (AwayError("the centre is away"), "waiting"),
        (LeasedError("somebody has it"), "waiting"),
        (LabError("no route to it"), "failed"),
        (KeyError("unforeseen"), "failed"),
    ],
)
def test_what_may_pass_leaves_a_share_for_later(measuring, monkeypatch, error, state):
    def fails(*_):
        raise error

    monkeypatch.setattr("harness.fleet.measuring.fetch", fails)
    claimed = Claimed("r/h", "measuring", 1, FORMAT, "0", "", [])
    assert measuring._measure(claimed, None, None, None, None)[0] == state


def test_a_launch_that_cannot_be_stored_is_not_taken_for_sent(workspace):
    run, _ = _share()
    spool = Spool(workspace, "r/h")
    spool.begin(run, [])
    spool.store.close()
    with closing(sqlite3.connect(spool._path)) as database:
        database.execute("DROP TABLE launches")
        database.commit()
    made = Launch(
        id=f"r-{CASE.id}-0-0", case_id=CASE.id, slot=0, attempt=0, position=0, started=NOW,
        status=Status.OK,
    )  # fmt: skip
    with pytest.raises(SpoolFullError):
        spool.add(run.id, made)
    assert spool.unsent == 0


def test_a_spool_sends_what_the_centre_lacks_and_takes_what_it_has(workspace):
    run, _ = _share()
    made = [
        Launch(
            id=f"r-{CASE.id}-{slot}-0", case_id=CASE.id, slot=slot, attempt=0, position=slot,
            started=NOW, status=Status.OK,
        )
        for slot in range(3)
    ]  # fmt: skip
    spool = Spool(workspace, "r/h")
    spool.begin(run, [made[2].model_dump_json()])
    spool.add(run.id, made[0])
    spool.close(ended=False)
    again = Spool(workspace, "r/h")
    found = again.begin(run, [made[1].model_dump_json(), made[2].model_dump_json()])
    assert sorted(each.slot for each in found.launches) == [0, 1, 2]
    sent = []
    again.flush(sent.append, lambda _: None)
    assert [each.slot for each in sent] == [0]
    again.close(ended=True)
    assert not list((workspace.state / "spool").iterdir())


@pytest.mark.parametrize("name", ["../r", "r/../../x", "-r", "r $(id)", "r" * 200])
def test_a_runs_name_never_leaves_a_devices_folder(measuring, name):
    run, share = _share()
    kits = {CASE.id: Kit(checks=Checks())}
    for changed in (
        {"id": name},
        {"lease": name},
        {"campaign": name},
    ):
        forged = run.model_copy(update=changed)
        sent = Sent(run=forged, share=share.model_copy(update={"run": forged.id, "kits": kits}))
        claimed = Claimed("r/h", "measuring", 1, FORMAT, "0", sent.model_dump_json(), [])
        with pytest.raises(LabError, match=r"valid name"):
            measuring._read(claimed)
