"""A process of the drill's: one thread, of which controllers are forked, and mounts of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from drill.device import die_with_parent, own_mounts
from drill.kinds import KINDS
from drill.lab import drill_cell

if TYPE_CHECKING:
    from drill.lab import CellResult

__all__ = ["cell", "enter"]

_home: list[Path] = []


def enter(folder: str) -> None:
    """Make this process a worker, which leaves in a folder what has to be looked at."""
    die_with_parent()
    _home.append(Path(tempfile.mkdtemp(dir=folder)))
    own_mounts(_home[0])


def cell(name: str, stage: str, hits: int, seed: str) -> CellResult:
    """Let a kind of fault strike at a stage so many times."""
    kind = next(each for each in KINDS if each.name == name)
    home = _home[0] / f"{name}-{stage}".replace(" ", "-").replace(":", "")
    home.mkdir()
    return drill_cell(kind, stage, hits, seed, home)
