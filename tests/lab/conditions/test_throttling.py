"""Throttling, judged by what sensors said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.contract import EnvironmentEvent
from harness.lab.conditions.throttling import throttling

FIRST = {
    "phase": "before",
    "governors": {"cpu0": "performance", "cpu4": "performance"},
    "cpufreq_driver": "cpufreq-dt",
    "frequencies_khz": {"cpu0": 1_800_000, "cpu4": 2_400_000},
    "frequency_limits_khz": {"cpu0": 1_800_000, "cpu4": 2_400_000},
    "cooling": {"cooling_device0 thermal-cpufreq-0": 0, "cooling_device1 pwm-fan": 0},
    "npu_khz": {"fde40000.npu": 1_000_000},
}
ALL = ["processor clock in kHz", "clock limit in kHz", "cooling state", "NPU clock in kHz"]


def during(ms=1000.0, **changes):
    """A reading like the first one, but for parts of it."""
    base = {key: FIRST[key] for key in FIRST if key not in ("governors", "cpufreq_driver")}
    parts = {key: {**base[key], **value} for key, value in changes.items()}
    return EnvironmentEvent(**{**base, "phase": "during", "ms": ms, **parts})


def judged(*later, cpus=None, npu=True, first=None):
    return throttling([EnvironmentEvent(**(first or FIRST)), *later], cpus, npu=npu)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"frequencies_khz": {"cpu4": 1_200_000}},
            "processor clock in kHz: cpu4 from 2400000 to 1200000, 12 s in",
        ),
        (
            {"frequency_limits_khz": {"cpu0": 1_799_000}},
            "clock limit in kHz: cpu0 from 1800000 to 1799000, 12 s in",
        ),
        (
            {"cooling": {"cooling_device0 thermal-cpufreq-0": 3}},
            "cooling state: cooling_device0 thermal-cpufreq-0 from 0 to 3, 12 s in",
        ),
        (
            {"npu_khz": {"fde40000.npu": 600_000}},
            "NPU clock in kHz: fde40000.npu from 1000000 to 600000, 12 s in",
        ),
    ],
)
def test_signs_are_told_once_with_the_time_they_were_first_seen(changes, said):
    found = judged(during(), during(12_000.0, **changes), during(13_000.0, **changes))
    assert list(map(str, found.seen)) == [said]
    assert found.watched == ALL


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"frequencies_khz": {"cpu4": 2_300_000}}, {}),  # rounded by a driver
        ({"frequencies_khz": {"cpu4": 600_000}}, {"cpus": [0, 1]}),  # not the runner's
        ({"cooling": {"cooling_device1 pwm-fan": 3}}, {}),
        ({"npu_khz": {"fde40000.npu": 200_000}}, {"npu": False}),
        ({"frequency_limits_khz": {"cpu0": 2_000_000}}, {}),
    ],
)
def test_what_is_no_sign(changes, more):
    assert judged(during(**changes), **more).seen == []


@pytest.mark.parametrize(
    "first",
    [
        {"governors": {"cpu0": "schedutil", "cpu4": "ondemand"}},
        {"governors": {}},
        {"cpufreq_driver": "intel_pstate"},
        {"cpufreq_driver": "amd-pstate-epp"},
    ],
)
def test_a_clock_that_nothing_holds_is_not_watched(first):
    found = judged(during(frequencies_khz={"cpu4": 600_000}), first=FIRST | first)
    assert found.seen == []
    assert found.watched == ALL[1:]


def test_without_sensors_nothing_is_known():
    empty = EnvironmentEvent(phase="before")
    assert throttling([], None, npu=True).watched == []
    assert throttling([empty, empty], None, npu=True).watched == []
    assert judged().watched == []  # nothing was read after the start
    assert judged(EnvironmentEvent(phase="during")).watched == []


_STATES = st.dictionaries(
    st.sampled_from(["cooling_device0 cpufreq-cpu0", "cooling_device1 Processor", "other fan"]),
    st.integers(-1, 9),
)
_KHZ = st.dictionaries(st.sampled_from(["cpu0", "cpu1", "cpu4"]), st.integers(0, 3_000_000))
_READINGS = st.lists(
    st.builds(
        EnvironmentEvent,
        phase=st.just("during"),
        ms=st.none() | st.floats(0, 1e6),
        frequencies_khz=_KHZ,
        frequency_limits_khz=_KHZ,
        governors=st.dictionaries(
            st.sampled_from(["cpu0", "cpu4"]), st.sampled_from(["performance", "powersave"])
        ),
        npu_khz=st.dictionaries(st.just("a.npu"), st.integers(0, 10)),
        cooling=_STATES,
    ),
    max_size=5,
)


@given(_READINGS, st.none() | st.sets(st.integers(0, 5)), st.booleans())
def test_only_what_is_watched_is_seen_and_more_readings_take_nothing_back(readings, cpus, npu):
    found = throttling(readings, cpus, npu=npu)
    assert {str(sign).split(": ")[0] for sign in found.seen} <= set(found.watched)
    shorter = throttling(readings[:-1], cpus, npu=npu)
    assert set(shorter.watched) <= set(found.watched)
    assert bool(shorter.seen) <= bool(found.seen)


@given(_READINGS.filter(bool))
def test_a_device_that_stays_as_it_is_is_not_throttled(readings):
    assert throttling([readings[0]] * 3, None, npu=True).seen == []


def held(*later):
    return throttling(
        [EnvironmentEvent(**FIRST), *later], None, npu=True, held_khz={"dmc": 2_112_000, "gone": 1}
    )


def test_a_clock_that_is_held_must_stay_what_it_was_set_to():
    good = EnvironmentEvent(phase="during", ms=1000, clocks_khz={"dmc": 2_100_000, "other": 5})
    assert "held clock in kHz" in held(good).watched
    assert held(good).seen == []
    for other in (1_056_000, 2_400_000):
        off = EnvironmentEvent(phase="during", ms=2000, clocks_khz={"dmc": other})
        (said,) = map(str, held(good, off, off).seen)
        assert said == f"held clock in kHz: dmc is {other} instead of 2112000, 2 s in"


def test_a_held_clock_counts_only_while_the_launch_runs():
    after = EnvironmentEvent(phase="after", ms=9000, clocks_khz={"dmc": 324_000})
    assert "held clock in kHz" not in held(after).watched
    assert held(after).seen == []
