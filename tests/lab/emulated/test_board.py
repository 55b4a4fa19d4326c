"""Emulated boards that do not boot, are not ours, or are interrupted: with a double of QEMU."""

from __future__ import annotations

import json
import os
import socket
import sys

import psutil
import pytest

from harness.core.errors import LabError
from harness.lab.emulated import board as board_module
from harness.lab.emulated import image
from harness.lab.emulated.board import Board

# A double of QEMU: what it is told to be, after -daemonize, is BODY.
FAKE_QEMU = """\
#!{python}
import subprocess, sys
arguments = sys.argv[1:]
value = lambda option: arguments[arguments.index(option) + 1]
sleeper = [sys.executable, "-c", "import time; time.sleep(600)", *arguments]
console = open(value("-serial").removeprefix("file:"), "w")
pid_file = open(value("-pidfile"), "w")
{body}
"""

SILENT = """\
console.write("[0.1] VFS: Unable to mount root\\x1b[2J\\n")
quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
pid_file.write(str(subprocess.Popen(sleeper, start_new_session=True, **quiet).pid))
"""
GONE = """\
console.write("[0.1] Kernel panic\\n")
ended = subprocess.Popen(["true"])
ended.wait()
pid_file.write(str(ended.pid))
"""
REFUSES = """\
sys.exit("qemu: Could not set up host forwarding rule")
"""


@pytest.fixture
def fake_qemu(tmp_path, monkeypatch):
    """Put a double of QEMU before the real one, and of an image for it."""
    built = tmp_path / "image"
    built.mkdir()
    (built / "initrd").write_bytes(b"")
    monkeypatch.setattr(image, "build", lambda *_: image.Image(built, "0" * 64))

    def make(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "qemu-system-aarch64"
        program.write_text(FAKE_QEMU.format(python=sys.executable, body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    return make


def left_behind(lab) -> set[str]:
    folder = lab.state / "boards/qemu-arm64"
    return {path.name for path in folder.iterdir()} - {
        *("host_ed25519", "id_ed25519", "known_hosts", "lock", "console.log")
    }


def processes_of(lab) -> list[str]:
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if str(lab.root) in " ".join(process.info["cmdline"] or [])
    ]


def test_a_board_that_never_answers_is_ended_and_its_console_shown(lab, fake_qemu):
    fake_qemu(SILENT)
    board = Board(lab, "qemu-arm64")
    with pytest.raises(LabError, match=r"did not boot: no answer on 127\.0\.0\.1:") as caught:
        board.up(print, timeout=0.1)
    assert caught.value.message.endswith("[0.1] VFS: Unable to mount root[2J")
    assert str(lab.state / "boards/qemu-arm64/console.log") in caught.value.hint
    assert not board.status().running
    assert left_behind(lab) == set()
    assert processes_of(lab) == []


def test_a_board_whose_qemu_ends_is_not_waited_for(lab, fake_qemu):
    fake_qemu(GONE)
    with pytest.raises(LabError, match=r"(?s)did not boot: QEMU ended.*Kernel panic"):
        Board(lab, "qemu-arm64").up(print)
    assert left_behind(lab) == set()


def test_what_qemu_refuses_is_passed_on(lab, fake_qemu):
    fake_qemu(REFUSES)
    with pytest.raises(LabError, match="qemu: Could not set up host forwarding rule"):
        Board(lab, "qemu-arm64").up(print)
    assert left_behind(lab) == set()


def test_an_interrupted_start_leaves_no_qemu(lab, fake_qemu, monkeypatch):
    def interrupt(*_args, **_options):
        assert processes_of(lab) != []
        raise KeyboardInterrupt

    fake_qemu(SILENT)
    monkeypatch.setattr(board_module, "SshTransport", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Board(lab, "qemu-arm64").up(print)
    assert left_behind(lab) == set()
    assert processes_of(lab) == []


def test_a_foreign_process_with_the_number_of_a_dead_qemu_is_left_alone(lab):
    folder = lab.state / "boards/qemu-arm64"
    folder.mkdir(parents=True)
    state = {"port": 40000, "adb_port": 40001, "token": "of-a-dead-boot", "image": "0"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "qemu.pid").write_text(f"{os.getpid()}\n")
    board = Board(lab, "qemu-arm64")
    assert not board.status().running
    with pytest.raises(LabError, match="is not running") as caught:
        board.endpoint()
    assert caught.value.hint == "harness devices up qemu-arm64"
    assert not board.down()
    assert left_behind(lab) == set()


def test_without_qemu_the_error_says_how_to_get_it(lab, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match="qemu-system-aarch64 is not installed") as caught:
        Board(lab, "qemu-arm64").up(print)
    assert caught.value.hint == ("sudo apt-get install -y --no-install-recommends qemu-system-arm")


def test_a_board_that_comes_back_has_the_ports_that_it_had(lab, fake_qemu, monkeypatch):
    """A campaign that measured there dials them; where somebody else has one, it gets others."""
    fake_qemu(SILENT)
    monkeypatch.setattr(Board, "_await_answer", lambda *_: None)
    board = Board(lab, "qemu-arm64")
    board.up(print)
    before = board.status()
    board.down()
    board.up(print)
    assert (board.status().port, board.status().adb_port) == (before.port, before.adb_port)
    board.down()
    with socket.socket() as other:
        other.bind(("127.0.0.1", before.port))
        other.listen()
        board.up(print)
        assert board.status().port != before.port
    board.down()
