"""The runner on the real engines: what it returns is what the model computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.analysis.outputs import check
from harness.engines import get
from harness.models import environments
from harness.models.build import build, reference
from harness.models.manifest import load_model
from harness.results.contract import Job
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

REPOSITORY = Workspace(Path(__file__).parents[2])
ENGINES = {
    # engine: (toolchain environment, target)
    "paddle-inference": ("paddle", "any"),
    "onnxruntime": ("onnxruntime", "any"),
    "paddle-lite": ("paddle", "x86"),
}


def quiet(_):
    pass


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
    build_facts = ended["hello"].build
    assert build_facts["threads"] == "1"
    if engine == "paddle-inference":
        assert build_facts["loader"] == "core"

    outputs: dict[int, list] = {seed: [] for seed in manifest.check_seeds}
    for event in ended.sequence:
        if event.event == "outputs":
            value = np.fromfile(ended.folder / event.file, dtype=event.dtype)
            outputs[event.seed].append(value.reshape(event.shape))
    expected = reference(model, progress=quiet)
    tolerance = manifest.tolerance["fp32"]
    result = check(outputs, expected, tolerance)
    assert result.passed, result.reason
    # The same launch, had the runner swapped two inputs or always fed the first.
    first, second, *others = manifest.check_seeds
    swapped = {first: outputs[second], second: outputs[first]} | {s: outputs[s] for s in others}
    assert not check(swapped, expected, tolerance).passed
    assert not check(dict.fromkeys(outputs, outputs[first]), expected, tolerance).passed
