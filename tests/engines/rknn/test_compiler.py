"""What RKNN-Toolkit2's compiler said, as it printed it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.rknn.compiler import partition

DATA = Path(__file__).parents[2] / "data" / "rknn"


def said(chip):
    return (DATA / f"build-{chip}.log").read_text(encoding="utf-8")


def test_layers_with_where_they_run_and_estimated_cycles():
    """MobileNetV3-small for RK3588."""
    found = partition(said("rk3588"), "the toolkit")
    assert found.tool == "the toolkit"
    assert found.kernels == {"cpu/int8": 1, "npu/int8": 83}
    assert found.cpu_ops == {"Reshape": 1}
    assert [sum(ops.values()) for ops in found.subgraphs] == [83]
    first = found.estimates[0]
    assert (first.op, first.runs_on, first.precision) == ("ConvHardSwish", "NPU", "int8")
    assert first.cycles == 112_896
    assert (found.weight_bytes, found.memory_bytes) == (2_817_219, 752_640)


def test_multiply_accumulates_are_those_that_the_network_is_known_for():
    """56 million: A. Howard et al., "Searching for MobileNetV3", ICCV 2019, table 4."""
    found = partition(said("rk3588"), "")
    assert found.npu_macs == found.macs == pytest.approx(56.5e6, rel=0.02)


def test_a_table_with_one_more_column():
    """RK3576 has the ratio of sparse weights, too."""
    found = partition(said("rk3576"), "")
    assert found.kernels == {"npu/int8": 30}
    assert found.macs == pytest.approx(7.7e6, rel=0.02)


def test_the_last_model_counts():
    found = partition(said("rk3588") + said("rk3576"), "")
    assert found.kernels == {"npu/int8": 30}


@pytest.mark.parametrize("text", ["", "I rknn building done.\n"])
def test_without_a_table_there_is_none(text):
    assert partition(text, "") is None


@given(st.data())
def test_a_damaged_log_is_no_traceback(data):
    text = said("rk3576")
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    inserted = data.draw(st.text(alphabet="(),0/ \\\nA", max_size=20))
    partition(text[:begin] + inserted + text[end:], "")
