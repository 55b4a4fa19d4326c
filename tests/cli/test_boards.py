"""``harness devices up``, ``down`` and ``status``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.core.errors import ExitCode

BOARDS = Path(__file__).parents[2] / "devices" / "boards"


@pytest.fixture
def boards(workspace):
    shutil.copytree(BOARDS, workspace.boards)


def test_status_tells_of_every_board(cli, boards):
    said = cli("devices", "status", "--json")
    assert said.code == ExitCode.FINE
    board, *others = json.loads(said.out)
    assert board["name"] == "qemu-arm64"
    assert board["running"] is False
    assert board["port"] is board["adb_port"] is None
    assert "qemu-armv7" in {other["name"] for other in others}
    assert "qemu-arm64        down" in cli("devices", "status").out


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_an_unknown_board_gets_the_nearest_name(cli, boards, command):
    said = cli("devices", command, "qemu-arm46")
    assert said.code == ExitCode.SPECIFICATION
    assert "unknown board 'qemu-arm46'" in said.err
    assert "did you mean 'qemu-arm64'?" in said.err


def test_up_without_qemu_says_how_to_get_it(cli, boards, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    said = cli("devices", "up", "qemu-arm64")
    assert said.code == ExitCode.LAB
    assert "sudo apt-get install -y --no-install-recommends qemu-system-arm" in said.err


def test_down_of_a_board_that_does_not_run_is_fine(cli, boards):
    said = cli("devices", "down", "qemu-arm64")
    assert said.code == ExitCode.FINE
    assert "was not running" in said.err
