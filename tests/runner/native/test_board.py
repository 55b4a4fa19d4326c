"""Native runners on the emulated arm64 board, which they need no Python on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.devices.connect import connect
from harness.devices.emulated.board import Board
from harness.devices.inventory import load_device
from harness.models.build import build as build_model
from harness.models.manifest import load_model
from harness.native.build import build
from harness.results.contract import InputSpec, parse_events
from harness.workspace import Workspace

if TYPE_CHECKING:
    from harness.transport.base import Transport

pytestmark = pytest.mark.e2e

DEVICE = "qemu-arm64"
SCRIPT = 'mkdir -p "$0" && cd "$0" && cat > job.json && "$@" job.json >&2; cat events.jsonl'


@dataclass(frozen=True)
class OnBoard:
    transport: Transport
    folder: str

    def push(self, source, name):
        self.transport.push(source, f"{self.folder}/{name}")
        return f"{self.folder}/{name}"

    def launch(self, job, name, *command):
        """Run a launch in a folder of its own; return its events."""
        argv = ["sh", "-c", SCRIPT, f"{self.folder}/{name}", *command]
        ended = self.transport.run(
            argv, stdin=job.model_dump_json().encode(), timeout=180, output_limit=1 << 24
        )
        events = parse_events(ended.stdout)
        assert events, ended.stderr
        assert events[-1].event == "done", events[-1]
        return events


@pytest.fixture(scope="module")
def board(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("lab")
    for folder in ("devices", "models", "campaigns"):
        shutil.copytree(request.config.rootpath / folder, root / folder)
    workspace = Workspace(root)
    booted = Board(workspace, DEVICE)
    booted.up(print)
    try:
        device = load_device(workspace, DEVICE)
        with connect(workspace, device) as transport:
            folder = f"{device.workdir}/native"
            transport.run(["mkdir", "-p", folder])
            yield OnBoard(transport, folder)
    finally:
        booted.down()


def digests(events):
    return [
        (event.seed, event.index, event.dtype, event.shape, event.sha256)
        for event in events
        if event.event == "outputs"
    ]


def test_calibration_makes_the_same_inputs_and_keeps_its_time(board, job, runner, tmp_path):
    specs = [
        InputSpec(name="x", shape=(3, 50, 50), low=-1.3, high=2.7),
        InputSpec(name="n", dtype="int64", shape=(100,), low=-7.5, high=1000.3),
    ]
    (tmp_path / "model").write_text(json.dumps({"inputs": ["x", "n"], "spin_us": 3000}))
    board.transport.run(["mkdir", "-p", f"{board.folder}/calibration"])
    board.push(tmp_path / "model", "calibration/model")
    program = board.push(build("calibration", "arm64-linux", progress=print), "calibration.elf")
    events = board.launch(job.model_copy(update={"inputs": specs}), "calibration", program)
    expected = [
        runner.make_input(spec.model_dump(), seed, index)
        for seed in job.check_seeds
        for index, spec in enumerate(specs)
    ]
    assert [digest[-1] for digest in digests(events)] == [
        hashlib.sha256(value.tobytes()).hexdigest() for value in expected
    ]
    taken = next(event.ns for event in events if event.event == "samples")
    assert min(taken) >= 3_000_000


def test_onnxruntime_returns_what_the_python_runner_does(board, job, request):
    workspace = Workspace(request.config.rootpath)
    model = load_model(workspace, "mobilenet_v1_025_96")
    built = build_model(model, "onnx", "any", progress=print)
    find = 'find / -xdev -name "libonnxruntime.so.1*"'
    library = board.transport.run(["sh", "-c", find]).text.split()[0]
    artifact = board.push(built.path("model"), built.roles["model"])
    programs = {
        "native": [board.push(build("onnxruntime", "arm64-linux", progress=print), "ort.elf")],
        "python": [
            "/usr/bin/python3.11",
            board.push(workspace.root / "harness/runner/python/edge_runner.py", "edge_runner.py"),
        ],
    }
    wanted = job.model_copy(
        update={
            "engine": "onnxruntime",
            "files": {**built.roles, "library": "libonnxruntime.so.1"},
            "inputs": model.manifest.inputs,
        }
    )
    seen = {}
    for name, command in programs.items():
        folder = f"{board.folder}/{name}"
        links = 'mkdir -p "$0" && ln -s "$1" "$0" && ln -s "$2" "$0/libonnxruntime.so.1"'
        board.transport.run(["sh", "-c", links, folder, artifact, library])
        seen[name] = board.launch(wanted, name, *command)
    assert [event.event for event in seen["native"]] == [event.event for event in seen["python"]]
    assert digests(seen["native"]) == digests(seen["python"])
    peak = {
        name: next(event.vmhwm_bytes for event in events if event.event == "memory")
        for name, events in seen.items()
    }
    assert peak["native"] < peak["python"]
