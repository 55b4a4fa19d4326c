"""Traffic in the native runner, of the calibration engine, whose service time is known."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from harness.campaign.traffic import measured_traffic
from harness.core.contract import Sampling, Traffic

pytestmark = pytest.mark.e2e  # the toolchain environments compile the runner

LOOSE = Sampling(min_samples=6, min_seconds=0, max_samples=2000)
QUICK = {"spin_us": 500}


def with_traffic(job, scenario, *, sampling=LOOSE, **settings):
    asked = Traffic(scenario=scenario, **settings)
    return job.model_copy(update={"protocol": 2, "sampling": sampling, "traffic": asked})


def samples_of(ended):
    return [event for event in ended.sequence if event.event == "samples"]


def right(ended, runner, job, callers):
    told = {(event.caller, event.seed) for event in ended.outputs}
    return told == set(itertools.product(range(callers), [1, 2, 3])) and all(
        np.array_equal(
            np.fromfile(ended.folder / event.file, event.dtype).reshape(event.shape),
            runner.make_input(job.inputs[0].model_dump(), event.seed, 0),
        )
        for event in ended.outputs
    )


@pytest.mark.parametrize("callers", [1, 3])
def test_callers_have_a_predictor_each(job, calibration, launch, runner, callers):
    asked = with_traffic(job, "multi", callers=callers, instances=callers)
    ended = launch(calibration, asked, {"model": QUICK})
    assert ended.returncode == 0, ended.stderr
    batches = samples_of(ended)
    assert [event.caller for event in batches] == [*range(callers)]
    assert all(len(event.ns) >= LOOSE.min_samples for event in batches)
    assert all(ns >= 500_000 for event in batches for ns in event.ns)
    assert right(ended, runner, job, callers)


def test_everything_at_once_is_worked_off_once(job, calibration, launch, runner):
    asked = with_traffic(job, "offline", callers=2, instances=2)
    ended = launch(calibration, asked, {"model": QUICK})
    assert sum(len(event.ns) for event in samples_of(ended)) == LOOSE.min_samples
    assert right(ended, runner, job, 2)


def test_the_schedule_is_the_python_runners(job, calibration, launch, runner):
    arrivals = load_traffic(runner).arrivals
    asked = with_traffic(job, "server", rate=700, requests=200, seed=9, callers=2, instances=2)
    ended = launch(calibration, asked, {"model": QUICK})
    due = sorted(each for event in samples_of(ended) for each in event.scheduled_ns)
    expected = arrivals(700, 200, 9)
    assert all(abs(one - due[0] - other) <= 1 for one, other in zip(due, expected, strict=True))
    assert measured_traffic(ended.sequence, asked)["traffic"].throughput_per_s > 0
    assert right(ended, runner, job, 2)


def test_more_requests_than_it_carries_end_where_too_many_wait(job, calibration, launch):
    asked = with_traffic(job, "server", rate=100_000, requests=5000, queue=20)
    found = measured_traffic(launch(calibration, asked, {"model": QUICK}).sequence, asked)
    assert 0 < found["inferences"] < 5000
    assert found["traffic"].throughput_per_s <= 2000


def test_a_search_ends_below_the_highest_rate_that_kept_the_bound(job, calibration, launch):
    bound = {"bound_ms": 100, "percentile": 50}
    asked = with_traffic(job, "server", requests=20, bound=bound, search=True)
    found = launch(calibration, asked, {"model": QUICK})["search"]
    kept = [step.rate for step in found.steps if step.kept]
    assert found.rate == pytest.approx(0.95 * max(kept))


def test_a_bound_that_no_rate_keeps(job, calibration, launch):
    bound = {"bound_ms": 0.1, "percentile": 50}
    asked = with_traffic(job, "server", requests=11, bound=bound, search=True)
    found = launch(calibration, asked, {"model": QUICK})["search"]
    assert found.rate is None
    assert not any(step.kept for step in found.steps)


@pytest.mark.parametrize(
    ("settings", "more", "said"),
    [
        ({"callers": 2, "instances": 1}, {}, "one caller for each instance"),
        ({"callers": 2, "instances": 2}, {"affinity": [0]}, "cannot share 1 processors evenly"),
        ({"callers": 1}, {"sustained": True}, "without sustained samples"),
    ],
)
def test_what_cannot_be_done_is_refused(job, calibration, launch, settings, more, said):
    asked = with_traffic(job, "multi", **settings).model_copy(update=more)
    ended = launch(calibration, asked, {"model": QUICK})
    assert ended["error"].kind == "BadJob"
    assert said in ended["error"].message


def test_a_failure_of_one_caller_is_told_once(job, calibration, launch):
    failing = QUICK | {"fail": {"at": 4, "how": "error"}}
    ended = launch(calibration, with_traffic(job, "multi", callers=2, instances=2),
                   {"model": failing})  # fmt: skip
    assert ended["error"].kind == "EngineFailed"
    assert ended.names.count("error") == 1


def load_traffic(runner):
    sys.modules["edge_runner"] = runner
    return runner.beside("edge_traffic")
