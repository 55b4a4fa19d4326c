"""The beginning of a run: what must be so before anything is built or measured."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from filelock import FileLock

from harness.campaign.launch import Launcher
from harness.campaign.locks import is_running
from harness.campaign.session import begin, resume
from harness.core.contract import Job
from harness.core.errors import LabError, SpecificationError
from harness.core.records import ArtifactRecord, CaseRecord, Protocol, Run
from harness.lab.leases import LeasedError
from harness.transports.local.transport import LocalTransport
from harness.workspace import cache_dir

MODEL = """\
title: t
licence: l
source: {kind: paddle.vision, function: f}
inputs: [{name: x, shape: [1, 2]}]
"""


@pytest.fixture
def start(workspace, monkeypatch, tmp_path, supervisor):
    """Begin a run on this machine, which must not come to building."""
    monkeypatch.setattr("harness.campaign.reach.supervisor", lambda *_: supervisor)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (workspace.models / "m.yaml").write_text(MODEL)
    campaign = workspace.campaigns / "c.yaml"
    campaign.write_text("matrix: [{models: [m], devices: [here], engines: [onnxruntime]}]\n")

    def _start(abi="x86_64-linux"):
        python = f"engines: {{onnxruntime: {{python: {sys.executable}}}}}"
        (workspace.devices / "here.yaml").write_text(f"transport: local\nabi: {abi}\n{python}\n")
        with (
            workspace.store() as store,
            begin(workspace, campaign, store, progress=print),
        ):
            pytest.fail("it began")

    return _start


def test_one_run_at_a_time_on_a_host(start):
    locks = cache_dir() / "locks"
    locks.mkdir(parents=True)
    with FileLock(locks / "this-machine.lock"), pytest.raises(LabError) as caught:
        start()
    assert "another run is measuring on host 'this-machine'" in caught.value.message


def test_a_run_is_measured_by_one_controller(workspace):
    with workspace.store() as store:
        store.create(
            Run(
                id="r1", campaign="c", description="", specification="", seed=1,
                started=datetime.now(UTC), harness_version="0", protocol=Protocol(),
                devices=[], models=[], cases=[],
            )
        )  # fmt: skip
        assert not is_running(workspace, "r1")
        with resume(workspace, "r1", store, progress=print):
            assert is_running(workspace, "r1")
            with (
                pytest.raises(LabError, match="run r1 is being measured by another controller"),
                resume(workspace, "r1", store, progress=print),
            ):
                pytest.fail("it was resumed twice")
        assert not is_running(workspace, "r1")


def test_what_is_measured_at_the_moment_is_not_the_newest_interrupted_run(workspace, cli):
    (workspace.campaigns / "c.yaml").write_text("matrix: []\n")
    with workspace.store() as store:
        store.create(
            Run(
                id="r1", campaign="c", description="", specification="", seed=1,
                started=datetime.now(UTC), harness_version="0", protocol=Protocol(),
                devices=[], models=[], cases=[],
            )
        )  # fmt: skip
        with resume(workspace, "r1", store, progress=print):
            said = cli("run", "--resume")
            listed = cli("results", "list").out
    assert said.code == 2
    assert "r1 is being measured" in said.err
    assert "running" in listed
    assert "interrupted" in cli("results", "list").out


def test_a_launch_of_another_run_keeps_its_device(start, supervisor, tmp_path):
    launcher = Launcher(
        LocalTransport(), str(cache_dir() / "work"), supervisor, lock=str(tmp_path / "lock")
    )
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    os.mkfifo(begun)
    os.mkfifo(gate)
    job = Job(launch="other-run-1", engine="none", files={}, inputs=[], time_limit=60)
    command = ["sh", "-c", f"echo yes >{begun}; cat {gate}"]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(launcher.run, job, {}, command)
        begun.read_text()
        with pytest.raises(LabError) as caught:
            start()
        gate.write_text("go on\n")
        assert other.result().log == "go on\n"
    assert "a launch of another run is in progress there (other-run-1)" in caught.value.message


def test_a_device_that_is_not_what_its_file_says(start):
    with pytest.raises(SpecificationError, match="its file says 'arm64-linux', but it is 'x86_64"):
        start(abi="arm64-linux")


def test_a_device_that_others_have_is_named_once_with_what_ends_their_lease(start, monkeypatch):
    def taken(*_):
        raise LeasedError("leased to ann@lab (demo) for another 9 s")

    monkeypatch.setattr("harness.campaign.reach.Lease.take", taken)
    with pytest.raises(LeasedError) as caught:
        start()
    assert caught.value.message == "here: leased to ann@lab (demo) for another 9 s"
    assert "harness devices break-lease here --reason" in caught.value.hint


def test_a_model_that_does_not_fit_into_the_device_is_refused(start, workspace, monkeypatch):
    """A double stands for building: an artifact larger than any memory."""
    artifact = ArtifactRecord(id="0" * 64, format="onnx", target="any", files={}, size_bytes=10**15)

    def prepare(cases, *_):
        ((case, repeats),) = cases
        record = CaseRecord(case=case, artifact=artifact, **repeats.model_dump())
        return [record], {case.id: None}

    monkeypatch.setattr("harness.campaign.reach.prepare", prepare)
    with pytest.raises(pytest.fail.Exception, match="it began"):
        start()
    with workspace.store() as store:
        (summary,) = store.summaries()
        (case,) = store.load(summary.id).cases
    assert case.refused.code == "case.too-large"
    assert str(case.refused).startswith("it needs at least 1\u202f000\u202f000\u202f000 MB for")
    assert "(estimate), and the device has" in str(case.refused)
