"""Files of Paddle's parameters: whole ones, and those that are not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.pdiparams import fault


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def record(*dims, dtype=5, size=4, levels=()):
    """Write a tensor as Paddle's dense_tensor_tostream.cc does."""
    count = 1
    for dim in dims:
        count *= dim
    described = b"\x08" + varint(dtype) + b"".join(b"\x10" + varint(dim) for dim in dims)
    detail = b"".join(struct.pack("<Q", len(level)) + level for level in levels)
    head = struct.pack("<IQ", 0, len(levels)) + detail + struct.pack("<II", 0, len(described))
    return head + described + bytes(count * size)


WHOLE = record(1000) + record(3, 200, dtype=21, size=1) + record(levels=(b"12345678",))


@pytest.fixture
def told(tmp_path):
    def tell(content):
        path = tmp_path / "model.pdiparams"
        path.write_bytes(content)
        return fault(path)

    return tell


def test_a_whole_file_has_no_fault(told):
    assert told(WHOLE) is None
    assert told(b"") is None  # a model without parameters


@pytest.mark.parametrize("end", [1, 5, 12, 19, 30, 40, 600, 700, 4000])
def test_a_file_that_is_cut_short_is_told(told, end):
    assert "cut short" in told(WHOLE[:-end])


@pytest.mark.parametrize("content", [b"x", b"PK\x03\x04" + bytes(100), b"\xff" * 100, bytes(7)])
def test_a_file_of_another_kind_is_told(told, content):
    assert told(content) == "it holds no parameters of Paddle's"


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_whatever_the_bytes_there_is_an_answer(tmp_path_factory, content, at):
    path = tmp_path_factory.getbasetemp() / "any.pdiparams"
    path.write_bytes(WHOLE[:at] + content)
    assert fault(path) in (None, "it holds no parameters of Paddle's") or "cut" in fault(path)
