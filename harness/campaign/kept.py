"""Files that runs were made of, kept under their hash, so that they can be run again later."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.hashing import sha256_of
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["KeptFiles", "cached", "keep"]


def keep(path: Path, folder: Path | None = None) -> str:
    """Keep a file, by default in the user's cache, and return its SHA-256."""
    digest = sha256_of(path)
    target = (folder or _cache()) / digest
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not the name of a hash until it is whole.
        part = target.with_name(f".{digest}.{os.getpid()}")
        shutil.copyfile(path, part)
        part.replace(target)
    return digest


@dataclass(frozen=True)
class KeptFiles:
    """Folders in which files are under their hash; the first that has one gives it."""

    folders: Sequence[Path]

    def get(self, digest: str) -> Path | None:
        """Return a file, verified; none where it is nowhere, or is not what it was."""
        if not digest.isalnum():  # of an untrusted file: never a path
            return None
        found = (folder / digest for folder in self.folders)
        return next((path for path in found if path.is_file() and sha256_of(path) == digest), None)


def cached(*folders: Path) -> KeptFiles:
    """Return the files of these folders, and of the user's cache."""
    return KeptFiles([*folders, _cache()])


def _cache() -> Path:
    return cache_dir() / "kept"
