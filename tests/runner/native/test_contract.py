"""Native runners keep the runner contract, to the letter of what the Python runner writes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess

import numpy as np
import pytest

from harness.core.contract import InputSpec, Sampling, WarmupPolicy
from tests.runner.conftest import WRONG_SIZES

pytestmark = pytest.mark.e2e  # the toolchain environments compile the runner

FAILED = 1
QUICK = {"spin_us": 50}


def values(ended, event):
    return np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)


def test_a_launch_from_beginning_to_end(job, calibration, launch):
    ended = launch(calibration, job, {"model": QUICK})
    assert ended.returncode == 0, ended.stderr
    assert ended.names == [
        "hello",
        "loaded",
        "first",
        "warmup",
        "samples",
        "memory",
        "outputs",
        "outputs",
        "outputs",
        "done",
    ]
    hello = ended["hello"]
    assert (hello.runner, hello.engine, hello.build["threads"]) == ("native", "calibration", "1")
    assert hello.process_ms is not None
    assert ended["loaded"].read_bytes == (ended.folder / "model").stat().st_size
    assert len(ended["samples"].ns) == 4


def test_changes_of_shape_follow_the_samples(job, calibration, launch, runner):
    shapes = [{"x": (4, 3)}, {"x": (2, 3)}]
    changed = job.model_copy(update={"shape_changes": shapes, "shape_samples": 2})
    ended = launch(calibration, changed, {"model": QUICK})
    assert ended.names[5:] == ["memory", *["shape", *["outputs"] * 3] * 2, *["outputs"] * 3, "done"]
    changes = [event for event in ended.sequence if event.event == "shape"]
    assert [event.shapes for event in changes] == shapes
    assert all(len(event.ns) == 2 and event.first_ms >= 0.05 for event in changes)
    for event in ended.outputs:
        shape = job.inputs[0].shape if event.change is None else shapes[event.change]["x"]
        spec = job.inputs[0].model_dump() | {"shape": shape}
        np.testing.assert_array_equal(values(ended, event), runner.make_input(spec, event.seed, 0))


def test_inputs_that_are_given_are_checked_instead_of_seeded_ones(
    job, calibration, launch, tmp_path
):
    shapes = [(2, 3), (4, 3)]
    content = [np.random.default_rng(n).random((3, *s), "float32") for n, s in enumerate(shapes)]
    files = {}
    for n, given in enumerate(content):
        files[f"check-{n}.bin"] = tmp_path / f"given-{n}"
        files[f"check-{n}.bin"].write_bytes(given.tobytes())
    more = {"check_files": [*files], "shape_changes": [{"x": shapes[1]}]}
    ended = launch(calibration, job.model_copy(update=more), {"model": QUICK, **files})
    assert ended.returncode == 0, ended.stderr
    for event in ended.outputs:
        given = content[0 if event.change is None else 1][event.seed - 1]
        np.testing.assert_array_equal(values(ended, event), given)


@pytest.mark.parametrize(("size", "said"), WRONG_SIZES)
def test_a_file_of_inputs_that_is_not_theirs(job, calibration, launch, tmp_path, size, said):
    files = {"model": QUICK}
    if size is not None:
        files["check.bin"] = tmp_path / "given"
        files["check.bin"].write_bytes(bytes(size))
    ended = launch(calibration, job.model_copy(update={"check_files": ["check.bin"]}), files)
    assert ended.returncode == 1
    assert ended["error"].kind == "BadJob"
    assert said in ended["error"].message


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        *(
            (dtype, *bounds)
            for dtype in ("float32", "float16", "float64", "int64", "int32")
            for bounds in ((-1.0, 1.0), (-2.5, 1000.25), (0.1, 30522.7))
        ),
        ("float16", -65504.0, 65504.0),
        ("float16", -1e-4, 1e-4),  # numbers that are not normal
        ("int8", -128, 128),
        ("uint8", 0, 256),
        ("bool", 0, 2),
    ],
)
def test_inputs_are_the_python_runners_bit_for_bit(
    *, job, calibration, launch, runner, dtype, low, high
):
    specs = [
        InputSpec(name="a", dtype="float32", shape=(3,)),
        InputSpec(name="b", dtype=dtype, shape=(3, 7, 101), low=low, high=high),
        InputSpec(name="c", dtype=dtype, shape=(), low=low, high=high),
    ]
    seeds = [0, 1, 2**31 - 1]
    changed = job.model_copy(update={"inputs": specs, "check_seeds": seeds})
    ended = launch(calibration, changed, {"model": QUICK | {"inputs": ["a", "b", "c"]}})
    assert ended.returncode == 0, ended.stderr
    for event, (seed, index) in zip(ended.outputs, itertools.product(seeds, range(3)), strict=True):
        expected = runner.make_input(specs[index].model_dump(), seed, index)
        assert (event.seed, event.index, event.name) == (seed, index, specs[index].name)
        assert (event.dtype, tuple(event.shape)) == (expected.dtype.name, expected.shape)
        assert values(ended, event).tobytes() == expected.tobytes()
        assert event.sha256 == hashlib.sha256(expected.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float16", -2.5, 1000.25),
        ("float16", -1e-4, 1e-4),  # numbers that are not normal
        ("float64", 0.1, 3e4),
        ("int64", -(2**40), 2**40),
        ("int8", -128, 128),
        ("uint8", 0, 256),
        ("bool", 0, 2),
    ],
)
def test_inputs_taken_as_float32_have_the_same_values(
    *, job, calibration, launch, runner, tmp_path, dtype, low, high
):
    spec = InputSpec(name="x", dtype=dtype, shape=(3, 7, 101), low=low, high=high)
    of_file = runner.make_input(spec.model_dump(), 9, 0)
    (tmp_path / "given").write_bytes(of_file.tobytes())
    changed = job.model_copy(update={"inputs": [spec], "as_float32": ["x"], "check_seeds": [1]})
    for check_files in ([], ["check.bin"]):
        given = changed.model_copy(update={"check_files": check_files})
        files = {"model": QUICK, "check.bin": tmp_path / "given"}
        ended = launch(calibration, given, files)
        assert ended.returncode == 0, ended.stderr
        (event,) = ended.outputs
        assert event.dtype == "float32"
        made = runner.make_inputs(given.model_dump(), 1)["x"]
        expected = of_file.astype("float32") if check_files else made
        assert values(ended, event).tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [*range(1, 40), 1000])
def test_digests(job, calibration, launch, size):
    """Of every length around the blocks of SHA-256."""
    spec = InputSpec(name="x", dtype="int32", shape=(size,), low=-(2**31), high=2**31 - 1)
    ended = launch(calibration, job.model_copy(update={"inputs": [spec]}), {"model": QUICK})
    for event in ended.outputs:
        content = (ended.folder / event.file).read_bytes()
        assert event.sha256 == hashlib.sha256(content).hexdigest()


class Replay:
    """A clock that goes on only by the samples that were taken."""

    def __init__(self, ns):
        self.now = 0
        self.ns = iter(ns)

    def __call__(self):
        return self.now

    def run(self):
        self.now += next(self.ns)


@pytest.mark.parametrize(
    "policy",
    [
        {"max_samples": 200},
        {"min_samples": 60, "max_samples": 200},
        {"max_samples": 3},
        {"max_samples": 0},
        {"max_samples": 400, "tolerance": 0.001, "window": 50},
    ],
)
def test_warm_up_ends_where_the_python_runners_would(job, calibration, launch, runner, policy):
    wanted = WarmupPolicy(min_samples=policy.pop("min_samples", 0), min_seconds=0, **policy)
    model = QUICK | {"warmup": {"extra": 2, "decay": 20}}
    ended = launch(calibration, job.model_copy(update={"warmup": wanted}), {"model": model})
    seen = ended["warmup"]
    clock = Replay(seen.ns)
    rule = wanted.model_dump() | {"max_seconds": 3600}
    assert runner.warm_up(clock.run, rule, clock) == (seen.ns, seen.reason)


@pytest.mark.parametrize(
    ("limits", "counts"),
    [
        ({"min_samples": 7, "min_seconds": 0}, {7}),
        ({"min_samples": 1, "min_seconds": 3600, "max_samples": 9}, {9}),
        # Spinning for 50 us is never shorter: at most 20 fit in a millisecond, and one begins.
        ({"min_samples": 1, "min_seconds": 0.001}, set(range(1, 21))),
        ({"min_samples": 5000, "max_seconds": 0.001}, set(range(1, 21))),
    ],
)
def test_samples_reach_both_minima_within_both_maxima(job, calibration, launch, limits, counts):
    changed = job.model_copy(update={"sampling": Sampling(**limits)})
    ended = launch(calibration, changed, {"model": QUICK})
    assert len(ended["samples"].ns) in counts


@pytest.mark.parametrize("most", [1, 7, 100])
def test_a_sustained_launch_keeps_as_many_samples_as_the_python_runner(
    job, calibration, launch, most
):
    limits = {"min_samples": 90, "max_samples": most, "min_seconds": 0, "max_seconds": 60}
    changed = job.model_copy(
        update={
            "sampling": job.sampling.model_copy(update=limits),
            "sustained": True,
        }
    )
    samples = launch(calibration, changed, {"model": QUICK})["samples"]
    every = next(2**n for n in range(9) if -(-90 // 2**n) <= most)
    assert (samples.inferences, len(samples.ns)) == (90, -(-90 // every))


def test_cpu_time_is_told(job, calibration, launch):
    samples = launch(calibration, job, {"model": {"spin_us": 20_000}})["samples"]
    assert samples.inferences == 4
    assert samples.cpu_ms > 0  # of a machine that may be busy with other things


def test_peak_memory_is_the_runners_own(job, calibration, launch):
    parents = b"\x01" * (300 << 20)
    small = launch(calibration, job, {"model": QUICK})["memory"].vmhwm_bytes
    large = launch(calibration, job, {"model": QUICK | {"memory_bytes": 64 << 20}})
    assert small < 16 << 20 < len(parents)
    # The kernel counts pages in batches.
    assert large["memory"].vmhwm_bytes - small == pytest.approx(64 << 20, abs=2 << 20)


def test_it_runs_on_the_processors_it_is_given(job, calibration, launch):
    allowed = sorted(os.sched_getaffinity(0))
    bound = job.model_copy(update={"affinity": allowed[:1]})
    assert launch(calibration, bound, {"model": QUICK}).returncode == 0


# --- failures: exit status 1 and an event that says why ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "onnxruntime"}, "has the engine 'calibration', not 'onnxruntime'"),
        ({"protocol": 3}, "the protocols 1 and 2 with inputs 1 only"),
        ({"backend": "npu:rockchip"}, "backend 'cpu'"),
        ({"model_cache": "cache"}, "no model cache"),
        ({"options": {"power_mode": "high"}}, "no option 'power_mode'"),
        ({"files": {"model": "../model"}}, "not in the launch's folder"),
        ({"files": {"modle": "model"}}, "needs the file 'model'"),
        ({"files": {"model": "other"}}, "reading the artifact"),
        ({"inputs": [{"name": "z", "dtype": "float32", "shape": [1]}]}, "the model's ['x']"),
        ({"inputs": [{"name": "x", "shape": [1 << 24, 1 << 24, 1 << 24]}]}, "fit in memory"),
        ({"affinity": [4095]}, "processors [4095]"),
        ({"affinity": [-1]}, "'affinity' cannot be -1"),
        ({"threads": 2}, "2 threads"),
        ({"seed": 1.5}, "'seed' cannot be 1.5"),
        ({"sampling": {}}, "no 'min_samples'"),
        ({"page_cache": "hot"}, "'page_cache' cannot be \"hot\""),
        ({"shape_changes": [{"y": [1]}]}, "'shape_changes' cannot be {\"y\":[1]}"),
        ({"shape_changes": [{"x": [1, 0]}]}, "'x' cannot be 0"),
        ({"shape_changes": [{}]}, "'shape_changes' cannot be {}"),
        ({"shape_changes": [{"x": [1]}] * 101}, "'shape_changes' cannot be [{"),
        ({"shape_samples": 0}, "'shape_samples' cannot be 0"),
    ],
)
def test_a_job_that_cannot_be_done(job, calibration, launch, changes, message):
    content = json.dumps(job.model_dump(mode="json") | changes).encode()
    ended = launch(calibration, content, {"model": QUICK})
    assert ended.returncode == FAILED
    assert ended["error"].kind == "BadJob"
    assert message in ended["error"].message


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"protocol": 1', b"nul\0", b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)],
)
def test_a_job_that_is_none(calibration, launch, content):
    ended = launch(calibration, content, {})
    assert ended.returncode == FAILED
    assert ended.names == ["error"]
    assert ended["error"].kind == "BadJob"
    assert "job.json" in ended["error"].message


def test_mutated_jobs_never_end_it_otherwise(job, calibration, launch):
    """Every end is one of the contract's: done, or an error that says whose fault it is."""
    dice = random.Random(5)
    whole = job.model_dump_json().encode()
    seen = set()
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(content))
            match dice.randrange(3):
                case 0:
                    content[place] = dice.randrange(256)
                case 1:
                    del content[place : place + dice.randint(1, 9)]
                case _:
                    content[place:place] = dice.choice([b"-", b"9", b"null", b"[", b'"', b"1e99"])
        ended = launch(calibration, bytes(content), {"model": QUICK}, timeout=60)
        assert ended.returncode in (0, FAILED), content
        last = ended.sequence[-1]
        assert last.event in ("done", "error"), content
        if last.event == "error":
            assert last.kind == "BadJob", (last.message, content)
        seen.add(last.event)
    assert seen == {"done", "error"}


# --- what calibration is told to do ---


def test_nan_outputs_are_returned_for_the_check_to_see(job, calibration, launch):
    ended = launch(calibration, job, {"model": QUICK | {"nan": True}})
    assert ended.names[-1] == "done"
    assert np.isnan(values(ended, ended.outputs[0])).all()


@pytest.mark.parametrize(
    ("fail", "names", "status"),
    [
        ({"how": "crash"}, ["hello"], -signal.SIGSEGV),
        ({"how": "crash", "at": 0}, ["hello", "loaded"], -signal.SIGSEGV),
        ({"how": "exit", "at": 1}, ["hello", "loaded", "first"], 0),
        ({"how": "error", "at": 1}, ["hello", "loaded", "first", "error"], FAILED),
    ],
)
def test_failures_leave_the_events_so_far(job, calibration, launch, fail, names, status):
    ended = launch(calibration, job, {"model": QUICK | {"fail": fail}})
    assert ended.returncode == status
    assert ended.names == names
    if names[-1] == "error":
        assert ended["error"].kind == "EngineFailed"
        assert ended["error"].message == "warming up: told to fail"


def test_a_hang_is_ended_from_outside(job, calibration, launch):
    hang = QUICK | {"fail": {"how": "hang", "at": 3}}
    ended = launch(calibration, job, {"model": hang}, prefix=["timeout", "0.5"])
    assert ended.returncode == 124
    assert ended.names == ["hello", "loaded", "first"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("not json", "loading the model"),
        ({}, "either 'spin_us' or 'work'"),
        (QUICK | {"typo": 1}, "'typo' is unknown"),
        (QUICK | {"slow": {"form": 1}}, "slow: 'form' is unknown"),
        (QUICK | {"work": -1}, "'work' cannot be -1"),
        (QUICK | {"fail": {"at": 1}}, "loading the model"),
    ],
)
def test_a_calibration_that_is_none(job, calibration, launch, model, message):
    ended = launch(calibration, job, {"model": model})
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert message in ended["error"].message


def test_spinning_is_never_shorter_and_its_schedule_is_kept(job, calibration, launch):
    model = {
        "spin_us": 200,
        "first_ms": 3,
        "load_ms": 5,
        "warmup": {"extra": 3, "decay": 2},
        "slow": {"from": 12, "factor": 4},
    }
    changed = job.model_copy(
        update={
            "warmup": WarmupPolicy(min_samples=5, min_seconds=0, max_samples=5),
            "sampling": Sampling(min_samples=20, min_seconds=0),
        }
    )
    ended = launch(calibration, changed, {"model": model})
    assert ended["loaded"].init_ms >= 5
    assert ended["first"].ms >= 3 + 0.2 * 4  # spinning, and more
    taken = np.array([*ended["warmup"].ns, *ended["samples"].ns])  # inferences 1, 2, ...
    number = np.arange(1, taken.size + 1)
    least = 200e3 * (1 + 3 * np.exp(-number / 2)) * np.where(number >= 12, 4, 1)
    assert (taken >= np.floor(least)).all()
    # Whatever else ran here, at least one of each kind was not delayed by half.
    for part in (number < 12, number >= 12):
        assert (taken[part] / least[part]).min() < 1.5


def test_throttling_is_by_time(job, calibration, launch):
    model = {"spin_us": 100, "throttle": {"after_s": 0, "for_s": 3600, "factor": 5}}
    ended = launch(calibration, job, {"model": model})
    assert min(ended["samples"].ns) >= 500_000


def test_time_is_in_proportion_to_the_work(job, calibration, launch):
    """The fastest of many samples is hardly disturbed by whatever else runs here."""
    changed = job.model_copy(update={"sampling": Sampling(min_samples=60, min_seconds=0)})

    def fastest(work):
        ended = launch(calibration, changed, {"model": {"work": work}})
        return min(ended["samples"].ns)

    ratios = [fastest(2_000_000) / fastest(500_000) for _ in range(3)]
    assert np.median(ratios) == pytest.approx(4, rel=0.1)


def test_usage(calibration, launch, job):
    ended = launch((calibration, "one", "two"), job, {})
    assert ended.returncode == 2
    assert "usage: edge-runner-calibration JOB" in ended.stderr
    said = subprocess.run([calibration, "--help"], capture_output=True, check=True)
    assert said.stdout.decode() == ended.stderr


def test_events_that_cannot_be_written_are_a_failure(calibration, job, tmp_path):
    (tmp_path / "job.json").write_text(job.model_dump_json())
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    ended = subprocess.run(
        [calibration, "job.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == FAILED
    assert "events.jsonl: No space left on device" in ended.stderr
