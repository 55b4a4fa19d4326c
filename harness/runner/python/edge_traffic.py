"""Traffic in the Python runner: several callers at once, everything at once, or arrivals.

It is pushed beside ``edge_runner.py`` for jobs that have ``traffic``, which
``docs/runner-contract.md`` describes. Every caller is a thread that lives as long as the launch,
for engines keep threads of their own for each that calls them. Nothing is written while they run.
"""

from __future__ import annotations

import copy
import gc
import itertools
import math
import os
import threading
import time

from edge_runner import (
    LaunchError,
    check_inputs,
    engine_is,
    first_inference,
    in_order,
    load,
    make_inputs,
    return_output,
    vmhwm_bytes,
    warm_up,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from edge_runner import Engine, Events
    from numpy.typing import NDArray

    Checks = Sequence[tuple[int, dict[str, NDArray[Any]]]]

STEP = 0.95
"""From one rate of a search to the next lower one."""
STEPS = 64
BOUNDS = 10
"""How many times its bound a step of a search takes at least."""
MOST_REQUESTS = 20_000
SEARCH_SHARE = 0.6
"""Of the launch's time limit, that a search may take."""
ROUNDS = 3
"""Inferences of each caller for each check seed, so that they overlap."""


# --- arrivals ---

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def arrivals(rate: float, requests: int, seed: int) -> list[int]:
    """Return the times of a Poisson process in nanoseconds, the first one at 0.

    The gaps are ``-log(1 - u) / rate``, with ``u`` the upper 53 bits of SplitMix64's outputs for
    the seed, divided by 2**53.
    """
    found = [0]
    state, at = seed, 0.0
    for _ in range(requests - 1):
        state = (state + GAMMA) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        at += -math.log1p(-(z >> 11) / 2.0**53) / rate
        found.append(int(at * 1e9))
    return found


def wait_until(due: int) -> None:
    """Let time pass until the monotonic clock says so."""
    left = due - time.monotonic_ns()
    while left > 0:
        time.sleep(left / 1e9)
        left = due - time.monotonic_ns()


# --- callers ---


class Caller:
    """One that calls, with a predictor's inputs and outputs of its own.

    Parameters
    ----------
    processors
        Those of its instance; none where it is not bound.
    """

    def __init__(self, number: int, engine: Engine, processors: Sequence[int] | None) -> None:
        self.number = number
        self.engine = engine
        self.processors = processors
        self.starts: list[int] = []
        self.ns: list[int] = []
        self.scheduled: list[int] | None = None

    def timed(self) -> int:
        """Make one inference, and keep its times; return when it ended."""
        before = time.monotonic_ns()
        self.engine.run()
        after = time.monotonic_ns()
        self.starts.append(before)
        self.ns.append(after - before)
        return after

    def forget(self) -> None:
        """Forget all samples."""
        self.starts, self.ns, self.scheduled = [], [], None


def share_of(job: Mapping[str, Any], instance: int) -> Sequence[int] | None:
    """Return an instance's share of the processors; none where the job is not bound."""
    bound, instances = job["affinity"], job["traffic"]["instances"]
    if bound is None or instances == 1:
        return bound  # type: ignore[no-any-return] # JSON
    each = len(bound) // instances
    return sorted(bound)[instance * each : (instance + 1) * each]


def bind_thread(processors: Sequence[int] | None) -> None:
    """Bind the calling thread, and those that it starts."""
    if processors is not None:
        os.sched_setaffinity(0, processors)


def make_callers(engine: Engine, job: dict[str, Any]) -> list[Caller]:
    """Load the further instances, and return all callers.

    Parameters
    ----------
    engine
        The first instance, which is loaded.
    """
    traffic = job["traffic"]
    instances = [engine]
    for number in range(1, traffic["instances"]):
        bind_thread(share_of(job, number))
        other = copy.copy(engine)
        other.configure(job)
        other.load()
        instances.append(other)
    bind_thread(job["affinity"])
    callers = []
    for number in range(traffic["callers"]):
        instance = number % len(instances)
        own = instances[instance] if number < len(instances) else instances[instance].another()
        if own is None:
            raise LaunchError("BadJob", needs_instances(engine, traffic))
        callers.append(Caller(number, own, share_of(job, instance)))
    return callers


def needs_instances(engine: Engine, traffic: Mapping[str, Any]) -> str:
    """Say that an instance takes one caller only."""
    callers, instances = traffic["callers"], traffic["instances"]
    return (
        f"{callers} callers of {instances} instances: a predictor of {engine.name} takes one "
        "caller at a time"
    )


def faults(job: Mapping[str, Any], engine: type[Engine]) -> Iterator[str]:
    """Say what of a job's traffic an engine or this runner cannot do."""
    traffic, bound = job["traffic"], job["affinity"]
    if job.get("sustained") or job.get("shape_changes") or job.get("profile"):
        yield "traffic is measured without sustained samples, changes of shape and profiles"
    callers, instances = traffic["callers"], traffic["instances"]
    if callers > 1 and not engine.releases_lock:
        yield (
            f"{callers} callers: {engine.name} does not release the interpreter's lock, and so "
            "takes one caller in the Python runner"
        )
    if instances > callers:
        yield f"{instances} instances for {callers} callers"
    if bound is not None and len(bound) % instances:
        yield f"{instances} instances cannot share {len(bound)} processors evenly"
    if job["backend"] != "cpu" and instances > 1:
        yield f"{instances} instances: this runner has one on the backend {job['backend']!r}"


class Crew:
    """The callers' threads, which do one thing after another together."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        self.callers = callers
        self.meeting = threading.Barrier(len(callers) + 1)
        self.work: Callable[[Caller], None] | None = None
        self.errors: list[BaseException] = []
        for caller in callers:
            threading.Thread(target=self.attend, args=(caller,), daemon=True).start()

    def attend(self, caller: Caller) -> None:
        """Do what there is to do, as long as there is."""
        bind_thread(caller.processors)
        while True:
            self.meeting.wait()
            if self.work is None:
                return
            try:
                self.work(caller)
            except BaseException as error:  # noqa: BLE001 - raised where the others are waited for
                self.errors.append(error)
            self.meeting.wait()

    def do(self, work: Callable[[Caller], None]) -> None:
        """Have all callers do something at the same time; raise the first of their errors."""
        self.work = work
        self.meeting.wait()
        self.meeting.wait()
        if self.errors:
            raise self.errors[0]

    def dismiss(self) -> None:
        """End the threads."""
        self.work = None
        self.meeting.wait()


# --- what is timed ---


def warm_together(crew: Crew, policy: Mapping[str, Any]) -> tuple[list[int], str]:
    """Warm up with all callers until the first one is steady."""
    warmed: list[tuple[list[int], str]] = []

    def work(caller: Caller) -> None:
        if caller.number:
            while not (warmed or crew.errors):
                caller.engine.run()
            return
        warmed.append(warm_up(caller.engine.run, policy))

    crew.do(work)
    return warmed[0]


def closed_loop(crew: Crew, limits: Mapping[str, Any]) -> None:
    """Have every caller call again at once, until each has both minima or one its maximum."""
    left = {caller.number for caller in crew.callers}  # those that want more
    full: list[int] = []
    least, most = limits["min_samples"], limits["max_samples"]
    least_ns, most_ns = limits["min_seconds"] * 1e9, limits["max_seconds"] * 1e9

    def work(caller: Caller) -> None:
        begun = time.monotonic_ns()
        while left and not (full or crew.errors):
            passed = caller.timed() - begun
            made = len(caller.ns)
            if made >= least and passed >= least_ns:
                left.discard(caller.number)
            if made >= most or passed >= most_ns:
                full.append(caller.number)

    crew.do(work)


def all_at_once(crew: Crew, limits: Mapping[str, Any], each_ns: float) -> None:
    """Have the callers work off as many requests as the minima take.

    Parameters
    ----------
    each_ns
        How long an inference takes about, by the warm-up.
    """
    at_once = len(crew.callers)
    wanted = max(limits["min_samples"], math.ceil(limits["min_seconds"] * 1e9 / each_ns * at_once))
    most_ns = limits["max_seconds"] * 1e9
    wanted = max(1, min(wanted, limits["max_samples"], int(most_ns / each_ns * at_once)))
    requests = itertools.count()

    def work(caller: Caller) -> None:
        while next(requests) < wanted and not crew.errors:
            caller.timed()

    crew.do(work)


def serve(crew: Crew, due: Sequence[int], queue: int, is_lost: Callable[[int], bool]) -> bool:
    """Have the callers answer requests as they arrive; return whether all were answered.

    A caller that is free takes the next request of the schedule and waits for it: so no thread of
    its own has to keep the schedule, and one that is late has its lateness in the samples.

    Parameters
    ----------
    due
        When each arrives, in ns from the beginning.
    queue
        How many may wait; with one more it ends.
    is_lost
        Whether a latency, in ns, ends it as well.
    """
    requests = itertools.count()
    begun = time.monotonic_ns() + 1_000_000
    over: list[int] = []
    for caller in crew.callers:
        caller.scheduled = []

    def work(caller: Caller) -> None:
        assert caller.scheduled is not None  # noqa: S101 - for the type checker
        while not (over or crew.errors):
            number = next(requests)
            if number >= len(due):
                return
            wait_until(begun + due[number])
            last_in_line = begun + due[min(number + queue, len(due) - 1)]
            is_long = number + queue < len(due) and last_in_line < time.monotonic_ns()
            if is_long and caller.ns:  # one is answered in any case, to tell what it carries
                over.append(number)
                return
            caller.scheduled.append(begun + due[number])
            if is_lost(caller.timed() - caller.scheduled[-1]):
                over.append(number)

    crew.do(work)
    return not over


def search(crew: Crew, job: Mapping[str, Any]) -> dict[str, Any]:
    """Look for the highest rate that keeps the bound; return the event's fields.

    From what a closed loop carries, rates go down by 5 % a step: by 1, 2, 4, … steps until one
    keeps the bound, then halving what lies between. What is found is one step below the highest
    that kept it, for there half of all further launches would not.
    """
    traffic = job["traffic"]
    bound_ns = int(traffic["bound"]["bound_ms"] * 1e6)
    percentile = traffic["bound"]["percentile"]
    # Long against the bound: a short burst above what it carries would be answered within it.
    seconds = max(job["sampling"]["min_seconds"], BOUNDS * bound_ns / 1e9)
    ends = time.monotonic() + SEARCH_SHARE * job["time_limit"]
    closed_loop(crew, {**job["sampling"], "min_samples": 5, "max_seconds": 5.0})
    made = sum(len(caller.ns) for caller in crew.callers)
    begun = min(caller.starts[0] for caller in crew.callers)
    ended = max(caller.starts[-1] + caller.ns[-1] for caller in crew.callers)
    capacity = made * 1e9 / (ended - begun)
    steps: list[dict[str, Any]] = []
    kept: list[tuple[list[int], list[int], list[int]]] = []  # the samples of the best rate

    def keeps(step: int) -> bool:
        rate = capacity * STEP**step
        requests = max(traffic["requests"], min(MOST_REQUESTS, math.ceil(rate * seconds)))
        may_miss = int(requests * (100 - percentile) / 100)
        missed = itertools.count(1)
        for caller in crew.callers:
            caller.forget()
        due = arrivals(rate, requests, traffic["seed"] + step)
        whole = serve(
            crew,
            due,
            traffic["queue"],
            lambda latency: latency > bound_ns and next(missed) > may_miss,
        )
        latencies = sorted(
            start + ns - at
            for caller in crew.callers
            for start, ns, at in zip(caller.starts, caller.ns, caller.scheduled or ())
        )
        place = math.ceil(percentile / 100 * len(latencies)) - 1
        found = {"latency_ns": latencies[max(0, place)]} if latencies else {}
        steps.append({"rate": rate, "requests": len(latencies), "kept": whole, **found})
        if whole:
            kept[:] = [
                (caller.starts, caller.ns, caller.scheduled or []) for caller in crew.callers
            ]
        return whole

    fails, holds = 0, 1
    while holds < STEPS and time.monotonic() < ends and not keeps(holds):
        fails, holds = holds, 2 * holds
    if holds >= STEPS or not kept:
        return {"capacity_per_s": capacity, "steps": steps}
    while holds - fails > 1 and time.monotonic() < ends:
        middle = (fails + holds) // 2
        if keeps(middle):
            holds = middle
        else:
            fails = middle
    for caller, samples in zip(crew.callers, kept):
        caller.starts, caller.ns, caller.scheduled = samples
    return {"capacity_per_s": capacity, "steps": steps, "rate": capacity * STEP ** (holds + 1)}


def sample(crew: Crew, job: dict[str, Any], warm: Sequence[int]) -> dict[str, Any]:
    """Take the samples of the job's scenario; return what goes before them, of a search."""
    traffic, limits = job["traffic"], job["sampling"]
    if traffic["scenario"] == "multi":
        closed_loop(crew, limits)
    elif traffic["scenario"] == "offline":
        ordered = sorted(warm) or [limits["min_seconds"] * 1e9]
        all_at_once(crew, limits, max(1.0, ordered[len(ordered) // 2]))
    elif traffic.get("search"):
        return search(crew, job)
    else:
        due = arrivals(traffic["rate"], traffic["requests"], traffic["seed"])
        serve(crew, due, traffic["queue"], lambda _: False)
    return {}


def measure(engine: Engine, job: dict[str, Any], checks: Checks, events: Events) -> Crew:
    """First inference, warm-up and samples with the job's traffic.

    The first inference is of one caller, before the others are there: so is the first load.
    """
    with engine_is("setting the inputs"):
        engine.bind(make_inputs(job, job["seed"]))
    first_inference(engine, events)
    with engine_is("making the callers"):
        callers = make_callers(engine, job)
        for caller in callers:
            caller.engine.bind(inputs_of(job, checks, caller.number, 0)[1])
    gc.collect()
    crew = Crew(callers)
    with engine_is("warming up"):
        warm, reason = warm_together(crew, job["warmup"])
    events.write("warmup", ns=warm, reason=reason)
    with engine_is("sampling"):
        cpu_before = time.process_time()
        found = sample(crew, job, warm)
        cpu_ms = (time.process_time() - cpu_before) * 1e3
    if found:
        events.write("search", **found)
    made = sum(len(caller.ns) for caller in callers)
    for caller in callers:
        scheduled = {} if caller.scheduled is None else {"scheduled_ns": caller.scheduled}
        events.write(
            "samples",
            caller=caller.number,
            ns=caller.ns,
            starts_ns=caller.starts,
            inferences=len(caller.ns),
            # Of the process's, its share: the kernel counts no engine's threads by caller. Of a
            # search other samples were taken, too, and what these took is not known.
            cpu_ms=None if found else cpu_ms * len(caller.ns) / max(1, made),
            **scheduled,
        )
    return crew


# --- outputs, while all call ---


def inputs_of(
    job: dict[str, Any], checks: Checks, caller: int, turn: int
) -> tuple[int | None, dict[str, NDArray[Any]]]:
    """Return the check seed of a caller's turn and its inputs: in any turn others have others."""
    if not checks:
        return None, make_inputs(job, job["seed"] + caller)
    return checks[(caller + turn) % len(checks)]


def return_together(crew: Crew, job: dict[str, Any], checks: Checks, events: Events) -> None:
    """Return each caller's outputs for every check seed, computed while the others call, too.

    The first are those of the last timed inference.
    """
    import numpy as np  # noqa: PLC0415 - as in edge_runner

    found: dict[int, list[tuple[str, NDArray[Any]]]] = {}
    for turn in range(len(checks)):
        seeds: dict[int, Any] = {}
        for caller in crew.callers:
            seeds[caller.number], inputs = inputs_of(job, checks, caller.number, turn)
            if turn:
                with engine_is("setting the inputs"):
                    caller.engine.bind(inputs)
        rounds = ROUNDS if turn else 0

        def work(caller: Caller, rounds: int = rounds) -> None:
            for _ in range(rounds or not caller.ns):
                caller.engine.run()
            outputs = in_order(caller.engine.fetch(), job)
            # Copies: they may be the engine's memory, and the others still run.
            found[caller.number] = [(name, np.array(value)) for name, value in outputs]

        with engine_is("running the check seeds"):
            crew.do(work)
        for number, seed in seeds.items():
            path = f"output-caller-{number}-{seed}"
            return_output(found.pop(number), seed, path, events, caller=number)


def run(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """Do a job with traffic, from loading its artifact to its last output."""
    bind_thread(share_of(job, 0))
    load(engine, job, events)
    checks = list(check_inputs(job))
    crew = measure(engine, job, checks, events)
    events.write("memory", vmhwm_bytes=vmhwm_bytes())
    return_together(crew, job, checks, events)
    crew.dismiss()
    events.write("done")
