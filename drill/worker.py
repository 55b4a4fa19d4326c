"""A process of the drill's: one thread, of which controllers are forked, and mounts of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from drill.boards import BOARD_KINDS
from drill.device import die_with_parent, own_mounts
from drill.kinds import KINDS
from drill.lab import drill_cell
from harness.workspace import Workspace

if TYPE_CHECKING:
    from drill.lab import CellResult

__all__ = ["ALL_KINDS", "cell", "enter"]

ALL_KINDS = (*KINDS, *BOARD_KINDS)

_home: list[Path] = []
_boards: list[Workspace] = []


def enter(folder: str, boards: str = "", adb_port: int = 0) -> None:
    """Make this process a worker, which leaves in a folder what has to be looked at.

    Parameters
    ----------
    boards
        The workspace in which the board runs that it has for itself, if it has one.
    adb_port
        Of the adb server that it has for itself then.
    """
    die_with_parent()
    _home.append(Path(tempfile.mkdtemp(dir=folder)))
    own_mounts(_home[0])
    if boards:
        os.environ["ANDROID_ADB_SERVER_PORT"] = str(adb_port)
        _boards.append(Workspace(Path(boards)))


def cell(name: str, stage: str, hits: int, seed: str) -> CellResult:
    """Let a kind of fault strike at a stage so many times; each part of a cell has its own seed."""
    kind = next(each for each in ALL_KINDS if each.name == name)
    home = _home[0] / "".join(c if c.isalnum() else "-" for c in f"{name}-{stage}-{seed}")
    home.mkdir()
    return drill_cell(kind, stage, hits, seed, home, _boards[0] if _boards else None)
