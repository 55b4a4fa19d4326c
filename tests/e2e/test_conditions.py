"""Conditions on an emulated board, whose cpufreq and thermal zones are files: doubles."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.campaign.launch import Handling, Launcher, LaunchLostError
from harness.core.contract import Job
from harness.lab.conditions.spec import Conditions
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.native.supervisor import supervisor as build_supervisor
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
DOUBLES = """
mkdir -p /tmp/double/cpu/cpu0/cpufreq /tmp/double/thermal/thermal_zone0 \
    /tmp/double/thermal/cooling_device0
cd /tmp/double/cpu/cpu0/cpufreq
echo schedutil >scaling_governor; echo cpufreq-dt >scaling_driver
echo 1800000 >scaling_cur_freq; echo 1800000 >scaling_max_freq
cd /tmp/double/thermal
echo soc-thermal >thermal_zone0/type; echo 45000 >thermal_zone0/temp
echo thermal-cpufreq-0 >cooling_device0/type; echo 0 >cooling_device0/cur_state
mount --bind /tmp/double/cpu /sys/devices/system/cpu
mount --bind /tmp/double/thermal /sys/class/thermal
"""
DEVICE = """\
conditions:
  governor: performance
  max_temperature_c: 50
  cool_within_s: 0
"""
CAMPAIGN = """\
matrix:
  - models: [calibration_spin]
    devices: [{device}]
    engines: [calibration]
    busy_cpus: [{busy}]
launches: 1
protocol:
  warmup: {{max_seconds: 0.1}}
  sampling: {{min_samples: 5, min_seconds: 0.1}}
  memory_launches: 0
  {more}
"""


@pytest.fixture(scope="module")
def link(lab, board):
    with connect(Workspace(lab.root), load_device(Workspace(lab.root), board)) as transport:
        assert transport.run(["sh", "-ec", DOUBLES]).returncode == 0
        yield transport
        transport.run(["umount", "/sys/devices/system/cpu", "/sys/class/thermal"])


@pytest.fixture
def told(link):
    """Read a file on the board."""
    return lambda path: link.run(["cat", path]).text.strip()


@pytest.fixture
def conditioned(lab, board):
    """The board, as a device that asks for conditions."""
    content = (lab.root / "devices" / f"{board}.yaml").read_text()
    (lab.root / "devices" / "conditioned.yaml").write_text(content + DEVICE)
    return "conditioned"


def test_a_campaign_sets_the_governor_and_restores_it(lab, conditioned, link, told):
    path = lab.campaign(CAMPAIGN.format(device=conditioned, busy="0, 1", more=""), "conditioned")
    assert "governor performance; at most 50 °C within 0 s" in lab("plan", path)
    lab("run", path)
    run = lab.show()
    assert run["devices"][0]["conditions"]["governor"] == "performance"
    launches = {launch["case_id"]: launch for launch in run["launches"]}
    alone, busy = (launches[case["id"]] for case in run["cases"])
    for launch in (alone, busy):
        assert launch["status"] == "ok"
        assert launch["conditions"]["governor"] == "performance"
        assert launch["conditions"]["unmet"] == []
        assert launch["throttling"]["watched"] == [
            "processor clock in kHz", "clock limit in kHz", "cooling state",
        ]  # fmt: skip
        assert launch["environment"][0]["governors"] == {"cpu0": "performance"}
        assert launch["cpu_ms_per_inference"] > 0
        assert launch["exit"]["other_cpu_s"] >= 0
    assert alone["exit"]["load_cpu_s"] is None
    assert busy["exit"]["load_cpu_s"] > 0
    assert told(GOVERNOR) == "schedutil"


def test_a_hot_device_makes_launches_invalid_and_redone(lab, conditioned, link):
    link.run(["sh", "-c", "echo 71000 >/sys/class/thermal/thermal_zone0/temp"])
    path = lab.campaign(CAMPAIGN.format(device=conditioned, busy=0, more=""), "hot")
    try:
        lab("run", path, code=4)
    finally:
        link.run(["sh", "-c", "echo 45000 >/sys/class/thermal/thermal_zone0/temp"])
    launches = lab.show()["launches"]
    assert [launch["attempt"] for launch in launches] == [0, 1]
    for launch in launches:
        assert launch["status"] == "invalid"
        assert launch["reason"] == (
            "not started: thermal_zone0 soc-thermal is at 71.0 C, above 50.0 C"
        )


def test_a_killed_supervisor_leaves_no_governor_behind(lab, board, link, told):
    device = load_device(Workspace(lab.root), board)
    launcher = Launcher(link, device.workdir, build_supervisor(device.spec.abi, print))
    link.run(["sh", "-c", "rm -f /tmp/up; mkfifo /tmp/up"])
    job = Job(launch="killed", engine="none", files={}, inputs=[], time_limit=60)
    script = f"cat {GOVERNOR} >/tmp/up; read x </dev/zero"
    kill = f"kill -9 $(cut -d ' ' -f 1 {launcher.folder('killed')}/pid)"
    with (
        ThreadPoolExecutor() as pool,
        connect(Workspace(lab.root), device) as other,
    ):
        running = pool.submit(
            launcher.run, job, {}, ["sh", "-c", script],
            Handling(conditions=Conditions(governor="performance")),
        )  # fmt: skip
        assert other.run(["cat", "/tmp/up"]).text.strip() == "performance"
        assert other.run(["sh", "-c", kill]).returncode == 0
        with pytest.raises(LaunchLostError, match="its supervisor was killed"):
            running.result(60)
    assert told(GOVERNOR) == "schedutil"


def test_a_sustained_launch(lab):
    content = CAMPAIGN.format(device="local", busy=0, more="sustained_s: 2")
    path = lab.campaign(content, "sustained")
    assert json.loads(lab("plan", path, "--json"))["sustained_s"] == 2
    lab("run", path)
    (launch,) = lab.show()["launches"]
    assert launch["status"] == "ok"
    assert sum(launch["samples_ns"]) / 1e9 * launch["inferences"] / len(
        launch["samples_ns"]
    ) == pytest.approx(2, rel=0.5)
    assert "Sustained" in lab("results", "show")
