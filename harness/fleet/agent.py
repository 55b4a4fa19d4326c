"""``harness agent``: measures the shares that the centre has for a lab's devices.

It connects outwards alone. Procrastinate's queue says what there is to do; what an agent may write
is decided by the share's lease and fence (:mod:`harness.fleet.centre`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from harness import __version__
from harness.core.errors import HarnessError, LabError, SpecificationError, unexpected
from harness.core.text import count
from harness.fleet.centre import AwayError, Centre, NameTakenError
from harness.fleet.measuring import Measuring, Outcome
from harness.fleet.spool import remove_old
from harness.lab.inventory import load_devices
from harness.results.postgresql import location
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager

    from harness.lab.inventory import Device
    from harness.workspace import Workspace

__all__ = ["Agent", "Checked", "check"]

LOOK_S: Final = 1.0  # at the queue
BEAT_S: Final = 15.0
AGAIN_S: Final = 20  # a share that somebody else holds
GRACE_S: Final = 60.0  # of a launch, when the agent is to end


@dataclass(frozen=True)
class Checked:
    """What an agent would do: as which login, for which devices, and what others have already."""

    name: str
    where: str
    devices: list[str]
    taken: list[str]


def check(workspace: Workspace, names: Sequence[str] = ()) -> Checked:
    """Say whether an agent could work, without claiming anything.

    Parameters
    ----------
    names
        Of its devices; by default all of the workspace.

    Raises
    ------
    HarnessError
        It could not.
    """
    agent = Agent(workspace, names, lambda _: None)
    with Centre.of(workspace) as centre, agent.alone():
        taken = agent.hello(centre)
        centre.goodbye(agent.instance)
        return Checked(agent.name, centre.where, sorted(agent.devices), taken)


class Agent:
    """A lab's agent.

    Parameters
    ----------
    names
        Of the devices that it offers; by default all of the workspace.
    log
        Takes lines for its log.

    Raises
    ------
    SpecificationError
        The workspace has no centre, or no such device.
    """

    def __init__(
        self, workspace: Workspace, names: Sequence[str], log: Callable[[str], None]
    ) -> None:
        self._workspace = workspace
        self._log = log
        with Centre.of(workspace) as centre:
            self._conninfo = centre.conninfo
        self._url = workspace.settings.results or ""
        self.name = location(self._url).username or os.environ.get("PGUSER", "")
        known = load_devices(workspace)
        if unknown := sorted(set(names) - known.keys()):
            raise SpecificationError(
                f"unknown device '{unknown[0]}'", hint=f"valid: {', '.join(sorted(known))}"
            )
        self.devices: Mapping[str, Device] = {
            name: device for name, device in known.items() if not names or name in names
        }
        self.instance = _instance(workspace)
        self._offered = dict(self.devices)
        self._running: dict[str, Measuring] = {}  # host to its share
        self._jobs: set[int] = set()
        self._stop = asyncio.Event()

    def alone(self) -> FileLock:
        """Return what keeps a second agent off this machine.

        Raises
        ------
        LabError
            There is one.
        """
        folder = cache_dir() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "agent.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise LabError(
                "an agent is at work on this machine already",
                hint="one is enough for all its devices: put them into one workspace",
            ) from None
        return lock

    def hello(self, centre: Centre) -> list[str]:
        """Tell the centre what is here; return the names that other labs have already."""
        taken = centre.hello(
            self.instance, socket.gethostname(), __version__, self.devices.values()
        )
        self._offered = {name: each for name, each in self.devices.items() if name not in taken}
        return taken

    def run(self) -> None:
        """Measure until SIGTERM or SIGINT.

        Raises
        ------
        HarnessError
            It cannot begin.
        """
        with self.alone(), Centre.of(self._workspace) as centre:
            remove_old(self._workspace)
            for name in self.hello(centre):
                self._log(f"{name}: another lab has a device of that name; rename it here")
            _use_own_cache()
            asyncio.run(self._serve(centre))
            with suppress(HarnessError):
                centre.goodbye(self.instance)

    async def _serve(self, centre: Centre) -> None:
        from procrastinate import App, PsycopgConnector  # noqa: PLC0415 - an extra
        from procrastinate.exceptions import ConnectorException  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        connector = PsycopgConnector(
            conninfo=self._conninfo, min_size=1, max_size=2, timeout=10.0, reconnect_timeout=5.0
        )
        app = App(connector=connector)
        try:
            await app.open_async()
        except ConnectorException as error:
            raise AwayError(f"{centre.where}: {error}", hint="see that the centre is up") from None
        tasks: set[asyncio.Task[None]] = set()
        try:
            manager = app.job_manager
            worker = None
            self._log(f"agent {self.name} has {count(len(self._offered), 'device')}: "
                      f"{', '.join(sorted(self._offered))}")  # fmt: skip
            beat = loop.time()
            while not self._stop.is_set():
                try:
                    if worker is None:
                        worker = await manager.register_worker()
                    if loop.time() >= beat:
                        beat = loop.time() + BEAT_S
                        await asyncio.to_thread(self.hello, centre)
                        await manager.update_heartbeat(worker)
                        await self._reap(manager)
                    while job := await manager.fetch_job(self._idle(), worker):
                        self._begin(job, manager, tasks)
                except (AwayError, ConnectorException) as error:
                    self._log(f"the centre is away: {error}")
                    worker = None  # it may have forgotten this one
                except NameTakenError as error:
                    self._log(f"no more is taken: {error.message}")
                await self._pause(LOOK_S)
            await self._end(tasks)
            if worker is not None:
                with suppress(ConnectorException):
                    await manager.unregister_worker(worker)
        finally:
            await app.close_async()

    def _idle(self) -> list[str]:
        hosts = {device.host for device in self._offered.values()} - self._running.keys()
        # None of a list without any; of none, procrastinate would give the jobs of all.
        return [f"{self.name}/{host}" for host in sorted(hosts)] or ["-"]

    async def _reap(self, manager: JobManager) -> None:
        """Let jobs wait again that an agent of this name had, and that died with it."""
        for host in {device.host for device in self._offered.values()}:
            queue = f"{self.name}/{host}"
            for job in await manager.list_jobs_async(queue=queue, status="doing"):
                if job.id is not None and job.id not in self._jobs:
                    self._log(f"{job.task_kwargs.get('share')}: its agent is gone; taken up again")
                    await manager.retry_job(job)

    def _begin(self, job: Job, manager: JobManager, tasks: set[asyncio.Task[None]]) -> None:
        share, host = str(job.task_kwargs.get("share")), job.queue.partition("/")[2]
        measuring = Measuring(
            share, self._url, self._workspace, self._offered,
            agent=self.name, instance=self.instance, log=self._log,
        )  # fmt: skip
        self._running[host] = measuring
        assert job.id is not None  # noqa: S101 - for the type checker: it was fetched
        self._jobs.add(job.id)
        task = asyncio.create_task(self._run(job, host, measuring, manager))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self, job: Job, host: str, measuring: Measuring, manager: JobManager) -> None:
        from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - an extra
        from procrastinate.jobs import Status  # noqa: PLC0415

        try:
            outcome = await asyncio.to_thread(measuring.run)
        except AwayError:
            outcome = Outcome.LATER
        except HarnessError as error:
            self._log(f"{job.task_kwargs.get('share')}: {error.message}")
            outcome = Outcome.LATER
        except Exception as error:  # noqa: BLE001 - one share never ends the agent
            self._log(f"{job.task_kwargs.get('share')}: {unexpected(error)}")
            outcome = Outcome.LATER
        # Else the reaper comes for it, once the centre is back.
        with suppress(ConnectorException):
            if outcome is Outcome.ENDED:
                await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
            else:
                later = 0 if self._stop.is_set() else AGAIN_S
                at = datetime.now(UTC) + timedelta(seconds=later)
                await manager.retry_job(job, retry_at=at)
        self._running.pop(host, None)
        self._jobs.discard(job.id or 0)

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        """Let launches end; those that take too long are collected by the next agent."""
        self._log("ending" + (f"; {len(tasks)} shares wait for the next agent" if tasks else ""))
        for measuring in self._running.values():
            measuring.stop()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=GRACE_S)
            for measuring in self._running.values():
                measuring.hang_up()
            if left:
                await asyncio.wait(left, timeout=GRACE_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def _instance(workspace: Workspace) -> str:
    """Return what tells this agent from another one with its login."""
    machine = socket.gethostname()
    with suppress(OSError):
        machine += Path("/etc/machine-id").read_text(encoding="ascii")
    return sha256(f"{machine} {workspace.root}".encode()).hexdigest()[:16]


def _use_own_cache() -> None:
    """Keep what others send apart from what is built here, which local runs trust by its name."""
    real = cache_dir()
    own = real / "fleet" / real.name
    own.mkdir(parents=True, exist_ok=True)
    for name in ("boards", "environments", "locks", "native"):
        (real / name).mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            (own / name).symlink_to(real / name)
    os.environ["XDG_CACHE_HOME"] = str(own.parent)
