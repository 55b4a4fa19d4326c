"""``harness models inspect``: what of an artifact runs where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import ExitCode

REPOSITORY = Path(__file__).parents[2]
NPU = REPOSITORY / "tests" / "data" / "nb" / "linear-nnadapter.nb"


@pytest.fixture
def network(workspace):
    name = "mobilenet_v1_025_96.yaml"
    (workspace.models / name).write_text((REPOSITORY / "models" / name).read_text())


def test_a_file_tells_what_an_npu_gets_and_what_the_processor(cli, workspace):
    said = cli("models", "inspect", NPU)
    assert said.code == ExitCode.FINE
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0].endswith("linear-nnadapter.nb (opt v2.13-rc)")
    assert "kernels 1 arm/fp32, 2 host/any, 1 nnadapter/any" in lines
    assert "on the NPU 1 subgraph" in lines
    assert "1 1 elementwise_add, 1 relu" in lines
    assert "on the CPU 1 matmul_v2" in lines


def test_as_json_it_is_the_record_that_reports_show(cli, workspace):
    told = json.loads(cli("models", "inspect", NPU, "--json").out)["partition"]
    assert told["tool"] == "opt v2.13-rc"
    assert told["subgraphs"] == [{"elementwise_add": 1, "relu": 1}]
    assert told["cpu_ops"] == {"matmul_v2": 1}
    assert told["macs"] is None  # a file does not tell what its model computes


def test_another_kind_of_file_is_refused_with_what_to_do(cli, workspace, tmp_path):
    path = tmp_path / "model.rknn"
    path.write_bytes(b"RKNN")
    said = cli("models", "inspect", path)
    assert said.code == ExitCode.SPECIFICATION
    assert "only .nb files can be inspected" in said.err
    assert "harness models inspect MODEL --target " in said.err


def test_a_damaged_file_is_one_line(cli, workspace, tmp_path):
    path = tmp_path / "model.nb"
    path.write_bytes(NPU.read_bytes()[:100])
    said = cli("models", "inspect", path)
    assert said.code == ExitCode.SPECIFICATION
    assert "not a usable .nb file: cut short" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["mobilenet_v1_025_96"], "name an artifact with --target"),
        (["mobilenet_v1_025_96", "--target", "armm"], "unknown target 'armm'"),
        (["mobilenet_v1_025_96", "--target", "arm,x86"], "one --target at a time"),
        (["mobilenet_v1_025_9", "--target", "arm"], "unknown model 'mobilenet_v1_025_9'"),
        ([NPU, "--target", "arm"], "are for models, not for files"),
    ],
)
def test_what_cannot_be_asked_for(cli, network, arguments, fault):
    said = cli("models", "inspect", *arguments)
    assert said.code == ExitCode.SPECIFICATION
    assert fault in said.err


@pytest.mark.e2e
def test_the_share_of_the_multiply_accumulates_on_an_npu(cli, network):
    """opt leaves the last layer of MobileNetV1 (256 × 1000) to the CPU beside rockchip_npu."""
    arguments = ["mobilenet_v1_025_96", "--target", "rockchip_npu", "--precision", "int8"]
    found = json.loads(cli("models", "inspect", *arguments, "--json").out)
    told = found["partition"]
    assert told["macs"] - told["npu_macs"] == 256_000
    assert told["cpu_ops"]["matmul_v2"] == 1
    assert told["subgraphs"][0]["conv2d"] == 14
    assert "arm/int8" in told["kernels"]
    assert found["drift"]["computed_by"].endswith("quantization emulated in fp32")
    assert "on the NPU 96.7 % of 7.745 M" in cli("models", "inspect", *arguments).out


@pytest.mark.full
@pytest.mark.e2e
def test_the_estimate_of_the_compiler_is_called_one(cli, network):
    said = cli("models", "inspect", "mobilenet_v1_025_96", "--target", "rknn:rk3588").out
    assert "The compiler's estimate, not a measurement" in said
    assert "ConvRelu" in said
    assert "(estimate)" in said
    assert "simulator" in said
