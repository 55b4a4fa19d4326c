"""The cache of artifacts and toolchain environments: what is there, and what may go.

What was used last is told by a folder's own time, which every use of an artifact sets. A folder
that another process makes or replaces at the moment is left alone.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.core.errors import SpecificationError
from harness.models.artifacts import read
from harness.models.environments import environments
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "LIMIT_VARIABLE",
    "Entry",
    "bound",
    "clean",
    "limit_bytes",
    "make_room",
    "mark_used",
    "stale",
]

LIMIT_VARIABLE = "EDGE_HARNESS_CACHE_GB"
DEFAULT_LIMIT_GB = 20.0
# A campaign that is being measured pushes what it has built within hours, not days.
SAFE_S = 86_400.0
ID_LENGTH = 12


@dataclass(frozen=True)
class Entry:
    """One folder of the cache.

    Attributes
    ----------
    kind
        ``artifact``, ``environment`` or ``leftover`` (of a process that was killed).
    used
        When it was used last, in seconds since the epoch.
    """

    kind: str
    folder: Path
    size_bytes: int
    used: float

    @property
    def what(self) -> str:
        """What it is, in words."""
        artifact = read(self.folder)
        if artifact is None:
            return self.folder.name
        record = artifact.record
        words = [record.format, *([record.target] if record.target != "any" else [])]
        words += [record.precision] if record.precision else []
        return f"{' '.join(words)} {record.id[:ID_LENGTH]}"

    @property
    def lock(self) -> FileLock:
        """That of ``make_once``, which whoever makes the folder holds."""
        name = self.folder.name
        if self.kind == "leftover":  # '.NAME.XXXX.partial'
            name = name.removeprefix(".").rsplit(".", 2)[0]
        return FileLock(self.folder.parent / f".{name}.lock", blocking=False)


def limit_bytes() -> int:
    """Return how much the artifacts may take.

    Raises
    ------
    SpecificationError
        The variable that sets it is not a number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_LIMIT_GB
        return int(gigabytes * 1e9)
    except (ValueError, OverflowError) as error:
        raise SpecificationError(
            f"{LIMIT_VARIABLE}={text}: not a number of gigabytes", hint=f"{LIMIT_VARIABLE}=20"
        ) from error


def mark_used(folder: Path) -> None:
    """Note that an artifact is used now."""
    os.utime(folder)


def stale(days: float, *, everything: bool = False) -> list[Entry]:
    """Return what may go: what no process was in need of for so many days, oldest first.

    Environments only go if this version of the harness has no use for them, or all of it is to go;
    what killed processes left goes at any age.
    """
    latest = time.time() - days * 86_400
    current = {environment.folder.name for environment in environments().values()}
    found = [
        entry
        for entry in [*_entries("artifact"), *_entries("environment")]
        if (everything and entry.kind != "leftover")
        or (entry.kind == "leftover" and _idle(entry))
        or (entry.used < latest and entry.folder.name not in current)
    ]
    return sorted(found, key=lambda entry: entry.used)


def clean(entries: Iterable[Entry]) -> list[Entry]:
    """Remove folders; return those that are gone. One that is being made now is left alone."""
    return [entry for entry in entries if _remove(entry)]


def make_room(progress: Callable[[str], None]) -> None:
    """Keep the artifacts within their limit, and say so where some had to go.

    Raises
    ------
    SpecificationError
        The variable that sets their limit is not a number.
    """
    if gone := bound(limit_bytes()):
        progress(
            f"the cache is full: {len(gone)} least recently used artifacts were removed; "
            f"{LIMIT_VARIABLE} sets its size in gigabytes"
        )


def bound(limit: int) -> list[Entry]:
    """Remove artifacts, those first that were used least lately, until the rest is small enough.

    What was used within a day stays, and so does an environment.
    """
    artifacts = sorted(
        (entry for entry in _entries("artifact") if entry.kind == "artifact"),
        key=lambda entry: entry.used,
    )
    excess = sum(entry.size_bytes for entry in artifacts) - limit
    latest = time.time() - SAFE_S
    gone = []
    for entry in artifacts:
        if excess <= 0 or entry.used > latest:
            break
        if _remove(entry):
            excess -= entry.size_bytes
            gone.append(entry)
    return gone


def _entries(kind: str) -> Iterator[Entry]:
    parent = cache_dir() / f"{kind}s"
    for folder in parent.iterdir() if parent.is_dir() else ():
        if folder.is_symlink() or not folder.is_dir():
            continue
        left = folder.name.endswith(".partial")
        with suppress(OSError):  # gone meanwhile
            used = folder.stat().st_mtime
            yield Entry("leftover" if left else kind, folder, _size(folder), used)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                total += Path(place, name).lstat().st_size
    return total


def _idle(entry: Entry) -> bool:
    try:
        with entry.lock:
            return True
    except (Timeout, OSError):
        return False


def _remove(entry: Entry) -> bool:
    try:
        with entry.lock:
            doomed = entry.folder
            if entry.kind != "leftover":  # renamed first: what is half removed must not be found
                doomed = entry.folder.with_name(f".{entry.folder.name}.removed.partial")
                entry.folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
    except (Timeout, OSError):
        return False
    return not doomed.exists()
