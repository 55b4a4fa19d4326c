"""Android's adbd on the emulated boards, with Debian's adb."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from harness.lab.emulated.board import Board
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

SCRIPT = "echo said; echo complained >&2; exit 7"


@pytest.fixture
def adb(tmp_path):
    """Call adb with a server of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    own = {"HOME": str(tmp_path), "ANDROID_ADB_SERVER_PORT": str(port)}

    def adb(*arguments):
        return subprocess.run(
            ["adb", *arguments],
            env=os.environ | own,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    yield adb
    adb("kill-server")


@pytest.mark.parametrize("name", ["qemu-arm64", "qemu-armv7"])
def test_adb_runs_commands_and_moves_files(lab, boot, adb, name, tmp_path):
    serial = f"127.0.0.1:{Board(Workspace(lab.root), boot(name)).endpoint().ports['adb']}"
    assert f"connected to {serial}" in adb("connect", serial).stdout
    shell = adb("-s", serial, "shell", SCRIPT)
    assert (shell.returncode, shell.stdout, shell.stderr) == (7, "said\n", "complained\n")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20))
    assert adb("-s", serial, "push", source, "/data/over-adb").returncode == 0
    assert adb("-s", serial, "pull", "/data/over-adb", tmp_path / "back").returncode == 0
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
