"""Fixtures for all tests."""

from __future__ import annotations

import getpass
import math
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from harness.cli.app import main
from harness.native.supervisor import supervisor as build_supervisor
from harness.transports.ssh.target import SshTarget
from harness.workspace import Workspace, cache_dir

REPOSITORY = Path(__file__).parent.parent
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


SHARED = ("artifacts", "boards", "environments", "logs", "native")


def pytest_configure(config):
    # A shell's background jobs ignore Ctrl-C, and so would all that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        _isolate(config)
    # Of pytest-xdist: sessions of pytest within a test must not take themselves for its workers.
    os.environ.pop("PYTEST_XDIST_WORKER", None)


def _isolate(config):
    """Share what is built with the user's cache, but not locks and the local device's folder.

    A campaign of the user's that holds this machine would fail the tests, and they it.
    """
    real = cache_dir()
    own = Path(tempfile.mkdtemp(prefix="edge-harness-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))
    (own / real.name).mkdir()
    for name in SHARED:
        (real / name).mkdir(parents=True, exist_ok=True)
        (own / real.name / name).symlink_to(real / name)
    os.environ.setdefault("UV_CACHE_DIR", str(real.parent / "uv"))
    os.environ["XDG_CACHE_HOME"] = str(own)


# Their campaigns lease this machine, which only one may do at a time.
LEASING = (
    "tests/campaign/",
    "tests/cli/test_bench.py",
    "tests/cli/test_device_doctor.py",
    "tests/drill/",
    "tests/e2e/",
    "tests/engines/litert/",
    "tests/fleet/test_agent.py",
    "tests/lab/",
    "tests/plugins/",
    "tests/results/test_postgresql.py",
    "tests/runner/supervisor/",
    "tests/security/",
    "tests/test_pytest_plugin.py",
    "tests/transports/test_devices_command.py",
)


# Seen on an AMD EPYC with AVX2 only, also with the first edition: Paddle 2.6 ends on PP-OCRv4
# recognition with an illegal instruction, and x86 engines' int8 outputs are far off. The output
# check says so to users; what the tests expect holds for processors with AVX-512.
AVX512 = platform.machine() != "x86_64" or "avx512f" in Path("/proc/cpuinfo").read_text()
OF_AVX512 = (
    "tests/e2e/test_precisions.py::",
    "tests/models/test_quantize.py::test_what_an_engine_runs_is_int8_and_near_to_fp32",
    "tests/models/test_quantize.py::test_images_calibrate_and_others_of_them_are_held_out",
    "tests/models/test_quantize.py::test_outputs_are_checked_for_images_that_were_held_out",
    "tests/runner/test_engines.py::test_outputs_are_the_models_after_changes_of_shape[paddle-inf",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if not AVX512 and item.nodeid.startswith(OF_AVX512):
            item.add_marker(pytest.mark.skip(reason="this processor has no AVX-512"))


class Turns(LoadScopeScheduling):
    """Distribution over pytest-xdist's workers: files, and on one of them all that lease."""

    def _split_scope(self, nodeid):
        return "device" if nodeid.startswith(LEASING) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config, log):
    return Turns(config, log)


@dataclass(frozen=True)
class Said:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """An empty workspace, which commands work in."""
    for folder in ("devices", "models", "campaigns", "reports"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Call the command line in this process, its error handling included."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return call


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory) -> Path:
    """The device's supervisor for this machine, by the compiler here if there is one."""
    compiler = shutil.which("c++")
    if compiler is None:
        return build_supervisor(f"{platform.machine()}-linux", print)
    program = tmp_path_factory.mktemp("supervisor") / "edge-supervisor"
    native = REPOSITORY / "harness/runner/native"
    sources = [
        path for part in ("base", "device", "supervisor") for path in native.glob(f"{part}/*.cc")
    ]
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
    subprocess.run([compiler, *flags, f"-I{native}", *sources, "-o", program], check=True)
    return program


@dataclass
class Sshd:
    """A real SSH server on loopback, run as the current user; it accepts a key of its own."""

    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen = field(init=False)

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.key = self.make_key("user_key")
        self.make_key("host_key")
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.start()

    def make_key(self, name, passphrase=""):
        path = self.folder / name
        path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path]
        subprocess.run(command, check=True)
        return path

    def start(self):
        configuration = [
            *self.options,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
        ]
        (self.folder / "sshd_config").write_text("\n".join(configuration) + "\n")
        # Nobody reads what it says: in a pipe it would fill up, and sshd wait.
        with (self.folder / "log").open("w") as log:
            command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.process = subprocess.Popen(command, stderr=log)
        while "Server listening" not in (self.folder / "log").read_text():
            assert self.process.poll() is None, "sshd did not start"

    def stop(self):
        self.process.terminate()
        self.process.wait()

    @property
    def public_host_key(self):
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def address(self):
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def target(self, name="demo", key=None):
        return SshTarget.resolve(self.address, name=name, identity_file=key or self.key)


@pytest.fixture(scope="session")
def sshd_folder(tmp_path_factory):
    if SSHD is None:
        pytest.skip("no sshd here (Debian: openssh-server)")
    if os.geteuid() == 0:
        # What sshd asks for where root starts it. It stays: another session may need it, too.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return tmp_path_factory.mktemp("sshd")


@pytest.fixture(scope="session")
def sshd(sshd_folder):
    server = Sshd(sshd_folder / "shared")
    yield server
    server.stop()


@pytest.fixture
def start_sshd(sshd_folder, tmp_path):
    started = []

    def start(*options):
        server = Sshd(tmp_path / f"sshd{len(started)}", options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class BreakableLink:
    """A TCP proxy on loopback in front of a server: a link that a test breaks.

    Attributes
    ----------
    port
        Where it listens.
    passed, messages
        Bytes and pieces that came to it so far, "up" to the server and "down" from it.
    connections
        How many it took, those aside that it refused.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.passed, self.messages = {"up": 0, "down": 0}, {"up": 0, "down": 0}
        self.connections = 0
        self._lock = threading.RLock()
        self._ends: dict[socket.socket, threading.Event] = {}  # both of each connection: its gate
        self._condition = None
        self._refusals = 0
        self._held = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, refuse: float = 0) -> None:
        """Cut all connections, and refuse so many new ones."""
        with self._lock:
            self._refusals = refuse
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_when(self, condition, refuse: float = 0) -> None:
        """Cut them when something passes and a condition holds, in the middle of a message.

        The condition is given "up" or "down"; it may also act itself, and never hold.
        """
        self._condition, self._refusals_then = condition, refuse

    def hold(self, *, new: bool) -> None:
        """Let nothing pass any more and close nothing, as where a router forgets a connection.

        With ``new``, also on connections that come.
        """
        with self._lock:
            self._held = new
            for gate in self._ends.values():
                gate.clear()

    def restore(self) -> None:
        """Let all pass again."""
        with self._lock:
            self._refusals, self._held, self._condition = 0, False, None
            for gate in self._ends.values():
                gate.set()

    def close(self) -> None:
        self.restore()
        self.cut(refuse=math.inf)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._refusals:
                    self._refusals -= 1
                    ours.close()
                    continue
                its = socket.create_connection(("127.0.0.1", self._server))
                self.connections += 1
                gate = threading.Event()
                if not self._held:
                    gate.set()
                for end in (ours, its):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._ends[end] = gate
            for ends in ((ours, its, "up"), (its, ours, "down")):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, target, direction):
        with suppress(OSError):
            while chunk := source.recv(1 << 15):
                self._ends[source].wait()
                with self._lock:
                    self.passed[direction] += len(chunk)
                    self.messages[direction] += 1
                    breaks = self._condition and self._condition(direction)
                    if breaks:
                        self._condition = None
                target.sendall(chunk[: len(chunk) // 2] if breaks else chunk)
                if breaks:
                    self.cut(self._refusals_then)
        with self._lock:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            source.close()
            del self._ends[source]


@pytest.fixture
def link(sshd):
    """Return a link to the SSH server."""
    link = BreakableLink(sshd.port)
    yield link
    link.close()
