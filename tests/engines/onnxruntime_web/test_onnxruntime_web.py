"""ONNX Runtime Web in a real Chromium, in its real environment (made on first use)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness import engines
from harness.analysis.outputs import check
from harness.conformance.engines import check_engine
from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.models import environments
from harness.models.build import build, reference
from harness.models.manifest import load_model
from harness.models.npm import device_files
from harness.workspace import Workspace

ROOT = Path(__file__).parents[3]
HARDMAX = ROOT / "tests" / "data" / "onnx" / "hardmax.onnx"
ENGINE = engines.get("onnxruntime-web")
DEVICE = SimpleNamespace(abi="arm64-linux", soc=None)

browser = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no chromium here: apt-get install chromium"
)


@pytest.mark.parametrize("backend", ["cpu", "gpu", "npu:qnn"])
def test_backends_of_no_browser_are_refused(backend):
    assert "wasm, webgl, webgpu only" in str(ENGINE.lacks(DEVICE, backend))


def test_a_browser_keeps_its_caches():
    assert ENGINE.lacks(DEVICE, "webgpu") is None
    assert ENGINE.keeps_models("webgpu")
    assert not ENGINE.changes_shapes(DEVICE, "wasm")


def test_every_package_is_locked_with_its_hash():
    lock = json.loads(ENGINE.npm.lock)
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "resolved" not in json.dumps(lock)  # the lock names no registry
    assert ENGINE.npm.version == "1.30.0"


@pytest.fixture
def launch(tmp_path):
    def run(model, job, *, isolated=True):
        files = device_files(ENGINE, print)
        for name, path in files.items():
            (tmp_path / name).symlink_to(path)
        if not isolated:
            (tmp_path / "edge_engine.py").unlink()
            (tmp_path / "edge_engine.py").write_text(
                ENGINE.device_module.read_text()
                + "import edge_browser\nedge_browser.HEADERS.pop('Cross-Origin-Embedder-Policy')\n"
            )
        (tmp_path / "model.onnx").symlink_to(model)
        (tmp_path / "job.json").write_text(job.model_dump_json())
        subprocess.run(
            [environments.python("browser", print), "-B", "edge_runner.py", "job.json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            timeout=300,
            check=False,
        )
        return parse_events((tmp_path / "events.jsonl").read_bytes())

    return run


@pytest.fixture(scope="module")
def net():
    model = load_model(Workspace(ROOT), "mobilenet_v1_025_96")
    return model, build(model, "onnx", progress=print)


def short_job(backend, inputs, seeds=(), **changes):
    return Job(
        launch="test",
        engine="onnxruntime-web",
        backend=backend,
        files={"model": "model.onnx"},
        inputs=inputs,
        check_seeds=seeds,
        warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=1),
        sampling=Sampling(min_samples=2, min_seconds=0, max_samples=2),
        **changes,
    )


@browser
@pytest.mark.e2e
@pytest.mark.parametrize(
    ("backend", "simulated"),
    [
        ("wasm", None),
        ("webgl", "SwiftShader (webgl)"),
        pytest.param("webgpu", "swiftshader (webgpu)", marks=pytest.mark.full),  # takes a minute
    ],
)
def test_outputs_are_the_models(launch, tmp_path, net, backend, simulated):
    model, artifact = net
    manifest = model.manifest
    job = short_job(backend, manifest.fed(), manifest.check_seeds)
    all_of = launch(artifact.path("model"), job)
    events = {event.event: event for event in all_of}
    assert "done" in events, events["error"]
    assert events["hello"].engine_version == ENGINE.npm.version
    if simulated is None or events["loaded"].simulated:  # a machine with a GPU simulates none
        assert events["loaded"].simulated == simulated
    given = {
        event.seed: [np.fromfile(tmp_path / event.file, event.dtype).reshape(event.shape)]
        for event in all_of
        if event.event == "outputs"
    }
    assert check(given, reference(model, progress=print), manifest.tolerance["fp32"]).passed


@browser
@pytest.mark.e2e
@pytest.mark.full
def test_it_passes_the_conformance_kit(net):
    tried = list(check_engine(ENGINE, net[0], python=None, progress=print))
    assert [each for each in tried if each.fault] == []


@browser
@pytest.mark.e2e
@pytest.mark.parametrize(
    ("backend", "changes", "isolated", "kind", "said"),
    [
        ("wasm", {"threads": 2}, False, "EngineMissing", "no threads here"),
        (
            "webgpu",
            {"options": {"flags": "--disable-gpu --disable-software-rasterizer"}},
            True,
            "EngineMissing",
            "no WebGPU adapter",
        ),
        pytest.param("webgl", {}, True, "EngineFailed", "Hardmax", marks=pytest.mark.full),
        pytest.param("webgpu", {}, True, "EngineFailed", "fallback", marks=pytest.mark.full),
    ],
)
def test_what_a_browser_lacks_is_said(launch, backend, changes, isolated, kind, said):
    inputs = [InputSpec(name="x", shape=(1, 3, 8, 8))]
    events = launch(HARDMAX, short_job(backend, inputs, **changes), isolated=isolated)
    assert (events[-1].kind, said in events[-1].message) == (kind, True), events[-1].message
