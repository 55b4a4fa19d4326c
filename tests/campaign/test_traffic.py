"""What launches with traffic are asked, what they come to, and what makes them void."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.judge import judge
from harness.campaign.launch import Ended
from harness.campaign.plan import Slot
from harness.campaign.queue import Queue
from harness.campaign.share import Attempt, Share
from harness.campaign.traffic import asked, longer_s, measured_traffic
from harness.core.contract import Job, Samples, Sampling, Traffic
from harness.core.records import Case, CaseRecord, Category, Protocol, Role, Status
from harness.core.supervision import Exit, Supervision

MS = 1_000_000
CASE = Case(model="m", device="d", engine="e", scenario="multi", callers=2)
SERVER = CASE.model_copy(update={"scenario": "server", "rate_per_s": 100.0})
BOUND = CASE.model_copy(update={"scenario": "server", "bound_ms": 50.0, "percentile": 90})
FEW = Sampling(min_samples=2, min_seconds=0)


def closed(caller, starts_ms, each_ms=10):
    return {
        "caller": caller,
        "ns": [each_ms * MS] * len(starts_ms),
        "starts_ns": [start * MS for start in starts_ms],
    }


def served(caller, requests, each_ms=10):
    """Requests of one caller: when each was due, and when it was begun, in ms."""
    return closed(caller, [start for _, start in requests], each_ms) | {
        "scheduled_ns": [due * MS for due, _ in requests]
    }


def judged(samples, traffic, *, outputs=None, role=Role.MEASURE, search=None, wall_s=10.0):
    given = range(traffic.callers) if outputs is None else outputs
    events = [
        {"event": "hello", "protocol": 2, "clock": dict.fromkeys(
            ("monotonic_ns", "boottime_ns", "wall_ns"), 0), "runner": "r", "runner_version": "1",
         "engine": "e"},
        {"event": "loaded", "read_ms": 1, "page_cache": "cold", "init_ms": 1},
        {"event": "first", "ms": 1},
        {"event": "warmup", "ns": [], "reason": "steady"},
        *([{"event": "search", **search}] if search else []),
        *({"event": "samples", "t_ns": 9 * 10**9, **batch} for batch in samples),
        *({"event": "outputs", "t_ns": 9 * 10**9, "caller": caller, "seed": seed, "index": 0,
           "name": "y", "dtype": "float32", "shape": [1], "sha256": "0" * 64, "file": "y.bin"}
          for caller in given for seed in (1, 2)),
        {"event": "done", "t_ns": 9 * 10**9},
    ]  # fmt: skip
    content = "".join(json.dumps({"t_ns": 1, **event}) + "\n" for event in events).encode()
    outside = Supervision(
        exit=Exit(reason="exited", wall_s=wall_s, t_ns=10**10, status=0, left_behind=0, log_bytes=0)
    )
    job = Job(launch="l", engine="e", files={}, inputs=[], check_seeds=[1, 2], sampling=FEW,
              traffic=traffic)  # fmt: skip
    return judge(Ended(0, 1, "", content, collected=False, outside=outside), job, role)


# --- what is asked ---


def test_one_caller_is_asked_for_no_traffic():
    single = CASE.by_one_caller
    assert asked(single, Role.MEASURE, FEW, 1, None) is None
    assert asked(CASE, Role.PROFILE, FEW, 1, None) is None
    assert asked(CASE, Role.FILL, FEW, 1, None) is None


def test_a_rate_has_as_many_requests_as_the_minima_take():
    found = asked(SERVER, Role.MEASURE, Sampling(min_samples=20, min_seconds=3), 7, None)
    assert (found.rate, found.requests, found.seed) == (100.0, 300, 7)
    assert longer_s(found) == 3.0


def test_a_slow_rate_has_no_more_requests_than_the_maxima_allow():
    slow = SERVER.model_copy(update={"rate_per_s": 2.0})
    assert asked(slow, Role.MEASURE, Sampling(max_seconds=5), 7, None).requests == 10


def test_a_bound_has_as_many_requests_as_its_percentile_takes():
    search = asked(BOUND, Role.SEARCH, FEW, 1, None)
    assert (search.search, search.requests, search.rate) == (True, 64, None)
    found = asked(BOUND, Role.MEASURE, FEW, 1, 3.0)
    assert (found.search, found.requests, found.rate) == (False, 64, 3.0)
    # And as many as arrive in ten times the bound: a shorter burst would keep it at any rate.
    assert asked(BOUND, Role.MEASURE, FEW, 1, 1000.0).requests == 500
    assert found.bound.percentile == 90


# --- what it comes to ---


def test_throughput_is_counted_while_all_callers_call():
    # From 10 to 40 ms both call: three inferences of one, and of the other two and a half.
    samples = [
        closed(0, [0, 10, 20, 30, 40]),
        closed(1, [10, 22], each_ms=12),
    ]
    samples[1]["ns"] = [12 * MS, 18 * MS]
    verdict = judged(samples, Traffic(scenario="multi", callers=2))
    assert verdict.status is Status.OK
    found = verdict.measured.traffic
    assert found.inferences == [5, 2]
    assert found.throughput_per_s == pytest.approx((3 + 2) / 0.030)
    assert verdict.measured.figure_ns == 10 * MS


def test_latency_is_from_the_scheduled_arrival():
    samples = [served(0, [(0, 0), (5, 10)]), served(1, [(2, 2), (20, 20)])]
    verdict = judged(samples, Traffic(scenario="server", callers=2, rate=100, requests=4))
    assert verdict.status is Status.OK
    assert verdict.measured.samples_ns == [10 * MS, 10 * MS, 15 * MS, 10 * MS]
    assert verdict.measured.traffic.queue_ns == [0, 0, 5 * MS, 0]


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40),
    st.lists(st.integers(1, 50), min_size=1, max_size=40),
)
def test_throughput_lies_between_that_of_the_fastest_and_the_slowest_inference(one, other):
    batches = []
    for caller, lengths in enumerate((one, other)):
        starts = [sum(lengths[:n]) * MS for n in range(len(lengths))]
        batches.append(Samples(caller=caller, ns=[each * MS for each in lengths], starts_ns=starts))
    job = Job(launch="l", engine="e", files={}, inputs=[],
              traffic=Traffic(scenario="multi", callers=2))  # fmt: skip
    found = measured_traffic(batches, job)["traffic"].throughput_per_s
    lengths = [*one, *other]
    assert 2e3 / max(lengths) * 0.999 <= found <= 2e3 / min(lengths) * 1.001


# --- what makes it void ---


def test_a_runner_that_knows_no_traffic():
    verdict = judged([{"ns": [MS] * 5}], Traffic(scenario="multi", callers=2), outputs=[None])
    assert (verdict.status, verdict.category) == (Status.FAILED, Category.RUNNER)
    assert "does not support scenarios" in str(verdict.reason)


def test_a_caller_without_its_outputs():
    samples = [closed(0, [0, 10]), closed(1, [0, 10])]
    verdict = judged(samples, Traffic(scenario="multi", callers=2), outputs=[0])
    assert (verdict.status, verdict.category) == (Status.FAILED, Category.RUNNER)
    assert "the outputs of each caller" in str(verdict.reason)


@pytest.mark.parametrize(
    "samples",
    [
        [closed(0, [0, 5])],  # overlap
        [closed(0, [10, 9_500])],  # after they were written
        [served(0, [(5, 2), (20, 20)])],  # before it was there
    ],
)
def test_times_that_cannot_be(samples):
    scenario = "server" if "scheduled_ns" in samples[0] else "multi"
    verdict = judged(samples, Traffic(scenario=scenario, rate=50, requests=2))
    assert verdict.status is Status.INVALID
    assert "its clock is wrong" in str(verdict.reason)


def test_too_few_of_a_caller():
    samples = [closed(0, [0, 10, 20]), closed(1, [0])]
    verdict = judged(samples, Traffic(scenario="multi", callers=2))
    assert verdict.status is Status.INVALID
    assert "reports 1 inferences" in str(verdict.reason)


def test_a_queue_that_was_cut_says_what_is_carried():
    samples = [served(0, [(n, 10 * n) for n in range(8)])]
    verdict = judged(samples, Traffic(scenario="server", rate=1000, requests=500))
    assert verdict.status is Status.INVALID
    assert str(verdict.reason) == "1000 requests a second are more than it carries, which is 100"


def test_a_queue_that_grew_to_the_end():
    samples = [served(0, [(n, 10 * n) for n in range(100)])]
    verdict = judged(samples, Traffic(scenario="server", rate=1000, requests=100))
    assert "more than it carries" in str(verdict.reason)


def test_a_schedule_that_was_not_kept():
    samples = [served(0, [(20 * n, 20 * n + 3) for n in range(20)])]
    verdict = judged(samples, Traffic(scenario="server", rate=50, requests=20))
    assert verdict.status is Status.INVALID
    assert str(verdict.reason).startswith("requests began up to 3 ms late")


def test_memory_passes_keep_no_schedule():
    samples = [served(0, [(20 * n, 20 * n + 3) for n in range(20)])]
    asked_for = Traffic(scenario="server", rate=50, requests=20)
    assert judged(samples, asked_for, role=Role.MEMORY).status is Status.OK


def test_a_bound_that_fresh_launches_miss():
    samples = [served(0, [(20 * n, 20 * n) for n in range(64)], each_ms=11)]
    bound = {"bound_ms": 10, "percentile": 90}
    verdict = judged(samples, Traffic(scenario="server", rate=50, requests=64, bound=bound))
    assert verdict.status is Status.INVALID
    assert str(verdict.reason) == (
        "at 50 requests a second its latency is 11 ms at the 90th percentile, not within 10 ms"
    )


def test_too_few_samples_for_a_percentile():
    samples = [served(0, [(20 * n, 20 * n) for n in range(63)])]
    bound = {"bound_ms": 20, "percentile": 90}
    verdict = judged(samples, Traffic(scenario="server", rate=50, requests=63, bound=bound))
    assert str(verdict.reason) == "63 samples do not tell the 90th percentile: it takes 64"


def test_a_search_without_a_rate():
    asked_for = Traffic(
        scenario="server", requests=2, bound={"bound_ms": 5, "percentile": 50}, search=True
    )
    samples = [served(0, [(0, 0), (20, 20)])]
    search = {"capacity_per_s": 100, "steps": []}
    verdict = judged(samples, asked_for, role=Role.SEARCH, search=search)
    assert verdict.status is Status.INVALID
    assert "no rate keeps its latency within 5 ms" in str(verdict.reason)
    verdict = judged(samples, asked_for, role=Role.SEARCH, search={**search, "rate": 80})
    assert verdict.status is Status.OK


# --- its place in a run ---


def share_of(attempts=()):
    record = CaseRecord(case=BOUND, launches=2)
    slots = [Slot(BOUND.id, slot, slot, role) for slot, role in enumerate(record.roles)]
    slots.sort(key=lambda slot: slot.role is not Role.SEARCH)
    return Share(run="r", host="h", seed=1, protocol=Protocol(), cases=[record], slots=slots,
                 devices={}, attempts=list(attempts))  # fmt: skip


def test_nothing_is_measured_before_its_rate_is_found():
    queue = Queue(share_of())
    first = queue.next(0.0, lambda _: False)
    assert first.role is Role.SEARCH
    queue.postpone(first, 10.0)
    assert queue.next(5.0, lambda _: False) is None
    assert queue.rate_of(BOUND.id) is None


def test_a_resumed_run_measures_the_rate_that_was_found():
    slot = CaseRecord(case=BOUND, launches=2).roles.index(Role.SEARCH)
    search = Attempt(case_id=BOUND.id, slot=slot, role=Role.SEARCH, status=Status.OK,
                     figure_ns=1.0, rate=42.0, unread=False)  # fmt: skip
    queue = Queue(share_of([search]))
    assert queue.rate_of(BOUND.id) == 42.0
    assert queue.next(0.0, lambda _: False).role is Role.MEASURE


def test_traffic_changes_no_id_of_what_was_there_before():
    single = Case(model="m", device="d", engine="e")
    assert single.id == Case.model_validate({"model": "m", "device": "d", "engine": "e"}).id
    assert len({each.id for each in (single, CASE, SERVER, BOUND)}) == 4
    assert BOUND.setting == "e · server · p90 within 50 ms · 2 callers"
