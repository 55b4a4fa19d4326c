"""The file of Qualcomm's runtime with cycles: read, or left aside with a reason."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.conftest import device_module

HEADER = "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier"


@pytest.fixture(scope="module")
def engine(runner):
    """ONNX Runtime's module for the runner; importing it imports no engine."""
    found = type(sys)("edge_engine_under_test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "edge_runner", runner)
        exec(device_module("onnxruntime").read_text(), found.__dict__)
    return found


@pytest.fixture
def layers(engine, tmp_path):
    def read(*rows, header=HEADER, **more):
        path = tmp_path / "qnn.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return engine.npu_layers(str(path), **more)

    return read


def node(name, cycles, unit="CYCLES"):
    return f"1,NODE,{cycles},{unit},BACKEND,SUB-EVENT,{name}:OpId_7 (cycles)"


EXECUTE = "1,EXECUTE,5,US,CLIENT,ROOT,EXECUTE"


def test_cycles_are_the_mean_over_inferences(layers):
    found = layers(node("conv", 100), EXECUTE, node("conv", 300), EXECUTE)
    assert found == [{"name": "conv", "op": "", "unit": "Hexagon", "cycles": 200}]


@pytest.mark.parametrize("rows", [(), (node("conv", 100),)])
def test_without_an_inference_there_is_nothing(layers, rows):
    assert layers(*rows) == []


def test_an_empty_file_is_left_aside_with_the_reason(layers, capsys):
    assert layers(header="") == []
    assert "qnn.csv is not taken: its columns are" in capsys.readouterr().err


def test_a_file_of_another_version_is_left_aside_with_the_reason(layers, capsys):
    assert layers("1;NODE;2", header="version;2;Message") == []
    assert "its columns are ['version;2;Message']" in capsys.readouterr().err
    assert layers(EXECUTE, node("conv", "1e3")) == []
    assert "invalid literal for int() with base 10: '1e3'" in capsys.readouterr().err


def test_a_file_that_is_too_large_is_left_aside_with_the_reason(layers, capsys):
    rows = [EXECUTE, *(node("conv", 1) for _ in range(10))]
    assert layers(*rows, most=11)
    assert layers(*rows, most=10) == []
    assert "more than 10 rows" in capsys.readouterr().err


def test_rows_that_are_cut_short_and_endless_fields(layers, capsys):
    assert layers(EXECUTE, "1,NODE,5,CYCLES")[0]["cycles"] == 5
    assert layers(EXECUTE, "x" * 200_000) == []
    assert "field larger than field limit" in capsys.readouterr().err


@given(st.binary(max_size=400))
def test_whatever_is_in_it_ends_in_layers_or_none(engine, tmp_path_factory, content):
    path = tmp_path_factory.mktemp("profile") / "qnn.csv"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    for layer in engine.npu_layers(str(path)):
        assert layer["cycles"] >= 0
