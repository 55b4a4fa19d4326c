"""Whole campaigns over SSH, on a link that is cut, stalls, and comes back or does not.

The device is this machine behind a real sshd; the model and the engine are doubles, and the
witness of what ran is the device's own journal.
"""

from __future__ import annotations

import base64
import json
import math
import os
import platform
import random
import runpy
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import api
from harness.campaign.limits import LIMITS, Limits
from harness.cli.progress import LiveProgress
from harness.core.contract import InputSpec
from harness.core.errors import ExitCode, HarnessError, worst
from harness.core.hashing import sha256_of
from harness.core.records import ArtifactRecord
from harness.models.artifacts import Artifact
from harness.transports.ssh.transport import SshTransport
from tests.conftest import Said

if TYPE_CHECKING:
    from harness.workspace import Workspace

REPOSITORY = Path(__file__).parent.parent.parent
ABI = f"{platform.machine()}-linux".replace("aarch64", "arm64")
PUSHED = 4  # the supervisor, the artifact, and the runner with its engine's module
LAUNCHES = 2
PUSHED = 4  # files: supervisor, model, runner, and its engine's module
INPUT = InputSpec(name="x", shape=(1, 3, 224, 224), low=-1, high=1)  # outputs of 600 kB

# The device's interpreter: Python with the engine double, which keeps a journal of its runners.
PYTHON = """\
#!/bin/sh
export PYTHONPATH={doubles}
case $* in *edge_runner.py*) ;; *) exec {python} "$@" ;; esac
echo "begun ${{PWD##*/}}" >>{journal}
{python} "$@"
status=$?
echo "ended ${{PWD##*/}}" >>{journal}
exit $status
"""

CAMPAIGN = f"""\
matrix: [{{models: [m], devices: [%s], engines: [onnxruntime]}}]
launches: {LAUNCHES}
protocol:
  memory_launches: 0
  warmup: {{min_samples: 2, min_seconds: 0, max_samples: 2}}
  sampling: {{min_samples: 5, min_seconds: 0, max_samples: 5}}
  time_limit: 60
  wait_for_device_s: 0
"""


@dataclass
class Remote:
    """A device behind a link, and what the command line does in its workspace."""

    workspace: Workspace
    call: object
    link: object
    printed: object
    limits: Limits = LIMITS

    @property
    def workdir(self):
        return self.workspace.root / "device"

    @property
    def gate(self):
        return self.workspace.root / "gate"

    @property
    def reached(self):
        return self.gate.with_suffix(".reached")

    def run(self, devices="board"):
        path = self.workspace.campaigns / "c.yaml"
        path.write_text(CAMPAIGN % devices)
        return self._said(partial(api.measure, path))

    def resume(self, run=None):
        return self._said(partial(api.resume, run))

    def _said(self, measure):
        """Do what the command line does, with limits of this device's."""
        try:
            with LiveProgress() as progress:
                run = measure(workspace=self.workspace, limits=self.limits, observer=progress)
            code = worst(api.exit_codes(run))
        except HarnessError as error:
            code = error.exit_code
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        return Said(int(code), "", self.printed().err)

    def stored(self):
        said = self.call("results", "show", "--json")
        assert said.code == 0
        return json.loads(said.out)

    def journal(self, what):
        path = self.workspace.root / "journal"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1] for line in lines if line.startswith(f"{what} ")]

    def store(self):
        """Return the names in the device's store; what was not verified ends in .partial."""
        return {path.name for path in (self.workdir / "store").glob("*")}

    @contextmanager
    def in_samples(self, act):
        """Let a thread act when the next launch is in the middle of its samples, and waits."""
        os.mkfifo(self.gate)
        os.mkfifo(self.reached)

        def wait_and_act():
            assert self.reached.read_text() == "here"
            act()

        with ThreadPoolExecutor(1) as pool:
            acting = pool.submit(wait_and_act)
            yield
            with suppress(OSError):  # where no launch came there: nothing is read
                os.close(os.open(self.reached, os.O_WRONLY | os.O_NONBLOCK))
            acting.result()

    def go_on(self):
        """Let the launch that waits in its samples go on, and no other wait there."""
        with self.gate.open("w"):
            self.gate.unlink()
            self.reached.unlink()

    def is_complete(self):
        """Whether each launch is there once, and as if nothing had been."""
        run = self.stored()
        done = [launch for launch in run["launches"] if launch["status"] == "ok"]
        assert sorted(launch["slot"] for launch in done) == list(range(LAUNCHES))
        for launch in done:
            assert len(launch["samples_ns"]) == 5
            assert launch["vmhwm_bytes"] > 1e6
            assert launch["outputs"]["passed"]
            assert launch["exit"]["reason"] == "exited"
        begun = self.journal("begun")
        assert len(set(begun)) == len(begun) == LAUNCHES
        assert begun == self.journal("ended")
        assert list((self.workdir / "launches").iterdir()) == []
        assert len(self.store()) == PUSHED
        assert not any(name.endswith(".partial") for name in self.store())
        return run["launches"]


def until(condition):
    """Poll what another process brings about; a test that would wait for ever fails instead."""
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch, supervisor):
    for name, folder in {"HOME": "home", "XDG_CACHE_HOME": "cache"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr("harness.campaign.reach.supervisor", lambda *_: supervisor)


@pytest.fixture
def remote(workspace, cli, link, sshd, monkeypatch, capsys):
    tmp_path = workspace.root
    remote = Remote(workspace, cli, link, capsys.readouterr)
    python = tmp_path / "python"
    python.write_text(
        PYTHON.format(
            doubles=REPOSITORY / "tests/runner/doubles",
            python=sys.executable,
            journal=tmp_path / "journal",
        )
    )
    python.chmod(0o755)
    engines = f"engines: {{onnxruntime: {{python: {python}}}}}"
    user = sshd.address.partition("@")[0]
    for name, way in {
        "board": f"transport: ssh\naddress: {user}@127.0.0.1:{link.port}\n"
        f"identity_file: {sshd.key}\nworkdir: {remote.workdir}",
        "here": f"transport: local\nhost: board\nworkdir: {tmp_path}/here",
    }.items():
        (workspace.devices / f"{name}.yaml").write_text(f"{way}\nabi: {ABI}\n{engines}\n")
    workspace.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    workspace.known_hosts.write_text(f"[127.0.0.1]:{link.port} {sshd.public_host_key}\n")
    _double_the_model(remote, monkeypatch)
    return remote


def _double_the_model(remote, monkeypatch):
    specification = INPUT.model_dump_json()
    (remote.workspace.models / "m.yaml").write_text(
        "title: t\nlicence: l\nsource: {kind: paddle.vision, function: f}\n"
        f"inputs: [{specification}]\n"
    )
    folder = remote.workspace.root / "artifact"
    folder.mkdir()
    path = folder / "model.onnx"
    weights = base64.b85encode(random.Random(1).randbytes(2 << 20)).decode()  # incompressible
    path.write_text(json.dumps({"gate": str(remote.gate), "weights": weights}))
    record = ArtifactRecord(
        id="a" * 64, format="onnx", target="any", files={path.name: sha256_of(path)},
        size_bytes=path.stat().st_size,
    )  # fmt: skip
    artifact = Artifact(record, folder, {"model": path.name})
    runner = runpy.run_path(str(REPOSITORY / "harness/runner/python/edge_runner.py"))
    reference = {seed: [runner["make_input"](INPUT.model_dump(), seed, 0)] for seed in (1, 2, 3)}
    monkeypatch.setattr("harness.models.build.build", lambda *_, **__: artifact)
    monkeypatch.setattr("harness.models.build.reference", lambda *_, **__: reference)
    monkeypatch.setattr("harness.models.operations.count", lambda *_, **__: None)


STAGES = {
    "before the start": lambda remote, way: (
        way == "up" and len(remote.store()) == PUSHED and not remote.journal("begun")
        and not any(name.endswith(".partial") for name in remote.store())
    ),
    "during the push": lambda remote, way: way == "up" and remote.link.passed["up"] > 1 << 20,
    "at the answer": lambda remote, way: way == "down" and remote.journal("ended"),
    "while outputs are pulled": lambda remote, way: remote.link.passed["down"] > 1 << 20,
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_a_link_that_is_cut_and_comes_back(remote, stage):
    remote.link.cut_when(partial(STAGES[stage], remote), refuse=2)
    assert remote.run().code == 0
    assert remote.link.connections == 2
    assert len(remote.is_complete()) == LAUNCHES


def test_a_launch_goes_on_without_its_link(remote):
    def act():
        remote.link.cut(refuse=math.inf)
        remote.go_on()
        until(lambda: remote.journal("ended"))
        remote.link.restore()

    with remote.in_samples(act):
        assert remote.run().code == 0
    assert len(remote.is_complete()) == LAUNCHES


@pytest.mark.parametrize("stage", ["during the push", "while outputs are pulled"])
def test_a_link_that_stays_away(remote, monkeypatch, stage):
    remote.limits = Limits(reconnect_s=0)
    remote.link.cut_when(partial(STAGES[stage], remote), refuse=math.inf)
    said = remote.run()
    assert said.code == 3
    before = remote.stored()["launches"]
    assert [(launch["slot"], launch["category"]) for launch in before] == [(0, "connection")]
    begun = remote.journal("begun")
    assert len(begun) == (stage == "while outputs are pulled")
    remote.link.restore()
    assert remote.resume(remote.stored()["id"]).code == 0
    after = remote.is_complete()
    assert after[:1] == before
    collected = [launch["wall_s"] is None for launch in after[1:]]
    assert collected == [len(begun) == 1, False]


def test_what_went_on_behind_a_link_that_stayed_away_is_collected(remote, monkeypatch):
    remote.limits = Limits(reconnect_s=0)
    with remote.in_samples(partial(remote.link.cut, refuse=math.inf)):
        assert remote.run().code == 3
    remote.go_on()
    before = remote.stored()["launches"]
    assert {launch["category"] for launch in before} == {"connection"}
    remote.link.restore()
    assert remote.resume(remote.stored()["id"]).code == 0
    after = remote.is_complete()
    assert after[:1] == before
    assert [launch["wall_s"] is None for launch in after[1:]] == [True, False]


def test_a_link_that_stalls_is_told_and_made_anew(remote, monkeypatch):
    remote.limits = Limits(reading_s=0.1, overdue_s=0.5, slack_s=3)
    monkeypatch.setattr("harness.transports.ssh.transport._ABORT_TIMEOUT", 0.1)

    def act():
        remote.link.hold(new=False)
        until(lambda: remote.link.connections == 2)
        remote.go_on()

    with remote.in_samples(act):
        said = remote.run()
    assert said.code == 0
    overdue, dropped = said.err.index("answer is overdue"), said.err.index("the link dropped")
    assert overdue < dropped
    assert len(remote.is_complete()) == LAUNCHES


def test_a_link_that_is_slow(remote):
    def act():
        remote.link.hold(new=True)
        remote.go_on()
        until(lambda: remote.journal("ended"))
        remote.link.restore()

    with remote.in_samples(act):
        assert remote.run().code == 0
    assert remote.link.connections == 1
    assert len(remote.is_complete()) == LAUNCHES


def test_an_interruption_while_the_link_stalls(remote, monkeypatch):
    remote.limits = Limits(slack_s=4)
    monkeypatch.setattr("harness.transports.ssh.transport._ABORT_TIMEOUT", 0.1)
    monkeypatch.setattr(
        "harness.transports.ssh.transport.SshTransport", partial(SshTransport, connect_timeout=2)
    )

    def act():
        remote.link.hold(new=True)
        os.kill(os.getpid(), signal.SIGINT)

    with remote.in_samples(act):
        said = remote.run()
    assert said.code == 130
    run = remote.stored()
    assert (run["launches"], run["finished"]) == ([], None)
    assert f"harness run --resume {run['id']}" in said.err
    remote.link.restore()
    remote.go_on()
    assert remote.resume().code == 0
    launches = remote.is_complete()
    assert [launch["wall_s"] is None for launch in launches] == [True, False]


def test_an_interruption_during_a_push(remote, monkeypatch):
    remote.limits = Limits(slack_s=4)
    monkeypatch.setattr("harness.transports.ssh.transport._ABORT_TIMEOUT", 0.1)

    def interrupt(way):
        if STAGES["during the push"](remote, way):
            remote.link.cut_when(None)
            remote.link.hold(new=False)
            os.kill(os.getpid(), signal.SIGINT)

    remote.link.cut_when(interrupt)
    assert remote.run().code == 130
    remote.link.restore()
    assert remote.journal("begun") == []
    assert remote.resume().code == 0
    assert len(remote.is_complete()) == LAUNCHES


def test_others_of_the_host_do_not_wait_for_a_device_that_is_away(remote, monkeypatch):
    remote.limits = Limits(reconnect_s=0)
    remote.link.cut_when(partial(STAGES["during the push"], remote), refuse=math.inf)
    assert remote.run("board, here").code == 3
    run = remote.stored()
    devices = {case["id"]: case["case"]["device"] for case in run["cases"]}
    made = [(devices[launch["case_id"]], launch["status"]) for launch in run["launches"]]
    assert made.count(("here", "ok")) == LAUNCHES
    assert made.count(("board", "failed")) == 1
