"""Fake devices: this machine, with a disk, a /sys, a boot and a journal of each device's own.

The supervisor on them is the real one. They need a mount namespace, which :func:`own_mounts` makes
for the calling process; nothing outside of it changes.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drill.journal import Journal, read_journal
from drill.link import DeviceLink
from drill.target import Target
from harness.core.contract import InputSpec
from harness.runner.python import edge_runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.transports.base import Transport

__all__ = [
    "FAKE_ABI",
    "MODELS",
    "FakeDevice",
    "die_with_parent",
    "mount_disk",
    "own_mounts",
    "runner_script",
    "unmount",
]

FAKE_ABI: Final = "x86_64-linux"
MODELS = {"alpha": 1001, "beta": 1002}
INPUT = InputSpec(name="x", shape=(1, 4))
CHECK_SEEDS = (1, 2, 3)
DISK_BYTES = 40 << 20

_CLOCKS = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _check(_libc.mount(*words), f"mounting {target}")


def die_with_parent() -> None:
    """Let this process be killed when the one ends that started it."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def mount_disk(folder: Path, size: int) -> None:
    """Mount an empty disk of so many bytes."""
    _mount("none", str(folder), "tmpfs", 0, f"size={size}")


def unmount(folder: Path) -> None:
    """Take it away."""
    _check(_libc.umount2(str(folder).encode(), _MNT_DETACH), f"unmounting {folder}")


def own_mounts(folder: Path) -> None:
    """Give this process, which has one thread, mounts of its own, with doubles in them.

    ``/dev/shm`` (leases, saved governors), the clocks in ``/sys`` and the number of the boot.

    Raises
    ------
    OSError
        The kernel does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if user else 0)), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("none", "/dev/shm", "tmpfs", 0, "size=8m")
    clocks = folder / "cpu"
    (clocks / "cpu0" / "cpufreq").mkdir(parents=True)
    _mount(str(clocks), "/sys/devices/system/cpu", "", _MS_BIND)
    for name, value in {
        "scaling_governor": "schedutil",
        "scaling_driver": "cpufreq-dt",
        "scaling_cur_freq": "1800000",
        "scaling_max_freq": "1800000",
    }.items():
        (_CLOCKS / name).write_text(f"{value}\n", encoding="ascii")
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    _mount(str(boot), "/proc/sys/kernel/random/boot_id", "", _MS_BIND)


def runner_script(out: str, *, synced: bool = False) -> str:
    """Return the journal-writing runner, whose journal and faults are in a folder of the device.

    Parameters
    ----------
    synced
        Whether each line of the journal is flushed to the disk, which a restart may cut off.
    """
    template = Path(__file__).with_name("runner.sh").read_text(encoding="utf-8")
    lines = []
    for seed in CHECK_SEEDS:
        right = edge_runner.make_input(INPUT.model_dump(), seed, 0).astype("<f4").tobytes()
        wrong = right[4:] + right[:4]  # what another input's outputs may look like
        event = (
            f'{{"event":"outputs","seed":{seed},"index":0,"name":"x","dtype":"float32",'
            f'"shape":[1,4],"sha256":"\'$digest\'","file":"output-{seed}.bin"}}'
        )
        lines += [
            _as_shell(right),
            f'if [ -n "${{wrong-}}" ]; then {_as_shell(wrong)}; fi',
            f'printf "$content" >output-{seed}.bin || broken output-{seed}.bin',
            f"emit '{event}'",
        ]
    script = template.replace("@OUT@", out).replace("@OUTPUTS@", "\n".join(lines))
    return script.replace("@SYNC@", "sync" if synced else ":")


def _as_shell(content: bytes) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in content)
    return f"content='{octal}' digest={hashlib.sha256(content).hexdigest()}"


class FakeDevice(Target):
    """One device double: its disk, and beside it what a real one's people would keep.

    Attributes
    ----------
    home
        Holds ``disk`` (a small one, with the device's work folder), ``lock`` and, in ``out``,
        the journal and the faults to come.
    """

    abi = FAKE_ABI
    out_there = "$(cd ../../../../out && pwd)"

    def __init__(self, name: str, home: Path, supervisor: Path) -> None:
        self.name = name
        self.home = home
        self._supervisor = supervisor
        self.workplace = str(self.workdir)

    @property
    def disk(self) -> Path:
        """Where its small disk is mounted."""
        return self.home / "disk"

    @property
    def workdir(self) -> Path:
        """The harness's folder on it."""
        return self.disk / "work"

    @property
    def lock(self) -> Path:
        """Its lock file; its lease is beside."""
        return self.home / "lock"

    @property
    def out(self) -> Path:
        """Where its journal is, and faults."""
        return self.home / "out"

    def make(self) -> None:
        """See :meth:`Target.make`; its other users have a supervisor, too."""
        (self.out / "faults").mkdir(parents=True)
        (self.out / "supervisor").symlink_to(self._supervisor)
        self.disk.mkdir()
        mount_disk(self.disk, DISK_BYTES)

    def remove(self, *, keep: bool) -> None:
        """See :meth:`Target.remove`."""
        self.free_lock()
        self.kill()
        if keep:
            shutil.copytree(self.disk, self.home / "disk.kept", symlinks=True, dirs_exist_ok=True)
        unmount(self.disk)
        if not keep:
            shutil.rmtree(self.home)

    def link(self) -> Transport:
        """See :meth:`Target.link`."""
        return DeviceLink(self.lock, self.out, partial(self.restart, keeps_disk=True), self.cool)

    def leftovers(self) -> list[str]:
        """See :meth:`Target.leftovers`."""
        left = [*self.workdir.glob("launches/*"), *self.workdir.glob("store/*.partial")]
        return [
            *(str(path.relative_to(self.workdir)) for path in left),
            *(f"process {pid}" for pid in self.processes()),
        ]

    def meet(self, controller: int) -> None:
        """See :meth:`Target.meet`."""
        (self.out / "controller").write_text(str(controller), encoding="ascii")

    def plan(self, faults: Mapping[str, str]) -> None:
        """See :meth:`Target.plan`."""
        shutil.rmtree(self.out / "faults")
        (self.out / "faults").mkdir()
        (self.out / "count").unlink(missing_ok=True)
        for name, script in faults.items():
            (self.out / "faults" / name).write_text(script, encoding="utf-8")

    def journal(self) -> Journal:
        """See :meth:`Target.journal`."""
        path = self.out / "journal"
        return read_journal(self.name, path.read_text().splitlines() if path.exists() else ())

    def fill(self) -> None:
        """Leave no room on its disk."""
        block = bytes(1 << 16)
        with suppress(OSError), (self.disk / "filler").open("ab", buffering=0) as file:
            while file.write(block):
                pass
        with suppress(OSError), (self.disk / "filler").open("ab", buffering=0) as file:
            while file.write(b"0" * 512):
                pass

    def make_room(self) -> None:
        """Take back what :meth:`fill` did."""
        (self.disk / "filler").unlink(missing_ok=True)

    def processes(self) -> Iterator[int]:
        """Yield the processes of its launches: supervisors, runners and what these left behind."""
        prefix = str(self.workdir / "launches")
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if str((entry / "cwd").readlink()).startswith(prefix):
                        yield int(entry.name)

    def kill(self) -> None:
        """End them at once, as where the power goes."""
        while found := list(self.processes()):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def restart(self, *, keeps_disk: bool) -> None:
        """Restart it: no process is left, nor what was in its memory, its work folder perhaps."""
        self.kill()
        self.lock.unlink(missing_ok=True)
        Path(f"{self.lock}.lease").unlink(missing_ok=True)
        if not keeps_disk:
            shutil.rmtree(self.workdir, ignore_errors=True)
        # The file is mounted over the kernel's: it is written, not replaced.
        Path("/proc/sys/kernel/random/boot_id").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        self.kill()

    def forget_store(self) -> None:
        """See :meth:`Target.forget_store`; only where no launch is under way that needs it."""
        while any(self.processes()):
            time.sleep(0.01)
        self.lose_store()

    def lose_store(self) -> None:
        """Remove all that was pushed, whatever is under way."""
        shutil.rmtree(self.workdir / "store", ignore_errors=True)

    def _lease(self, *words: str) -> None:
        command = [str(self.out / "supervisor"), "lease", "--lock", str(self.lock), *words]
        subprocess.run(command, check=True, capture_output=True)

    def break_lease(self) -> None:
        """See :meth:`Target.break_lease`."""
        self._lease("break", "drill", "why not")

    def lease_to_another(self) -> None:
        """Take it away from whoever has it, for somebody else."""
        self.break_lease()
        self._lease("take", "other", "300", "other@lab", "--wait", "0")

    def end_others_lease(self) -> None:
        """Let the somebody else give it back."""
        self._lease("release", "other")

    def hold_lock(self) -> None:
        """Let a process hold its lock that nobody looks after."""
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        orphan = subprocess.Popen(
            ["sleep", "1000"], pass_fds=[lock], cwd="/", start_new_session=True
        )
        os.close(lock)
        (self.out / "orphan").write_text(str(orphan.pid), encoding="ascii")

    def free_lock(self) -> None:
        """End that process."""
        orphan = self.out / "orphan"
        if orphan.exists():
            with suppress(ProcessLookupError):
                os.kill(int(orphan.read_text()), signal.SIGKILL)
            orphan.unlink()

    @staticmethod
    def cool() -> None:
        """Let its clocks rise again."""
        (_CLOCKS / "scaling_max_freq").write_text("1800000\n", encoding="ascii")
