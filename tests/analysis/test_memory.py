"""Readings of memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.memory import device_memory, thin
from harness.core.contract import EnvironmentEvent
from harness.core.records import DeviceMemory


def reading(phase, available=None, **more):
    return EnvironmentEvent(phase=phase, memory_available_bytes=available, **more)


def test_the_most_that_was_in_use_against_before():
    found = device_memory(
        [
            reading("before", 100, dma_buf_bytes=10, cma_free_bytes=50, driver_bytes={"g": 5}),
            reading("during", 90, dma_buf_bytes=30, cma_free_bytes=20, driver_bytes={"g": 9}),
            reading("during", 40, dma_buf_bytes=20, cma_free_bytes=30, driver_bytes={"g": 7}),
            reading("after", 10, dma_buf_bytes=99, cma_free_bytes=1, driver_bytes={"g": 99}),
        ]
    )
    assert found == DeviceMemory(
        available_bytes=60, cma_bytes=30, dma_buf_bytes=20, driver_bytes={"g": 4}
    )


def test_others_may_give_memory_back():
    assert device_memory([reading("before", 10), reading("during", 30)]).available_bytes == -20


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [reading("before", 100), reading("after", 50)],
        [reading("during", 100)],
        [reading("before", dma_buf_bytes=3), reading("during", 100)],
        [reading("before", driver_bytes={"g": 5}), reading("during", 100)],
    ],
)
def test_what_was_not_read_before_and_during_is_unknown(readings):
    assert device_memory(readings) is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 1 << 40))), st.integers(2, 20))
def test_a_thinned_series_is_bounded_and_keeps_its_peak(series, most):
    kept = thin(series, most)
    assert len(kept) <= most
    assert max(kept, default=None, key=lambda each: each[1]) == max(
        series, default=None, key=lambda each: each[1]
    )
    assert set(kept) <= set(series)
    if len(series) <= most:
        assert kept == series
