"""A controller: the command line in a process of its own, which may be killed at any point."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from drill.device import die_with_parent
from harness.cli.app import main

# Commands are imported when they run: a fork has them already.
_COMMANDS = (
    "harness.api",
    "harness.cli.run",
    "harness.cli.progress",
    "harness.cli.tables",
    "harness.campaign.session",
)
for _name in _COMMANDS:
    importlib.import_module(_name)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CRASHED", "StuckError", "control"]

CRASHED = 70
_LIMIT_S = 1800.0  # one that waits for nothing any more; a slow one is not stuck


class StuckError(Exception):
    """A controller did not end."""


def control(words: Sequence[str], workspace: Path, log: Path, prepare: Callable[[], None]) -> int:
    """Run a command in a fork of this process; return how it ended.

    A fork inherits the locks that other threads hold, and nobody there to release them. Those of
    closed links are waited for, as the system counts them: OpenSSL locks at a thread's very end,
    when Python has forgotten it.

    Parameters
    ----------
    prepare
        Called in the fork: puts doubles in their places.

    Returns
    -------
    int
        Its exit status; below 0 the number of the signal that ended it; ``CRASHED`` after an
        error that it did not expect.

    Raises
    ------
    StuckError
        It did not end, or could not begin; its log says where each of its threads was.
    """
    deadline = time.monotonic() + _LIMIT_S
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        if time.monotonic() > deadline:
            raise StuckError("a thread of the drill's own does not end")
        time.sleep(0.001)
    pid = os.fork()
    if pid == 0:
        _be_controller(words, workspace, log, prepare)
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGUSR1)
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise StuckError(f"harness {' '.join(words)}: not at its end after {_LIMIT_S:g} s")
        time.sleep(0.005)


def _be_controller(
    words: Sequence[str], workspace: Path, log: Path, prepare: Callable[[], None]
) -> NoReturn:
    code = CRASHED
    try:
        die_with_parent()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(file, stream)
        faulthandler.register(signal.SIGUSR1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ["EDGE_HARNESS_WORKSPACE"] = str(workspace)
        sys.argv = ["harness", *words]
        prepare()
        main()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except BaseException:  # noqa: BLE001 - whatever it is, the drill has to hear of it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
