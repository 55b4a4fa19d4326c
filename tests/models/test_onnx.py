"""Other people's ONNX files: added as they come, prepared, and converted for every engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.core.errors import SpecificationError
from harness.models import operations
from harness.models.adding import Known, add
from harness.models.build import build
from harness.models.here import check_here
from harness.models.manifest import load_model
from harness.models.toolchain import ToolchainError

DATA = Path(__file__).parents[1] / "data" / "onnx"
TORCH = sorted(path.stem for path in DATA.glob("torch_*.onnx"))

pytestmark = pytest.mark.e2e


@pytest.fixture
def added(workspace):
    """Add a file of the tests' data; return the model as it is read again."""

    def adding(name, known=None):
        path = DATA / name
        add(workspace, path, known or Known(licence="MIT", name="net"), progress=print)
        return load_model(workspace, (known and known.name) or "net")

    return adding


def verdicts(model, *formats):
    found = {}
    for wanted in formats:
        artifact = build(model, *wanted, progress=print)
        checked = check_here(model, artifact, progress=print)
        found[wanted[0]] = (checked.passed, checked.decides, checked.reason)
    return found


RIGHT = (True, True, None)


@pytest.mark.parametrize("name", TORCH)
def test_what_torch_exports_reaches_paddle(added, name):
    """Opset 18 or 20, no kernel_shape, weights in a file of their own."""
    model = added(f"{name}.onnx")
    given = verdicts(model, ("onnx",), ("pdmodel",), ("nb", "x86"))
    assert given == dict.fromkeys(given, RIGHT)


@pytest.mark.parametrize("name", ["conv_no_kernel_shape", "opset22", "heads_named"])
def test_one_file_is_right_in_every_engine(added, name):
    given = verdicts(added(f"{name}.onnx"), ("onnx",), ("mnn",), ("pdmodel",), ("nb", "x86"))
    assert given == dict.fromkeys(given, RIGHT)


def test_an_input_without_effect_is_left_out_by_converters(added):
    model = added("unused_input.onnx")
    assert [spec.name for spec in model.manifest.inputs] == ["zeta", "im_shape"]
    given = verdicts(model, ("onnx",), ("mnn",), ("ncnn",), ("pdmodel",), ("nb", "x86"))
    assert given == dict.fromkeys(given, RIGHT)
    assert build(model, "mnn", progress=print).record.interface.inputs == ["zeta"]


def test_an_input_without_effect_before_others_is_one_refusal(added, workspace):
    added("unused_input.onnx")
    path = workspace.models / "net.yaml"
    model = load_model(workspace, "net")
    swapped = model.manifest.model_copy(update={"inputs": model.manifest.inputs[::-1]})
    model = model.model_copy(update={"manifest": swapped})
    assert path.exists()
    artifact = build(model, "mnn", progress=print)
    with pytest.raises(SpecificationError, match="input 'im_shape' has no effect") as caught:
        check_here(model, artifact, progress=print)
    assert "after the others" in caught.value.hint


def test_weights_in_a_file_beside_it_become_part_of_the_model(added, workspace):
    model = added("net.onnx")
    stored = workspace.models / "files" / model.manifest.source.model
    assert stored.stat().st_size > (DATA / "net.onnx.data").stat().st_size
    assert verdicts(model, ("onnx",)) == {"onnx": RIGHT}


def test_weights_that_are_missing_are_named(workspace, tmp_path):
    shutil.copy(DATA / "net.onnx", tmp_path / "net.onnx")
    with pytest.raises(SpecificationError, match=r"weights are in net\.onnx\.data, which is not"):
        add(workspace, tmp_path / "net.onnx", Known(), progress=print)


@pytest.mark.parametrize(("name", "precision"), [("qdq", "int8"), ("half_io32", "fp16")])
def test_the_precision_is_what_the_file_computes_in(added, name, precision):
    model = added(f"{name}.onnx")
    assert model.manifest.precision == precision
    artifact = build(model, "onnx", progress=print)
    assert artifact.record.precision == precision
    assert check_here(model, artifact, progress=print).tolerance > 1e-3
    with pytest.raises(SpecificationError, match=f"already computes in {precision}"):
        build(model, "pdmodel", progress=print)
    with pytest.raises(SpecificationError, match=f"not built in {'fp32'}"):
        build(model, "onnx", precision="fp32", progress=print)


def test_a_constant_output_leaves_the_other_to_decide(added):
    model = added("label_and_prob.onnx")
    checked = check_here(model, build(model, "onnx", progress=print), progress=print)
    assert (checked.passed, checked.decides, checked.undecided) == (True, True, [0])


def test_a_shape_that_depends_on_the_input_is_checked(added):
    assert verdicts(added("nonzero.onnx"), ("onnx",), ("pdmodel",)) == {
        "onnx": RIGHT,
        "pdmodel": RIGHT,
    }


def test_multiply_accumulates_are_counted_in_the_onnx_graph(added):
    model = added("qdq.onnx")  # of which there is no Paddle program
    counted = operations.count(model, progress=print)
    assert counted.macs > 0
    assert {layer.op for layer in counted.layers} >= {"Conv"}
    model = added("conv_no_kernel_shape.onnx", Known(name="plain"))
    in_onnx = operations.count(model, progress=print)
    in_paddle = operations.count(model, program="paddle", progress=print)
    assert in_onnx.macs == in_paddle.macs


def test_what_an_engine_cannot_load_is_a_failed_build(added):
    with pytest.raises(ToolchainError, match="MNN cannot load what its converter made"):
        build(added("nonzero.onnx"), "mnn", progress=print)
