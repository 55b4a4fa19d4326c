"""Two-stage sampling: what the first launches ask for is planned, recorded, and resumed."""

from __future__ import annotations

import pytest

from harness.analysis.cases import case_results
from harness.core.records import Role, Status

# By the launch's slot, which its name tells: 1 %, or 20 %, from one to the next.
STEADY = "hello(); load(); sample([1000000 + 10000 * (slot % 2)]); outputs(); emit('done')"
NOISY = "hello(); load(); sample([1000000 + 200000 * (slot % 2)]); outputs(); emit('done')"
SLOT = "slot = int(job['launch'].rsplit('-', 2)[1])\n"
SAMPLING = {"precision": 0.05, "max_launches": 7}


def test_a_second_stage_is_as_long_as_the_first_asks_for(bench):
    bench.double(SLOT + STEADY, "steady")
    bench.double(SLOT + NOISY, "noisy")
    run = bench.run(launches=3, memory_launches=1, sampling=SAMPLING)
    observer, launches = bench.measure(run)
    stored = bench.store.load(run.id)
    steady, noisy = case_results(stored)
    assert (steady.record.more, len(steady.counted)) == (0, 3)
    assert (noisy.record.more, len(noisy.counted)) == (4, 7)
    assert observer.more == [4]
    assert steady.precision_reached
    assert noisy.precision_reached is False
    assert (steady.pilots, noisy.pilots) == (3, 3)
    # Its slots come after the memory pass's, which keeps its own.
    assert [each.slot for each in noisy.counted] == [0, 1, 2, 4, 5, 6, 7]
    assert [each.slot for each in launches if each.role is Role.MEMORY] == [3, 3]
    assert len({each.position for each in launches}) == len(launches)


def test_without_a_precision_there_is_no_second_stage(bench):
    bench.double(SLOT + NOISY)
    observer, launches = bench.measure(bench.run(launches=3))
    assert len(launches) == 3
    assert not observer.more


@pytest.mark.parametrize("stored", [2, 3, 5])
def test_an_interrupted_run_goes_on_in_either_stage(bench, stored):
    bench.double(SLOT + NOISY)
    run = bench.run(launches=3, sampling=SAMPLING)
    observer = bench.recorder()
    execution = bench.execution(run, observer)

    def interrupt():
        if len(observer.ended_launches) == stored:
            execution._stop.set()

    observer.on_ended = interrupt
    execution.measure()
    half = bench.store.load(run.id)
    assert len(half.launches) == stored
    _, launches = bench.measure(half)
    assert sorted(each.slot for each in launches) == list(range(7))
    assert bench.store.load(run.id).cases[0].more == 4


def test_pilots_that_failed_ask_for_nothing_yet(bench):
    bench.double("hello(); sys.exit(1)")
    run = bench.run(launches=3, sampling=SAMPLING)
    observer, launches = bench.measure(run)
    assert {each.status for each in launches} == {Status.FAILED}
    assert not observer.more
    assert bench.store.load(run.id).cases[0].more is None
