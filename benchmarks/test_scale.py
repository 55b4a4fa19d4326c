"""What launches cost the controller, and how that grows with devices: CPU time and memory.

Each size is a controller of its own (``scale.py``), whose runners sleep. CPU time is the
controller's alone: it grows a little where others' load evicts its caches, and not with waiting.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import SSHD, Sshd

SCRIPT = Path(__file__).with_name("scale.py")
LAUNCHES = 20  # of each device
SSH_LAUNCHES = 5
MANY = 500  # of one device
MS, MB, KB = 1e3, 1e6, 1e3


@dataclass(frozen=True)
class Cost:
    """What a controller took for its launches."""

    devices: int
    launches: int
    cpu_s: float
    grown: int
    peak: int

    @property
    def cpu_ms(self):
        """Of one launch."""
        return self.cpu_s / self.launches * MS


@pytest.fixture
def controller(tmp_path):
    """Measure a controller; a folder is prepared for those that need more than doubles."""

    def measure(way, devices, launches, prepare=lambda _: None):
        folder = tmp_path / f"{way}-{devices}-{launches}"
        folder.mkdir()
        prepare(folder)
        words = [sys.executable, SCRIPT, way, str(devices), str(launches), folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        figures = json.loads(done.stdout.splitlines()[0])
        grown = figures["rss_after"] - figures["rss_before"]
        return Cost(devices, devices * launches, figures["cpu_s"], grown, figures["rss_after"])

    return measure


def test_over_the_fake_transport(controller, at_most):
    """By devices, and by launches of one device; each growth is told beside what linear is."""
    few, some, many = (controller("fake", devices, LAUNCHES) for devices in (1, 10, 100))
    long = controller("fake", 1, MANY)
    for cost in (few, some, many, long):
        at_most(
            f"CPU a launch, {cost.devices} devices, {cost.launches} launches",
            cost.cpu_ms, "ms", 5, "fake transport, controller's process_time",
        )  # fmt: skip
    at_most("CPU a launch, 100 devices to 10", many.cpu_ms / some.cpu_ms, "", 1.5, "linear is 1")
    at_most(
        f"CPU a launch, {MANY} launches to {LAUNCHES}",
        long.cpu_ms / few.cpu_ms,
        "",
        1.5,
        "linear is 1",
    )
    at_most("memory a device", (many.grown - some.grown) / 90 / KB, "kB", 500, "100 to 10 devices")
    at_most("memory a launch", (long.grown - few.grown) / (MANY - LAUNCHES) / KB, "kB", 5, "RSS")
    at_most("memory, 100 devices", many.peak / MB, "MB", None, "RSS after 2000 launches")


@pytest.mark.skipif(SSHD is None, reason="no sshd here (Debian: openssh-server)")
def test_over_ssh(controller, at_most, tmp_path):
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = Sshd(tmp_path / "sshd", ("MaxStartups 100",))

    def prepare(folder):
        (folder / ".harness").mkdir()
        (folder / ".harness" / "known_hosts").write_text(
            f"[127.0.0.1]:{server.port} {server.public_host_key}\n"
        )
        (folder / "reach").write_text(
            f"transport: ssh\naddress: {getpass.getuser()}@127.0.0.1:{server.port}\n"
            f"identity_file: {server.key}"
        )

    try:
        few, some = (controller("ssh", devices, SSH_LAUNCHES, prepare) for devices in (1, 24))
    finally:
        server.stop()
    for cost in (few, some):
        at_most(
            f"CPU a launch over SSH, {cost.devices} devices", cost.cpu_ms, "ms", None,
            "real sshd and supervisor",
        )  # fmt: skip
    growth = some.cpu_ms / few.cpu_ms
    at_most("CPU a launch over SSH, 24 devices to 1", growth, "", None, "linear is 1")
    at_most("memory a device over SSH", (some.grown - few.grown) / 23 / KB, "kB", None, "RSS")
