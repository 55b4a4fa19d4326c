"""Leases as a controller takes them, through the real supervisor on this machine."""

from __future__ import annotations

import itertools

import pytest

from drill.doubles import FakeTransport
from harness.core.reason import Reason
from harness.lab.leases import TERM_S, Lease, LeasedError, break_lease, holdings
from harness.lab.supervisor import DeviceSupervisor
from harness.transports.base import Completed
from harness.transports.local.transport import LocalTransport


class Clock:
    """Goes on by itself where somebody waits."""

    now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def lock(tmp_path):
    return str(tmp_path / "lock")


@pytest.fixture
def on_device(supervisor, tmp_path):
    return DeviceSupervisor(LocalTransport(), str(tmp_path / "work"), supervisor)


@pytest.fixture
def lease_of(on_device, lock):
    def lease_of(name, **more):
        return Lease(on_device, name, f"{name}@lab", lock=lock, **more)

    return lease_of


@pytest.fixture
def held(lock):
    return lambda: [(each.kind, each.id) for each in holdings(LocalTransport(), [f"{lock}.lease"])]


def test_one_waits_for_the_other_and_is_told_whom_for(lease_of, held, monkeypatch):
    monkeypatch.setattr("harness.lab.leases._LOOK_S", 0.1)
    ann, bob = lease_of("ann"), lease_of("bob", clock=Clock())
    ann.take(0, print)
    told = []
    with pytest.raises(LeasedError, match=r"leased to ann@lab for another \d+ s") as caught:
        bob.take(1.1, told.append)
    assert "--wait" in caught.value.hint
    assert held() == [("holds", "ann"), ("waits", "bob")]

    def given_back(line):
        told.append(line)
        ann.release()

    bob.take(100, given_back)
    assert "ann@lab" in told[-1]
    assert held() == [("holds", "bob")]
    bob.release()
    assert held() == []


def test_a_long_wait_does_not_fill_a_log(lease_of, monkeypatch):
    monkeypatch.setattr("harness.lab.leases._LOOK_S", 0.02)
    lease_of("ann").take(0, print)
    told = []
    with pytest.raises(LeasedError):
        lease_of("bob", clock=itertools.count(0, 5).__next__).take(100, told.append)
    assert len(told) == 2  # in 100 s of its clock, which it looked at every 5 s


def test_who_lost_it_is_told_why_and_how_to_go_on(on_device, lease_of, held, lock):
    clock = Clock()
    lease = lease_of("ann", clock=clock)
    lease.take(0, print)
    break_lease(on_device, "the fan is dead", lock=lock)
    clock.now += TERM_S
    # As while another device of its host is measured: renewing does not take it back.
    with pytest.raises(LeasedError, match=r"broken by .*: the fan is dead") as caught:
        lease.keep()
    assert "--resume" in caught.value.hint
    assert "break-lease" not in caught.value.hint
    assert held() == []


def test_it_is_renewed_only_when_half_of_it_is_over(on_device, lock):
    clock = Clock()
    lease = Lease(on_device, "ann", "ann", lock=lock, clock=clock)
    lease.take(0, print)
    break_lease(on_device, "for a test", lock=lock)
    Lease(on_device, "bob", "bob", lock=lock).take(0, print)
    lease.keep()  # too early: nothing is asked
    clock.now += TERM_S
    with pytest.raises(LeasedError, match=r"broken by .*: for a test"):
        lease.keep()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"12.5\nboot\n",
        b"12.5\nboot\nother\nholds a 99999 ann\n",
        b"up\nboot\nboot\nholds a 99999 ann\n",
        b"12.5\nboot\nboot\nholds a -9 ann\nholds a 9e9 ann\nowns a 99999 ann\nholds a 99999\n",
        b"12.5\nboot\nboot\nholds a 99999 \x1b[31mann\n\xff\n",
        b"99999\nboot\nboot\nholds a 12500 ann\n",
    ],
)
def test_what_makes_no_sense_or_is_over_is_no_lease(said):
    assert holdings(FakeTransport(lambda argv, stdin: Completed(0, said))) == []


def test_what_a_device_tells(lease_of):
    said = b"12.50\nboot\nboot\nholds a 72500 ann (demo)\nwaits b 22500 bob\n"
    first, second = holdings(FakeTransport(lambda argv, stdin: Completed(0, said)))
    assert (first.kind, first.seconds, first.holder) == ("holds", 60, "ann (demo)")
    assert (second.kind, second.seconds) == ("waits", 10)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('{"lease":"held","holder":"a \\"b\\"","seconds":9}', "lease.held", 'leased to a "b" for'),
        ('{"lease":"queued","holder":"b"}', "lease.queued", "b has been waiting longer"),
        ('{"lease":"broken","by":"c","reason":"hot: x"}', "lease.broken", "broken by c: hot: x"),
        ('{"lease":"crowded"}', "lease.crowded", "too many are waiting for this device"),
        ('{"lease":"held","holder":"a"}', "lease.failed", "the device's lease: "),
        ('{"lease":"mine"}', "lease.failed", "the device's lease: "),
        ("Killed", "lease.failed", "the device's lease: Killed"),
        ("", "lease.failed", "the device's lease: exit status 77"),
        ("[" * 5000, "lease.failed", "the device's lease: [["),
    ],
)
def test_a_refusal_is_read_as_data(line, code, said):
    error = LeasedError.of(
        Completed(77, stderr=f"noise\nedge-supervisor: {line}\n".encode() if line else b"")
    )
    assert error.reason.code == code
    assert said in error.message


def test_what_was_stored_of_a_broken_lease_is_read():
    stored = Reason(code="lease.broken", facts={"said": "by carl: the fan is dead"})
    assert str(stored) == "the lease was broken by carl: the fan is dead"
