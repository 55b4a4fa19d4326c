"""The browser's part of the Python runner: a real Chromium, with a double of an engine in it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.runner.python import edge_runner

HERE = Path(__file__).parent
HARNESS = HERE.parents[2] / "harness"
PYTHON_PART = HARNESS / "runner" / "python"
BROWSER_PART = HARNESS / "runner" / "browser"
DOUBLE = """
import os, signal
from edge_browser import BrowserEngine

class Double(BrowserEngine):
    name = "double"
    backends = caching = ("wasm", "webgl")
{body}

ENGINE = Double
"""
WARMUP = """
    def time_warmup(self, policy):
        {what}
        return super().time_warmup(policy)
"""
CRASH = WARMUP.format(what="os.kill(self.pids[0], signal.SIGKILL)")
CLOSED = WARMUP.format(what="self.page.close()")
GPU = "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device), SwiftShader driver)"
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no chromium here: apt-get install chromium"
)


@pytest.fixture
def job():
    return Job(
        launch="test",
        engine="double",
        backend="wasm",
        files={"model": "model.json"},
        inputs=[InputSpec(name="x", shape=(2, 3), low=-1, high=1)],
        seed=7,
        check_seeds=[1, 2],
        warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=3),
        sampling=Sampling(min_samples=5, min_seconds=0, max_samples=5),
    )


class Started:
    """A runner that was started in a folder."""

    def __init__(self, folder, job, model, body, changes):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        content = {**job.model_dump(mode="json"), **changes}
        (folder / "job.json").write_text(json.dumps(content))
        (folder / "edge_engine.py").write_text(DOUBLE.format(body=body))
        (folder / "model.json").write_text(json.dumps(model))
        for path in (
            PYTHON_PART / "edge_runner.py",
            BROWSER_PART / "edge_browser.py",
            BROWSER_PART / "page.js",
        ):
            (folder / path.name).symlink_to(path)
        (folder / "engine.js").symlink_to(HERE / "double.js")
        self.process = subprocess.Popen(
            [sys.executable, "-B", "edge_runner.py", "job.json"],
            cwd=folder,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def events(self):
        path = self.folder / "events.jsonl"
        return {event.event: event for event in parse_events(path.read_bytes())}

    def end(self):
        _, self.stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.events


@pytest.fixture
def start(tmp_path, job):
    started = []

    def begin(model=None, body="", name="launch", **changes):
        started.append(Started(tmp_path / name, job, model or {}, body, changes))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()


def test_a_launch_from_beginning_to_end(start, job):
    ended = start()
    events = ended.end()
    assert ended.process.returncode == 0, ended.stderr
    hello, loaded = events["hello"], events["loaded"]
    assert hello.engine_version == "0.double"
    assert hello.build["browser"].startswith("Chromium ")
    assert hello.build["isolated"] == "yes"
    assert 0 < float(hello.build["clock_step_us"]) < 100
    assert hello.build["profile"] == "empty"
    assert hello.process_ms > 0
    assert hello.import_ms > 0
    assert loaded.read_bytes == len("{}")
    assert loaded.simulated is None
    assert len(events["samples"].ns) == 5
    assert all(ns >= 1_000_000 for ns in events["samples"].ns)
    assert events["memory"].vmhwm_bytes > 30_000_000
    for line in (ended.folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "outputs":
            expected = edge_runner.make_input(job.inputs[0].model_dump(), event["seed"], 0)
            given = np.fromfile(ended.folder / event["file"], event["dtype"])
            np.testing.assert_array_equal(given.reshape(event["shape"]), expected)


def test_a_kept_profile_is_filled_once_and_never_written_again(start, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    first = start(name="fill", model_cache=str(cache)).end()
    kept = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    second = start(name="use", model_cache=str(cache)).end()
    assert first["hello"].build["profile"] == "empty"
    assert second["hello"].build["profile"] == "kept"
    assert kept == {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}


# Each starts a browser: those that `make test` leaves out are of the same few lines.
@pytest.mark.parametrize(
    ("model", "body", "changes", "kind", "said"),
    [
        ({}, "", {"options": {"browser": "/none"}}, "EngineMissing", "there is no browser here"),
        ({}, "", {"options": {"browser": "/bin/false"}}, "EngineMissing", "does not start"),
        ({}, "", {"options": {"flags": "--a=$(b)"}}, "BadJob", "is no flag"),
        ({}, "    least_version = {'wasm': 9999}", {}, "EngineMissing", "Chromium 9999 or newer"),
        ({"ms": 0.05}, "", {}, "BadJob", "too short to be timed"),
        ({"load": "eval"}, "", {}, "EngineFailed", "unsafe-eval"),
        ({}, CRASH, {}, "EngineFailed", "the page crashed"),
        ({}, CLOSED, {}, "EngineFailed", "the tab was closed"),
        pytest.param(
            {"load": "hidden"}, "", {}, "EngineFailed", "in the background", marks=pytest.mark.full
        ),
        pytest.param(
            {"load": "elsewhere"}, "", {}, "EngineFailed", "Failed to fetch", marks=pytest.mark.full
        ),
        pytest.param(
            {"run": "memory"}, "", {}, "EngineFailed", "typed array", marks=pytest.mark.full
        ),
        pytest.param(
            {"inputs": ["y"]}, "", {}, "BadJob", "the job's inputs are", marks=pytest.mark.full
        ),
    ],
)
def test_what_goes_wrong_is_said(start, model, body, changes, kind, said):
    ended = start(model, body, **changes)
    failure = ended.end()["error"]
    assert (failure.kind, said in failure.message) == (kind, True), failure.message
    assert ended.process.returncode == 1


def test_a_page_that_hangs_is_ended_from_outside_with_its_browser(start):
    hung = start({"run": "hang"})
    deadline = time.monotonic() + PATIENCE_S
    path = hung.folder / "events.jsonl"
    while not (path.exists() and b'"loaded"' in path.read_bytes()):
        assert time.monotonic() < deadline
        os.sched_yield()
    hung.process.send_signal(signal.SIGTERM)
    events = hung.end()
    assert hung.process.returncode == -signal.SIGTERM
    assert "done" not in events
    while any(str(hung.folder) in command for command in commands()):
        assert time.monotonic() < deadline
        os.sched_yield()


def commands():
    """Yield the command line of every process."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except OSError:  # it ended
            continue


@pytest.mark.full
def test_two_launches_at_once_are_no_matter(start):
    both = [start(name=name) for name in ("one", "other")]
    assert all("done" in each.end() for each in both)


def test_names_are_data(start):
    hostile = "\"'></script><img src=x onerror=alert(1)>`${document.title}`"
    spec = {"name": hostile, "dtype": "float32", "shape": [2, 3], "low": 0, "high": 1}
    events = start({"inputs": [hostile]}, inputs=[spec]).end()
    assert "done" in events
    assert events["outputs"].name == hostile


@pytest.mark.parametrize(
    ("gpu", "simulated"),
    [
        (GPU, "SwiftShader (webgl)"),
        ("ANGLE (ARM, Mali-G610, OpenGL ES 3.2)", None),
    ],
)
@pytest.mark.full
def test_a_software_driver_is_simulated(start, gpu, simulated):
    events = start({"facts": {"gpu": gpu}}, backend="webgl").end()
    assert events["loaded"].simulated == simulated
    assert events["loaded"].build["gpu"] == gpu


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "edge_runner", edge_runner)
    from harness.runner.browser import edge_browser  # noqa: PLC0415 - it needs the name above

    (tmp_path / "page.js").write_text("1")
    (tmp_path / "job.json").write_text("{}")
    serving = edge_browser.Site(str(tmp_path), ["page.js"], 0)
    yield serving
    serving.close()


def answer(site, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", site.port)
    connection.request(method, path, headers=headers, body=b"xx" if method == "POST" else None)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_the_page_is_isolated_and_may_run_its_own_scripts_only(site):
    found = answer(site, site.path)
    assert found.status == 200
    assert found.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert found.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "'unsafe-eval'" not in found.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in found.headers["Content-Security-Policy"]
    assert answer(site, f"{site.path}page.js").headers["Content-Type"] == "text/javascript"


@pytest.mark.parametrize(
    "name", ["job.json", "../job.json", "%2e%2e/job.json", "input-0", "input-x"]
)
def test_nothing_else_is_served(site, name):
    assert answer(site, site.path + name).status == 404


def test_other_addresses_are_not_answered(site):
    assert answer(site, "/").status == 404
    assert answer(site, site.path, Host="elsewhere.example").status == 404
    assert answer(site, f"{site.path}page.js", "POST").status == 400
    assert site.server.server_address[0] == "127.0.0.1"
