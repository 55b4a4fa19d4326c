"""Traffic in the Python runner: every caller gets its own answers, and requests come on time."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.traffic import measured_traffic
from harness.core.contract import Sampling, Traffic
from harness.engines import ENGINES
from harness.engines.base import Callers
from tests.runner.conftest import BROWSER, DEVICE_MODULES, RUNNER, TRAFFIC

LOOSE = Sampling(min_samples=6, min_seconds=0, max_samples=2000)
SLEEPING = {"model.onnx": '{"sleep_ms": 2}'}


@pytest.fixture(scope="module")
def traffic(runner):
    sys.modules["edge_runner"] = runner
    spec = importlib.util.spec_from_file_location("edge_traffic", TRAFFIC)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["edge_runner"]


def with_traffic(job, scenario, **settings):
    asked = Traffic(scenario=scenario, **settings)
    return job.model_copy(update={"protocol": 2, "sampling": LOOSE, "traffic": asked})


def samples_of(ended):
    return [event for event in ended.sequence if event.event == "samples"]


def outputs_of(ended):
    return [event for event in ended.sequence if event.event == "outputs"]


def right(ended, runner, job):
    """Whether each caller got the outputs of its own inputs, which the double returns."""
    return all(
        np.array_equal(
            np.fromfile(ended.folder / event.file, event.dtype).reshape(event.shape),
            runner.make_input(job.inputs[0].model_dump(), event.seed, 0),
        )
        for event in outputs_of(ended)
    )


@pytest.mark.parametrize(("callers", "instances"), [(1, 1), (3, 1), (3, 2), (2, 2)])
def test_callers_call_at_the_same_time_and_get_their_own_answers(
    job, launch, runner, callers, instances
):
    ended = launch(with_traffic(job, "multi", callers=callers, instances=instances), SLEEPING)
    assert ended.names[:4] == ["hello", "loaded", "first", "warmup"]
    batches = samples_of(ended)
    assert [event.caller for event in batches] == [*range(callers)]
    for event in batches:
        assert len(event.ns) >= LOOSE.min_samples
        ends = [start + ns for start, ns in zip(event.starts_ns, event.ns, strict=True)]
        later = event.starts_ns[1:]
        assert all(end <= start for end, start in zip(ends, later, strict=False))
    begun, ended_first = (
        max(event.starts_ns[0] for event in batches),
        min(event.starts_ns[-1] + event.ns[-1] for event in batches),
    )
    assert begun < ended_first
    told = {(event.caller, event.seed) for event in outputs_of(ended)}
    assert told == set(itertools.product(range(callers), [1, 2, 3]))
    assert right(ended, runner, job)


def test_an_engine_that_mixes_up_its_callers_is_seen(job, launch, runner):
    mixing = {"model.onnx": '{"sleep_ms": 2, "outputs": "of whoever called last"}'}
    ended = launch(with_traffic(job, "multi", callers=3), mixing)
    assert ended.names[-1] == "done"
    assert not right(ended, runner, job)


def test_everything_at_once_is_worked_off_once(job, launch, runner):
    ended = launch(with_traffic(job, "offline", callers=2), SLEEPING)
    assert sum(len(event.ns) for event in samples_of(ended)) == LOOSE.min_samples
    assert right(ended, runner, job)


def test_requests_are_answered_in_the_order_of_their_schedule(job, launch, runner, traffic):
    asked = with_traffic(job, "server", callers=2, rate=300, requests=80, seed=5)
    ended = launch(asked, SLEEPING)
    batches = samples_of(ended)
    by_arrival = sorted(
        (due, start)
        for event in batches
        for due, start in zip(event.scheduled_ns, event.starts_ns, strict=True)
    )
    due = [each for each, _ in by_arrival]
    assert all(start >= each for each, start in by_arrival)
    assert [each - due[0] for each in due] == traffic.arrivals(300, 80, 5)
    found = measured_traffic(ended.sequence, asked)
    assert found["inferences"] == 80
    # What waits counts: latency is from the scheduled arrival.
    assert all(
        latency >= waited
        for latency, waited in zip(found["samples_ns"], found["traffic"].queue_ns, strict=True)
    )
    assert right(ended, runner, job)


def test_more_requests_than_it_carries_end_where_too_many_wait(job, launch):
    asked = with_traffic(job, "server", rate=50_000, requests=3000, queue=20)
    found = measured_traffic(launch(asked, SLEEPING).sequence, asked)
    assert 0 < found["inferences"] < 3000
    assert found["traffic"].throughput_per_s < 500  # an inference takes at least 2 ms


def test_a_search_ends_below_the_highest_rate_that_kept_the_bound(job, launch):
    bound = {"bound_ms": 60, "percentile": 50}
    asked = with_traffic(job, "server", requests=20, bound=bound, search=True)
    ended = launch(asked, SLEEPING)
    found = ended["search"]
    kept = [step.rate for step in found.steps if step.kept]
    assert kept
    assert found.rate == pytest.approx(0.95 * max(kept))
    assert all(step.rate < found.capacity_per_s for step in found.steps)


def test_a_bound_that_no_rate_keeps(job, launch):
    bound = {"bound_ms": 0.5, "percentile": 50}
    asked = with_traffic(job, "server", requests=11, bound=bound, search=True)
    ended = launch(asked, {"model.onnx": '{"sleep_ms": 1}'})
    assert ended["search"].rate is None
    assert not any(step.kept for step in ended["search"].steps)


@pytest.mark.parametrize(
    ("settings", "more", "said"),
    [
        ({"callers": 1, "instances": 2}, {}, "2 instances for 1 callers"),
        (
            {"callers": 2, "instances": 2},
            {"affinity": [0]},
            "2 instances cannot share 1 processors evenly",
        ),
        ({"callers": 2}, {"sustained": True}, "without sustained samples"),
    ],
)
def test_what_cannot_be_done_is_refused(job, launch, settings, more, said):
    ended = launch(with_traffic(job, "multi", **settings), **more)
    assert ended["error"].kind == "BadJob"
    assert said in ended["error"].message


def test_an_engine_that_holds_the_lock_takes_one_caller(job, launch):
    (launch.folder / "edge_engine.py").write_text(
        "from edge_runner import Engine\n"
        "class Holding(Engine):\n    name = 'onnxruntime'\nENGINE = Holding\n"
    )
    ended = launch(with_traffic(job, "multi", callers=2))
    assert ended["error"].kind == "BadJob"
    assert "does not release the interpreter's lock" in ended["error"].message


def test_an_error_of_one_caller_ends_all(job, launch):
    ended = launch(with_traffic(job, "multi", callers=2), {"model.onnx": '{"run": "raise"}'})
    assert (ended.returncode, ended["error"].kind) == (1, "EngineFailed")


def test_an_instance_has_its_share_of_the_processors(traffic):
    job = {"affinity": [3, 0, 1, 2], "traffic": {"instances": 2}}
    assert [traffic.share_of(job, instance) for instance in (0, 1)] == [[0, 1], [2, 3]]
    assert traffic.share_of({**job, "affinity": None}, 1) is None


@given(st.floats(0.1, 1e5), st.integers(1, 2000), st.integers(0, 2**31 - 1))
def test_a_schedule_begins_at_once_and_never_goes_back(rate, requests, seed):
    due = _arrivals()(rate, requests, seed)
    assert due[0] == 0
    assert len(due) == requests
    assert due == sorted(due)


@pytest.mark.parametrize("seed", range(5))
def test_gaps_of_a_schedule_are_exponential(seed):
    gaps = np.diff(_arrivals()(100.0, 20_000, seed)) / 1e9
    assert gaps.mean() == pytest.approx(0.01, rel=0.04)
    for share in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(gaps, share) == pytest.approx(-math.log(1 - share) / 100, rel=0.12)


def _arrivals():
    spec = importlib.util.spec_from_file_location("edge_runner", RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["edge_runner"] = module
    return module.beside("edge_traffic").arrivals


@pytest.mark.parametrize("path", DEVICE_MODULES, ids=lambda path: path.parent.name)
def test_host_and_device_say_the_same_of_callers(path, monkeypatch):
    module = type(sys)("edge_engine")
    _arrivals()
    monkeypatch.syspath_prepend(BROWSER.parent)
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    shares = "another" in vars(module.ENGINE)
    takes = Callers.ANY if shares else Callers.INSTANCES
    told = ENGINES.plugins[module.ENGINE.name].callers_in_python
    assert told is (takes if module.ENGINE.releases_lock else Callers.ONE)
