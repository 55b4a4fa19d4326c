"""Supervised launches on the emulated ARM boards, over their SSH servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.campaign.launch import DeviceBusyError, Launcher
from harness.core.contract import Job
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.native.supervisor import supervisor as build_supervisor
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

# Of the process that serves this connection: the grandparent of the command's shell.
SESSION = 'cut -d " " -f 4 "/proc/$PPID/stat"'


def job(name, limit=60):
    return Job(launch=name, engine="none", files={}, inputs=[], time_limit=limit)


@pytest.fixture(params=["qemu-arm64", "qemu-armv7"])
def device(lab, boot, request):
    return load_device(Workspace(lab.root), boot(request.param))


@pytest.fixture
def link(lab, device):
    with connect(Workspace(lab.root), device) as transport:
        yield transport


@pytest.fixture
def other_link(lab, device):
    with connect(Workspace(lab.root), device) as transport:
        yield transport


@pytest.fixture
def supervisor(device):
    return build_supervisor(device.spec.abi, print)


def test_a_launch_survives_its_connection_and_a_clock_step(device, supervisor, link, other_link):
    launcher = Launcher(link, device.workdir, supervisor)
    other = Launcher(other_link, device.workdir, supervisor)
    session = link.run(["sh", "-c", SESSION]).text.strip()
    other_link.run(["sh", "-c", "rm -f /tmp/up /tmp/go /tmp/runs; mkfifo /tmp/up /tmp/go"])
    runner = (
        "echo x >>/tmp/runs; echo 1 >>events.jsonl; echo up >/tmp/up; "
        "read x </tmp/go; echo 2 >>events.jsonl"
    )
    with ThreadPoolExecutor() as pool:
        running = pool.submit(launcher.run, job("cut"), {}, ["sh", "-c", runner])
        other_link.run(["cat", "/tmp/up"])
        with pytest.raises(DeviceBusyError, match="launches/cut"):
            other.run(job("second"), {}, ["true"])
        assert other_link.run(["kill", "-9", session]).returncode == 0
        now = int(other_link.run(["date", "+%s"]).text)
        other_link.run(["date", "-s", f"@{now + 86400}"])
        other_link.run(["sh", "-c", "echo go >/tmp/go"])
        ended = running.result(60)
        other_link.run(["date", "-s", f"@{now}"])
    assert link.run(["sh", "-c", SESSION]).text.strip() != session
    assert (ended.status, ended.events) == (0, b"1\n2\n")
    assert ended.seconds < 60
    assert other_link.run(["cat", "/tmp/runs"]).text == "x\n"
    assert other.living() == []


def test_what_leaves_the_runner_is_ended_there(device, supervisor, link):
    launcher = Launcher(link, device.workdir, supervisor)
    script = "(setsid sleep 1234 &) & kill -STOP $$"
    ended = launcher.run(job("leaving", limit=1), {}, ["sh", "-c", script])
    assert ended.outside.exit.reason == "time_limit"
    assert ended.outside.started.lock == "/dev/shm/edge-harness.lock"
    assert link.run(["sh", "-c", "ps | grep '[s]leep 1234'"]).text == ""


def test_a_control_group_of_its_own(device, supervisor, link):
    link.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"])
    launcher = Launcher(link, device.workdir, supervisor)
    try:
        script = "cat /proc/self/cgroup; (setsid sleep 1234 &) & read x </dev/zero"
        ended = launcher.run(job("group", limit=1), {}, ["sh", "-c", script])
        assert ended.log.startswith("0::/edge-harness-")
        assert link.run(["sh", "-c", "ps | grep '[s]leep 1234'"]).text == ""
        assert link.run(["sh", "-c", "ls -d /sys/fs/cgroup/edge-harness-*"]).text == ""
    finally:
        link.run(["umount", "/sys/fs/cgroup"])


@pytest.mark.parametrize("device", ["qemu-arm64"], indirect=True)
def test_a_runner_that_hangs_in_the_kernel_keeps_the_lock(supervisor, link):
    launcher = Launcher(link, "/tmp/edge-harness", supervisor)
    launcher.run(job("before"), {}, ["true"])
    assert link.run(["fsfreeze", "--freeze", "/data"]).returncode == 0
    try:
        ended = launcher.run(job("frozen", limit=1), {}, ["sh", "-c", "echo x >/data/x"])
        assert (ended.status, ended.outside.exit.reason) == (137, "unkillable")
        assert ended.outside.exit.status is ended.outside.exit.signal is None
        with pytest.raises(DeviceBusyError, match="launches/frozen"):
            launcher.run(job("next"), {}, ["true"])
    finally:
        link.run(["fsfreeze", "--unfreeze", "/data"])
    assert launcher.run(job("next"), {}, ["true"]).status == 0
