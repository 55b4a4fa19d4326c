"""A clock that nobody sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.core.clock import SteadyClock


class Machine:
    """A machine's clocks: the wall's is set, the other one only goes on."""

    def __init__(self):
        self.wall, self.seconds = 1.8e9, 50.0

    def passes(self, seconds):
        self.wall += seconds
        self.seconds += seconds


@pytest.mark.parametrize("jump", [63_000_000.0, -3600.0])
def test_times_go_on_where_the_clock_is_set(jump):
    machine = Machine()
    clock = SteadyClock(lambda: machine.wall, lambda: machine.seconds)
    began = clock.now()
    assert began == datetime.fromtimestamp(1.8e9, UTC)
    machine.passes(90)
    assert clock.jumped_s is None
    machine.wall += jump
    assert clock.now() - began == timedelta(seconds=90)
    assert clock.jumped_s == pytest.approx(jump)


def test_a_clock_that_is_slewed_was_not_set():
    machine = Machine()
    clock = SteadyClock(lambda: machine.wall, lambda: machine.seconds)
    machine.wall += 2.5
    assert clock.jumped_s is None
    assert SteadyClock().jumped_s is None
