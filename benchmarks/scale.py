"""A controller with many devices, in a process of its own: what a launch costs it.

    python benchmarks/scale.py fake|ssh DEVICES LAUNCHES FOLDER

Prints one JSON object: launches, seconds of CPU (of this process alone), and bytes of its resident
set before and after. The runners sleep: what is measured is the controller. Over the fake
transport devices are doubles in this process; over SSH they are folders of this machine behind a
real sshd, with the real supervisor.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from drill.doubles import FakeTransport
from harness.campaign import prepare, reach
from harness.campaign.execute import Execution
from harness.cli.app import main
from harness.core.contract import InputSpec
from harness.lab.probe import Facts
from harness.runner.python import edge_runner
from harness.transports.base import Completed

SLEEP_S = 0.05
SAMPLES = 100
INPUT = InputSpec(name="x", shape=(1, 16))
SEEDS = (1, 2, 3)


def outputs():
    """Return seed to the content of its output: calibration's outputs are its inputs."""
    return {
        seed: edge_runner.make_input(INPUT.model_dump(), seed, 0).astype("<f4").tobytes()
        for seed in SEEDS
    }


def events():
    """Return a launch's events, as runners write them."""
    found = [
        {"event": "hello", "protocol": 1, "runner": "sleeper", "runner_version": "1",
         "engine": "calibration", "engine_version": "1", "pid": 7, "process_ms": 1.5,
         "import_ms": 0.5},
        {"event": "loaded", "read_ms": 1, "read_bytes": 3, "page_cache": "cold", "init_ms": 1},
        {"event": "first", "ms": 1.5},
        {"event": "warmup", "ns": [100_000] * 30, "reason": "steady"},
        {"event": "samples", "ns": [100_000 + n for n in range(SAMPLES)], "cpu_ms": 10},
        {"event": "memory", "vmhwm_bytes": 1_000_000},
        *(
            {"event": "outputs", "seed": seed, "index": 0, "name": "x", "dtype": "float32",
             "shape": list(INPUT.shape), "sha256": hashlib.sha256(content).hexdigest(),
             "file": f"output-{seed}.bin"}
            for seed, content in outputs().items()
        ),
        {"event": "done"},
    ]  # fmt: skip
    return "".join(json.dumps(event) + "\n" for event in found).encode()


def record():
    """Return what the supervisor of a board with some sensors writes of a launch."""
    sensors = {
        "load1": 0.5, "memory_available_bytes": 1 << 30,
        "frequencies_khz": {f"cpu{n}": 1_800_000 for n in range(4)},
        "frequency_limits_khz": {f"cpu{n}": 1_800_000 for n in range(4)},
        "temperatures_c": {"soc": 45.0, "npu": 44.0},
    }  # fmt: skip
    entries = [
        {"event": "environment", "phase": "before", **sensors},
        {"event": "started", "protocol": 1, "supervisor_pid": 6, "runner_pid": 7, "boot_id": "b",
         "lock": "/dev/shm/edge-harness.lock", "time": 1},
        {"event": "environment", "phase": "after", "ms": 50.0, **sensors},
        {"event": "exit", "reason": "exited", "wall_s": SLEEP_S, "status": 0, "user_s": 0.01,
         "system_s": 0.01, "minor_faults": 1, "major_faults": 0, "vmhwm_bytes": 1_000_000,
         "oom_kills": 0, "left_behind": 0, "log_bytes": 0},
    ]  # fmt: skip
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


class Sleepers(FakeTransport):
    """A double of a device with a supervisor, whose runners sleep."""

    def __init__(self):
        content, seen = events(), record()
        header = f"edge-supervisor 1 ended 1 {len(content)} 0 0 {len(seen)}\n".encode()
        self._ended = Completed(0, header + content + seen)
        self._outputs = {f"output-{seed}.bin": content for seed, content in outputs().items()}
        super().__init__(self.answer_of)

    def answer_of(self, argv, _stdin):
        if argv[1:2] == ["run"]:
            time.sleep(SLEEP_S)
            return self._ended
        return Completed(0)

    def pull(self, source, target, **_):
        target.write_bytes(self._outputs[Path(source).name])


def sleeper(folder):
    """Return a runner, for devices that are behind SSH."""
    lines = [f"cat >events.jsonl <<'E'\n{events().decode()}E", f"sleep {SLEEP_S}"]
    for seed, content in outputs().items():
        octal = "".join(f"\\{byte:03o}" for byte in content)
        lines.append(f"printf '{octal}' >output-{seed}.bin")
    path = folder / "sleeper"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def locked(argv, lock):
    """Give each folder of this machine that stands for a device a lock of its own."""
    if argv[1:2] == ["run"]:
        return [*argv[:3], "--lock", lock, *argv[3:]]
    return [*argv[:2], "--lock", lock, *argv[2:]] if argv[1:2] == ["lease"] else argv


def workspace(way, devices, launches, folder):
    """Make a workspace; return the words of the command."""
    for name in ("devices", "models", "campaigns"):
        (folder / name).mkdir()
    names = [f"d{n}" for n in range(devices)]
    reach = (folder / "reach").read_text() if way == "ssh" else "transport: local"
    for name in names:
        (folder / "devices" / f"{name}.yaml").write_text(
            f"{reach}\nhost: {name}\nabi: x86_64-linux\nworkdir: {folder}/work/{name}\n"
            "engines: {calibration: {}}\n"
        )
    (folder / "models" / "m.yaml").write_text(
        "title: t\nlicence: l\nsource: {kind: calibration, spin_us: 1000}\n"
        f"inputs: [{INPUT.model_dump_json()}]\ncheck_seeds: {list(SEEDS)}\n"
    )
    campaign = folder / "campaigns" / "c.yaml"
    campaign.write_text(
        f"matrix: [{{models: [m], devices: {json.dumps(names)}, engines: [calibration]}}]\n"
        f"launches: {launches}\nprotocol:\n  memory_launches: 0\n"
        f"  sampling: {{min_samples: {SAMPLES}, min_seconds: 0}}\n"
    )
    return ["harness", "--workspace", str(folder), "run", str(campaign)]


def measured(measure):
    """Wrap what makes the launches."""

    def wrapped(execution):
        process = psutil.Process()
        before, cpu, wall = process.memory_info().rss, time.process_time(), time.monotonic()
        measure(execution)
        figures = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.monotonic() - wall,
            "rss_before": before,
            "rss_after": process.memory_info().rss,
        }
        print(json.dumps(figures), file=sys.__stdout__, flush=True)

    return wrapped


def run(way, devices, launches, folder):
    sys.argv = workspace(way, devices, launches, folder)
    prepare.build_runner = lambda *_, **__: sleeper(folder)
    if way == "fake":
        reach.connect = lambda *_: Sleepers()
        reach.probe = lambda *_: Facts()
    else:
        connect = reach.connect

        def with_lock(space, device):
            transport = connect(space, device)
            inner = transport.run
            lock = f"{folder}/{device.name}.lock"
            transport.run = lambda argv, **more: inner(locked(argv, lock), **more)
            return transport

        reach.connect = with_lock
    Execution.measure = measured(Execution.measure)
    main()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
