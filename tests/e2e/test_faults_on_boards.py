"""Campaigns on an emulated board to which things happen: a restart, no memory, a full disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.transports.base import ConnectionLostError
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

PROTOCOL = """
protocol:
  warmup: {min_samples: 1, min_seconds: 0, max_samples: 1}
  sampling: {min_samples: 10, min_seconds: %g}
  time_limit: 120
  memory_launches: 0
"""

# Runs on the board, so that it is in time however busy this machine is.
HAPPENINGS = """
await() {
  until grep -q '"first"' /data/edge-harness/launches/*-$1-0/events.jsonl; do sleep 0.05; done
} 2>/dev/null
await 1
date -s "@$(($(date +%s) + 864000))"
await 2
reboot -f
"""


@pytest.fixture(scope="module")
def small(boot):
    """Return a board with 512 MB of memory."""
    return boot("qemu-arm64-small")


@pytest.fixture
def on_board(lab, small):
    workspace = Workspace(lab.root)
    with connect(workspace, load_device(workspace, small)) as transport:
        yield lambda script: transport.run(["sh", "-c", script], timeout=300)


def model(lab, name, *, shape="[1, 16]", **source):
    keys = ", ".join(f"{key}: {value}" for key, value in source.items())
    (lab.root / "models" / f"{name}.yaml").write_text(
        f"title: t\nlicence: l\nsource: {{kind: calibration, spin_us: 20000, {keys}}}\n"
        f"inputs: [{{name: x, shape: {shape}}}]\n"
    )


def happening(lab, name):
    workspace = Workspace(lab.root)
    with connect(workspace, load_device(workspace, name)) as transport:
        transport.run(["sh", "-c", HAPPENINGS], timeout=300)


def test_a_clock_that_is_set_and_a_restart(lab, small):
    engines = "  calibration: {}\n"
    path = lab.root / "devices" / f"{small}.yaml"
    path.write_text(path.read_text() + engines)
    model(lab, "plain")
    campaign = lab.campaign(
        f"matrix: [{{models: [plain], devices: [{small}], engines: [calibration]}}]\n"
        f"launches: 4\n{PROTOCOL % 1}",
        "restart",
    )
    with ThreadPoolExecutor(1) as pool:
        happened = pool.submit(happening, lab, small)
        before = datetime.now(UTC)
        lab("run", campaign)
        assert isinstance(happened.exception(), ConnectionLostError)
    run = lab.show()
    launches = sorted(run["launches"], key=lambda launch: (launch["slot"], launch["attempt"]))
    reasons = [launch["reason"] for launch in launches]
    # The launch that was lost is made again.
    statuses = [launch["status"] for launch in launches]
    assert statuses == ["ok", "ok", "failed", "ok", "ok"], reasons
    assert launches[2]["category"] == "device"
    assert "the device restarted" in launches[2]["reason"]
    begun = [datetime.fromisoformat(launch["started"]) for launch in launches]
    times = [before, *begun, datetime.now(UTC)]
    assert times == sorted(times)
    for launch in (launches[0], launches[1], launches[3]):
        assert 20e6 <= launch["figure_ns"] < 100e6
        assert launch["exit"]["wall_s"] <= launch["wall_s"] < 864000
        assert launch["outputs"]["passed"]


def test_no_memory_and_no_room(lab, small, on_board):
    model(lab, "plain")
    model(lab, "large", memory_bytes=480_000_000)
    model(lab, "wide", shape="[1, 500000]")  # outputs of 2 MB each
    size = {"none": "400k", "little": "5m"}
    text = (lab.root / "devices" / f"{small}.yaml").read_text()
    for name, bytes_ in size.items():
        on_board(f"mkdir /data/{name}; mount -t tmpfs -o size={bytes_} none /data/{name}")
        (lab.root / "devices" / f"{name}.yaml").write_text(
            text.replace("/data/edge-harness", f"/data/{name}/work")
        )
    campaign = lab.campaign(
        "matrix:\n"
        f"- {{models: [plain, large], devices: [{small}], engines: [calibration]}}\n"
        "- {models: [plain], devices: [none], engines: [calibration]}\n"
        "- {models: [plain, wide], devices: [little], engines: [calibration]}\n"
        f"launches: 1\n{PROTOCOL % 0}",
        "full",
    )
    lab("run", campaign, code=3)
    run = lab.show()
    cases = {case["id"]: (case["case"]["model"], case["case"]["device"]) for case in run["cases"]}
    made = {cases[launch["case_id"]]: launch for launch in run["launches"]}
    assert {where for where, launch in made.items() if launch["status"] == "ok"} == {
        ("plain", small), ("plain", "little"),
    }  # fmt: skip
    large, unpushed, wide = made["large", small], made["plain", "none"], made["wide", "little"]
    assert large["category"] == "device"
    assert "killed after 'hello': the device was out of memory" in large["reason"]
    assert (large["exit"]["signal"], large["exit"]["oom_kills"]) == (9, 1)
    assert unpushed["category"] == "deploy"
    assert "the device has no space in /data/none/work/store: " in unpushed["reason"]
    assert unpushed["reason_code"] == "store.no-room"
    assert wide["category"] == "device"
    assert wide["reason_code"] == "launch.disk-full"
    kept = on_board("cd /data; ls none/work/store; ls */work/launches edge-harness/launches").text
    assert "partial" not in kept
    assert f"{run['id']}-" not in kept
    on_board("umount /data/none /data/little")
