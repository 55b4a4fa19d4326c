"""What is done after a failure: the whole table, and what holds for all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.launch import DeviceBusyError, LaunchLostError
from harness.campaign.retry import (
    Again,
    Aside,
    Cause,
    Failure,
    GiveUp,
    PowerCycle,
    cause_of_error,
    look_after_s,
    next_step,
)
from harness.lab.leases import LeasedError
from harness.transports.base import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectionLostError,
    HostKeyError,
    TransferError,
)


def steps(cause, *, went_well=False, cycles_left=0):
    """Return what is done, time after time, until the launch is not made again as it is."""
    done, failures = [], []
    while True:
        failures.append(Failure("case", cause))
        done.append(
            next_step(cause, len(failures), failures, went_well=went_well, cycles_left=cycles_left)
        )
        if not isinstance(done[-1], Again):
            return done


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (Cause.SAID, [GiveUp()]),
        (Cause.CRASHED, [Again(1), GiveUp()]),
        (Cause.TIMEOUT, [Again(5), GiveUp()]),
        (Cause.SHORT, [Again(5), GiveUp()]),
        (Cause.DEPLOY, [Again(2), Again(15), GiveUp()]),
        (Cause.LOST, [Again(5), Again(30), GiveUp()]),
        (Cause.BUSY, [Again(15), Again(60), Aside()]),
        (Cause.HANGS, [Aside()]),
        (Cause.LINK, [Aside()]),
        (Cause.REFUSED, [Aside()]),
        (Cause.TAKEN, [Aside(may_return=False)]),
    ],
)
def test_what_is_done(cause, expected):
    assert steps(cause) == expected


@pytest.mark.parametrize("cause", [Cause.LINK, Cause.HANGS, Cause.BUSY, Cause.LOST])
def test_a_device_that_does_not_work_is_power_cycled_where_something_does_that(cause):
    assert steps(cause, cycles_left=1)[-1] == PowerCycle()


@pytest.mark.parametrize("cause", [Cause.SAID, Cause.DEPLOY, Cause.SHORT, Cause.CRASHED])
def test_what_is_no_fault_of_the_device_does_not_cost_a_power_cycle(cause):
    assert steps(cause, cycles_left=1)[-1] == GiveUp()


@pytest.mark.parametrize("cause", [Cause.REFUSED, Cause.TAKEN])
def test_a_device_that_refuses_us_is_not_switched_off(cause):
    assert isinstance(steps(cause, cycles_left=1)[-1], Aside)


def test_what_an_engine_says_of_a_case_that_went_well_before_may_pass():
    assert steps(Cause.SAID, went_well=True) == [Again(1), GiveUp()]


def test_failures_of_several_cases_in_a_row_are_the_devices():
    one_case = [Failure("a", Cause.TIMEOUT)] * 4
    several = [Failure(case, Cause.TIMEOUT) for case in "aabb"]
    last = {"went_well": False, "cycles_left": 1}
    assert next_step(Cause.TIMEOUT, 2, one_case, **last) == GiveUp()
    assert next_step(Cause.TIMEOUT, 2, several, **last) == PowerCycle()
    assert next_step(Cause.TIMEOUT, 2, several, went_well=False, cycles_left=0) == GiveUp()


@given(st.sampled_from(Cause), st.booleans(), st.integers(0, 3))
def test_nothing_is_tried_for_ever(cause, went_well, cycles_left):
    done = steps(cause, went_well=went_well, cycles_left=cycles_left)
    assert len(done) <= 4
    pauses = [step.after_s for step in done if isinstance(step, Again)]
    assert pauses == sorted(pauses)


@given(st.integers(0, 1000))
def test_a_device_is_looked_after_at_growing_distances(looks):
    assert 0 < look_after_s(looks) <= look_after_s(looks + 1) <= 300


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionLostError("x"), Cause.LINK),
        (CommandTimeoutError("x"), Cause.LINK),
        (AuthenticationError("x"), Cause.REFUSED),
        (HostKeyError("x"), Cause.REFUSED),
        (TransferError("x"), Cause.DEPLOY),
        (DeviceBusyError("x"), Cause.BUSY),
        (LeasedError("x"), Cause.TAKEN),
        (LaunchLostError("x"), Cause.LINK),  # its launch's category says the rest
    ],
)
def test_the_cause_of_an_error(error, cause):
    assert cause_of_error(error) is cause
