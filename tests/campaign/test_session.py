"""The beginning of a run: what must be so before anything is built or measured."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from harness.campaign.session import begin
from harness.errors import LabError, SpecificationError
from harness.results.store import Store
from harness.workspace import cache_dir

MODEL = """\
title: t
licence: l
source: {kind: paddle.vision, function: f}
inputs: [{name: x, shape: [1, 2]}]
"""


@pytest.fixture
def start(workspace, monkeypatch, tmp_path):
    """Begin a run on this machine, which must not come to building."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (workspace.models / "m.yaml").write_text(MODEL)
    campaign = workspace.campaigns / "c.yaml"
    campaign.write_text("matrix: [{models: [m], devices: [here], engines: [onnxruntime]}]\n")

    def _start(abi="x86_64-linux"):
        python = f"engines: {{onnxruntime: {{python: {sys.executable}}}}}"
        (workspace.devices / "here.yaml").write_text(f"transport: local\nabi: {abi}\n{python}\n")
        with (
            closing(Store(workspace.database)) as store,
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


def test_a_launch_of_another_run_keeps_its_device(start):
    launch = cache_dir() / "work" / "launches" / "other-run-1"
    launch.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as runner:
        stat = Path(f"/proc/{runner.pid}/stat").read_text()
        began = stat.rpartition(")")[2].split()[19]
        (launch / "pid").write_text(f"{runner.pid} {began}\n")
        with pytest.raises(LabError) as caught:
            start()
        assert "other-run-1" in caught.value.message
        assert psutil.pid_exists(runner.pid)
        runner.communicate(b"\n")


def test_a_process_that_got_the_same_number_is_no_launch(start, monkeypatch):
    launch = cache_dir() / "work" / "launches" / "other-run-1"
    launch.mkdir(parents=True)
    (launch / "pid").write_text(f"{psutil.Process().pid} 1\n")

    def stop(*_, **__):
        raise SpecificationError("here preparing begins")

    monkeypatch.setattr("harness.campaign.session.prepare", stop)
    with pytest.raises(SpecificationError, match="here preparing begins"):
        start()


def test_a_device_that_is_not_what_its_file_says(start):
    with pytest.raises(SpecificationError, match="its file says 'arm64-linux', and it is 'x86_64"):
        start(abi="arm64-linux")
