"""What controllers of one machine keep from each other: a host, and a run."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.core.errors import LabError
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from harness.workspace import Workspace

__all__ = ["HostBusyError", "hold_host", "hold_run", "is_running"]


class HostBusyError(LabError):
    """Another controller of this machine measures on a host."""


def is_running(workspace: Workspace, run_id: str) -> bool:
    """Whether a controller of this machine measures a run at the moment."""
    try:
        with _run_lock(workspace, run_id):
            return False
    except Timeout:
        return True
    except (LabError, OSError):  # nothing can be written here: no run's launches, either
        return False


def hold_run(stack: ExitStack, workspace: Workspace, run_id: str) -> None:
    """Keep other controllers from going on with a run, until a stack is left.

    Raises
    ------
    LabError
        One of them measures it.
    """
    try:
        stack.enter_context(_run_lock(workspace, run_id))
    except Timeout:
        raise LabError(
            f"run {run_id} is being measured by another controller",
            hint="wait until it ends: harness results list",
        ) from None


def hold_host(
    stack: ExitStack,
    workspace: Workspace,
    host: str,
    wait_s: float,
    progress: Callable[[str], None],
) -> None:
    """Keep other controllers of this user off a host, until a stack is left.

    Raises
    ------
    HostBusyError
        One of them measures there, for longer than is waited.
    """
    # This machine is one host for all workspaces; the name of another is the workspace's own.
    folder = (cache_dir() if host == "this-machine" else workspace.state) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{host}.lock", timeout=0)
    try:
        try:
            stack.enter_context(lock)
        except Timeout:
            if not wait_s:
                raise
            progress(f"waiting for host '{host}', on which another run is measuring")
            stack.enter_context(lock.acquire(timeout=wait_s))
    except Timeout:
        raise HostBusyError(
            f"another run is measuring on host '{host}'",
            hint="wait for it (--wait 30m); two at once would spoil both",
        ) from None


def _run_lock(workspace: Workspace, run_id: str) -> FileLock:
    folder = workspace.state / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    # Hashed: a user may have typed anything.
    return FileLock(folder / f"run-{sha256(run_id.encode()).hexdigest()[:16]}.lock", timeout=0)
