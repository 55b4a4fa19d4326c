"""What a runner claims is held against its job and against what the supervisor saw."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness.campaign.judge import judge
from harness.campaign.launch import Ended, Launcher
from harness.campaign.runners import ForeignRunner
from harness.core.contract import EnvironmentEvent, Job, Sampling, WarmupPolicy
from harness.core.reason import plain
from harness.core.records import Category, Role, Status
from harness.core.supervision import (
    Exit,
    Progress,
    Started,
    Supervision,
    parse_supervision,
    processors_in,
)
from harness.transports.local.transport import LocalTransport

RECORDED = Path(__file__).parents[1] / "data" / "events"
S = 10**9
MS = 10**6
BEGUN = 5 * S  # on the device's monotonic clock
SAMPLING = Sampling(min_samples=20, min_seconds=1, max_samples=2000, max_seconds=20)
HONEST = [MS] * 1010


def launched(ns=HONEST, *, took_s=1.01, version=2, peak=55_000_000, more=(), cpu_ms=None):
    """Return what a runner writes of a launch that samples for so long."""
    clock = {"monotonic_ns": BEGUN, "boottime_ns": BEGUN, "wall_ns": BEGUN}
    sampled = {"event": "samples", "ns": list(ns), "cpu_ms": cpu_ms}
    events = [
        (0.5, {"event": "hello", "protocol": version, "clock": clock, "runner": "r",
               "runner_version": "1", "engine": "e", "engine_version": "1", "import_ms": 1}),
        (0.1, {"event": "loaded", "read_ms": 1, "page_cache": "cold", "init_ms": 1}),
        (0.1, {"event": "first", "ms": 1}),
        (0.1, {"event": "warmup", "ns": [], "reason": "steady"}),
        (took_s, sampled),
        *((0, event) for event in more),
        (0.1, {"event": "memory", "vmhwm_bytes": peak}),
        (0.1, {"event": "done"}),
    ]  # fmt: skip
    content, progress, now = b"", [], BEGUN
    for after_s, event in events:
        now += int(after_s * S)
        timed = {**event, "t_ns": now} if version == 2 else event
        known = {key: value for key, value in timed.items() if value is not None}
        if version == 1:
            known.pop("clock", None)
        content += json.dumps(known).encode() + b"\n"
        progress.append(Progress(t_ns=now + 2 * MS, bytes=len(content)))
    started = Started(t_ns=BEGUN, protocol=1, supervisor_pid=1, runner_pid=2, boot_id="b",
                      lock="l", time=0)  # fmt: skip
    ended = Exit(t_ns=now + 10 * MS, reason="exited", wall_s=(now - BEGUN) / S + 0.01, status=0,
                 vmhwm_bytes=55_000_000, left_behind=0, log_bytes=0)  # fmt: skip
    outside = Supervision(started=started, progress=progress, exit=ended)
    return Ended(0, 2, "", content, collected=False, outside=outside)


def judged(ended, sampling=SAMPLING, role=Role.MEASURE, runner=None, excluded=(), **job):
    job = Job(launch="l", engine="e", files={}, inputs=[], **{"sampling": sampling, **job})
    return judge(ended, job, role, **({"runner": runner} if runner else {}), excluded=excluded)


def reason_of(verdict):
    assert (verdict.status, verdict.category) == (Status.INVALID, None), verdict.reason
    assert verdict.measured.samples_ns  # kept all the same
    return str(verdict.reason)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("ns", "sampling"),
    [
        (HONEST, SAMPLING),
        # Slow inferences: the second minimum is reached later.
        ([60 * MS] * 20, SAMPLING),
        # Fast ones: the most samples come before the least time.
        ([MS // 10] * 2000, SAMPLING),
        # Very slow ones: the most time comes before the least samples.
        ([3 * S] * 7, SAMPLING),
        ([20 * S], Sampling(min_samples=5, min_seconds=1, max_seconds=20)),
    ],
)
def test_sampling_that_ends_as_its_job_says(version, ns, sampling):
    verdict = judged(launched(ns, took_s=sum(ns) / S * 1.01, version=version), sampling)
    assert verdict.status is Status.OK, verdict.reason


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("ns", "took_s", "said"),
    [
        # Microseconds as nanoseconds, where either minimum, or neither, ends it.
        ([MS // 1000] * 1010, 1.01, "but was to go on for 1 s: its clock or its unit is wrong"),
        ([60 * MS // 1000] * 20, 1.2, "was to go on for 1 s"),
        ([MS // 2000] * 2000, 1, "passed between its events 'warmup' and 'samples'"),
        # Half the time.
        ([MS // 2] * 1010, 1.01, "reports 0.505 s of inferences, but was to go on for 1 s"),
        ([MS // 2] * 2000, 2, "but 2 s passed between its events"),
        # It ended too early.
        (HONEST[:300], 0.3, "reports 0.3 s of inferences, but was to go on for 1 s"),
        ([90 * MS] * 12, 1.1, "reports 12 inferences in 1.08 s, but was to make at least 20"),
        # It went on too long.
        (HONEST * 2, 2.02, "reports 2020 inferences, but was to make at most 2000"),
        # Milliseconds as microseconds.
        ([S // 10] * 100, 0.01, "reports 10 s of inferences, but its launch took"),
    ],
)
def test_times_that_cannot_be(version, ns, took_s, said):
    reason = reason_of(judged(launched(ns, took_s=took_s, version=version)))
    assert said in reason.replace("but 2.0 s passed", "but 2 s passed")


def test_the_same_samples_twice():
    again = [{"event": "samples", "ns": [MS + n for n in range(600)]}]
    ended = launched([MS + n for n in range(600)], took_s=0.6, version=1, more=again)
    assert reason_of(judged(ended)) == "the runner wrote the same samples twice"
    twice = judged(launched([MS] * 600, took_s=0.6, version=2, more=again))
    assert (twice.status, twice.category) == (Status.FAILED, Category.RUNNER)
    assert "twice of one caller" in str(twice.reason)


def test_samples_of_version_1_in_two_parts_are_one_sequence():
    more = [{"event": "samples", "ns": [MS] * 500}]
    verdict = judged(launched([MS + 1] * 510, took_s=1.01, version=1, more=more))
    assert verdict.status is Status.OK, verdict.reason
    assert len(verdict.measured.samples_ns) == 1010


@pytest.mark.parametrize("peak", [1, 5_000_000, 1 << 49, 700_000_000])
def test_a_peak_memory_that_nobody_saw(peak):
    assert "the supervisor saw 55.0 MB" in reason_of(judged(launched(peak=peak)))


@pytest.mark.parametrize("peak", [40_000_000, 55_000_000, 120_000_000])
def test_a_peak_memory_near_what_was_seen(peak):
    verdict = judged(launched(peak=peak))
    assert (verdict.status, verdict.measured.vmhwm_bytes) == (Status.OK, peak)


def test_times_of_another_clock():
    ended = launched()
    early = ended.outside.started.model_copy(update={"t_ns": BEGUN + 10 * S})
    outside = Supervision(started=early, exit=ended.outside.exit)
    ended = Ended(0, 2, "", ended.events, collected=False, outside=outside)
    assert "its clock is wrong" in reason_of(judged(ended))


def test_a_foreign_tool_samples_in_its_own_way():
    tool = ForeignRunner(None, None, [])
    ended = launched([MS] * 7, took_s=3, peak=1)
    assert judged(ended, runner=tool).status is Status.OK
    too_long = launched([S] * 100, took_s=1)
    assert "its launch took" in reason_of(judged(too_long, runner=tool))


@pytest.mark.parametrize(
    "path", sorted(RECORDED.glob("*.events.jsonl")), ids=lambda path: path.name.split(".")[0]
)
def test_recorded_launches_contradict_nothing(path):
    record = path.with_name(path.name.replace(".events.", ".supervisor."))
    outside = parse_supervision(record.read_bytes())
    ended = Ended(0, 1, "", path.read_bytes(), collected=False, outside=outside)
    verdict = judged(
        ended,
        Sampling(min_samples=5, min_seconds=0.02, max_samples=30),
        check_seeds=[1, 2, 3],
        warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=5),
    )
    assert verdict.status is Status.OK, verdict.reason


# --- where it ran ---


def on(ended, *, readings=(), affinity=None):
    """Return a launch with what its supervisor saw of the processors."""
    environment = [
        EnvironmentEvent(
            phase="during" if n else "before", ms=1000 * n if n else None, online=online
        )
        for n, online in enumerate(readings)
    ]
    over = ended.outside.exit.model_copy(update={"affinity": affinity})
    outside = Supervision(environment=environment, exit=over)
    return Ended(0, 2, "", ended.events, collected=False, outside=outside)


@pytest.mark.parametrize("sustained", [False, True])
def test_a_bound_processor_that_goes_offline(sustained):
    ended = on(launched(), readings=["0-1", "0-1", "0-1", "0", "0-1"], affinity="0-1")
    changes = {"sustained": True, "sampling": Sampling(min_seconds=1, max_seconds=1)}
    verdict = judged(ended, affinity=[1], **(changes if sustained else {}))
    assert reason_of(verdict) == "processor 1 went offline, 3 s in"


def test_threads_that_were_unbound():
    ended = on(launched(), readings=["0-7"] * 2, affinity="4-7")
    assert reason_of(judged(ended, affinity=[4])) == (
        "its threads were allowed on processors 4, 5, 6, 7, but it was bound to 4"
    )


@pytest.mark.parametrize(
    ("bound", "readings", "affinity"),
    [
        ([1], ["0-1"] * 3, "1"),
        ([0, 1], ["0-1"] * 3, "1"),  # an engine may bind its threads more closely
        (None, ["0-1"] * 3, "0-1"),
        ([1], [None] * 3, None),  # of an earlier supervisor
    ],
)
def test_launches_that_ran_where_they_were_to(bound, readings, affinity):
    verdict = judged(on(launched(), readings=readings, affinity=affinity), affinity=bound)
    assert verdict.status is Status.OK, verdict.reason


def test_a_processor_that_goes_offline_in_a_launch_that_is_free():
    verdict = judged(on(launched(), readings=["0-3", "0-3", "0-2"]))
    assert "processors online: cpu3 from 1 to 0, 2 s in" in reason_of(verdict)
    assert "processors online" in verdict.measured.throttling.watched


@pytest.mark.parametrize(
    ("backend", "cpu_ms", "excluded", "said"),
    [
        ("npu:x", 1005, "there is no NPU", "cannot use npu:x: there is no NPU"),
        ("npu:x", 1005, "", None),  # a driver may keep the processor busy while it waits
        ("npu:x", 40, "there is no NPU", None),
        ("cpu", 1005, "", None),
    ],
)  # fmt: skip
def test_what_a_probe_excludes_and_a_processor_computed(backend, cpu_ms, excluded, said):
    why = (plain(excluded),) if excluded else ()
    verdict = judged(launched(cpu_ms=cpu_ms), backend=backend, excluded=why)
    assert verdict.status is (Status.INVALID if said else Status.OK)
    assert (said or "") in str(verdict.reason)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("0", {0}), ("0-3", {0, 1, 2, 3}), ("0-1,4,6-7", {0, 1, 4, 6, 7}), ("7-3", set())],
)
def test_lists_of_processors(listed, expected):
    assert processors_in(listed) == expected


# --- with the supervisor itself ---

DISHONEST = """
import json, os, sys, time
events = open("events.jsonl", "a")
def emit(event, **more):
    events.write(json.dumps({"event": event, **more}) + chr(10))
    events.flush()
    time.sleep(0.05)  # the supervisor looks
emit("hello", protocol=1, runner="r", runner_version="1", engine="e", import_ms=1)
emit("loaded", read_ms=1, page_cache="cold", init_ms=1)
emit("first", ms=1)
if "unbind" in sys.argv:
    os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[-1].split(",")})
emit("warmup", ns=[], reason="steady")
time.sleep(1)
emit("samples", ns=[1000] * 1000 if "fast" in sys.argv else [1000000] * 1000)
emit("memory", vmhwm_bytes=1 if "small" in sys.argv else 10000000)
emit("done")
"""


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("nothing", None),
        ("unbind", "its threads were allowed on processors"),
        ("fast", "passed between its events 'warmup' and 'samples'"),
        ("small", "reports a peak memory of 0.00000100 MB, but the supervisor saw"),
    ],
)
def test_the_supervisor_sees_what_a_runner_does(supervisor, tmp_path, does, said):
    there = sorted(os.sched_getaffinity(0))
    if does == "unbind" and len(there) < 2:
        pytest.skip("one processor")
    job = Job(
        launch="one", engine="e", files={}, inputs=[], affinity=there[:1],
        sampling=Sampling(min_samples=1000, min_seconds=0, max_samples=1000),
    )  # fmt: skip
    lock = str(tmp_path / "lock")
    launcher = Launcher(LocalTransport(), str(tmp_path / "work"), supervisor, lock=lock)
    everywhere = ",".join(map(str, there))
    ended = launcher.run(job, {}, [sys.executable, "-c", DISHONEST, does, everywhere])
    verdict = judge(ended, job)
    assert verdict.status is (Status.INVALID if said else Status.OK), verdict.reason
    assert (said or "") in str(verdict.reason)
    assert ended.outside.exit.affinity
    assert all(reading.online for reading in ended.outside.environment)
