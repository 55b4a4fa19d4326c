"""The runner as a module, and as the program that a launch starts."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events

HARNESS = Path(__file__).parents[2] / "harness"
RUNNER = HARNESS / "runner" / "python" / "edge_runner.py"
TRAFFIC = HARNESS / "runner" / "python" / "edge_traffic.py"
BROWSER = HARNESS / "runner" / "browser" / "edge_browser.py"
DEVICE_MODULES = sorted((HARNESS / "engines").glob("*/device.py"))
DOUBLES = Path(__file__).parent / "doubles"

# Of a job's file of inputs to check, in bytes, and what either runner says of it.
WRONG_SIZES = [
    (None, "check.bin: No such file"),
    (3 * 24 - 1, "check.bin ends within input 'x'"),
    (3 * 24 + 1, "than the inputs of the check seeds"),
]


@pytest.fixture(scope="session")
def runner():
    spec = importlib.util.spec_from_file_location("edge_runner", RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def device_module(engine):
    """Return an engine's module for the runner; ONNX Runtime's for an engine that is unknown."""
    path = HARNESS / "engines" / engine.replace("-", "_") / "device.py"
    return path if path.exists() else device_module("onnxruntime")


@dataclass(frozen=True)
class Ended:
    """What a launch left; ``events`` by name, the last of each."""

    returncode: int
    sequence: list
    stderr: str
    folder: Path

    @property
    def names(self):
        return [event.event for event in self.sequence]

    def __getitem__(self, name):
        return next(event for event in reversed(self.sequence) if event.event == name)


@pytest.fixture
def job():
    """A job for the double."""
    return Job(
        launch="test",
        engine="onnxruntime",
        files={"model": "model.onnx"},
        inputs=[InputSpec(name="x", shape=(2, 3), low=-1, high=1)],
        seed=7,
        check_seeds=[1, 2, 3],
        warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=5),
        sampling=Sampling(min_samples=4, min_seconds=0, max_samples=4),
    )


@pytest.fixture
def launch(tmp_path):
    """Start the runner in a launch's folder, with this Python and the doubles by default."""

    def start(job, artifact=None, *, python=(sys.executable,), path=DOUBLES, **changes):
        content = (
            job if isinstance(job, str) else json.dumps({**job.model_dump(mode="json"), **changes})
        )
        (tmp_path / "job.json").write_text(content)
        engine = changes.get("engine", getattr(job, "engine", "onnxruntime"))
        (tmp_path / "edge_runner.py").symlink_to(RUNNER)
        (tmp_path / "edge_traffic.py").symlink_to(TRAFFIC)
        if not (tmp_path / "edge_engine.py").exists():  # a test may have one of its own
            (tmp_path / "edge_engine.py").symlink_to(device_module(engine))
        for name, source in (artifact or {"model.onnx": "{}"}).items():
            if isinstance(source, Path):
                (tmp_path / name).symlink_to(source)
            else:
                (tmp_path / name).write_text(source)
        ended = subprocess.run(
            [*map(str, python), "edge_runner.py", "job.json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=120,
            check=False,
        )
        events = parse_events((tmp_path / "events.jsonl").read_bytes())
        return Ended(ended.returncode, events, ended.stderr.decode(errors="replace"), tmp_path)

    start.folder = tmp_path
    return start
