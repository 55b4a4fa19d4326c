"""Traffic against what is known: queueing theory, and MLPerf's load generator on the same model.

The calibration runner's inferences have a known duration, so that all that is off is ours. Wants a
machine that does little else, and a processor more than there are callers.
"""

from __future__ import annotations

import sys
import threading
import time
from queue import SimpleQueue

import mlperf_loadgen
import numpy as np
import pytest
from scipy.stats import t

from harness.analysis.summary import launch_figure
from harness.campaign.traffic import measured_traffic
from harness.core.contract import InputSpec, Job, Samples, Sampling, Traffic, WarmupPolicy
from tests.runner.conftest import runner
from tests.runner.native.conftest import calibration, launch

__all__ = ["calibration", "launch", "runner"]

SPIN_US = 1000
MODEL = {"model": {"spin_us": SPIN_US}}
JOB = Job(
    protocol=2,
    launch="bench",
    engine="calibration",
    files={"model": "model"},
    inputs=[InputSpec(name="x", shape=(2, 3))],
    check_seeds=[1, 2, 3],
    warmup=WarmupPolicy(min_samples=5, min_seconds=0.1, max_seconds=0.5),
    sampling=Sampling(min_samples=500, min_seconds=1),
)
SEEDS = range(6)


def asked(scenario, **settings):
    return JOB.model_copy(update={"traffic": Traffic(scenario=scenario, **settings)})


def measured(job, calibration, launch):
    ended = launch(calibration, job, MODEL)
    return measured_traffic(ended.sequence, job), ended


# --- against theory ---


def test_one_caller_is_as_fast_as_single(calibration, launch, at_most):
    ratios = []
    for _ in SEEDS:
        single = launch(calibration, JOB.model_copy(update={"protocol": 1}), MODEL)
        closed, _ = measured(asked("multi"), calibration, launch)
        ratios.append(closed["figure_ns"] / launch_figure(single["samples"].ns))
    off = 100 * abs(np.median(ratios) - 1)
    at_most("closed loop of one caller against single", off, "%", 0.5, "median of 6 launches")


def test_throughput_of_a_known_service_time(calibration, launch, at_most):
    found = [
        measured(asked("multi"), calibration, launch)[0]["traffic"].throughput_per_s for _ in SEEDS
    ]
    off = 100 * abs(np.median(found) * SPIN_US / 1e6 - 1)
    at_most("throughput of a known service time", off, "% off", 1.0, "median of 6 launches")


@pytest.mark.parametrize("load", [0.5, 0.7, 0.9])
def test_waiting_is_that_of_a_queue_with_one_server(calibration, launch, load, at_most):
    """M/D/1: a request waits load / (2 (1 - load)) service times on average."""
    rate = load * 1e6 / SPIN_US
    waited = []
    for seed in SEEDS:
        job = asked("server", rate=rate, requests=4000, seed=seed, queue=4000)
        found, _ = measured(job, calibration, launch)
        # In the beginning nobody waits: the first tenth of a second is not of a steady queue.
        waits = np.asarray(found["traffic"].queue_ns)[int(rate / 10) :]
        waited.append(waits.mean() / 1e3)
    expected = SPIN_US * load / (2 * (1 - load))
    half = t.ppf(0.975, len(waited) - 1) * np.std(waited, ddof=1) / np.sqrt(len(waited))
    off, how = abs(np.mean(waited) - expected), f"{np.mean(waited):.0f} us, theory {expected:.0f}"
    # And what a late wake-up adds.
    at_most(f"M/D/1 waiting at {load:.0%} load, off by", off, "us", half + 100, how)


def test_the_schedule_is_kept(calibration, launch, at_most):
    """At 500 arrivals a second: requests that a caller was free for begin within 0.2 ms."""
    late = []
    for seed in SEEDS:
        job = asked("server", rate=500, requests=1000, seed=seed)
        late.append(measured(job, calibration, launch)[0]["traffic"].late_ms)
    how = "99th percentile, 500 arrivals a second"
    at_most("lateness of arrivals", float(np.median(late)), "ms", 0.2, how)


# --- against MLPerf's LoadGen ---

SLEEP_S = 0.004


class Sleeping:
    """A model that takes a known time, and no processor."""

    name = "sleeping"

    def run(self):
        time.sleep(SLEEP_S)


@pytest.fixture(scope="module")
def traffic(runner):
    sys.modules["edge_runner"] = runner
    return runner.beside("edge_traffic")


def ours(traffic, scenario, callers, work):
    """Return what our callers come to in this process."""
    crew = traffic.Crew([traffic.Caller(n, Sleeping(), None) for n in range(callers)])
    work(crew)
    crew.dismiss()
    job = JOB.model_copy(update={"traffic": Traffic(scenario=scenario, callers=callers)})
    batches = [
        Samples(caller=each.number, ns=each.ns, starts_ns=each.starts, scheduled_ns=each.scheduled)
        for each in crew.callers
    ]
    return measured_traffic(batches, job)


def loadgen(folder, scenario, callers, **settings):
    """Return LoadGen's summary of the same model: names to numbers."""
    requests: SimpleQueue = SimpleQueue()
    model = Sleeping()

    def answer():
        while (query := requests.get()) is not None:
            model.run()
            mlperf_loadgen.QuerySamplesComplete(
                [mlperf_loadgen.QuerySampleResponse(query.id, 0, 0)]
            )

    workers = [threading.Thread(target=answer, daemon=True) for _ in range(callers)]
    for worker in workers:
        worker.start()
    chosen = mlperf_loadgen.TestSettings()
    chosen.scenario = getattr(mlperf_loadgen.TestScenario, scenario)
    chosen.mode = mlperf_loadgen.TestMode.PerformanceOnly
    for name, value in settings.items():
        setattr(chosen, name, value)
    output = mlperf_loadgen.LogOutputSettings()
    output.outdir = str(folder)
    logging = mlperf_loadgen.LogSettings()
    logging.log_output = output
    system = mlperf_loadgen.ConstructSUT(
        lambda queries: [requests.put(each) for each in queries], lambda: None
    )
    library = mlperf_loadgen.ConstructQSL(64, 64, lambda _: None, lambda _: None)
    mlperf_loadgen.StartTestWithLogSettings(system, library, chosen, logging)
    mlperf_loadgen.DestroyQSL(library)
    mlperf_loadgen.DestroySUT(system)
    for _ in workers:
        requests.put(None)
    lines = (folder / "mlperf_log_summary.txt").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


LIMITS = {"min_samples": 200, "min_seconds": 1, "max_samples": 2000, "max_seconds": 20}


def test_loadgens_single_stream_has_our_latency(traffic, tmp_path):
    found = ours(traffic, "multi", 1, lambda crew: traffic.closed_loop(crew, LIMITS))
    theirs = loadgen(tmp_path, "SingleStream", 1, min_query_count=200, min_duration_ms=1000)
    mean = np.mean(found["samples_ns"])
    # LoadGen's includes handing the query to a thread and back.
    assert mean <= float(theirs["Mean latency (ns)"]) <= mean + 300_000


def test_loadgens_offline_has_our_throughput(traffic, tmp_path):
    found = ours(traffic, "offline", 2, lambda crew: traffic.all_at_once(crew, LIMITS, 4e6))
    theirs = loadgen(
        tmp_path, "Offline", 2, offline_expected_qps=490, min_duration_ms=1000, min_query_count=200
    )
    carried = found["traffic"].throughput_per_s
    assert float(theirs["Samples per second"]) == pytest.approx(carried, rel=0.02)


def test_loadgens_server_has_our_waiting(traffic, tmp_path):
    """At 70 % load: both means are within the interval of several schedules."""
    rate, requests = 0.7 / SLEEP_S, 600
    means, theirs = [], []
    for seed in range(4):
        due = traffic.arrivals(rate, requests, seed)
        found = ours(
            traffic,
            "server",
            1,
            lambda crew, due=due: traffic.serve(crew, due, 600, lambda _: False),
        )
        means.append(np.mean(found["samples_ns"]) / 1e6)
        folder = tmp_path / str(seed)
        folder.mkdir()
        summary = loadgen(
            folder, "Server", 1, server_target_qps=rate, server_target_latency_ns=10**9,
            min_query_count=requests, max_query_count=requests, min_duration_ms=0,
            schedule_rng_seed=seed + 1,
        )  # fmt: skip
        theirs.append(float(summary["Mean latency (ns)"]) / 1e6)
    error = np.hypot(np.std(means, ddof=1), np.std(theirs, ddof=1)) / np.sqrt(len(means))
    assert abs(np.mean(means) - np.mean(theirs)) <= t.ppf(0.975, 6) * error + 0.3
