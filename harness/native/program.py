"""Programs that are compiled from the package's own sources.

Each is kept under the hash of all that it depends on: sources, flags, compiler, tools. A wheel
carries those that need nothing of the user's; all others are compiled on first use, into the
user's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import harness.runner
from harness.models import environments
from harness.models.once import make_once
from harness.workspace import cache_dir

__all__ = ["CARRIED", "SOURCES", "Progress", "Recipe", "Tools"]

SOURCES = Path(harness.runner.__file__).parent / "native"

CARRIED = Path(__file__).parent / "carried"
"""What a wheel carries is there; a checkout has no such folder."""

Progress = Callable[[str], None]

Tools = Callable[[str], Path]
"""Gives the folder that a toolchain environment is installed in, by its name."""


@dataclass(frozen=True)
class Recipe:
    """How a program is made.

    Attributes
    ----------
    program
        The name of its file.
    folder
        The name of the folder that it is kept in: it ends with the hash of all that the program
        depends on.
    compile
        Puts the program into a folder.
    """

    program: str
    folder: str
    compile: Callable[[Path, Tools, Progress], None]

    def obtain(self, progress: Progress, tools: Tools | None = None) -> Path:
        """Return the program: the wheel's, or the cache's, which is compiled if it is not there.

        Parameters
        ----------
        tools
            Without it, the toolchain environments, which are made if they are not there.

        Raises
        ------
        ToolchainError
            The tools could not be installed, or the compilation failed.
        """
        carried = CARRIED / self.folder / self.program
        if carried.is_file():
            return carried
        home = cache_dir() / "native" / self.folder
        if not (home / self.program).is_file():
            found = tools or _environments(progress)
            make_once(
                home,
                lambda partial: self.compile(partial, found, progress),
                sound=lambda made: (made / self.program).is_file(),
                progress=progress,
            )
        return home / self.program


def _environments(progress: Progress) -> Tools:
    def folder(name: str) -> Path:
        environments.python(name, progress)
        return environments.get(name).folder

    return folder
