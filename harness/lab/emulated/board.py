"""An emulated board: started, asked after, and ended."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock
from pydantic import BaseModel, ValidationError

from harness.core.errors import LabError
from harness.lab.emulated import cpio, image
from harness.lab.emulated.keys import as_dropbear, as_machine_id, as_public, load_or_make
from harness.lab.emulated.recipe import load_board
from harness.lab.emulated.tools import missing, run_tool
from harness.transports.base import AuthenticationError, HostKeyError, TransportError
from harness.transports.plugin import BoardEndpoint
from harness.transports.ssh.board import alias, board_server
from harness.transports.ssh.transport import SshTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.emulated.image import Image
    from harness.workspace import Workspace

__all__ = ["Board", "Status"]

BOOT_TIMEOUT = 90.0

_EMULATORS = {"arm64": "qemu-system-aarch64", "armhf": "qemu-system-arm"}
# adb takes what listens on some for an Android emulator, and its server has one.
_ADB_PORTS = {5037, *range(5555, 5586)}
# adbd starts beside the SSH server, and is waited for.
_ANSWER = "until netstat -ltn | grep -q :5555; do sleep 0.1; done; cat /proc/cmdline"
_DATA_SIZE = "1G"
_CONSOLE_LINES = 10
_PROBE_TIMEOUT = 2.0
_PROBE_PAUSE = 0.1
_END_TIMEOUT = 10.0
_END_PAUSE = 0.05


@dataclass(frozen=True)
class Status:
    """What a board is doing.

    Attributes
    ----------
    pid
        Of its QEMU.
    port
        On 127.0.0.1, where its SSH server answers.
    adb_port
        On 127.0.0.1, where its adbd answers.
    uptime_s
        Seconds since it was started.
    image
        The hash of what it runs: :attr:`Image.id`.
    """

    name: str
    running: bool
    pid: int | None = None
    port: int | None = None
    adb_port: int | None = None
    uptime_s: float | None = None
    image: str | None = None


class _Boot(BaseModel):
    """What is known of the newest start: written before QEMU runs, removed after its end."""

    port: int
    adb_port: int
    token: str  # on the kernel's command line, and so on QEMU's
    image: str


class Board:
    """An emulated board of a workspace.

    Parameters
    ----------
    name
        Of a recipe in ``devices/boards/``.

    Raises
    ------
    SpecificationError
        There is no such recipe.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.name = name
        self._spec = load_board(workspace, name)
        self._boards = workspace.boards
        self._emulator = _EMULATORS[self._spec.image.architecture]
        self._folder = workspace.state / "boards" / name

    def up(
        self,
        progress: Callable[[str], None],
        *,
        restart: bool = False,
        timeout: float = BOOT_TIMEOUT,
    ) -> bool:
        """Start the board, and wait until it answers.

        Parameters
        ----------
        progress
            Is told of each step.
        restart
            Ends it first if it runs, as if its power were cut; its ports stay.
        timeout
            Seconds from the start of QEMU to the board's answer.

        Returns
        -------
        bool
            Whether this call started it; else it was running.

        Raises
        ------
        LabError
            Its image cannot be built, or it did not boot. Nothing is left running.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock():
            if (boot := self._running()) and not restart:
                self._await_answer(boot, timeout)
                return False
            before = self._boot() if restart else None
            if shutil.which(self._emulator) is None:
                raise missing(self._emulator)
            built = image.build(self._spec.image, self._boards, progress)
            if before:
                progress(f"stopping {self.name}")
                self._end()
            port, adb_port = (before.port, before.adb_port) if before else self._ports()
            boot = _Boot(port=port, adb_port=adb_port, token=secrets.token_hex(16), image=built.id)
            progress(f"booting {self.name}")
            try:
                self._prepare(built)
                self._boot_file.write_text(boot.model_dump_json() + "\n")
                self._start(built, boot)
                self._await_answer(boot, timeout)
            except BaseException:
                self._end()
                raise
            self._ports_file.write_text(f"{port} {adb_port}\n", encoding="ascii")
            return True

    def _ports(self) -> tuple[int, int]:
        """Return the ports that it had, by which a campaign finds it again; else free ones."""
        try:
            first, second = map(int, self._ports_file.read_text(encoding="ascii").split())
            had = _are_free(first, second)
        except (OSError, ValueError):
            had = False
        return (first, second) if had else _two_free_ports()

    def down(self) -> bool:
        """End the board; what was written to it is gone. Return whether it was running."""
        if not self._folder.is_dir():
            return False
        with self._lock():
            running = self._running() is not None
            self._end()
            self._console.unlink(missing_ok=True)
            return running

    def status(self) -> Status:
        """Return what the board is doing."""
        process, boot = self._process(), self._boot()
        if process is None or boot is None:
            return Status(name=self.name, running=False)
        return Status(
            name=self.name,
            running=True,
            pid=process.pid,
            port=boot.port,
            adb_port=boot.adb_port,
            uptime_s=round(time.time() - process.create_time(), 1),
            image=boot.image,
        )

    def endpoint(self) -> BoardEndpoint:
        """Return how the running board is reached.

        Raises
        ------
        LabError
            It is not running.
        """
        if boot := self._running():
            return self._endpoint(boot)
        raise LabError(
            f"the emulated board {self.name} is not running", hint=f"harness devices up {self.name}"
        )

    @property
    def _boot_file(self) -> Path:
        return self._folder / "state.json"

    @property
    def _ports_file(self) -> Path:
        return self._folder / "ports"

    @property
    def _pid_file(self) -> Path:
        return self._folder / "qemu.pid"

    @property
    def _console(self) -> Path:
        return self._folder / "console.log"

    @property
    def _initrd(self) -> Path:
        return self._folder / "initrd"

    @property
    def _data(self) -> Path:
        return self._folder / "data.ext4"

    def _lock(self) -> FileLock:
        return FileLock(self._folder / "lock")

    def _boot(self) -> _Boot | None:
        if not self._boot_file.exists():
            return None
        try:
            return _Boot.model_validate_json(self._boot_file.read_text())
        except ValidationError as error:
            raise LabError(
                f"{self._boot_file}: not written by this version of the harness",
                hint=f"stop the board's QEMU (its process id is in {self._pid_file}), then remove "
                f"{self._folder}",
            ) from error

    def _running(self) -> _Boot | None:
        return self._boot() if self._process() else None

    def _process(self) -> psutil.Process | None:
        """Return the board's QEMU if it lives.

        A process that has got the same number since does not have this boot's token among its
        arguments; neither does a zombie.
        """
        boot = self._boot()
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            return process if boot and boot.token in " ".join(process.cmdline()) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _prepare(self, built: Image) -> None:
        """Write what QEMU is given beside the image: the workspace's keys and an empty disk."""
        host = load_or_make(self._folder / "host_ed25519")
        client = load_or_make(self._folder / "id_ed25519")
        (self._folder / "known_hosts").write_text(f"{alias(self.name)} {as_public(host)}\n")
        files = {
            "etc/dropbear/dropbear_ed25519_host_key": as_dropbear(host),
            "etc/board": self._options(),
            "etc/hostname": f"{self.name}\n".encode(),
            "etc/machine-id": f"{as_machine_id(host)}\n".encode(),
            "root/.ssh/authorized_keys": f"{as_public(client)}\n".encode(),
        }
        added = cpio.archive(
            {f"workspace/{name}": content for name, content in files.items()}, mode=0o600
        )
        self._initrd.touch(mode=0o600)
        self._initrd.write_bytes(built.initrd.read_bytes() + added)
        self._data.unlink(missing_ok=True)
        run_tool(
            *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "data"),
            *(self._data, _DATA_SIZE),
        )

    def _options(self) -> bytes:
        """Return what the guest's /etc/rc reads."""
        machine = self._spec.machine
        return f"tmp={machine.tmp}\nsftp={'yes' if machine.sftp else 'no'}\n".encode()

    def _start(self, built: Image, boot: _Boot) -> None:
        """Start QEMU; it goes on when this process ends."""
        machine = self._spec.machine
        root = f"if=none,format=raw,id=root,readonly=on,file={_escaped(built.root)}"
        data = f"if=none,format=raw,id=data,cache=unsafe,file={_escaped(self._data)}"
        # restrict: the guest reaches no network, and not this host either.
        network = "user,id=net,restrict=on" + "".join(
            f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}"
            for outside, inside in ((boot.port, 22), (boot.adb_port, 5555))
        )
        argv: list[str | Path] = [
            *(self._emulator, "-name", f"edge-harness-{self.name}"),
            *("-nodefaults", "-display", "none"),
            *("-M", "virt", "-cpu", machine.cpu, "-smp", str(machine.cores)),
            *("-m", str(machine.memory_mb)),
            *("-kernel", built.kernel, "-initrd", self._initrd),
            *("-append", f"console=ttyAMA0 quiet panic=5 edge.boot={boot.token}"),
            *("-serial", f"file:{self._console}"),
            *("-drive", root, "-device", "virtio-blk-device,drive=root"),
            *("-drive", data, "-device", "virtio-blk-device,drive=data"),
            *("-netdev", network, "-device", "virtio-net-device,netdev=net"),
            *("-daemonize", "-pidfile", self._pid_file),
        ]
        # In a session of its own: Ctrl-C is for this process, which then ends QEMU in order.
        with subprocess.Popen(
            argv,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as launcher:
            try:
                _, said = launcher.communicate()
            except BaseException:
                launcher.wait()  # until QEMU has written its pid file, by which it is ended
                raise
        if launcher.returncode != 0:
            raise LabError(
                f"the board {self.name} did not start: {self._emulator} said: "
                f"{_printable(said) or 'nothing'}"
            )

    def _await_answer(self, boot: _Boot, timeout: float) -> None:
        """Wait until a command is answered by the guest that was started for this boot."""
        target, host_keys = board_server(self._endpoint(boot))
        deadline = time.monotonic() + timeout
        while True:
            left = max(deadline - time.monotonic(), _PROBE_TIMEOUT)
            try:
                with SshTransport(target, host_keys, connect_timeout=_PROBE_TIMEOUT) as transport:
                    answer = transport.run(["sh", "-c", _ANSWER], timeout=left).text
                break
            except (AuthenticationError, HostKeyError):
                raise
            except TransportError as error:
                if self._process() is None:
                    raise self._did_not_boot("QEMU ended") from error
                if time.monotonic() > deadline:
                    why = f"no answer on 127.0.0.1:{boot.port} within {timeout:g} s"
                    raise self._did_not_boot(why) from error
            time.sleep(_PROBE_PAUSE)
        if boot.token not in answer:
            raise LabError(f"the board {self.name}: another guest answers on 127.0.0.1:{boot.port}")

    def _did_not_boot(self, why: str) -> LabError:
        tail = b""
        if self._console.exists():
            tail = b"\n".join(self._console.read_bytes().splitlines()[-_CONSOLE_LINES:])
        shown = _printable(tail) or "(nothing)"
        return LabError(
            f"the board {self.name} did not boot: {why}; its console's last lines:\n{shown}",
            hint=f"full log: less {self._console}",
        )

    def _end(self) -> None:
        """End QEMU if it runs, and remove all that belongs to this start but the console."""
        if process := self._process():
            try:
                process.terminate()
                deadline = time.monotonic() + _END_TIMEOUT
                while not _ended(process):
                    if time.monotonic() > deadline:
                        process.kill()
                    time.sleep(_END_PAUSE)
            except psutil.NoSuchProcess:
                pass
            except psutil.AccessDenied as error:
                raise LabError(
                    f"the board {self.name} was started by another user (process {process.pid})"
                ) from error
        for file in (self._pid_file, self._initrd, self._data, self._boot_file):
            file.unlink(missing_ok=True)

    def _endpoint(self, boot: _Boot) -> BoardEndpoint:
        return BoardEndpoint(self.name, {"ssh": boot.port, "adb": boot.adb_port}, self._folder)


def _ended(process: psutil.Process) -> bool:
    """Return whether a process has ended; where no init process reaps, a zombie stays."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _are_free(*ports: int) -> bool:
    """Whether nobody listens on any of some ports."""
    for port in ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                return False
    return True


def _two_free_ports() -> tuple[int, int]:
    while True:
        with socket.socket() as one, socket.socket() as other:
            for listener in (one, other):
                listener.bind(("127.0.0.1", 0))
            first, second = one.getsockname()[1], other.getsockname()[1]
        if _ADB_PORTS.isdisjoint((first, second)):
            return first, second


def _escaped(path: Path) -> str:
    """Return a path as a value among QEMU's comma-separated options."""
    return str(path).replace(",", ",,")


def _printable(said: bytes) -> str:
    """Return text without the control characters that a terminal would obey."""
    return re.sub(r"[^\n\x20-\x7e]", "", said.decode(errors="replace")).strip()
