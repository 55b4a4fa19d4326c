"""What conditions make of a launch."""

from __future__ import annotations

import json

import pytest

from harness.campaign.judge import judge
from harness.campaign.launch import Ended
from harness.core.contract import EnvironmentEvent, Job, Sampling
from harness.core.records import Category, Status
from harness.core.supervision import ConditionsEvent, Exit, Supervision

COOLING = "cooling_device0 thermal-cpufreq-0"
HOT = [{COOLING: 0}, {COOLING: 2}]
SUSTAINED = {"sustained": True, "sampling": Sampling(min_seconds=600, max_seconds=600)}


SHAPES = [{"x": (1, 6)}, {"x": (1, 3)}]


def changed(number, shapes=None):
    """What a runner writes of a change of shape and one check seed."""
    return [
        {"event": "shape", "shapes": shapes or SHAPES[number], "set_ms": 1, "first_ms": 2,
         "ns": [10, 30, 20]},
        {"event": "outputs", "change": number, "seed": 1, "index": 0, "name": "y",
         "dtype": "float32", "shape": [1], "sha256": "0" * 64, "file": "y.bin"},
    ]  # fmt: skip


FEW = Sampling(min_samples=1, min_seconds=0)


def judged(
    cooling=(),
    conditions=None,
    samples=({"ns": [1_000_000, 2_000_000]},),
    later=(),
    loaded=(),
    **job,
):
    events = [
        {"event": "hello", "protocol": 1, "runner": "r", "runner_version": "1", "engine": "e",
         "engine_version": "1", "import_ms": 1},
        {"event": "loaded", "read_ms": 1, "page_cache": "cold", "init_ms": 1,
         **dict(loaded)},
        {"event": "first", "ms": 1},
        {"event": "warmup", "ns": [], "reason": "steady"},
        *({"event": "samples", **batch} for batch in samples),
        *later,
        {"event": "done"},
    ]  # fmt: skip
    reason = "conditions" if conditions and conditions.missed else "exited"
    ended = Exit(reason=reason, wall_s=1200 if job else 1, status=0, left_behind=0, log_bytes=0)
    readings = [
        EnvironmentEvent(phase="during" if number else "before", ms=1000 * number, cooling=states)
        for number, states in enumerate(cooling)
    ]
    outside = Supervision(conditions=conditions, environment=readings, exit=ended)
    content = "".join(json.dumps(event) + "\n" for event in events).encode()
    begun = b"" if reason == "conditions" else content
    return judge(
        Ended(0, 1, "", begun, collected=False, outside=outside),
        Job(launch="l", engine="e", files={}, inputs=[], **{"sampling": FEW, **job}),
    )


def test_a_launch_that_was_slowed_down_is_invalid():
    verdict = judged(HOT)
    assert verdict.status is Status.INVALID
    assert str(verdict.reason) == f"throttled: cooling state: {COOLING} from 0 to 2, 1 s in"
    assert verdict.measured.figure_ns == 1_500_000  # kept


def test_a_sustained_launch_may_be_slowed_down():
    verdict = judged(HOT, samples=[{"ns": [10**9] * 2, "inferences": 600}], **SUSTAINED)
    assert verdict.status is Status.OK
    assert verdict.measured.throttling.seen


def test_a_runner_that_does_not_know_of_sustained_launches():
    verdict = judged(samples=[{"ns": [10**9] * 2}], **SUSTAINED)
    assert (verdict.status, verdict.category) == (Status.FAILED, Category.RUNNER)
    assert "sampled for 2 s instead of 600 s" in str(verdict.reason)


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        ([0, 0, 0], "without samples of any duration"),
        ([-5], "broke the contract"),
        ([10**15], "broke the contract"),
    ],
)
def test_times_that_cannot_be(ns, said):
    verdict = judged(samples=[{"ns": ns}])
    assert (verdict.status, verdict.category) == (Status.FAILED, Category.RUNNER)
    assert said in str(verdict.reason)


def test_a_device_without_sensors_is_not_said_to_be_cool():
    verdict = judged([{}, {}])
    assert verdict.status is Status.OK
    assert verdict.measured.throttling.watched == []


def test_a_launch_that_was_not_begun_is_invalid():
    verdict = judged(conditions=ConditionsEvent(waited_s=300, missed="soc-thermal is at 71.0 C"))
    assert (verdict.status, verdict.category) == (Status.INVALID, None)
    assert str(verdict.reason) == "not started: soc-thermal is at 71.0 C"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([{"ns": [1] * 4, "cpu_ms": 10}], 2.5),
        ([{"ns": [1] * 4, "cpu_ms": 10, "inferences": 100}], 0.1),
        ([{"ns": [1], "cpu_ms": 1}, {"ns": [1] * 3, "cpu_ms": 1}], 0.5),
        ([{"ns": [1], "cpu_ms": 1}, {"ns": [1]}], None),
        ([{"ns": [1]}], None),
    ],
)
def test_cpu_time_per_inference(samples, expected):
    assert judged(samples=samples).measured.cpu_ms_per_inference == expected


def test_changes_of_shape_are_kept_in_order():
    own = {"event": "outputs", "seed": 1, "index": 0, "name": "y", "dtype": "float32",
           "shape": [1], "sha256": "0" * 64, "file": "y.bin"}  # fmt: skip
    verdict = judged(later=[*changed(0), *changed(1), own], shape_changes=SHAPES, check_seeds=[1])
    assert verdict.status is Status.OK
    assert [change.shapes for change in verdict.measured.shape_changes] == SHAPES
    assert verdict.measured.shape_changes[0].samples_ns == [10, 30, 20]
    assert [event.change for event in verdict.outputs] == [0, 1, None]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ([], "it does not support shape changes"),
        (changed(0), "to shapes that were not requested"),
        ([*changed(0), *changed(1, {"x": (1, 4)})], "to shapes that were not requested"),
        ([*changed(0), changed(1)[0]], "outputs of each shape change"),
    ],
)
def test_a_runner_that_changes_no_shapes_or_others(later, said):
    own = {**changed(0)[1]}
    del own["change"]
    verdict = judged(later=[*later, own], shape_changes=SHAPES, check_seeds=[1])
    assert (verdict.status, verdict.category) == (Status.FAILED, Category.RUNNER)
    assert said in str(verdict.reason)


@pytest.mark.parametrize("units", [{"cpu": 7}, {"cpu": 7, "npu": 0}, {"gpu": 3}])
def test_a_launch_that_fell_back_is_invalid(units):
    verdict = judged(loaded={"units": units}, backend="npu:qnn")
    assert verdict.status is Status.INVALID
    assert "fell back" in str(verdict.reason)


@pytest.mark.parametrize("units", [{}, {"npu": 5}, {"npu": 5, "cpu": 2}])
def test_a_launch_that_used_its_unit_or_does_not_say_is_fine(units):
    verdict = judged(loaded={"units": units, "simulated": "a simulator"}, backend="npu:qnn")
    assert verdict.status is Status.OK
    assert verdict.measured.units == units
    assert verdict.measured.simulated == "a simulator"


FATAL = "[F  9/28  1:23:45.678 ...nnadapter_wrapper.cc:50 Init] Check failed: no libx.so!"
THROWN = "terminate called after throwing an instance of 'E'\n  what():  no libx.so\n"


@pytest.mark.parametrize(
    ("engine", "log", "said"),
    [
        ("paddle-lite", f"[I one]\n{FATAL}\n[I SVE2 i8mm support: 0]\n", FATAL),
        ("paddle-lite", f"{THROWN}Aborted\n", "what():  no libx.so"),
        ("onnxruntime", f"{THROWN}Aborted\n", "what():  no libx.so"),
        ("an engine that is gone", "one\ntwo\n", "two"),
    ],
)
def test_the_reason_of_a_crash_is_the_engines_own_last_words(engine, log, said):
    hello = {"event": "hello", "protocol": 1, "runner": "r", "runner_version": "1", "engine": "e"}
    ended = Exit(reason="exited", wall_s=1, signal=6, left_behind=0, log_bytes=len(log))
    verdict = judge(
        Ended(134, 1, log, json.dumps(hello).encode() + b"\n", collected=False,
              outside=Supervision(exit=ended)),
        Job(launch="l", engine=engine, files={}, inputs=[], sampling=FEW),
    )  # fmt: skip
    assert verdict.category is Category.ENGINE
    assert str(verdict.reason) == f"crashed with SIGABRT after 'hello': {said}"
    # What an engine says by itself, a retry does not change.
    itself = engine != "an engine that is gone"
    assert (verdict.reason.code == "launch.engine-crashed") == itself
