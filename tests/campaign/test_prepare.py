"""Which cases are refused before anything is built or pushed, and what a job is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign.prepare import refusal, too_large
from harness.campaign.runners import ForeignRunner, NativeRunner, PythonRunner
from harness.campaign.traffic import uncallable
from harness.core.errors import SpecificationError
from harness.core.records import ArtifactRecord, Case, Partition
from harness.engines.paddle_lite.benchmark_bin import BenchmarkBin
from harness.lab.inventory import BackendSpec, load_device
from harness.models.manifest import Manifest, Model

NPU = "npu:verisilicon_timvx"
DEVICE = """\
transport: ssh
address: root@board
abi: arm64-linux
engines:
  paddle-lite:
    runner: mine
    backends:
      cpu: {}
      npu:verisilicon_timvx:
        options: {context_properties: A=1}
        variables: {VIV_VX_ENABLE_GRAPH_TRANSFORM: '-pcq:1'}
      npu:unheard_of: {}
  onnxruntime:
    python: /usr/bin/python3
    backends: {npu:verisilicon_timvx: {}}
  paddle-inference: {python: /usr/bin/python3}
  calibration: {}
"""


MODEL = Model(
    name="m",
    manifest=Manifest(
        title="t",
        licence="l",
        source={"kind": "paddle.vision", "function": "f"},
        inputs=[{"name": "x", "shape": [1, 2]}],
    ),
)


@pytest.fixture
def board(workspace):
    def write(text=DEVICE):
        (workspace.devices / "board.yaml").write_text(text)
        return load_device(workspace, "board")

    return write


def case(engine="paddle-lite", backend=NPU, **more):
    return Case(model="m", device="board", engine=engine, backend=backend, **more)


@pytest.mark.parametrize(
    ("engine", "backend", "said"),
    [
        ("paddle-lite", "cpu", None),
        ("paddle-lite", NPU, None),
        ("paddle-lite", "gpu", "board has no backend 'gpu' for paddle-lite in its file"),
        (
            "paddle-lite",
            "npu:unheard_of",
            "opt does not build for an NNAdapter device 'unheard_of'",
        ),
        ("onnxruntime", "cpu", "has no backend 'cpu' for onnxruntime"),
        ("onnxruntime", NPU, "onnxruntime is measured on cpu, npu:qnn only"),
        ("paddle-inference", "cpu", None),
        ("calibration", "cpu", "engine 'calibration' cannot run m"),
        ("rknn", "cpu", "board has no engine 'rknn' in its file"),
    ],
)
def test_what_a_device_file_says_of_backends(board, engine, backend, said):
    found = refusal(case(engine, backend), board(), MODEL)
    assert found is None if said is None else said in str(found)


def test_a_precision_that_the_engine_does_not_have(board):
    found = refusal(case(backend="cpu", precision="fp16"), board(), MODEL)
    assert str(found) == "paddle-lite is measured in fp32, int8 on cpu of board, not in fp16"


def test_paddle_inference_has_no_int8_on_arm(board):
    found = refusal(case("paddle-inference", "cpu", precision="int8"), board(), MODEL)
    assert str(found) == "paddle-inference is measured in fp32 on cpu of board, not in int8"


def test_the_python_runner_has_the_cpu_only(board):
    text = DEVICE.replace("runner: mine", "python: /usr/bin/python3")
    assert "the Python runner has no backend" in str(refusal(case(), board(text), MODEL))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("npu:unheard_of: {}", "npu: {}", "npu.[key]: string should match pattern"),
        ("cpu: {}", "cpu: {option: 1}", "unknown key 'engines.paddle-lite.backends.cpu.option'"),
        ("VIV_VX_ENABLE_GRAPH_TRANSFORM", "'A=B'", "A=B.[key]: string should match pattern"),
        ("A=1", '"\\0"', "context_properties: string should match pattern"),
    ],
)
def test_faults_of_backends(board, old, new, said):
    with pytest.raises(SpecificationError) as caught:
        board(DEVICE.replace(old, new))
    assert said in caught.value.message


def test_a_foreign_tool_has_a_flag_for_the_options_or_the_case_is_refused():
    tool = ForeignRunner(BenchmarkBin(), None, [])
    assert tool.lacks(case(), BackendSpec(options={"context_properties": "A=1"})) is None
    lacking = tool.lacks(case(), BackendSpec(options={"power_mode": "high"}))
    assert str(lacking) == "benchmark_bin has no option 'power_mode'"


def artifact(size_bytes, **partition):
    return ArtifactRecord(
        id="0" * 64,
        format="nb",
        target="arm",
        files={},
        size_bytes=size_bytes,
        partition=Partition(tool="opt", **partition) if partition else None,
    )


@pytest.mark.parametrize(
    ("record", "available", "needed"),
    [
        (artifact(102_000_000), 64_000_000, 102),
        (artifact(102_000_000, weight_bytes=50_000_000), 64_000_000, None),
        (artifact(1, weight_bytes=50_000_000, memory_bytes=20_000_000), 64_000_000, "70.0"),
        (artifact(102_000_000), 102_000_000, None),
        (artifact(102_000_000), None, None),  # the device does not tell
    ],
)
def test_a_model_that_cannot_fit_into_memory_is_refused_with_the_estimate(
    record, available, needed
):
    facts = {"memory_available_bytes": available, "memory_total_bytes": 128_000_000}
    said = too_large(record, facts)
    if needed is None:
        assert said is None
    else:
        assert str(said) == (
            f"it needs at least {needed} MB for its weights and intermediate results (estimate), "
            "and the device has 64.0 MB of 128 MB available"
        )


MULTI = {"backend": "cpu", "scenario": "multi"}
PYTHON, TOOL = PythonRunner("/usr/bin/python3"), ForeignRunner(BenchmarkBin(), None, [])


@pytest.mark.parametrize(
    ("engine", "more", "said"),
    [
        ("paddle-inference", {"callers": 2, "instances": 2}, "holds the interpreter's lock"),
        ("paddle-inference", {"callers": 1}, None),
        ("mnn", {"callers": 2}, "2 callers need as many instances"),
        ("mnn", {"callers": 2, "instances": 2}, None),
        ("onnxruntime", {"callers": 4}, None),
        ("onnxruntime", {"callers": 4, "instances": 2, "cpus": (0, 1, 2)}, "cannot share 3"),
    ],
)
def test_callers_that_an_engine_does_not_take(engine, more, said):
    found = next(uncallable(case(engine, **MULTI, **more), PYTHON), None)
    assert found is None if said is None else said in str(found)


def test_a_native_runner_has_an_instance_for_each_caller():
    native = NativeRunner(Path("edge-runner"))
    found = next(uncallable(case("onnxruntime", **MULTI, callers=2), native))
    assert "2 callers need as many instances" in str(found)
    served = case("onnxruntime", **MULTI, callers=2, instances=2)
    assert not [*uncallable(served, native)]


def test_a_foreign_tool_has_one_caller():
    found = TOOL.lacks(case("paddle-lite", **MULTI), BackendSpec())
    assert "benchmark_bin measures one caller only" in str(found)
