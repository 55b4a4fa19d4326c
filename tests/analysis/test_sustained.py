"""The course of a long launch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.sustained import course, since_sampling_s
from harness.core.contract import EnvironmentEvent
from harness.core.records import FirstLoad, Launch, Status

MS = 1_000_000


def launch(samples_ns, inferences=None, watch=()):
    return Launch(
        id="l", case_id="c", slot=0, attempt=0, position=0, started=datetime.now(UTC),
        status=Status.OK, samples_ns=samples_ns, inferences=inferences, environment=list(watch),
    )  # fmt: skip


def reading(phase, **temperatures):
    return EnvironmentEvent(phase=phase, temperatures_c=temperatures)


@pytest.mark.parametrize("every", [1, 8])
def test_the_first_minute_against_the_last(every):
    # 300 s at 10 ms, 200 s at 20 ms, 100 s at 30 ms; of which every eighth is kept.
    made = [10 * MS] * 30_000 + [20 * MS] * 10_000 + [30 * MS] * 3_333
    watch = [reading("before", a=40, b=30), reading("during", a=60, b=71.5), reading("after", a=50)]
    found = course(launch(made[::every], len(made), watch))
    assert found.window_s == 60
    assert (found.first_ms, found.last_ms) == (10, 30)
    assert (found.first_c, found.last_c) == (40, 71.5)


def test_a_short_launch_is_told_by_its_fifths():
    found = course(launch([10 * MS] * 50 + [20 * MS] * 50))
    assert found.window_s == pytest.approx(0.3)
    assert (found.first_ms, found.last_ms) == (10, 20)
    assert found.first_c is None


def test_a_launch_without_samples_has_none():
    assert course(launch([])) is None


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_it_is_within_what_was_measured(samples):
    found = course(launch(samples))
    low, high = min(samples) / MS, max(samples) / MS
    assert low <= found.first_ms <= high
    assert low <= found.last_ms <= high


def test_a_reading_is_laid_over_the_samples_by_the_devices_clock():
    long = launch([MS]).model_copy(update={"window_ns": (5_000 * MS, 65_000 * MS)})
    at = [
        since_sampling_s(long, EnvironmentEvent(phase="during", ms=1, t_ns=ms * MS))
        for ms in (4_000, 5_000, 35_000)
    ]
    assert at == [-1, 0, 30]


def test_a_reading_of_version_1_is_laid_over_them_by_what_came_before():
    load = FirstLoad(process_ms=500, init_ms=400, first_ms=100, page_cache="cold")
    early = launch([MS]).model_copy(update={"first_load": load, "warmup_ns": [1_000 * MS] * 2})
    assert since_sampling_s(early, EnvironmentEvent(phase="during", ms=33_000)) == 30
    assert since_sampling_s(early, EnvironmentEvent(phase="before")) is None
