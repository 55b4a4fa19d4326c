"""A runner double and what a run of it needs: no engine, no toolchain, this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from harness.campaign.execute import Execution
from harness.campaign.launch import Launcher
from harness.campaign.on_device import Absent, Joined, OnDevice
from harness.campaign.patience import Patience
from harness.campaign.prepare import Prepared
from harness.campaign.runners import PythonRunner
from harness.core.contract import Sampling
from harness.core.hashing import sha256_of
from harness.core.records import (
    ArtifactRecord,
    Case,
    CaseRecord,
    DeviceRecord,
    Launch,
    Protocol,
    Run,
)
from harness.lab.inventory import BackendSpec, Device, DeviceSpec
from harness.models.artifacts import Artifact
from harness.models.manifest import Manifest, Model
from harness.results.sqlite import SqliteStore
from harness.transports.base import ConnectError
from harness.transports.local.transport import LocalTransport

# A runner double: it keeps the contract, but infers nothing. BODY comes between its events.
_RUNNER_DOUBLE = """\
#!{python}
import hashlib, json, os, signal, struct, sys
job = json.load(open("job.json"))
events = open("events.jsonl", "a")
def emit(event, **more):
    events.write(json.dumps({{"event": event, **more}}) + "\\n")
    events.flush()
def hello():
    emit("hello", protocol=1, runner="runner-double", runner_version="1", engine=job["engine"],
         engine_version="0", pid=os.getpid(), process_ms=10, import_ms=20)
def load():
    emit("loaded", read_ms=1, read_bytes=3, page_cache="cold", init_ms=2)
    emit("first", ms=3)
    emit("warmup", ns=[5000000], reason="steady")
def sample(ns=(1000000, 1100000, 1200000)):
    emit("samples", ns=list(ns))
    emit("memory", vmhwm_bytes=peak())
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
def outputs(values=lambda seed: [float(seed), float(seed**2)]):
    for seed in job["check_seeds"]:
        content = struct.pack("<2f", *values(seed))
        open("output-%d-0.bin" % seed, "wb").write(content)
        emit("outputs", seed=seed, index=0, name="y", dtype="float32", shape=[1, 2],
             sha256=hashlib.sha256(content).hexdigest(), file="output-%d-0.bin" % seed)
def all_of_it():
    hello(); load(); sample(); outputs(); emit("done")
{body}
"""

REFERENCE = {seed: [np.array([[seed, seed**2]], "float32")] for seed in (1, 2, 3)}


@dataclass
class Recorder:
    """An observer that remembers."""

    begun: list[str] = field(default_factory=list)
    ended_launches: list[Launch] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    more: list[int] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    cycles: list[str | None] = field(default_factory=list)
    on_ended: object = lambda: None

    def begins(self, host, case, launches_left):
        self.begun.append(case)

    def stands(self, host, case, state):
        self.states.append(state)

    def ended(self, host, launch):
        self.ended_launches.append(launch)
        self.on_ended()

    def again(self, host, case, after_s):
        pass

    def gave_up(self, host, case, why):
        self.given_up.append(case)

    def asks_for_more(self, host, launches):
        self.more.append(launches)

    def put_aside(self, host, device, why, *, may_return):
        self.aside.append(device)

    def came_back(self, host, device):
        self.back.append(device)

    def power_cycles(self, host, device, outcome):
        self.cycles.append(outcome)


class Time:
    """A clock that goes on only where somebody pauses: nothing waits."""

    def __init__(self):
        self.now = 1000.0
        self.at = {}  # what happens when that many seconds have passed

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds
        for when in [when for when in self.at if self.now - 1000 >= when]:
            self.at.pop(when)()


@dataclass
class Bench:
    """Runs of runner doubles on this machine, stored in a database."""

    folder: object
    store: SqliteStore
    supervisor: object
    doubles: dict[str, str] = field(default_factory=dict)
    transport: object = field(default_factory=LocalTransport)
    reconnect_s: float = 20
    foreign: object = None
    settings: BackendSpec = field(default_factory=BackendSpec)
    power_cycle: object = None
    others: dict[str, object] = field(default_factory=dict)  # more devices, by their transport
    absent: dict[str, object] = field(default_factory=dict)  # of those: asks whether it is there
    host: str | None = None  # of those; by default each has its own
    time: Time = field(default_factory=Time)
    reference = REFERENCE

    def double(self, body: str, name: str = "double") -> str:
        """Write a runner double and name its case by it."""
        path = self.folder / f"{name}.py"
        path.write_text(_RUNNER_DOUBLE.format(python=sys.executable, body=body), encoding="utf-8")
        path.chmod(0o755)
        self.doubles[name] = str(path)
        return name

    def run(
        self,
        launches: int = 1,
        model_caches=("none",),
        name: str = "test-run",
        sampling=None,
        **protocol,
    ) -> Run:
        """Return a run with a case for each double; memory passes are asked for."""
        few = Sampling(min_samples=1, min_seconds=0)  # as many as doubles claim
        protocol = {"time_limit": 20, "memory_launches": 0, "sampling": few} | protocol
        cases = [
            CaseRecord(
                case=Case(model=name, device=device, engine="onnxruntime", model_cache=model_cache),
                launches=launches,
                **(sampling or {}),
                memory_launches=protocol["memory_launches"],
                profile_launches=protocol.get("profile_launches", 0),
                artifact=self._artifact().record,
            )
            for name in self.doubles
            for model_cache in model_caches
            for device in ("here", *self.others)
        ]
        run = Run(
            id=name, campaign="test", description="", specification="", seed=7,
            started=datetime.now(UTC), harness_version="0",
            protocol=Protocol(**protocol), devices=[], models=[],
            cases=cases,
        )  # fmt: skip
        self.store.create(run)
        return run

    def launcher(self, device="here") -> Launcher:
        """Return the launches of a device."""
        work, lock = ("work", "lock") if device == "here" else (f"work-{device}", f"lock-{device}")
        return Launcher(
            self.others.get(device, self.transport),
            str(self.folder / work),
            self.supervisor,
            lock=str(self.folder / lock),
            patience=Patience(self.reconnect_s),
        )

    def execution(self, run: Run, observer: Recorder, lease=None, wall=None) -> Execution:
        """Return the execution of a run."""
        manifest = Manifest(
            title="t",
            licence="l",
            source={"kind": "paddle.vision", "function": "f"},
            inputs=[{"name": "x", "shape": [1, 2]}],
        )
        prepared = {
            record.case.id: Prepared(
                case=record.case,
                model=Model(name=record.case.model, manifest=manifest),
                artifact=self._artifact(),
                runner=self.foreign or PythonRunner(self.doubles[record.case.model]),
                reference=REFERENCE,
                settings=self.settings,
            )
            for record in run.cases
        }
        devices = {}
        for name in ("here", *self.others):
            launcher = self.launcher(name)
            launcher.lease = lease
            spec = DeviceSpec(
                transport="local",
                abi="x86_64-linux",
                workdir=launcher.supervisor.launches.removesuffix("/launches"),
                host=None if name == "here" else self.host or name,
                power_cycle=self.power_cycle,
            )
            transport = self.others.get(name, self.transport)
            devices[name] = OnDevice(Device(name=name, spec=spec), transport, launcher)
        absent = {}
        for name, answers in self.absent.items():
            on = devices.pop(name)
            absent[name] = self._absent(on, answers, run, prepared)
        return Execution(
            run,
            prepared,
            devices,
            self.store,
            observer,
            absent=absent,
            folder=self.folder,
            pause=self.time.pause,
            clock=self.time,
            wall=wall,
        )

    recorder = Recorder

    def _absent(self, on, answers, run, prepared):
        record = DeviceRecord(
            name=on.device.name, description="joined", transport="local", host=on.device.host,
            emulated=False,
        )  # fmt: skip
        cases = [each for each in run.cases if each.case.device == on.device.name]

        def join():
            answers()
            ready = {each.case.id: prepared[each.case.id] for each in cases}
            return Joined(on, record, cases, ready)

        return Absent(on.device, ConnectError("no answer"), join, answers)

    def measure(self, run: Run) -> tuple[Recorder, list[Launch]]:
        """Execute a run; return what was told and what is stored."""
        observer = Recorder()
        self.execution(run, observer).measure()
        return observer, self.store.load(run.id).launches

    def one(self, body: str, **protocol) -> Launch:
        """Run a double, and return its first launch."""
        self.double(body)
        _, (launch, *_) = self.measure(self.run(**({"redo_budget": 0} | protocol)))
        return launch

    def _artifact(self) -> Artifact:
        folder = self.folder / "artifact"
        folder.mkdir(exist_ok=True)
        path = folder / "model.onnx"
        path.write_bytes(b"abc")
        record = ArtifactRecord(
            id="a" * 64, format="onnx", target="any", files={path.name: sha256_of(path)},
            size_bytes=3,
        )  # fmt: skip
        return Artifact(record=record, folder=folder, roles={"model": path.name})


@pytest.fixture
def bench(tmp_path, supervisor):
    with SqliteStore(tmp_path / "results.sqlite") as store:
        yield Bench(tmp_path, store, supervisor)
