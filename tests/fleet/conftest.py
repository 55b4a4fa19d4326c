"""A centre on a real PostgreSQL server, labs with agents of their own, and a submitter."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from harness import api
from harness.campaign.share import shares
from harness.core.records import DeviceRecord
from harness.fleet.centre import FORMAT, Centre
from harness.fleet.own import Sent
from harness.fleet.setup import init
from harness.lab.inventory import Device, DeviceSpec
from harness.workspace import Workspace
from tests.postgres import PASSWORD, USER, postgres, postgres_server
from tests.results.conftest import CASE, make_launch, make_run

__all__ = ["postgres", "postgres_server"]

GROUPS = {"lab_a": "edge_agent", "lab_b": "edge_agent", "ci": "edge_submit", "other": "edge_submit",
          "wall": "edge_read"}  # fmt: skip
FILE = b"a model"
DEVICE = DeviceRecord(
    name="d", transport="local", host="h", emulated=False, description="", facts={}
)  # fmt: skip


@dataclass
class Fleet:
    """A centre's database, and who may do what there."""

    server: object
    url: str

    @property
    def database(self):
        return self.url.rpartition("/")[2]

    def url_of(self, login):
        return self.url.replace(f"//{USER}@", f"//{login}@")

    def as_(self, login):
        return Centre(self.url_of(login))

    def execute(self, statement, login=USER):
        with self.server.connect(self.database) as connection:
            if login != USER:
                connection.execute(f"SET SESSION AUTHORIZATION {login}")
            found = connection.execute(statement)
            return found.fetchall() if found.description else None

    def workspace(self, folder: Path, login: str) -> Workspace:
        for name in ("devices", "models", "campaigns", "reports"):
            (folder / name).mkdir(parents=True)
        (folder / "harness.yaml").write_text(f"results: {self.url_of(login)}\n")
        return Workspace(folder)


@pytest.fixture(scope="session")
def centres(postgres_server):
    """Make centres: copies of one, since making its tables takes a second."""
    template = postgres_server.new_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        init(template)

    def make():
        name = postgres_server.new_database().rpartition("/")[2]
        postgres_server.execute(f"DROP DATABASE {name}")
        postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]}")
        return postgres_server.url(name)

    return make


@pytest.fixture
def fleet(postgres, request):
    url = request.getfixturevalue("centres")()
    with postgres.connect() as connection:
        for login, group in GROUPS.items():
            known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login])
            if not known.fetchall():
                connection.execute(
                    f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' IN ROLE {group}"
                )
    return Fleet(postgres, url)


def device(name="d", **more):
    spec = {"transport": "local", "abi": "x86_64-linux", "engines": {"calibration": {}}}
    return Device(name=name, spec=DeviceSpec.model_validate(spec | more))


def launch_of(run, slot=0, attempt=0, **more):
    """Return a launch with the identity that runs give to theirs."""
    made = make_launch(slot, attempt, **more)
    return made.model_copy(update={"id": f"{run.id}-{CASE.id}-{slot}-{attempt}"})


def submitted(fleet, run_id="r1", agent="lab_a", login="ci", *, deadline_s=None, **more):
    """Send a share of one case on device ``d``, with one file, straight to the centre."""
    run = make_run(run_id, lease=f"{run_id}-x", devices=[DEVICE])
    (share,) = shares(run, {"d": device(host="h")})
    with fleet.as_(login) as centre:
        path = Path(os.environ["XDG_CACHE_HOME"]) / "a-model"
        path.write_bytes(FILE)
        (file,) = centre.send({sha256(FILE).hexdigest(): path})
        sent = {
            "id": f"{run.id}/h", "agent": agent, "host": "h", "format": FORMAT, "harness": "0",
            "content": Sent(run=run, share=share).model_dump_json(),
            "files": [{"sha256": file.sha256, "size": file.size, "chunks": file.chunks}],
            "cases": {CASE.id: "d"},
        }  # fmt: skip
        assert centre.submit(run, [sent | more], 0, deadline_s)
    return run, f"{run.id}/h"


MODEL = """
title: Calibration
licence: Apache-2.0
source: {{kind: calibration, spin_us: {spin_us}}}
inputs:
  - {{name: x, shape: [1, 8]}}
"""
CAMPAIGN = """
matrix:
  - {{models: [spin], devices: {devices}, engines: [calibration]}}
launches: {launches}
protocol:
  warmup: {{min_samples: 2, min_seconds: 0, max_samples: 2}}
  sampling: {{min_samples: 3, min_seconds: 0, max_samples: 3}}
  time_limit: 20
  memory_launches: 0
  profile_launches: 0
"""


@dataclass
class Lab:
    """A lab's workspace and its agent, a process of its own."""

    workspace: Workspace
    login: str
    agents: list[subprocess.Popen] = field(default_factory=list)

    @property
    def log(self):
        return self.workspace.root / "agent.log"

    def start(self):
        environment = os.environ | {"EDGE_HARNESS_WORKSPACE": str(self.workspace.root)}
        with self.log.open("a") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "harness", "agent"], env=environment, stderr=log,
                cwd=self.workspace.root,
            )  # fmt: skip
        self.agents.append(agent)
        self.says(" has 1 device: ")
        return agent

    def says(self, words, times=1, within_s=90):
        until = time.monotonic() + within_s
        while self.log.read_text().count(words) < times:
            assert time.monotonic() < until, f"no {words!r} in:\n{self.log.read_text()}"
            assert self.agents[-1].poll() is None, self.log.read_text()
            threading.Event().wait(0.05)

    def end(self):
        for agent in self.agents:
            if agent.poll() is None:
                agent.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    agent.wait(30)
                agent.kill()
                agent.wait()


@pytest.fixture
def lab(fleet, tmp_path):
    """A lab with this machine as its device."""
    workspace = fleet.workspace(tmp_path / "lab", "lab_a")
    (workspace.devices / "pc.yaml").write_text(
        f"transport: local\nabi: {platform.machine()}-linux\nsoc: this\nlabels: {{rig: one}}\n"
        "engines: {calibration: {}}\n"
    )
    made = Lab(workspace, "lab_a")
    yield made
    made.end()


@dataclass
class Submitter:
    """A workspace with a campaign, and none of its devices."""

    workspace: Workspace

    def campaign(self, devices="[{labels: {rig: one}}]", launches=2, spin_us=500):
        (self.workspace.models / "spin.yaml").write_text(MODEL.format(spin_us=spin_us))
        path = self.workspace.campaigns / "c.yaml"
        path.write_text(CAMPAIGN.format(devices=devices, launches=launches))
        return path

    def start(self, *arguments):
        environment = os.environ | {"EDGE_HARNESS_WORKSPACE": str(self.workspace.root)}
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *map(str, arguments)], env=environment,
            cwd=self.workspace.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def submit(self, path, **more):
        return api.submit(path, workspace=self.workspace, **more)

    def jobs(self, run=None):
        with Centre.of(self.workspace) as centre:
            return centre.jobs(run)

    def states(self, run):
        return [job.state for job in self.jobs(run)]

    def launches(self, run):
        with self.workspace.store() as store:
            return store.load(run).launches

    def awaits(self, condition, within_s=90):
        until = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < until
            threading.Event().wait(0.1)
        return found


@pytest.fixture
def submitter(fleet, tmp_path, monkeypatch):
    """A submitter, in whose workspace commands work."""
    workspace = fleet.workspace(tmp_path / "submitter", "ci")
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(workspace.root))
    return Submitter(workspace)
