"""The native runner on the real ONNX Runtime, beside the Python runner on the same library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.outputs import check
from harness.core.contract import InputSpec, Job
from harness.models import environments
from harness.models.build import build as build_model
from harness.models.build import reference
from harness.models.manifest import load_model
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e  # the toolchain environments compile the runner

FAILED = 1
REPOSITORY = Workspace(Path(__file__).parents[3])
PYTHON_RUNNER = {
    "edge_runner.py": REPOSITORY.root / "harness" / "runner" / "python" / "edge_runner.py",
    "edge_engine.py": REPOSITORY.root / "harness" / "engines" / "onnxruntime" / "device.py",
}


def timeless(events):
    return [event.model_copy(update={"t_ns": None}) for event in events]


@pytest.fixture(scope="session")
def python():
    return environments.python("onnxruntime", print)


@pytest.fixture(scope="session")
def library(python):
    package = next(python.parents[1].glob("lib/python*/site-packages/onnxruntime"))
    return next((package / "capi").glob("libonnxruntime.so.*"))


@pytest.fixture
def onnx_job(job):
    files = {"model": "model.onnx", "library": "libonnxruntime.so.1"}
    return job.model_copy(update={"engine": "onnxruntime", "files": files})


@pytest.mark.parametrize("name", ["mobilenet_v1_025_96", "ppocr_v4_cls"])
def test_it_writes_what_the_python_runner_writes(name, onnxruntime, python, library, launch):
    model = load_model(REPOSITORY, name)
    built = build_model(model, "onnx", "any", progress=print)
    manifest = model.manifest
    job = Job(
        launch="test",
        engine="onnxruntime",
        files={**built.roles, "library": library.name},
        inputs=manifest.fed(),
        check_seeds=manifest.check_seeds,
    )
    files = {name: built.folder / name for name in built.roles.values()} | {library.name: library}
    native = launch(onnxruntime, job, files)
    ours = launch((python, "edge_runner.py"), job, files | PYTHON_RUNNER)
    assert (native.returncode, ours.returncode) == (0, 0), native.stderr

    assert native.names == ours.names
    for field in ("engine", "engine_version"):
        assert getattr(native["hello"], field) == getattr(ours["hello"], field)
    for fact in ("provider", "graph_optimization", "threads"):
        assert native["hello"].build[fact] == ours["hello"].build[fact]
    assert native["loaded"].read_bytes == ours["loaded"].read_bytes == built.record.size_bytes
    # The same library computes the same bits of the same inputs.
    assert timeless(native.outputs) == timeless(ours.outputs)

    outputs: dict[int, list] = {seed: [] for seed in manifest.check_seeds}
    for event in native.outputs:
        value = np.fromfile(native.folder / event.file, dtype=event.dtype)
        outputs[event.seed].append(value.reshape(event.shape))
    result = check(outputs, reference(model, progress=print), manifest.tolerance["fp32"])
    assert result.passed, result.reason


def test_changes_of_shape_give_the_bits_that_the_python_runner_gives(
    onnxruntime, python, library, job, launch
):
    model = load_model(REPOSITORY, "ppocr_v4_rec")
    built = build_model(model, "onnx", "any", progress=print)
    shapes = [{"x": (1, 3, 48, 64)}, {"x": (2, 3, 48, 96)}, {"x": (1, 3, 48, 160)}]
    changes = {
        "engine": "onnxruntime",
        "files": {**built.roles, "library": library.name},
        "inputs": model.manifest.fed(shapes[-1]),
        "shape_changes": shapes,
    }
    job = job.model_copy(update=changes)
    files = {name: built.folder / name for name in built.roles.values()} | {library.name: library}
    native = launch(onnxruntime, job, files)
    ours = launch((python, "edge_runner.py"), job, files | PYTHON_RUNNER)
    assert (native.returncode, ours.returncode) == (0, 0), native.stderr
    assert native.names == ours.names
    assert timeless(native.outputs) == timeless(ours.outputs)
    found = {(event.change, event.shape[:2]) for event in native.outputs}
    assert found == {(0, (1, 8)), (1, (2, 12)), (2, (1, 20)), (None, (1, 20))}


def test_a_model_that_is_none(onnxruntime, library, onnx_job, launch):
    ended = launch(onnxruntime, onnx_job, {"model.onnx": "none", "libonnxruntime.so.1": library})
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert ended["error"].message.startswith("loading the model: ")


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (InputSpec(name="z", shape=(1, 3, 48, 192)), "BadJob", "the job's inputs are ['z'], the"),
        (InputSpec(name="x", shape=(1, 3, 48)), "EngineFailed", "running the first time: "),
        (
            InputSpec(name="x", dtype="int64", shape=(1, 3, 48, 192)),
            "EngineFailed",
            "running the first time: ",
        ),
    ],
)
def test_inputs_that_the_model_does_not_have(
    *, onnxruntime, library, onnx_job, launch, spec, kind, message
):
    built = build_model(load_model(REPOSITORY, "ppocr_v4_cls"), "onnx", "any", progress=print)
    files = {"model.onnx": built.path("model"), "libonnxruntime.so.1": library}
    ended = launch(onnxruntime, onnx_job.model_copy(update={"inputs": [spec]}), files)
    assert ended.returncode == FAILED
    assert ended["error"].kind == kind
    assert message in ended["error"].message


@pytest.mark.parametrize("named", [True, False])
def test_a_library_that_is_not_there(onnxruntime, onnx_job, launch, named):
    files = {"model": "model.onnx"} | ({"library": "libabsent.so.1"} if named else {})
    ended = launch(onnxruntime, onnx_job.model_copy(update={"files": files}), {"model.onnx": ""})
    assert ended.returncode == FAILED
    assert ended.names == ["error"]
    assert ended["error"].kind == "EngineMissing"
    assert ("libabsent.so.1" if named else "libonnxruntime.so.1") in ended["error"].message


def test_a_library_for_another_machine(onnxruntime, onnx_job, launch, tmp_path):
    foreign = tmp_path / "foreign.so"
    content = bytearray(Path(sys.executable).resolve().read_bytes())
    content[18:20] = (8).to_bytes(2, "little")  # MIPS
    foreign.write_bytes(content)
    ended = launch(onnxruntime, onnx_job, {"model.onnx": "", "libonnxruntime.so.1": foreign})
    assert ended["error"].kind == "EngineMissing"
    assert "libonnxruntime.so.1" in ended["error"].message


def test_a_library_that_is_another(onnxruntime, onnx_job, launch, compiler, tmp_path):
    source = tmp_path / "other.cpp"
    source.write_text("int other;\n")
    other = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", other], check=True)
    ended = launch(onnxruntime, onnx_job, {"model.onnx": "", "libonnxruntime.so.1": other})
    assert ended["error"].kind == "EngineMissing"
    assert "OrtGetApiBase" in ended["error"].message
