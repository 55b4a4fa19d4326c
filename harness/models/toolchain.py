"""Foreign tools: run to their end, and where they fail, the line that says why."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.core.errors import LabError
from harness.models import reasons
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.core.reason import Reason

__all__ = [
    "StageFailedError",
    "ToolchainError",
    "UnusableArtifactError",
    "end_running",
    "run",
]

CAUSE_LIMIT = 300
# The first of these that is found is what a person would look for in the log: an engine's failed
# check, an uncaught C++ exception, a compiler's complaint about a line, then a tool's own words.
# Otherwise the last line is shown.
_CAUSES = (
    re.compile(r"^npm error (?!code ).*", re.MULTILINE),
    re.compile(r"^.*Check failed.*$", re.MULTILINE),
    re.compile(r"^\s*what\(\):.*$", re.MULTILINE),
    re.compile(r"^\S+:\d+: (?:fatal )?error: .*$", re.MULTILINE),
    re.compile(r"^\s*error: .*$", re.MULTILINE | re.IGNORECASE),
    re.compile(r"^\[ERROR\].*$", re.MULTILINE),
)
# uv lists an error's reasons below it, the deepest last.
_UV_REASON = re.compile(r"^\s+cause: (.*)$", re.MULTILINE)
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_UNWANTED = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}


class ToolchainError(LabError):
    """A foreign tool failed: uv, opt, a converter.

    Attributes
    ----------
    log
        Where all that it said is, if it said anything.
    """

    log: Path | None = None


class StageFailedError(ToolchainError):
    """A stage failed for a reason of its own: it would fail again."""


class UnusableArtifactError(ToolchainError):
    """A tool made an artifact that its engine does not load or run."""


def run(command: Sequence[str], *, name: str, folder: Path) -> str:
    """Run a tool, without output; an interruption ends it. Return what it said.

    Parameters
    ----------
    command
        The program and its arguments.
    name
        Of the step, for the message and for the log, which stays where the tool failed.
    folder
        The tool's current folder.

    Raises
    ------
    ToolchainError
        It could not be started, ended with another code than 0, or was ended by a signal.
    """
    # Of this process and thread: others may run the same step in the same cache.
    own = f"{os.getpid()}-{threading.get_ident():x}"
    log = cache_dir() / "logs" / f"{name.replace(' ', '-')}-{own}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    environment["PYTHONUNBUFFERED"] = "1"  # so that the log's last line is the last that was said
    with log.open("w", encoding="utf-8") as output:
        output.write(f"$ {shlex.join(command)}\n\n")
        output.flush()
        try:
            code = _wait(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=environment,
                    start_new_session=True,  # so that what it starts ends with it
                )
            )
        except OSError as error:
            raise ToolchainError(
                reasons.NOT_STARTED(step=name, program=command[0], said=error.strerror or "")
            ) from error
    if code:
        said = cause(log.read_text(encoding="utf-8", errors="replace").partition("\n\n")[2])
        failed = ToolchainError(_failed(name, code, said, log))
        failed.log = log
        raise failed
    said = log.read_text(encoding="utf-8", errors="replace").partition("\n\n")[2]
    log.unlink()
    return said


def _failed(step: str, code: int, said: str, log: Path) -> Reason:
    known = {"step": step, "log": str(log)}
    if code < 0:
        return reasons.ENDED(**known, signal=signal.Signals(-code).name, said=said or None)
    if said:
        return reasons.FAILED(**known, said=said, status=code)
    return reasons.FAILED_SILENTLY(**known, status=code)


def end_running() -> None:
    """End the tools that run now, in whatever thread: each fails there as one that was killed."""
    with _lock:
        for process in _running:
            _end(process)


def _wait(process: subprocess.Popen[bytes]) -> int:
    with _lock:
        _running.add(process)
    try:
        return process.wait()
    except BaseException:
        _end(process)
        process.wait()
        raise
    finally:
        with _lock:
            _running.discard(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def cause(output: str) -> str:
    """Return the line of a tool's output that says why it failed; empty if it said nothing."""
    for pattern in _CAUSES:
        if found := pattern.search(output):
            reasons = _UV_REASON.findall(output, found.end())
            return ": ".join([found.group().strip(), *reasons[-1:]])[:CAUSE_LIMIT]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:CAUSE_LIMIT] if lines else ""
