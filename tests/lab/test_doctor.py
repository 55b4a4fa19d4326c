"""What ``harness devices doctor`` makes of what a device says."""

from __future__ import annotations

import pytest

from drill.doubles import FakeTransport
from harness.lab.doctor import connection, device_state, leftovers
from harness.lab.inventory import Device, DeviceSpec
from harness.transports.base import Completed, TransportError
from harness.transports.local.transport import LocalTransport

DEVICE = Device(
    name="board", spec=DeviceSpec(transport="local", abi="x86_64-linux", workdir="/data/work")
)
FINE = {
    "uptime": "7384.21", "clock": "999", "folder": "/data/work", "writable": "yes",
    "free_kb": "900000", "mount": "rw,relatime", "store_kb": "1024",
}  # fmt: skip


def state(told, launches=()):
    lines = [f"{name} {value}" for name, value in told.items() if value is not None]
    lines += [f"launch {name}" for name in launches]
    answer = Completed(0, "\n".join(lines).encode() + b"\n")
    checks, found = device_state(
        FakeTransport(lambda argv, stdin: answer), DEVICE, clock=lambda: 1000.0
    )
    return {check.name: check for check in checks}, found


def test_a_device_in_order():
    checks, launches = state(FINE, ["c-20260101-000000-0123456789ab-0-0"])
    assert {check.state for check in checks.values()} == {"ok"}
    assert checks["started"].found == "2 h 03 min ago"
    assert checks["clock"].found == "+0 s from this machine's"
    assert checks["work folder"].found == "/data/work, 879 MB free, 1 MB of pushed files"
    assert launches == ["c-20260101-000000-0123456789ab-0-0"]


@pytest.mark.parametrize(
    ("told", "name", "expected", "said"),
    [
        ({"clock": "400"}, "clock", "warning", "-600 s from this machine's"),
        ({"clock": "soon"}, "clock", "unknown", "does not tell"),
        ({"uptime": None}, "started", "unknown", "does not tell"),
        ({"writable": None}, "work folder", "failed", "may not be written to"),
        ({"mount": "rw,noexec,nosuid"}, "work folder", "failed", "no program may run there"),
        ({"free_kb": "2048"}, "work folder", "warning", "2 MB free"),
        ({"free_kb": None}, "work folder", "unknown", "room unknown"),
        ({"folder": "/data"}, "work folder", "ok", "not made yet; in /data"),
    ],
)
def test_what_is_wrong(told, name, expected, said):
    check = state(FINE | told)[0][name]
    assert check.state == expected
    assert said in check.found
    assert check.todo or check.state in {"ok", "unknown"}


def test_a_hostile_device_names_no_folders_of_its_own_making():
    _, launches = state(FINE, ["../../etc", "a b", "-rf", "x" * 300, "\x1b[2J", "fine-1"])
    assert launches == ["fine-1"]


def test_the_script_runs_in_a_real_shell(tmp_path):
    work = tmp_path / "it's $(work)"
    (work / "launches" / "some-launch").mkdir(parents=True)
    (work / "store").mkdir()
    device = DEVICE.model_copy(
        update={"spec": DEVICE.spec.model_copy(update={"workdir": str(work)})}
    )
    checks, launches = device_state(LocalTransport(), device)
    assert [check.state for check in checks] == ["ok", "ok", "ok"]
    assert str(work) in checks[2].found
    assert launches == ["some-launch"]


def test_a_slow_link_is_told_with_its_slowest_answer():
    times = iter([0, 1, 1, 1.02, 1.02, 1.04, 1.04, 1.06, 1.06, 2.06, 2.06, 2.08])
    check = connection(FakeTransport(), clock=lambda: next(times))
    assert (check.state, check.found) == (
        "warning",
        "answers in 20 ms (slowest of 5: 1000 ms), the first time in 1000 ms",
    )


def test_a_device_that_answers_and_runs_nothing():
    broken = FakeTransport(lambda argv, stdin: Completed(127, stderr=b"sh: not found\n"))
    with pytest.raises(TransportError, match="does not run 'true': sh: not found"):
        connection(broken)


def test_what_dead_launches_left_is_told_by_who_wants_it():
    names = {
        "living": "c-20260101-000000-0123456789ab-0-0",
        "running": "run-0123456789ab-1-0",
        "interrupted": "night-20260101-000000-0123456789ab-2-0",
        "finished": "old-0123456789ab-0-1",
        "unknown": "theirs-0123456789ab-0-0",
    }
    cache = "cache-0123456789abcdef"
    states = {names[state].split("-0123456789ab")[0]: state for state in names}
    check, left = leftovers(
        [*names.values(), cache], [names["living"]], states.__getitem__, "board"
    )
    assert left.collectable == {"night-20260101-000000": [names["interrupted"]]}
    assert left.removable == [names["finished"], names["unknown"], cache]
    assert check.state == "warning"
    assert check.todo == (
        "harness run --resume night-20260101-000000 collects them; "
        "harness devices doctor board --clean removes them"
    )


def test_nothing_left_behind():
    assert leftovers([], [], lambda run: "unknown", "board")[0].state == "ok"
