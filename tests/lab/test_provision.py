"""Engines put onto a board: real wheels, over real SSH, onto this machine."""

from __future__ import annotations

import json
import sys

import pytest

from harness import engines
from harness.core.errors import LabError
from harness.lab import provision as module
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.lab.probe import Facts, Python
from harness.lab.provision import provision
from harness.transports.base import Completed

pytestmark = pytest.mark.e2e

FILE = """\
# the board by the window
transport: ssh
address: {address}
identity_file: {key}
abi: x86_64-linux
workdir: {workdir}
engines:
  calibration: {{}}  # brought along
"""


@pytest.fixture
def board(workspace, sshd, tmp_path, cli):
    path = workspace.devices / "board.yaml"
    workdir = tmp_path / "board"
    path.write_text(FILE.format(address=sshd.address, key=sshd.key, workdir=workdir))
    trusted = cli("devices", "trust", "board", "--yes")
    assert trusted.code == 0, trusted.err
    return path


@pytest.fixture
def put(workspace, board):
    def put(name="mnn", *, transport=None, **options):
        device = load_device(workspace, "board")
        with transport or connect(workspace, device) as link:
            return provision(workspace, device, link, engines.get(name), print, **options)

    return put


def folders(board):
    return list((board.parents[1] / "board" / "engines").glob("*"))


def test_an_engine_is_put_there_measured_with_and_removed(board, workspace, cli):
    said = cli("devices", "provision", "board", "mnn", "--json")
    assert said.code == 0, said.err
    (row,) = json.loads(said.out)
    pinned = engines.get("mnn").environments[0].tools["mnn"]
    assert (row["engine"], row["version"], row["here"]) == ("mnn", pinned, None)
    text = board.read_text()
    assert "# the board by the window" in text
    assert "# brought along" in text
    assert load_device(workspace, "board").spec.engines["mnn"].python == row["python"]
    probed = json.loads(cli("devices", "probe", "board", "--json").out)
    (python,) = [each for each in probed[0]["facts"]["pythons"] if each["path"] == row["python"]]
    assert python["engines"]["mnn"] == pinned
    # Again: the same folder, nothing twice.
    assert cli("devices", "provision", "board", "mnn").code == 0
    assert len(folders(board)) == 1

    removed = cli("devices", "provision", "board", "--remove", "mnn")
    assert removed.code == 0, removed.err
    assert folders(board) == []
    assert "mnn" not in load_device(workspace, "board").spec.engines
    again = cli("devices", "provision", "board", "--remove", "mnn")
    assert again.code == 2
    assert "mnn on board was not provisioned" in again.err


def test_what_is_already_there_is_not_replaced(board, cli):
    board.write_text(board.read_text() + f"  mnn: {{ python: {sys.executable} }}\n")
    said = cli("devices", "provision", "board", "mnn")
    assert said.code == 2
    assert f"board has mnn already: {sys.executable}" in said.err


def test_what_is_no_package_and_this_machine_are_refused(board, workspace, cli):
    said = cli("devices", "provision", "board", "calibration")
    assert (said.code, "calibration is not a Python package" in said.err) == (2, True)
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    said = cli("devices", "provision", "here", "mnn")
    assert (said.code, "here is this machine" in said.err) == (2, True)


def interpreter(tmp_path, script):
    path = tmp_path / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_too_old_is_named(put, board, tmp_path):
    answers = 'case "$*" in *_base_executable*) echo "$0";; *) echo version 3.6.9;; esac'
    with pytest.raises(LabError, match=r"no wheels of litert for Python 3\.6 on x86_64-manylinux"):
        put("litert", python=interpreter(tmp_path, answers))
    assert folders(board) == []


def test_a_board_without_python_is_named(put):
    with pytest.raises(LabError, match="board has no Python 3"):
        put(python="/nonexistent/python3")


def test_what_does_not_load_is_removed(put, board, tmp_path):
    """A Python that is none of the environment's own does not find its packages."""
    itself = 'case "$3" in *_base_executable*) echo "$0"; exit;; esac'
    deaf = interpreter(tmp_path, f'{itself}\nexec {sys._base_executable} "$@"')
    with pytest.raises(LabError, match=r"mnn does not load there: .*No module named"):
        put(python=deaf)
    assert folders(board) == []
    assert "mnn" not in board.read_text()


class Full:
    """Double of a board with a full disk: it passes everything on but the question for room."""

    def __init__(self, transport):
        self.transport = transport

    def __enter__(self):
        self.transport.__enter__()
        return self

    def __exit__(self, *error):
        self.transport.__exit__(*error)

    def run(self, argv, **options):
        if argv[0] == "df":
            header = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
            return Completed(0, f"{header}/dev/root 10000 7000 3000 70% /\n".encode(), b"")
        return self.transport.run(argv, **options)


def test_a_full_disk_is_named_before_anything_is_sent(put, board, workspace):
    link = connect(workspace, load_device(workspace, "board"))
    with pytest.raises(
        LabError, match=r"board has too little space: .* needs .*, 3.07 MB are free"
    ):
        put(transport=Full(link))
    assert folders(board) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"abi": "android-arm64"}, "Android has no Python"),
        (
            {"abi": "armv7hf-linux", "libc": "glibc", "libc_version": "2.31"},
            "no wheels for armv7hf",
        ),
        ({"abi": "arm64-linux", "libc": "glibc", "libc_version": "2.12"}, "glibc 2.12, is older"),
        ({"abi": "arm64-linux"}, "its C library, unknown"),
    ],
)
def test_devices_that_no_wheel_runs_on_are_named(put, monkeypatch, facts, said):
    """What such devices tell stands in for them."""
    told = Facts(**facts, pythons=(Python(path="/usr/bin/python3", version="3.9.2"),))
    monkeypatch.setattr(module, "probe", lambda *_: told)
    with pytest.raises(LabError, match=said):
        put()
