"""A host's share that is sent to another process, which has an empty database and the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from harness.campaign.again import UnconfirmableError
from harness.campaign.elsewhere import _Bench, pack, wanted
from harness.campaign.observer import Observer
from harness.campaign.prepare import Prepared, ShapeSwitch
from harness.campaign.runners import NativeRunner, PythonRunner
from harness.campaign.session import begin
from harness.campaign.share import Share, shares
from harness.core.hashing import sha256_of
from harness.core.records import ArtifactRecord, Case, CaseRecord, Launch, Protocol, Run, Status
from harness.lab.inventory import Device, DeviceSpec
from harness.models import artifacts
from harness.models.manifest import Manifest, Model
from harness.models.recipes import recipe
from harness.workspace import cache_dir

MODEL = """\
title: t
licence: l
source: {kind: calibration, spin_us: 200}
inputs: [{name: x, shape: [1, 2]}]
"""

CAMPAIGN = """\
protocol:
  warmup: {min_samples: 2, min_seconds: 0.01, max_samples: 10}
  sampling: {min_samples: 10, min_seconds: 0.01, max_samples: 50}
matrix: [{models: [one, two], devices: [here], engines: [calibration], launches: 2}]
"""

ELSEWHERE = """\
import sys
from pathlib import Path
from harness.campaign.elsewhere import receive
from harness.campaign.host import measure
from harness.campaign.observer import Observer
from harness.campaign.reach import Claim
from harness.campaign.share import Share
from harness.workspace import Workspace

share = Share.model_validate_json(sys.stdin.read())
workspace = Workspace(Path(sys.argv[1]))
with workspace.store() as store, receive(
    share, workspace, store, Observer(), claim=Claim("elsewhere", "c", 0.0),
    record=lambda *_: None, has_ended=lambda _: False, progress=lambda _: None,
) as means:
    for launch in measure(share, means):
        print(launch.model_dump_json(), flush=True)
"""


def test_a_share_is_measured_by_a_process_that_has_only_the_cache(workspace, tmp_path):
    (workspace.devices / "here.yaml").write_text(
        "{transport: local, abi: x86_64-linux, engines: {calibration: {}}}\n"
    )
    for name in ("one", "two"):
        (workspace.models / f"{name}.yaml").write_text(MODEL)
    campaign = workspace.campaigns / "c.yaml"
    campaign.write_text(CAMPAIGN)
    with workspace.store() as store, begin(workspace, campaign, store, progress=print) as session:
        execution = session.execution_of(Observer())
        sent = pack(execution.shares[0], execution.means.prepared).model_dump_json()
    for folder in (workspace.devices, workspace.models, workspace.campaigns):
        shutil.rmtree(folder)
    empty = tmp_path / "elsewhere"
    (empty / "devices").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, empty],
        input=sent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    launches = [Launch.model_validate_json(line) for line in done.stdout.splitlines()]
    share = Share.model_validate_json(sent)
    assert [each.id for each in launches] == [
        f"{share.run}-{slot.case_id}-{slot.slot}-0" for slot in share.slots
    ]
    assert len(launches) == 2 * (2 + 1)  # each with its memory pass
    assert {each.status for each in launches} == {Status.OK}
    assert all(each.outputs.passed for each in launches)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A case as it is prepared: a model whose outputs, and a runner whose files, are cached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = Model(
        name="m",
        folder=tmp_path,
        manifest=Manifest(
            title="t", licence="l", source={"kind": "paddle.vision", "function": "f"},
            inputs=[{"name": "x", "shape": [1, 2], "dynamic": {0: [1, 8]}}],
        ),
    )  # fmt: skip
    shapes = {"x": (3, 2)}
    reference = {seed: [np.full((1, 2), seed, "float32")] for seed in (1, 2, 3)}
    moved = {seed: [np.full((3, 2), seed, "float32")] for seed in (1, 2, 3)}
    _reference(model, None, reference)
    _reference(model, shapes, moved)
    artifact = _stored("a" * 64, "onnx", {"model.onnx": lambda path: path.write_bytes(b"abc")})
    script = tmp_path / "edge_runner.py"
    script.write_text("runner")
    ready = Prepared(
        Case(model="m", device="here", engine="onnxruntime"),
        model,
        artifact,
        PythonRunner("/usr/bin/python3", kept={"edge_runner.py": script}),
        reference,
        changes=[ShapeSwitch(shapes, moved)],
    )
    record = CaseRecord(
        case=ready.case, launches=1, artifact=artifact.record, **ready.deployed(Protocol())
    )
    run = Run(
        id="r", campaign="c", description="", specification="", seed=1, harness_version="0",
        started=datetime.now(UTC), protocol=Protocol(), devices=[], models=[], cases=[record],
    )  # fmt: skip
    device = Device(name="here", spec=DeviceSpec(transport="local", abi="x86_64-linux"))
    (share,) = shares(run, {"here": device})
    return share, ready


def _stored(identity, form, files, **more):
    folder = cache_dir() / "artifacts" / identity
    folder.mkdir(parents=True)
    for name, write in files.items():
        write(folder / name)
    hashes = {name: sha256_of(folder / name) for name in files}
    size = sum((folder / name).stat().st_size for name in files)
    record = ArtifactRecord(
        id=identity, format=form, target="any", files=hashes, size_bytes=size, **more
    )
    (folder / artifacts.RECORD).write_text(record.model_dump_json())
    return artifacts.read(folder)


def _reference(model, shapes, values):
    def write(path):
        np.savez(path, **{f"{seed}.0": arrays[0] for seed, arrays in values.items()})

    _stored(recipe(model, "reference", shapes=shapes).id, "reference", {"outputs.npz": write})


def _received(share, tmp_path):
    sent = Share.model_validate_json(share.model_dump_json())
    lab = type("Lab", (), {"devices": {n: Device(name=n, spec=s) for n, s in sent.devices.items()},
                           "models": sent.models, "runners": {}})()  # fmt: skip
    bench = _Bench(None, lab, None, None, sent.run, print, share=sent, folder=tmp_path / "links")
    bench.folder.mkdir()
    (record,), prepared = bench.prepare([(each.case, each) for each in sent.cases], sent.protocol)
    return record, prepared.get(record.case.id)


def test_what_a_case_needs_is_what_was_sent(cached, tmp_path):
    share, ready = cached
    record, found = _received(pack(share, {ready.case.id: ready}), tmp_path)
    assert record == share.cases[0]
    assert found.model.folder is None
    np.testing.assert_equal(dict(found.reference), dict(ready.reference))
    (change,), (before,) = found.changes, ready.changes
    assert change.shapes == before.shapes
    np.testing.assert_equal(dict(change.reference), dict(before.reference))
    slot = share.slots[0]
    job = found.job("l", slot, share.protocol)
    assert job == ready.job("l", slot, share.protocol)
    assert found.runner.command(None) == ready.runner.command(None)
    with found.runner.files(job) as files:
        assert files["edge_runner.py"].read_text() == "runner"
    assert found.artifact.path("model").read_bytes() == b"abc"


def test_a_share_names_what_has_to_be_in_the_cache(cached):
    share, ready = cached
    found = wanted(pack(share, {ready.case.id: ready}))
    assert {each.format for each in found.artifacts.values()} == {"onnx", "reference"}
    assert len(found.artifacts) == 3  # outputs at two shapes
    folders = [cache_dir() / "artifacts" / name for name in found.artifacts]
    files = [cache_dir() / "kept" / digest for digest in found.files]
    assert files
    assert all(path.exists() for path in (*folders, *files))


@pytest.mark.parametrize("gone", ["artifacts", "kept"])
def test_a_case_that_is_not_in_the_cache_is_refused_by_name(cached, tmp_path, gone):
    share, ready = cached
    packed = pack(share, {ready.case.id: ready})
    shutil.rmtree(cache_dir() / gone)
    record, found = _received(packed, tmp_path)
    assert found is None
    assert "was not kept" in str(record.refused)


def test_reference_outputs_that_are_gone_before_it_is_sent(cached):
    share, ready = cached
    shutil.rmtree(cache_dir() / "artifacts")
    with pytest.raises(UnconfirmableError, match=r"m .reference. was not kept"):
        pack(share, {ready.case.id: ready})


def test_a_baselines_case_is_sent_unchecked(cached, tmp_path):
    share, ready = cached
    packed = pack(share, {ready.case.id: replace(ready, is_checked=False)})
    assert _received(packed, tmp_path)[1].job("l", share.slots[0], share.protocol).check_seeds == []


def test_a_native_runner_is_put_together_again(cached, tmp_path):
    share, ready = cached
    program, library = tmp_path / "edge-runner", tmp_path / "libengine.so"
    program.write_text("program")
    library.write_text("library")
    native = replace(ready, runner=NativeRunner(program, {"libengine.so": library}))
    record = share.cases[0].model_copy(update=native.deployed(Protocol()))
    share = share.model_copy(update={"cases": [record]})
    _, found = _received(pack(share, {ready.case.id: native}), tmp_path)
    assert found.runner.program.read_text() == "program"
    assert found.runner.libraries["libengine.so"].read_text() == "library"
