from __future__ import annotations

import gzip
import io
import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.lab.sending import Gzipped, Link, gain_below

MB = 1_000_000


def read_all(source, size):
    return b"".join(iter(lambda: source.read(size), b""))


@given(content=st.binary(max_size=2000).map(lambda part: part * 5), size=st.integers(1, 10_000))
@settings(deadline=None)
def test_what_is_compressed_on_the_way_unpacks_to_the_same(content, size):
    assert gzip.decompress(read_all(Gzipped(io.BytesIO(content)), size)) == content


class Clock:
    """A clock double: it stands still but for what is added."""

    def __init__(self, step=0.0):
        self.now = 0.0
        self._step = step

    def __call__(self):
        self.now += self._step
        return self.now


def take(source, clock, amount, bytes_per_s, buffered=0):
    """Take a source as a link does: at once what it buffers, then at its rate."""
    taken = 0
    while taken < amount and (chunk := source.read(100_000)):
        before, taken = taken, taken + len(chunk)
        clock.now += (max(taken, buffered) - max(before, buffered)) / bytes_per_s
    source.read(1)


@pytest.mark.parametrize("rate", [1 * MB, 200 * MB])
def test_a_links_rate_is_measured_by_large_files(rate):
    clock = Clock()
    link = Link(clock)
    unmeasured = link.bytes_per_s
    take(link.measured(io.BytesIO(bytes(3 * MB)), packed=False), clock, 3 * MB, rate)
    assert link.bytes_per_s == unmeasured  # it may all be in a window
    large = io.BytesIO(bytes(30 * MB))
    take(link.measured(large, packed=False), clock, 30 * MB, rate, buffered=2 << 20)
    assert link.bytes_per_s == pytest.approx(rate, rel=0.02)


def test_what_is_packed_shows_only_how_fast_a_link_is_at_least():
    clock = Clock()
    link = Link(clock)
    unmeasured = link.bytes_per_s
    for rate, seen in ((1 * MB, unmeasured), (20 * MB, 20 * MB), (1 * MB, 20 * MB)):
        packed = link.measured(io.BytesIO(bytes(30 * MB)), packed=True)
        take(packed, clock, 30 * MB, rate, buffered=2 << 20)
        assert link.bytes_per_s == pytest.approx(seen, rel=0.02)


def test_the_time_that_reading_takes_is_not_the_links():
    clock = Clock()
    link = Link(clock)

    class Slow(io.BytesIO):
        def read(self, size):
            clock.now += 1
            return super().read(size)

    take(
        link.measured(Slow(bytes(30 * MB)), packed=False), clock, 30 * MB, 10 * MB, buffered=2 << 20
    )
    assert link.bytes_per_s == pytest.approx(10 * MB, rel=0.02)


def test_compressing_gains_the_more_the_better_the_content_compresses():
    size = 400_000
    contents = (os.urandom(size), os.urandom(size // 2) + bytes(size // 2), bytes(size))
    gains = [gain_below(io.BytesIO(each), size, Clock(step=0.01)) for each in contents]
    assert all(less < more for less, more in pairwise(gains))
    # Of three samples of 64 KiB, each in 10 ms, hardly anything is left; unpacking takes as long.
    assert gains[2] == pytest.approx(1 / (0.01 / (1 << 16) + 50e-9), rel=0.01)
    assert gains[0] == 0


def test_a_sampled_file_is_left_at_its_beginning():
    file = io.BytesIO(os.urandom(400_000))
    gain_below(file, 400_000)
    assert file.tell() == 0


def test_a_small_file_is_not_worth_it():
    assert gain_below(io.BytesIO(bytes(1000)), 1000) == 0
