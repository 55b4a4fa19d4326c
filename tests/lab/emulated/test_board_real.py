"""The emulated board itself, over real SSH."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace

import psutil
import pytest

from harness.lab.emulated.board import Board
from harness.transports.base import AuthenticationError, HostKeyError
from harness.transports.ssh.board import board_server
from harness.transports.ssh.transport import SshTransport

pytestmark = pytest.mark.e2e

TOOLS = [
    *("sh", "cat", "mkdir", "mv", "rm", "stat", "tail", "df", "gzip", "sha256sum"),
    *("timeout", "setsid", "taskset", "kill", "nproc", "free", "uname", "dmesg"),
]
QUICK_PADDLE = """\
import importlib.util, pathlib
paddle = pathlib.Path(importlib.util.find_spec("paddle").origin).parent
spec = importlib.util.spec_from_file_location("libpaddle", paddle / "base/libpaddle.so")
core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
core.init_memory_method()
core.init_devices()
print(core.AnalysisConfig.__name__)
"""


@contextlib.contextmanager
def running(workspace):
    board = Board(workspace, "qemu-arm64")
    try:
        assert board.up(print)
        yield board
    finally:
        board.down()


@pytest.fixture(scope="module")
def board(make_lab):
    with running(make_lab()) as board:
        yield board


@pytest.fixture
def transport(board):
    with SshTransport(*board_server(board.endpoint())) as transport:
        yield transport


def python(transport, program: str) -> str:
    done = transport.run(["/usr/bin/python3.11", "-c", program], timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.text.strip()


def test_up_answers_and_down_leaves_nothing(lab):
    with running(lab) as board:
        assert not board.up(print)  # it was running already
        status = board.status()
        assert status.running
        with SshTransport(*board_server(board.endpoint())) as transport:
            assert transport.run(["uname", "-nm"]).text == "qemu-arm64 aarch64\n"
        assert board.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", status.port))
        left = {path.name for path in (lab.state / "boards/qemu-arm64").iterdir()}
        assert left == {"host_ed25519", "id_ed25519", "known_hosts", "lock", "ports"}
        assert not board.down()
        # A zombie stays where no init process reaps it.
        if psutil.pid_exists(status.pid):
            assert psutil.Process(status.pid).status() == psutil.STATUS_ZOMBIE


def test_engines_are_there(transport):
    assert python(transport, "import onnxruntime; print(onnxruntime.__version__)") == "1.31.1"
    assert python(transport, QUICK_PADDLE) == "AnalysisConfig"


def test_what_a_launch_needs_is_there(transport):
    found = transport.run(["which", *TOOLS])
    assert found.returncode == 0, found.text
    script = "test $(nproc) = 2 && touch /tmp/a /data/a && df -T /tmp | grep -q tmpfs"
    assert transport.run(["sh", "-c", script]).returncode == 0


def test_the_root_disk_is_shared_and_stays_as_it_is(transport):
    assert transport.run(["touch", "/usr/bin/added"]).returncode == 0  # a layer of memory
    mounts = transport.run(["cat", "/proc/mounts"]).text
    assert mounts.startswith("overlay / overlay rw")
    assert transport.run(["sh", "-c", "echo > /dev/vdb"]).returncode != 0


def test_only_loopback_listens_and_the_guest_reaches_nothing(board, transport):
    listening = psutil.Process(board.status().pid).net_connections()
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        # 10.0.2.2 is this host, as QEMU's user network shows it where nothing restricts it.
        reached = transport.run(["timeout", "3", "nc", "10.0.2.2", port])
        assert reached.returncode != 0
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_another_workspace_has_another_board_and_other_keys(board, lab):
    with running(lab) as other:
        first, its_keys = board_server(board.endpoint())
        second, other_keys = board_server(other.endpoint())
        assert first.port != second.port
        with (
            SshTransport(first, other_keys) as impostor,
            pytest.raises(HostKeyError),
        ):
            impostor.run(["true"])
        stranger = replace(first, identity_files=second.identity_files)
        with (
            SshTransport(stranger, its_keys) as transport,
            pytest.raises(AuthenticationError),
        ):
            transport.run(["true"])
