"""The emulated board's boot, and the controller's memory while it measures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.devices.emulated.board import Board
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parent.parent
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


@pytest.fixture
def workspace(tmp_path):
    for folder in ("devices", "models"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "c.yaml").write_text(CAMPAIGN)
    return Workspace(tmp_path)


@pytest.fixture
def board(workspace):
    board = Board(workspace, "qemu-arm64")
    board.up(print)  # builds the image where there is none
    yield board
    board.down()


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
