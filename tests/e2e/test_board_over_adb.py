"""What is particular to adb, with a real server and the emulated boards' real adbd."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.campaign.launch import DeviceBusyError, Launcher
from harness.core.contract import Job
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.native.supervisor import supervisor
from harness.transports.adb.transport import AdbTransport
from harness.transports.base import CommandTimeoutError, ConnectionLostError
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e


@pytest.fixture
def workspace(lab, adb_server):
    return Workspace(lab.root)


@pytest.fixture(params=["qemu-arm64", "qemu-armv7"])
def name(boot, request):
    return boot(request.param)


@pytest.fixture
def over_adb(workspace, name):
    with connect(workspace, load_device(workspace, f"{name}-adb")) as transport:
        yield transport


@pytest.fixture
def over_ssh(workspace, name):
    with connect(workspace, load_device(workspace, name)) as transport:
        yield transport


def adb(*arguments):
    subprocess.run(["adb", *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("cut", ["disconnect", "kill-server"])
def test_a_launch_outlives_its_link_and_holds_the_board_for_ssh_too(
    workspace, name, over_adb, over_ssh, cut
):
    device = load_device(workspace, name)
    program = supervisor(device.spec.abi, print)
    by_adb = Launcher(over_adb, device.workdir, program)
    by_ssh = Launcher(over_ssh, device.workdir, program)
    over_ssh.run(["sh", "-c", "rm -f /tmp/up /tmp/go /tmp/runs; mkfifo /tmp/up /tmp/go"])
    runner = (
        "echo x >>/tmp/runs; echo 1 >>events.jsonl; echo up >/tmp/up; "
        "read x </tmp/go; echo 2 >>events.jsonl"
    )
    with ThreadPoolExecutor() as pool:
        running = pool.submit(by_adb.run, job(cut), {}, ["sh", "-c", runner])
        over_ssh.run(["cat", "/tmp/up"])
        adb(cut)
        with pytest.raises(DeviceBusyError, match=f"launches/{cut}"):
            by_ssh.run(job("other"), {}, ["true"])
        over_ssh.run(["sh", "-c", "echo go >/tmp/go"])
        ended = running.result(60)
    assert (ended.status, ended.events) == (0, b"1\n2\n")
    assert over_ssh.run(["cat", "/tmp/runs"]).text == "x\n"
    assert by_ssh.living() == []


def job(launch):
    return Job(launch=launch, engine="none", files={}, inputs=[], time_limit=60)


def test_a_command_whose_link_is_cut_is_lost_and_the_next_connects_anew(over_adb, over_ssh):
    with ThreadPoolExecutor() as pool:
        over_ssh.run(["sh", "-c", "rm -f /tmp/up; mkfifo /tmp/up"])
        running = pool.submit(over_adb.run, ["sh", "-c", "echo >/tmp/up; exec sleep 1000"])
        over_ssh.run(["cat", "/tmp/up"])
        over_ssh.run(["killall", "-9", "adbd"])
        with pytest.raises(ConnectionLostError):
            running.result(60)
    over_ssh.run(["sh", "-c", "until netstat -ltn | grep -q :5555; do sleep 0.1; done"])
    assert over_adb.run(["echo", "back"]).text == "back\n"


def test_the_way_of_old_daemons_works_with_a_real_one(monkeypatch, over_adb, tmp_path):
    """Today's adbd still takes a line in the old form; that it is old is made up."""
    ask = AdbTransport._features
    monkeypatch.setattr(AdbTransport, "_features", lambda self: ask(self).replace("shell_v2", ""))
    script = "cat; echo oops >&2; exit 7"
    answer = over_adb.run(["sh", "-c", script], stdin=b"in\0put\r\n" * 1000)
    assert (answer.returncode, answer.stdout) == (7, b"in\0put\r\n" * 1000)
    assert answer.stderr == b"oops\n"
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 4096)
    over_adb.push(source, "/data/source")
    over_adb.pull("/data/source", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    with pytest.raises(CommandTimeoutError):
        over_adb.run(["sh", "-c", "echo $$ >/tmp/pid; sleep 1000"], timeout=2)
    assert over_adb.run(["sh", "-c", "kill -0 $(cat /tmp/pid)"]).returncode == 1
    files = over_adb.run(["sh", "-c", "ls /tmp/edge-harness-*"]).text.split()
    assert len(files) == 3  # this command's own


CAMPAIGN = """
matrix:
  - {models: [ppocr_v4_cls], devices: [qemu-arm64, qemu-arm64-adb], engines: [onnxruntime]}
  - {models: [mobilenet_v1_025_96], devices: [armv7, armv7-adb], engines: [onnxruntime]}
launches: 2
protocol:
  memory_launches: 0
  warmup: {min_samples: 1, min_seconds: 0, max_seconds: 1}
  sampling: {min_samples: 5, min_seconds: 0}
  time_limit: 180
"""


def test_a_campaign_measures_both_boards_over_ssh_and_adb(lab, boot, workspace):
    for board in ("qemu-arm64", "qemu-armv7"):
        boot(board)
    program = lab("runners", "build", "onnxruntime", "--abi", "armv7hf-linux").strip()
    what = ("--engine", "onnxruntime", "--abi", "armv7hf-linux", "--name", "both-ways")
    lab("runners", "add", "edge-runner", program, *what)
    for transport, name in (("ssh", "armv7"), ("adb", "armv7-adb")):
        (workspace.devices / f"{name}.yaml").write_text(
            f"transport: {transport}\nboard: qemu-armv7\nabi: armv7hf-linux\n"
            "workdir: /data/edge-harness\nengines: {onnxruntime: {runner: both-ways}}\n"
        )
    lab("run", lab.campaign(CAMPAIGN, "both-ways"))
    run = lab.show()
    assert [case["state"] for case in run["cases"]] == ["measured"] * 4
    assert len(run["launches"]) == 8
    facts = {device["name"]: device for device in run["devices"]}
    assert {device["host"] for device in facts.values()} == {"this-machine"}
    for one, other in (("qemu-arm64", "qemu-arm64-adb"), ("armv7", "armv7-adb")):
        assert facts[one]["facts"]["machine_id"] == facts[other]["facts"]["machine_id"]
        assert (facts[one]["transport"], facts[other]["transport"]) == ("ssh", "adb")
    assert not {"battery", "android_api", "thermal_status"} & set(facts["armv7-adb"]["facts"])
