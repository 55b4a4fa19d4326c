"""Faults that only a machine of its own can show, on emulated boards.

Their restarts, clocks, memory and adb are real; what fake devices show as well strikes here less
often. A board's journal is read over a link of the drill's own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from drill.journal import Journal, read_journal
from drill.kinds import WAIT, Kind, OnLink, by_runner, does, failed, on_link
from drill.link import Hooked, verb_of
from drill.target import Target
from harness.campaign.patience import Patience
from harness.core.errors import LabError
from harness.lab.connect import connect
from harness.lab.emulated import image
from harness.lab.emulated.board import Board
from harness.lab.emulated.recipe import load_board
from harness.lab.inventory import load_device
from harness.transports.base import DEFAULT_OUTPUT_LIMIT, DEFAULT_TIMEOUT, TransportError
from harness.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from random import Random

    from drill.kinds import Strike
    from drill.link import Strikes
    from harness.transports.base import ByteSource, Completed, Transport

__all__ = ["BOARD_KINDS", "BoardDevice", "NoImageError", "running"]

SMALL, ADB = "qemu-arm64-small", "qemu-armv7-adb"
_HOME = "/data/drill"
# Within which a board boots, or boots again, and answers, whatever else the machine does.
_PATIENCE_S = 900.0
REPOSITORY = Path(__file__).parent.parent


class NoImageError(LabError):
    """A board's image cannot be built here, for want of a package, say."""


@contextmanager
def running(
    folder: Path, device: str, progress: Callable[[str], None]
) -> Iterator[tuple[Workspace, int]]:
    """Boot a device's board in a workspace of its own, and end it.

    Yields
    ------
    tuple
        The workspace, and the port of an adb server that nobody else uses; it ends, too.

    Raises
    ------
    NoImageError
        The board's image cannot be built here: there is nothing to boot.
    LabError
        It did not boot.
    """
    shutil.copytree(REPOSITORY / "devices", folder / "devices")
    workspace = Workspace(folder)
    name = load_device(workspace, device).spec.board
    assert name is not None
    try:
        image.build(load_board(workspace, name).image, workspace.boards, progress)
    except LabError as error:
        raise NoImageError(error.message, hint=error.hint) from error
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    board = Board(workspace, name)
    board.up(progress, timeout=_PATIENCE_S)
    try:
        yield workspace, port
    finally:
        board.down()
        _kill_adb_server({"ANDROID_ADB_SERVER_PORT": str(port)})


def _kill_adb_server(environment: Mapping[str, str] | None = None) -> None:
    """End the adb server of this process, with all connections that it holds."""
    command = ["adb", "kill-server"]
    variables = {**os.environ, **(environment or {})}
    subprocess.run(command, check=False, capture_output=True, env=variables)


class BoardDevice(Target):
    """A device that is an emulated board, which runs.

    Parameters
    ----------
    workspace
        In which the board was booted.
    small_disk
        Whether the harness's folder is on a small disk of its own, which can be filled.
    """

    out_there = f"{_HOME}/out"

    def __init__(self, workspace: Workspace, name: str, home: Path, *, small_disk: bool) -> None:
        self.name = name
        self.home = home
        self._workspace = workspace
        self._small_disk = small_disk
        self._device = load_device(workspace, name)
        self.abi = self._device.spec.abi
        self.workplace = f"{_HOME}/disk/work"

    def over_ssh(self) -> Transport:
        """Return a link of the drill's own."""
        return connect(
            self._workspace, load_device(self._workspace, self.name.removesuffix("-adb"))
        )

    @cached_property
    def _own(self) -> Transport:
        return self.over_ssh()

    def call(self, script: str, *words: str, stdin: bytes = b"") -> Completed:
        """Run a script on it, when it is up."""
        command = ["sh", "-c", script, "sh", *words]
        return Patience(_PATIENCE_S)(
            lambda: self._own.run(command, stdin=stdin, timeout=60, output_limit=8 << 20)
        )

    def rest(self) -> None:
        """See :meth:`Target.rest`."""
        self._own.close()

    def meet(self, controller: int) -> None:
        """See :meth:`Target.meet`; what this process had of the link belongs to another now."""
        del controller
        self.__dict__.pop("_own", None)

    def make(self) -> None:
        """See :meth:`Target.make`."""
        mount = f"mount -t tmpfs -o size=8m none {_HOME}/disk" if self._small_disk else ":"
        self.call(
            f"umount {_HOME}/disk; rm -rf {_HOME}; "
            f"mkdir -p {_HOME}/disk {_HOME}/out/faults; {mount}; "
            "rm -f /dev/shm/edge-harness.*; sync"
        )

    def remove(self, *, keep: bool) -> None:
        """See :meth:`Target.remove`."""
        if keep:
            self.home.mkdir()
            told = self.call(f"cat {_HOME}/out/journal; ls -lR {_HOME}; date; uptime").stdout
            (self.home / "board").write_bytes(told)
        self._own.close()

    def link(self) -> Transport:
        """See :meth:`Target.link`."""
        return _Watched(connect(self._workspace, self._device), self)

    def plan(self, faults: Mapping[str, str]) -> None:
        """See :meth:`Target.plan`."""
        script = "".join(
            f"cat >faults/{name} <<'END'\n{text}\nEND\n" for name, text in faults.items()
        )
        self.call(
            f"cd {_HOME}/out && rm -rf faults count && mkdir faults && {{ :; {script}}}; sync"
        )

    def journal(self) -> Journal:
        """See :meth:`Target.journal`."""
        lines = self.call(f"cat {_HOME}/out/journal 2>/dev/null").text.splitlines()
        return read_journal(self.name, lines)

    def leftovers(self) -> Sequence[str]:
        """See :meth:`Target.leftovers`."""
        return self.call(
            f"cd {self.workplace} && ls -d launches/* store/*.partial 2>/dev/null; "
            f"ls -l /proc/[0-9]*/cwd 2>/dev/null | grep {self.workplace}/launches"
        ).text.splitlines()

    def forget_store(self) -> None:
        """See :meth:`Target.forget_store`."""
        self.call(f"rm -rf {self.workplace}/store")

    def break_lease(self) -> None:
        """See :meth:`Target.break_lease`."""
        self.call("rm -f /dev/shm/edge-harness.lock.lease")

    def fill(self) -> None:
        """Leave no room on its small disk."""
        self.call(f"dd if=/dev/zero of={_HOME}/disk/filler bs=4096")

    def make_room(self) -> None:
        """Take that back."""
        self.call(f"rm -f {_HOME}/disk/filler")

    def restart(self) -> None:
        """Restart it at once, its disks as they are."""
        with suppress(TransportError):
            self._own.run(["sh", "-c", "sync; reboot -f"], timeout=10)
        self._own.close()

    def step_clock(self, seconds: int) -> None:
        """Set its clock, from what it is."""
        self.call('date -s "@$(($(date +%s) + $1))"', str(seconds))


class _Watched(Hooked):
    """A way to a board that ends adb's server where the launch's runner asks for it by a file."""

    def __init__(self, inner: Transport, board: BoardDevice) -> None:
        super().__init__(inner)
        self._board = board

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`."""
        over = threading.Event()
        if self._board.name == ADB and verb_of(argv) in {"run", "read"}:
            threading.Thread(target=self._watch, args=[over], daemon=True).start()
        try:
            return super().run(argv, stdin=stdin, timeout=timeout, output_limit=output_limit)
        finally:
            over.set()

    def _watch(self, over: threading.Event) -> None:
        with suppress(TransportError), self._board.over_ssh() as own:
            while not over.wait(0.05):
                if own.run(["rm", f"{_HOME}/out/drop"]).returncode == 0:
                    _kill_adb_server()


def _restarts(_: Random) -> Strike:
    return lambda strikes: strikes.device.restart()


def _restarts_after(_: Random) -> Strike:
    def strike(strikes: Strikes) -> None:
        strikes.link.after = strikes.device.restart

    return strike


def _kills_server(random: Random) -> Strike:
    after = random.random() < 0.5  # noqa: PLR2004

    def strike(strikes: Strikes) -> None:
        if after:
            strikes.link.after = _kill_adb_server
        else:
            _kill_adb_server()

    return strike


def _seconds(random: Random) -> int:
    return random.choice((-1, 1)) * random.randint(1, 20 * 86400)


def _steps_clock(random: Random) -> Strike:
    seconds = _seconds(random)
    return lambda strikes: strikes.device.step_clock(seconds)


# All the memory that there is, at once; the kernel ends what has most: the runner itself.
_EATS_MEMORY = """while read -r what kb _; do
  [ "$what" = MemTotal: ] && exec dd if=/dev/zero of=/dev/null bs=$((kb - 1024))k count=1
done </proc/meminfo"""


BOARD_KINDS = (
    Kind(
        "runner out of memory",
        by_runner(_EATS_MEMORY, "start, samples, reading"),
        (failed("device", "out of memory"),),
        must_fail=True,
        protocol={"time_limit": 600},
        board=SMALL,
        patience_s=_PATIENCE_S,
    ),
    Kind(
        "device restarts (a board)",
        on_link(_restarts, "start, between")
        | {"reading": OnLink(_restarts_after, ("start",))}
        | by_runner(f"spoiled=1; reboot -f; {WAIT}", "samples"),
        (
            failed("device", "restarted|not there any more"),
            failed("deploy", "leads nowhere|No such"),
        ),
        spreads=True,
        board=SMALL,
        patience_s=_PATIENCE_S,
        most=4,
    ),
    Kind(
        "clock stepped",
        on_link(_steps_clock, "before start, push, storing, between")
        | by_runner(
            lambda random: f'date -s "@$(($(date +%s) + {_seconds(random)}))" >/dev/null',
            "start, samples, reading",
        ),
        board=SMALL,
        patience_s=_PATIENCE_S,
    ),
    Kind(
        "disk full (a board)",
        on_link(does(lambda device: device.fill()), "start")
        | by_runner("dd if=/dev/zero of=../../../filler bs=4096; spoiled=1", "samples"),
        (failed("deploy", "No space left|no room"), failed("device", "No space left")),
        spreads=True,
        once=True,
        repair=lambda device: device.make_room(),
        board=SMALL,
        patience_s=_PATIENCE_S,
        small_disk=True,
        most=4,
    ),
    Kind(
        "adb server killed",
        on_link(_kills_server, "before start, push, start, reading, storing, between")
        | by_runner('echo >"$out/drop"; sleep 0.3', "samples"),
        board=ADB,
        patience_s=_PATIENCE_S,
    ),
)
