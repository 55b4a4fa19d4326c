"""Leases: whose turn it is on a device, between launches too."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from harness.lab.leases import holdings
from harness.transports.local.transport import LocalTransport

BUSY = 77
LONG = 3600


@pytest.fixture
def lease(lab):
    def call(*words):
        return lab.call("lease", "--lock", lab.lock, *words)

    return call


def refusal(done):
    return json.loads(done.stderr.decode().removeprefix("edge-supervisor: "))


@pytest.fixture
def seen(lab):
    """As a controller reads it."""
    return lambda: holdings(LocalTransport(), [f"{lab.lock}.lease"])


@pytest.fixture
def shown(seen):
    return lambda: [(each.kind, each.id, each.holder) for each in seen()]


def test_one_holds_it_and_renews_it(lease, shown):
    assert lease("take", "a", LONG, "ann@lab (demo)").returncode == 0
    assert lease("take", "a", LONG, "ann@lab (demo)").returncode == 0
    other = lease("take", "b", LONG, "bob")
    assert other.returncode == BUSY
    assert refusal(other) == {"lease": "held", "holder": "ann@lab (demo)", "seconds": 3600}
    assert shown() == [("holds", "a", "ann@lab (demo)")]
    lease("release", "b")  # nobody's but his own
    assert lease("take", "c", LONG, "cat").returncode == BUSY
    lease("release", "a")
    assert shown() == []
    assert lease("take", "b", LONG, "bob").returncode == 0


def test_it_ends_by_itself_and_a_waiter_gets_it(lease, shown):
    lease("take", "a", 1, "ann")
    assert lease("take", "b", LONG, "bob", "--wait", 60).returncode == 0
    assert shown() == [("holds", "b", "bob")]


def test_the_queue_is_kept_in_the_order_of_coming(lab, lease, shown):
    lease("take", "a", LONG, "ann")
    for name in ("b", "c"):
        assert lease("take", name, LONG, name, "--wait", 0.1).returncode == BUSY
    assert [entry[:2] for entry in shown()] == [("holds", "a"), ("waits", "b"), ("waits", "c")]
    lease("release", "a")
    early = lease("take", "c", LONG, "c")
    assert (early.returncode, refusal(early)) == (BUSY, {"lease": "queued", "holder": "b"})
    assert lease("take", "b", LONG, "b").returncode == 0
    lease("release", "c")  # the place in the queue
    assert shown() == [("holds", "b", "b")]


def test_a_waiter_takes_it_when_it_is_given_back(lab, lease, shown):
    lease("take", "a", LONG, "ann")
    words = ["lease", "--lock", lab.lock, "take", "b", LONG, "bob", "--wait", 60]
    waiter = subprocess.Popen([lab.program, *map(str, words)])
    try:
        while not any(kind == "waits" for kind, *_ in shown()):
            assert waiter.poll() is None
        lease("release", "a")
        assert waiter.wait(60) == 0
    finally:
        waiter.kill()
        waiter.wait()
    assert shown() == [("holds", "b", "bob")]


def test_a_launch_needs_it_and_extends_it(lab, lease, seen):
    lease("take", "a", 5, "ann")
    for words in ([], ["--lease", "b", 5, "bob"]):
        refused = lab.begin("true", *words)
        assert (refused.code, '"holder":"ann"' in refused.error) == (BUSY, True)
    assert lab.begin("true", "--lease", "a", 5, "ann", limit=100).exit["status"] == 0
    (holding,) = seen()
    assert 5 < holding.seconds <= 105


def test_a_launch_that_may_wait_for_its_device_extends_it_by_that(lab, lease, seen):
    claim = ("--lease", "a", 5, "ann", "--cool", 200, 1000, "--quiet", 1, 1000)
    assert lab.begin("true", *claim, limit=100).exit["status"] == 0
    (holding,) = seen()
    assert 1105 < holding.seconds <= 2105


def test_a_broken_lease_is_told_at_the_next_launch(lab, lease, shown):
    lease("take", "a", LONG, "ann")
    lease("break", "carl", "the fan is dead\n{evil}")
    assert shown() == []
    refused = lab.begin("true", "--lease", "a", LONG, "ann")
    assert refused.code == BUSY
    told = {"lease": "broken", "by": "carl", "reason": "the fan is dead?{evil}"}
    assert json.loads(refused.error.removeprefix("edge-supervisor: ")) == told
    renewed = lease("renew", "a", LONG, "ann")
    assert (renewed.returncode, shown()) == (BUSY, [])
    assert refusal(renewed) == told
    assert lease("take", "a", LONG, "ann").returncode == 0  # who asks anew may have it
    assert lease("renew", "a", LONG, "ann").returncode == 0
    assert lease("renew", "b", LONG, "bob").returncode == BUSY
    assert lab.begin("true", "--lease", "a", LONG, "ann").exit["status"] == 0


def test_one_of_before_the_restart_is_over(lab, lease, shown):
    lease("take", "a", LONG, "ann")
    path = lab.lock.with_name("lock.lease")
    boot, rest = path.read_text().split("\n", 1)
    path.write_text("0" + boot[1:] + "\n" + rest)
    assert shown() == []


def test_whoever_comes_too_late_for_the_queue_is_told(lab, lease):
    lease("take", "a", LONG, 'ann "the \\ lab"')
    assert refusal(lease("take", "b", LONG, "bob"))["holder"] == 'ann "the \\ lab"'
    path = lab.lock.with_name("lock.lease")
    _, _, expires, _ = path.read_text().splitlines()[1].split(" ", 3)
    waiting = "".join(f"waits w{n} {expires} w\n" for n in range(31))
    path.write_text(path.read_text() + waiting)
    late = lease("take", "c", LONG, "cat", "--wait", 60)
    assert (late.returncode, refusal(late)) == (BUSY, {"lease": "crowded"})


@pytest.mark.parametrize("content", [b"", b"\0" * 20000, os.urandom(5000), b"x\n" * 9000])
def test_a_file_that_makes_no_sense_keeps_nobody_out(lab, lease, content, shown):
    lab.lock.with_name("lock.lease").write_bytes(content)
    assert lease("take", "a", LONG, "ann").returncode == 0
    assert shown() == [("holds", "a", "ann")]


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 500])
def test_names_that_are_none(lease, name):
    assert lease("take", name, LONG, "ann").returncode == 64
