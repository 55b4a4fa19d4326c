"""What the supervisor does to a device, and waits for, with a /sys that is a double."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.core.supervision import parse_supervision

# Calls a program where /sys and the folder of the device's lock are doubles.
_INSIDE = """\
#!/bin/sh
exec unshare --mount sh -c '
  mount --make-rprivate / && mount --rbind {sys} /sys && mount --bind {shm} /dev/shm &&
  exec "$@"' sh {program} "$@"
"""


@dataclass
class Board:
    """A device double: files where the kernel has sensors and settings."""

    sys: Path
    shm: Path

    def write(self, path, value):
        file = self.sys / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")

    def cpu(self, number, governor="schedutil", khz=1_800_000):
        folder = f"devices/system/cpu/cpu{number}/cpufreq"
        self.write(f"{folder}/scaling_governor", governor)
        self.write(f"{folder}/scaling_driver", "cpufreq-dt")
        self.write(f"{folder}/scaling_cur_freq", khz)
        self.write(f"{folder}/scaling_max_freq", khz)

    def governor(self, number):
        path = f"devices/system/cpu/cpu{number}/cpufreq/scaling_governor"
        return (self.sys / path).read_text().strip()

    def zone(self, number, kind, celsius):
        self.sensor(number, kind, celsius * 1000)

    def sensor(self, number, kind, reading):
        self.write(f"class/thermal/thermal_zone{number}/type", kind)
        self.write(f"class/thermal/thermal_zone{number}/temp", reading)

    @property
    def saved(self):
        return self.shm / "edge-harness.governors"


@pytest.fixture
def board(lab, tmp_path):
    found = Board(tmp_path / "sys", tmp_path / "shm")
    found.sys.mkdir()
    found.shm.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "none", found.shm], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    wrapper = tmp_path / "supervisor"
    wrapper.write_text(_INSIDE.format(sys=found.sys, shm=found.shm, program=lab.program))
    wrapper.chmod(0o755)
    lab.program = wrapper
    yield found
    for path in tmp_path.glob("*/alive"):
        lab.call("stop", path.parent)
    subprocess.run(["umount", found.shm], check=True)


def conditions(answer):
    (found,) = answer.of("conditions")
    return found


def test_a_governor_is_set_read_back_recorded_and_restored(lab, board):
    board.cpu(0)
    board.cpu(4, "ondemand")
    answer = lab.begin(
        "cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor", "--governor", "performance"
    )
    assert answer.log == b"performanceperformance"
    assert conditions(answer)["governor"] == "performance"
    assert conditions(answer)["unmet"] == []
    before = answer.of("environment")[0]
    assert before["governors"] == {"cpu0": "performance", "cpu4": "performance"}
    assert before["cpufreq_driver"] == "cpufreq-dt"
    assert (board.governor(0), board.governor(4)) == ("schedutil", "ondemand")
    assert not board.saved.exists()


@pytest.mark.parametrize("script", ["kill -SEGV $$", "read x <../gate"])
def test_a_governor_is_restored_after_a_crash_and_a_time_limit(lab, board, script):
    lab.gate()
    board.cpu(0)
    lab.begin(script, "--governor", "performance", limit=0.3)
    assert board.governor(0) == "schedutil"


@pytest.mark.parametrize("then", ["run", "stop", "living"])
def test_whoever_comes_next_restores_what_a_killed_supervisor_left(lab, board, then):
    lab.gate()
    board.cpu(0)
    lab.begin("read x <../gate", "--governor", "performance", wait=0)
    supervisor, _ = lab.owners()
    lab.call("living", lab.folder)
    assert board.governor(0) == "performance"  # the supervisor lives
    os.kill(supervisor, signal.SIGKILL)
    assert lab.read().state == "orphaned"
    assert board.governor(0) == "performance"
    if then == "run":
        assert lab.begin("cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").log == (
            b"schedutil"
        )
    else:
        lab.call(then, lab.folder / "launch" if then == "stop" else lab.folder)
    assert board.governor(0) == "schedutil"
    assert not board.saved.exists()


def test_what_was_saved_before_a_restart_is_not_restored(lab, board):
    board.cpu(0, "performance")
    board.saved.write_text("1 1 another-boot\ncpu0 schedutil\nend\n")
    lab.call("living", lab.folder)
    assert board.governor(0) == "performance"
    assert not board.saved.exists()


@pytest.mark.parametrize("line", ["cpu0/../cpu1 x", "cpu0 ../x", "cpu0", "../../../tmp/x y"])
def test_what_is_saved_does_not_lead_elsewhere(lab, board, line):
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    board.cpu(0)
    board.cpu(1)
    board.saved.write_text(f"1 1 {boot}\n{line}\nend\n")
    lab.call("living", lab.folder)
    assert (board.governor(0), board.governor(1)) == ("schedutil", "schedutil")


def test_only_ones_own_is_restored(lab, board):
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    board.cpu(0)
    board.saved.write_text(f"1 1 {boot}\ncpu0 powersave\nend\n")
    os.chown(board.saved, 12345, 12345)
    lab.call("living", lab.folder)
    answer = lab.begin("true", "--governor", "performance")
    assert "cannot be saved" in conditions(answer)["unmet"][0]
    assert board.governor(0) == "schedutil"


def test_a_governor_that_cannot_be_set_is_on_record(lab, board):
    answer = lab.begin("exit 3", "--governor", "performance", name="none")
    assert answer.exit["status"] == 3
    assert conditions(answer)["unmet"] == ["governor: no processor here has one"]
    board.cpu(0)
    board.cpu(1)
    stubborn = board.sys / "devices/system/cpu/cpu1/cpufreq/scaling_governor"
    stubborn.unlink()
    stubborn.symlink_to("/proc/sys/kernel/ostype")  # a file that nobody may write
    answer = lab.begin("exit 3", "--governor", "performance", name="stubborn")
    assert answer.exit["status"] == 3
    assert "governor" not in conditions(answer)
    assert conditions(answer)["unmet"][0].startswith("governor: cpu1 has 'Linux', not 'performa")
    assert board.governor(0) == "schedutil"


def test_a_launch_waits_until_its_device_is_cool(lab, board):
    board.zone(0, "soc-thermal", 71.25)
    board.zone(1, "gpu-thermal", 30)
    answer = lab.begin("echo begun", "--cool", 50, 300, wait=0)
    assert (answer.state, answer.begun) == ("waiting", True)
    assert answer.of("waiting")[0]["reason"] == (
        "thermal_zone0 soc-thermal is at 71.2 C, above 50.0 C"
    )
    assert lab.call("living", lab.folder).stdout == b"launch\n"
    assert lab.begin("true", name="other").code == 75
    board.zone(0, "soc-thermal", 50)
    answer = lab.read()
    assert answer.log == b"begun\n"
    assert conditions(answer)["waited_s"] > 0
    assert "missed" not in conditions(answer)
    parse_supervision((lab.folder / "launch" / "supervisor.jsonl").read_bytes())


def test_a_launch_whose_device_stays_hot_is_not_begun(lab, board):
    board.zone(0, "soc-thermal", 71)
    answer = lab.begin("echo begun", "--cool", 50, 0, "--governor", "performance")
    assert (answer.state, answer.log) == ("ended", b"")
    assert answer.exit["reason"] == "conditions"
    assert "status" not in answer.exit
    assert conditions(answer)["missed"] == "thermal_zone0 soc-thermal is at 71.0 C, above 50.0 C"
    assert lab.call("lock", lab.lock).returncode == 0


def test_a_launch_that_waits_is_stopped_and_begun_anew(lab, board):
    board.zone(0, "soc-thermal", 71)
    assert lab.begin("true", "--cool", 50, 300, wait=0).state == "waiting"
    assert lab.stop() == 0
    assert lab.read(wait=0).exit["reason"] == "stopped"
    assert lab.begin("exit 4").exit["status"] == 4


def test_only_named_zones_count_and_missing_ones_are_on_record(lab, board):
    answer = lab.begin("true", "--cool", 50, 300, name="none")
    assert conditions(answer)["unmet"] == ["temperature: no zone to read"]
    board.zone(0, "soc-thermal", 40)
    board.zone(1, "charger", 71)
    options = ("--cool", 50, 300, "--zone", "soc-thermal", "--zone", "thermal_zone9")
    answer = lab.begin("true", *options, name="some")
    assert answer.exit["status"] == 0
    assert conditions(answer)["unmet"] == ["temperature: no zone 'thermal_zone9' to read"]


@pytest.mark.parametrize("reading", [71, 385, 0, -40_000, -273_000, 125_000])
def test_what_is_no_temperature_meets_no_gate(lab, board, reading):
    """In whole degrees, in tenths, or of a sensor that is parked or not there."""
    board.sensor(0, "cpu_thermal", reading)
    answer = lab.begin("true", "--cool", 50, 300, name="alone")
    unknown = "temperature: unknown in 1 of the zones: thermal_zone0 cpu_thermal reads "
    assert conditions(answer)["unmet"] == [f"{unknown}{reading} thousandths of a degree"]
    assert {len(each["temperatures_c"]) for each in answer.of("environment")} == {0}
    board.zone(1, "gpu_thermal", 71)
    answer = lab.begin("true", "--cool", 50, 0, name="beside")
    assert conditions(answer)["missed"] == "thermal_zone1 gpu_thermal is at 71.0 C, above 50.0 C"


def test_other_work_is_waited_for_and_then_the_launch_is_not_begun(lab):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        answer = lab.begin("true", "--quiet", 0, 0)
        other.kill()
    assert answer.exit["reason"] == "conditions"
    assert "other work takes" in conditions(answer)["missed"]
    assert 0 < conditions(answer)["background_load"] <= 1
    assert lab.begin("true", "--quiet", 1, 0, name="second").exit["status"] == 0


def test_a_battery(lab, board):
    answer = lab.begin("true", "--battery", 30, name="none")
    assert conditions(answer)["unmet"] == ["battery: there is none that can be read"]
    for name, kind, scope, percent in [
        ("hidpp_battery_0", "Battery", "Device", 5),
        ("usb", "USB", "System", 0),
        ("battery", "Battery", "System", 29),
    ]:
        board.write(f"class/power_supply/{name}/type", kind)
        board.write(f"class/power_supply/{name}/scope", scope)
        board.write(f"class/power_supply/{name}/capacity", percent)
        board.write(f"class/power_supply/{name}/status", "Discharging")
    answer = lab.begin("true", "--battery", 30, name="low")
    assert conditions(answer)["missed"] == "the battery has 29 %, less than 30 %"
    answer = lab.begin("true", "--battery", 29, name="enough")
    last = answer.of("environment")[-1]
    assert (last["battery_percent"], last["battery_status"]) == (29, "Discharging")


def test_signs_of_throttling_are_read(lab, board):
    board.cpu(0, "performance")
    board.write("class/thermal/cooling_device0/type", "thermal-cpufreq-0")
    board.write("class/thermal/cooling_device0/cur_state", 0)
    board.write("class/thermal/cooling_device1/type", "intel_powerclamp")
    board.write("class/thermal/cooling_device1/cur_state", -1)
    board.write("class/devfreq/fde40000.npu/cur_freq", 1_000_000_000)
    board.write("class/devfreq/dmc/cur_freq", 2_000_000_000)
    answer = lab.begin("echo 2 >/sys/class/thermal/cooling_device0/cur_state")
    before, after = answer.of("environment")
    assert before["npu_khz"] == {"fde40000.npu": 1_000_000}
    assert before["frequency_limits_khz"] == {"cpu0": 1_800_000}
    assert before["cooling"] == {
        "cooling_device0 thermal-cpufreq-0": 0,
        "cooling_device1 intel_powerclamp": -1,
    }
    assert after["cooling"]["cooling_device0 thermal-cpufreq-0"] == 2
    assert "ms" not in before
    assert after["ms"] > 0


BURN = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"


def test_processors_are_kept_busy_and_nothing_of_it_stays(lab, gone):
    lab.gate("ready")
    lab.gate("never")
    lab.begin(f"{BURN}; echo >../ready; read x <../never", "--busy", 2, wait=0)
    lab.told(lab.folder / "ready")
    supervisor, runner = lab.owners()
    busy = [child.pid for child in psutil.Process(supervisor).children() if child.pid != runner]
    assert len(busy) == 2
    os.kill(supervisor, signal.SIGKILL)
    assert all(gone(pid) for pid in busy)
    assert lab.read().state == "orphaned"


def test_the_load_is_accounted_for(lab):
    answer = lab.begin(BURN, "--busy", 2)
    assert answer.exit["load_cpu_s"] > 0
    assert answer.exit["left_behind"] == 0
    assert answer.exit["other_cpu_s"] >= 0
    assert "load_cpu_s" not in lab.begin("true", name="alone").exit


def test_a_device_without_anything_is_not_made_up(lab, board):
    answer = lab.begin("true")
    assert answer.of("conditions") == []
    for reading in answer.of("environment"):
        assert not reading["cooling"]
        assert not reading["frequencies_khz"]
        assert "battery_percent" not in reading


def devfreq(board, name, low, high, *available, current=None):
    """Add a clock as devfreq has it: a double that keeps what is written."""
    for leaf, value in (("min_freq", low), ("max_freq", high), ("cur_freq", current or high)):
        board.write(f"class/devfreq/{name}/{leaf}", value)
    board.write(f"class/devfreq/{name}/available_frequencies", " ".join(map(str, available)))


def limits(board, name):
    folder = board.sys / "class/devfreq" / name
    return tuple(int((folder / leaf).read_text()) for leaf in ("min_freq", "max_freq"))


SHOW = "cat /sys/class/devfreq/dmc/min_freq /sys/class/devfreq/dmc/max_freq"


def test_clocks_are_held_read_back_recorded_and_restored(lab, board):
    devfreq(board, "dmc", 324_000_000, 1_056_000_000, 324_000_000, 2_112_000_000, 1_056_000_000)
    devfreq(board, "fdab0000.npu", 300_000_000, 1_000_000_000)
    devfreq(board, "fb000000.gpu", 100_000_000, 900_000_000)
    answer = lab.begin(SHOW, "--clock", "dmc", "max", "--clock", "*.npu", "600000000")
    assert answer.log == b"2112000000" * 2
    assert conditions(answer)["clocks_khz"] == {"dmc": 2_112_000, "fdab0000.npu": 600_000}
    assert conditions(answer)["unmet"] == []
    assert limits(board, "dmc") == (324_000_000, 1_056_000_000)
    assert limits(board, "fdab0000.npu") == (300_000_000, 1_000_000_000)
    assert limits(board, "fb000000.gpu") == (100_000_000, 900_000_000)
    assert not board.saved.exists()
    parse_supervision((lab.folder / "launch" / "supervisor.jsonl").read_bytes())


def test_a_clock_below_its_limits_is_held_and_restored(lab, board):
    devfreq(board, "dmc", 1_000_000_000, 2_000_000_000)
    answer = lab.begin(SHOW, "--clock", "d*", "500000000", "--governor", "performance")
    assert answer.log == b"500000000" * 2
    assert conditions(answer)["unmet"] == ["governor: no processor here has one"]
    assert limits(board, "dmc") == (1_000_000_000, 2_000_000_000)


def test_clocks_that_a_killed_supervisor_left_are_restored(lab, board):
    lab.gate()
    board.cpu(0)
    devfreq(board, "dmc", 324_000_000, 2_112_000_000)
    options = ("--clock", "dmc", "max", "--governor", "performance")
    lab.begin("read x <../gate", *options, wait=0)
    assert limits(board, "dmc") == (2_112_000_000, 2_112_000_000)
    supervisor, _ = lab.owners()
    os.kill(supervisor, signal.SIGKILL)
    assert lab.read().state == "orphaned"
    lab.call("living", lab.folder)
    assert limits(board, "dmc") == (324_000_000, 2_112_000_000)
    assert board.governor(0) == "schedutil"


def test_a_clock_that_cannot_be_held_is_on_record(lab, board):
    devfreq(board, "dmc", 324_000_000, 2_112_000_000)
    stubborn = board.sys / "class/devfreq/dmc/max_freq"
    stubborn.unlink()
    stubborn.symlink_to("/proc/sys/kernel/pid_max")  # what is written there is refused
    answer = lab.begin("exit 3", "--clock", "dmc", "900000000", "--clock", "*npu*", "max")
    assert answer.exit["status"] == 3
    said = conditions(answer)["unmet"]
    assert said[0].startswith("clock: dmc has the limits ")
    assert said[1] == "clock: nothing is called '*npu*' here"
    assert conditions(answer)["clocks_khz"] == {}


@pytest.mark.parametrize("hz", ["0", "-5", "fast", "12x", ""])
def test_what_is_no_clock_is_refused(lab, hz):
    assert lab.call("run", lab.folder / "x", "--clock", "dmc", hz, "--", "true").returncode == 64


def test_clocks_of_memory_gpu_and_npu_are_read_where_devfreq_or_debugfs_has_them(lab, board):
    devfreq(board, "fb000000.gpu", 1, 900_000_000)
    board.write("kernel/debug/rknpu/freq", 1_000_000_000)
    board.write("kernel/debug/clk/scmi_clk_ddr/clk_rate", 2_112_000_000)
    before = lab.begin("true").of("environment")[0]
    assert before["npu_khz"] == {"rknpu": 1_000_000}
    assert before["clocks_khz"] == {"fb000000.gpu": 900_000, "scmi_clk_ddr": 2_112_000}
