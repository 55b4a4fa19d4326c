"""The .nb files in tests/data/nb were made by opt 2.13rc0 of a linear layer with a ReLU."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.engines.paddle_lite.nb import inspect, subgraphs

DATA = Path(__file__).parents[2] / "data" / "nb"
X86 = (DATA / "linear-x86.nb").read_bytes()
NPU = (DATA / "linear-nnadapter.nb").read_bytes()
TOPOLOGY_END = 26 + struct.unpack_from("<Q", X86, 18)[0]

reused_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def nb(tmp_path):
    def write(content: bytes) -> Path:
        path = tmp_path / "model.nb"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "targets", "subgraphs"),
    [
        ("linear-x86", {"x86"}, 0),
        ("linear-arm", {"arm"}, 0),
        ("linear-opencl", {"opencl"}, 0),
        ("linear-nnadapter", {"arm", "nnadapter"}, 1),
    ],
)
def test_tells_what_opt_built_for(name, targets, subgraphs):
    info = inspect(DATA / f"{name}.nb")
    assert info.targets == targets
    assert info.subgraphs == subgraphs
    assert info.opt_version == "v2.13-rc"


def test_counts_one_kernel_for_each_op():
    # feed, fetch on the host; the linear layer and its ReLU on x86.
    assert inspect(DATA / "linear-x86.nb").kernels == {("host", "any"): 2, ("x86", "fp32"): 2}


def test_the_parts_that_an_npu_gets_with_their_ops_and_what_they_compute():
    (part,) = subgraphs(DATA / "linear-nnadapter.nb")
    assert part.ops == {"elementwise_add": 1, "relu": 1}
    assert len(part.outputs) == 2
    assert subgraphs(DATA / "linear-arm.nb") == []


def test_what_stays_on_the_processor_and_the_size_of_the_weights():
    info = inspect(DATA / "linear-x86.nb")
    assert info.on_cpu == {"matmul_v2": 1, "fusion_elementwise_add_activation": 1}
    assert 0 < info.weight_bytes < len(X86)


@reused_folder
@given(st.integers(0, len(X86) - 1))
def test_a_file_cut_anywhere_is_refused(nb, length):
    with pytest.raises(SpecificationError, match=r"not a usable \.nb file"):
        inspect(nb(X86[:length]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "shorter than the header"),
        (b"\x08\x02 this is an ONNX file, by its first bytes", "format version"),
        (b"\x02\x00" + b"\xff" * 40, "no version of opt"),
        (X86 + b"tail", "4 bytes follow"),
        (X86[:18] + b"\xff" * 8 + X86[26:], "cut short within the topology"),
        (X86[:26] + bytes(TOPOLOGY_END - 26) + X86[TOPOLOGY_END:], "names no kernels"),
    ],
)
def test_what_is_no_nb_file_is_refused_with_the_reason(nb, content, reason):
    with pytest.raises(SpecificationError, match=reason):
        inspect(nb(content))


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(SpecificationError, match="No such file"):
        inspect(tmp_path / "absent.nb")


def test_a_text_that_only_looks_like_a_kernel_does_not_count(nb):
    """A kernel's name is a string of its own, with its length before it."""
    fake = b"relu/def/4/1/1\0"
    header = struct.pack("<H16sQ", 2, b"v2.13", len(fake) + 4)
    parameters = struct.pack("<HHHHI", 0, 0, 6, 0, 0)
    assert inspect(nb(header + struct.pack("<I", 14) + fake + parameters)).targets == {"arm"}
    with pytest.raises(SpecificationError, match="names no kernels"):
        inspect(nb(header + struct.pack("<I", 13) + fake + parameters))


@reused_folder
@given(st.binary(max_size=200) | st.builds(lambda tail: X86[:26] + tail, st.binary(max_size=400)))
def test_any_bytes_are_inspected_or_refused(nb, content):
    with contextlib.suppress(SpecificationError):
        inspect(nb(content))


@reused_folder
@given(st.lists(st.tuples(st.integers(26, len(NPU) - 1), st.integers(0, 255)), max_size=8))
def test_a_damaged_topology_is_read_or_refused(nb, changes):
    content = bytearray(NPU)
    for position, value in changes:
        content[position] = value
    with contextlib.suppress(SpecificationError):
        subgraphs(nb(bytes(content)))


@reused_folder
@given(st.lists(st.tuples(st.integers(0, len(X86) - 1), st.integers(0, 255)), max_size=8))
def test_damaged_bytes_are_inspected_or_refused(nb, changes):
    content = bytearray(X86)
    for position, value in changes:
        content[position] = value
    try:
        info = inspect(nb(bytes(content)))
    except SpecificationError:
        return
    assert info.kernels
