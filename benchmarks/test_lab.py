"""The emulated board's boot, what a launch costs there, and the controller's memory."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time

import pytest

from harness.campaign.launch import Launcher
from harness.core.contract import Job
from harness.native.supervisor import supervisor
from harness.transports.ssh.board import board_server
from harness.transports.ssh.transport import SshTransport

MB = 1e6

CAMPAIGN = """
matrix:
  - {models: [mobilenet_v1_025_96], devices: [qemu-arm64], engines: [onnxruntime]}
  - {models: [mobilenet_v1_025_96], devices: [local], engines: [onnxruntime, paddle-inference]}
launches: 3
"""

# The command line, and at its end the peak of its own resident set.
CONTROLLER = """
import sys
from pathlib import Path
from harness.cli.app import main
try:
    main()
finally:
    print(Path("/proc/self/status").read_text(), file=sys.stderr)
"""


def test_boot(board, benchmark, at_most):
    def ended() -> None:
        board.down()

    benchmark.pedantic(lambda: board.up(print), setup=ended, rounds=3)
    at_most(
        "emulated board, image to answering command",
        benchmark.stats.stats.median,
        "s",
        15,
        "median of 3 boots",
    )


@pytest.mark.usefixtures("board")
def test_controller_memory(workspace, at_most):
    (workspace.root / "campaigns").mkdir()
    (workspace.root / "campaigns" / "c.yaml").write_text(CAMPAIGN)
    done = subprocess.run(
        [sys.executable, "-c", CONTROLLER, "run", "campaigns/c.yaml"],
        cwd=workspace.root,
        env=os.environ | {"EDGE_HARNESS_WORKSPACE": str(workspace.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1]) * 1024
    at_most("controller memory in a campaign", peak / MB, "MB", 300, "VmHWM of harness run")


def test_launch_cost(board, at_most):
    launches = 15
    program = supervisor("arm64-linux", print)
    beyond = []
    with SshTransport(*board_server(board.endpoint())) as transport:
        launcher = Launcher(transport, "/data/edge-harness", program)
        launcher.living()  # connects, and pushes the supervisor
        for number in range(launches):
            job = Job(launch=f"cost-{number}", engine="none", files={}, inputs=[])
            begin = time.monotonic()
            ended = launcher.run(job, {}, ["true"])
            beyond.append(time.monotonic() - begin - ended.seconds)
            assert ended.status == 0
    at_most(
        "launch on the board beyond the runner",
        statistics.median(beyond) * 1000,
        "ms",
        150,
        f"median of {launches}, warm link",
    )
