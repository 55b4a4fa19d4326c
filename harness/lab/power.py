"""Switching a device off and on: the command of its file, and the wait for its answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import LabError
from harness.lab import reasons

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from harness.lab.inventory import PowerCycle
    from harness.transports.base import Transport

__all__ = ["PowerCycleError", "boot_id", "power_cycle"]

ANSWER_S = 10.0

_TAIL = 2000
_STEP_S = 0.2
_BETWEEN_LOOKS_S = 2.0


class PowerCycleError(LabError):
    """The device was not switched off and on, or did not answer after that."""


def boot_id(transport: Transport) -> str:
    """Ask a device which of its starts this is; empty where it cannot tell.

    Raises
    ------
    TransportError
        It does not answer.
    """
    answer = transport.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=ANSWER_S)
    return answer.text.strip()[:100]


def power_cycle(
    spec: PowerCycle,
    folder: Path,
    answers: Callable[[], str],
    is_over: Callable[[], bool] = lambda: False,
) -> str:
    """Switch a device off and on, and wait until it answers.

    Parameters
    ----------
    folder
        In which the command runs.
    answers
        Asks the device; returns what it said, or raises a :class:`LabError`.
    is_over
        Whether nobody waits for it any more.

    Returns
    -------
    str
        What the device answered.

    Raises
    ------
    PowerCycleError
        The command cannot be run, failed or took too long, or the device did not answer in time.
    """
    _switch(spec, folder, is_over)
    deadline = time.monotonic() + spec.boot_within_s
    while True:
        try:
            return answers()
        except LabError as error:
            last = error
        if is_over():
            raise PowerCycleError(reasons.INTERRUPTED())
        if time.monotonic() > deadline:
            raise PowerCycleError(reasons.NO_ANSWER(seconds=spec.boot_within_s, why=last.reason))
        _sleep(_BETWEEN_LOOKS_S, is_over)


def _switch(spec: PowerCycle, folder: Path, is_over: Callable[[], bool]) -> None:
    # The harness itself is found without its environment being activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                spec.command,
                cwd=folder,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise PowerCycleError(
                reasons.NO_COMMAND(command=spec.command[0], said=error.strerror or "")
            ) from error
        deadline = time.monotonic() + spec.time_limit_s
        while process.poll() is None and time.monotonic() < deadline and not is_over():
            _sleep(_STEP_S, is_over, process)
        ended = process.poll()
        if ended is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if is_over():
                raise PowerCycleError(reasons.INTERRUPTED())
            raise PowerCycleError(
                reasons.COMMAND_SLOW(seconds=spec.time_limit_s, said=_said(output))
            )
        if ended != 0:
            raise PowerCycleError(reasons.COMMAND_FAILED(status=ended, said=_said(output)))


def _said(output: IO[bytes]) -> str | None:
    """Return the last line that the command printed."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else None


def _sleep(
    seconds: float, is_over: Callable[[], bool], process: subprocess.Popen[bytes] | None = None
) -> None:
    """Let time pass, but not for longer than somebody waits."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not is_over():
        if process is None:
            time.sleep(min(left, _STEP_S))
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(left, _STEP_S))
                return
