"""The drill's oracle, on runs and journals with something planted in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drill.journal import Done, Journal, read_journal
from drill.oracle import Failing, Met, audit
from harness.core.records import Case, CaseRecord, Category, Launch, Protocol, Run, Status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALPHA = Case(model="alpha", device="left", engine="calibration")
BETA = Case(model="beta", device="left", engine="calibration")
CRASHED = Failing(Status.FAILED, Category.ENGINE, "SIGSEGV")


def launch(case=ALPHA, slot=0, attempt=0, samples=(1, 2, 3), status=Status.OK, **more):
    return Launch(
        id=f"run-{case.id}-{slot}-{attempt}", case_id=case.id, slot=slot, attempt=attempt,
        position=slot, started=NOW + timedelta(seconds=attempt), status=status,
        samples_ns=list(samples), **more,
    )  # fmt: skip


def failed(case=ALPHA, slot=0, attempt=0, reason="crashed with SIGSEGV", samples=()):
    more = {"status": Status.FAILED, "category": Category.ENGINE, "reason": reason}
    return launch(case, slot, attempt, samples, **more)


def run(*launches, launches_each=1, cases=(ALPHA,)):
    return Run(
        id="run", campaign="drill", description="", specification="", seed=1, started=NOW,
        harness_version="0", protocol=Protocol(memory_launches=0), devices=[], models=[],
        cases=[CaseRecord(case=case, launches=launches_each) for case in cases],
        launches=list(launches),
    )  # fmt: skip


def done(case=ALPHA, slot=0, number=0, samples=(1, 2, 3)):
    return Done(f"run-{case.id}-{slot}-{number}", case.device, case.model, samples)


def journal(*completed, sampled=None, device="left"):
    return Journal(device, done=completed, sampled=completed if sampled is None else sampled)


def name(case=ALPHA, slot=0, number=0):
    return f"run-{case.id}-{slot}-{number}"


def test_what_agrees_is_clean():
    completed = [done(), done(BETA, samples=(4, 5, 6))]
    stored = run(launch(), launch(BETA, samples=(4, 5, 6)), cases=(ALPHA, BETA))
    assert audit(stored, [journal(*completed)], Met()).clean


def test_a_completed_launch_that_is_not_stored_is_lost():
    again = done(number=1, samples=(4, 5, 6))
    found = audit(run(launch(samples=(4, 5, 6))), [journal(done(), again)], Met())
    assert found.lost == [f"{name()} on left: completed, and not in the results"]
    assert (found.doubled, found.misattributed) == ([], [])


def test_a_launch_without_a_result_is_lost():
    found = audit(run(launch(), launches_each=2), [journal(done())], Met())
    assert found.lost == ["alpha · left · calibration, launch 1: there is no result"]


def test_a_launch_that_is_counted_twice_is_doubled():
    stored = run(launch(), launch(slot=1), launches_each=2)
    found = audit(stored, [journal(done())], Met())
    assert len(found.doubled) == 1
    assert "counted twice" in found.doubled[0]
    assert found.misattributed == [f"run-{ALPHA.id}-1-0: stored for another slot than {name()}"]


def test_two_results_for_one_launch_are_doubled():
    stored = run(launch(), launch(attempt=1, samples=(4, 5, 6)))
    found = audit(stored, [journal(done(), done(number=1, samples=(4, 5, 6)))], Met())
    assert found.doubled == ["alpha · left · calibration, launch 0: two results"]


def test_a_failed_launch_keeps_what_it_had_and_counts_for_nothing():
    gone = Failing(Status.FAILED, Category.CONNECTION)
    first = launch(status=Status.FAILED, category=Category.CONNECTION, reason="gone")
    met = Met(launches=[name()], failing=[gone])
    assert audit(run(first, launch(attempt=1)), [journal(done())], met).clean


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (done(BETA), "stored for alpha on left, and was beta on left"),
        (done(slot=1), "stored for another slot"),
    ],
)
def test_a_result_of_another_case_is_misattributed(completed, said):
    found = audit(run(launch()), [journal(completed)], Met())
    assert len(found.misattributed) == 1
    assert said in found.misattributed[0]


def test_a_result_of_another_device_is_misattributed():
    other = Case(model="alpha", device="right", engine="calibration")
    found = audit(run(launch()), [journal(done(other), device="right"), journal()], Met())
    assert "stored for alpha on left, and was alpha on right" in found.misattributed[0]
    assert "its samples are not in its device's journal" in found.misattributed[1]


def test_samples_that_nobody_took_are_misattributed():
    found = audit(run(launch(samples=(7, 8, 9))), [journal(done())], Met())
    assert found.misattributed == [
        f"run-{ALPHA.id}-0-0: its samples are not in its device's journal"
    ]
    assert len(found.lost) == 1


def test_what_was_sampled_before_the_end_is_its_own():
    ended = failed(samples=(7, 8))
    took = [done(samples=(7, 8, 9)), done(number=1)]
    met = Met(launches=[name()], failing=[CRASHED], must_fail=True)
    stored = run(ended, launch(attempt=1))
    assert audit(stored, [journal(done(number=1), sampled=took)], met).clean


@pytest.mark.parametrize(
    ("met", "said"),
    [
        (Met(), "and nothing was done to it"),
        (Met(launches=[name(slot=1)], failing=[CRASHED]), "and nothing was done to it"),
        (
            Met(launches=[name()], failing=[Failing(Status.FAILED, Category.TIMEOUT)]),
            "which is not what was done to it",
        ),
        (
            Met(launches=[name()], failing=[Failing(Status.FAILED, Category.ENGINE, "SIGKILL")]),
            "which is not what was done to it",
        ),
    ],
)
def test_a_failure_that_does_not_fit_what_was_done_is_misattributed(met, said):
    stored = run(failed(), launch(attempt=1))
    found = audit(stored, [journal(done(number=1))], met)
    assert len(found.misattributed) == 1
    assert said in found.misattributed[0]


def test_a_fault_that_is_overlooked_is_misattributed():
    met = Met(launches=[name()], failing=[CRASHED], must_fail=True)
    found = audit(run(launch()), [journal(done())], met)
    assert found.misattributed == [f"{ALPHA.id}-0: it was spoiled, and never ended so"]


def test_a_fault_of_a_device_explains_its_other_launches():
    stored = run(failed(slot=1), launch(), launch(slot=1, attempt=1, samples=(4, 5, 6)),
                 launches_each=2)  # fmt: skip
    journals = [journal(done(), done(slot=1, number=1, samples=(4, 5, 6)))]
    met = {"launches": [name()], "failing": [CRASHED]}
    assert audit(stored, journals, Met(**met, spreads=True)).clean
    assert not audit(stored, journals, Met(**met)).clean


def test_a_journal_is_read():
    lines = ["begun r-c-0-0 here", "sampled r-c-0-0 alpha 1 2 3", "struck r-c-0-0 samples",
             "done r-c-0-0 alpha 1 2 3"]  # fmt: skip
    read = read_journal("left", lines)
    assert read.begun == ("r-c-0-0",)
    assert read.done == read.sampled == (Done("r-c-0-0", "left", "alpha", (1, 2, 3)),)
    assert read.struck == (("r-c-0-0", "samples"),)


def test_a_journal_with_half_a_line_is_refused():
    with pytest.raises(ValueError, match="not a line of a journal"):
        read_journal("left", ["done r-c-0-0"])
