"""Native runners on the emulated boards, started by the supervisor: they need no Python there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import engines
from harness.campaign.launch import Launcher
from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.core.hashing import sha256_of
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.lab.store import DeviceStore
from harness.models import environments
from harness.models.build import build as build_model
from harness.models.manifest import load_model
from harness.native import abi as abis
from harness.native import compilers
from harness.native.build import build
from harness.native.supervisor import supervisor
from harness.runner.python import edge_runner
from harness.workspace import Workspace

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.transports.base import Transport

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
RKNN_DOUBLE = REPOSITORY / "tests/runner/native/rknn_runtime_double"
NATIVE = ["./edge-runner", "job.json"]
SPINNING_US = 3000


@dataclass(frozen=True)
class OnBoard:
    device: Device
    transport: Transport

    def launch(self, job, files, command, links=()):
        """Push files, and run a launch with them; return its events."""
        digests = {name: sha256_of(path) for name, path in files.items()}
        program = supervisor(self.device.spec.abi, print)
        launcher = Launcher(self.transport, self.device.workdir, program)
        store = DeviceStore(launcher.supervisor)
        paths = store.ensure({digests[name]: path for name, path in files.items()})
        every = {name: paths[digest] for name, digest in digests.items()} | dict(links)
        ended = launcher.run(job, every, command)
        launcher.forget([job.launch])
        events = parse_events(ended.events)
        assert events, ended.log
        assert events[-1].event == "done", events[-1]
        return events


@pytest.fixture
def on_board(lab, boot):
    """Connect to a board, which is booted where it is not yet."""
    links = []

    def on_board(name):
        device = load_device(Workspace(lab.root), boot(name))
        links.append(connect(Workspace(lab.root), device))
        return OnBoard(device, links[-1])

    yield on_board
    for link in links:
        link.close()


def job_of(launch, engine, files, inputs):
    return Job(
        launch=launch,
        engine=engine,
        files=files,
        inputs=inputs,
        seed=7,
        check_seeds=[1, 2, 3],
        warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=5),
        sampling=Sampling(min_samples=4, min_seconds=0, max_samples=4),
        time_limit=180,
    )


def digests(events):
    return [
        (event.seed, event.index, event.dtype, event.shape, event.sha256)
        for event in events
        if event.event == "outputs"
    ]


@pytest.mark.parametrize("name", ["qemu-arm64", "qemu-armv7", "qemu-arm64-small"])
def test_calibration_makes_the_same_inputs_and_keeps_its_time(on_board, name, tmp_path):
    board = on_board(name)
    specs = [
        InputSpec(name="x", shape=(3, 50, 50), low=-1.3, high=2.7),
        InputSpec(name="n", dtype="int64", shape=(100,), low=-7.5, high=1000.3),
    ]
    model = tmp_path / "model"
    model.write_text(json.dumps({"inputs": ["x", "n"], "spin_us": SPINNING_US}))
    job = job_of("calibration", "calibration", {"model": "model"}, specs)
    program = build("calibration", board.device.spec.abi, progress=print)
    events = board.launch(job, {"edge-runner": program, "model": model}, NATIVE)
    expected = [
        edge_runner.make_input(spec.model_dump(), seed, index)
        for seed in job.check_seeds
        for index, spec in enumerate(specs)
    ]
    assert [digest[-1] for digest in digests(events)] == [
        hashlib.sha256(value.tobytes()).hexdigest() for value in expected
    ]
    taken = next(event.ns for event in events if event.event == "samples")
    assert min(taken) >= SPINNING_US * 1000


def test_onnxruntime_returns_what_the_python_runner_does(lab, on_board):
    board = on_board("qemu-arm64")
    model = load_model(Workspace(lab.root), "mobilenet_v1_025_96")
    built = build_model(model, "onnx", "any", progress=print)
    find = 'find / -xdev -name "libonnxruntime.so.1*"'
    library = board.transport.run(["sh", "-c", find]).text.split()[0]
    links = {"libonnxruntime.so.1": library}
    roles = {**built.roles, "library": "libonnxruntime.so.1"}
    runners = {
        "native": (build("onnxruntime", "arm64-linux", progress=print), NATIVE),
        "python": (Path(edge_runner.__file__), ["/usr/bin/python3.11", "edge-runner", "job.json"]),
    }
    seen = {}
    for name, (program, command) in runners.items():
        job = job_of(name, "onnxruntime", roles, model.manifest.fed())
        files = {
            "edge-runner": program,
            "edge_engine.py": engines.get("onnxruntime").device_module,
            built.roles["model"]: built.path("model"),
        }
        seen[name] = board.launch(job, files, command, links)
    assert [event.event for event in seen["native"]] == [event.event for event in seen["python"]]
    assert digests(seen["native"]) == digests(seen["python"])
    peak = {
        name: next(event.vmhwm_bytes for event in events if event.event == "memory")
        for name, events in seen.items()
    }
    assert peak["native"] < peak["python"]


def double_of_rknns_runtime(abi, library):
    source = RKNN_DOUBLE / "librknnrt_double.c"
    environments.python("zig", print)
    zig = compilers.zig_program(lambda name: environments.get(name).folder)
    target = abis.get(abi).zig_target(f"gnu.{compilers.GLIBC}")
    command = [zig, "cc", "-target", target, "-shared", "-fPIC", source, "-o", library]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(compilers.zig_cache())}
    subprocess.run(command, env=os.environ | cache, check=True)
    return library


@pytest.mark.parametrize("name", ["qemu-arm64", "qemu-armv7"])
def test_rknn_calls_its_runtime_as_the_processor_has_it(on_board, name, tmp_path):
    """Against the double, whose structures differ between 32 and 64 bits as the vendor's."""
    board = on_board(name)
    abi = board.device.spec.abi
    model = tmp_path / "model"
    model.write_text("RKNN-DOUBLE rk3588\ninput x nhwc 0 1 4 5 3\noutput y nchw 1 3 4 5\n")
    spec = InputSpec(name="x", shape=(1, 3, 4, 5), low=-1)
    roles = {"model": "model", "library": "librknnrt.so"}
    job = job_of("rknn", "rknn", roles, [spec]).model_copy(update={"backend": "npu:rknpu"})
    files = {
        "edge-runner": build("rknn", abi, sdk=RKNN_DOUBLE, progress=print),
        "librknnrt.so": double_of_rknns_runtime(abi, tmp_path / "librknnrt.so"),
        "model": model,
    }
    events = board.launch(job, files, NATIVE)
    fed = [edge_runner.make_input(spec.model_dump(), seed, 0) for seed in job.check_seeds]
    assert [digest[-1] for digest in digests(events)] == [
        hashlib.sha256((2 * values + 1).tobytes()).hexdigest() for values in fed
    ]
    assert next(event.runtime_bytes for event in events if event.event == "memory") == 5000


CAMPAIGN = """
matrix:
  - {models: [mobilenet_v1_025_96], devices: [qemu-armv7], engines: [onnxruntime]}
  - {models: [calibration_spin], devices: [qemu-armv7], engines: [calibration]}
launches: 2
protocol:
  warmup: {min_samples: 1, min_seconds: 0, max_seconds: 1}
  sampling: {min_samples: 5, min_seconds: 0}
  memory_launches: 0
"""


def test_a_campaign_measures_with_the_boards_own_library_and_calibration(lab, boot):
    boot("qemu-armv7")
    program = lab("runners", "build", "onnxruntime", "--abi", "armv7hf-linux").strip()
    what = ("--engine", "onnxruntime", "--abi", "armv7hf-linux", "--name", "armv7")
    lab("runners", "add", "edge-runner", program, *what)
    device = lab.root / "devices" / "qemu-armv7.yaml"
    content = device.read_text(encoding="utf-8") + "  onnxruntime: {runner: armv7}\n"
    device.write_text(content, encoding="utf-8")
    lab("run", lab.campaign(CAMPAIGN, "armv7"))
    run = lab.show()
    assert [case["state"] for case in run["cases"]] == ["measured"] * 2
    assert len(run["launches"]) == 4
    assert {launch["engine_version"][:5] for launch in run["launches"]} == {"1.21.", "1"}
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert launch["first_load"]["page_cache"] == "cold"
        assert launch["exit"]["reason"] == "exited"
