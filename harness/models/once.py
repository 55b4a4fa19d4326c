"""Folders of the cache that are made once, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from filelock import AcquireReturnProxy

__all__ = ["make_once"]


def make_once(
    folder: Path,
    fill: Callable[[Path], None],
    *,
    sound: Callable[[Path], bool],
    progress: Callable[[str], None],
) -> None:
    """Make a folder unless it is there and sound.

    It is filled under another name and renamed, so that it is never seen half-made; a lock,
    which the kernel frees when its holder dies, makes others wait for the one who fills it.

    Parameters
    ----------
    folder
        Its name says all that its content depends on.
    fill
        Puts the content into the folder it is given. What it raises leaves no trace.
    sound
        Whether what is there can be used. Otherwise it is made again and replaced.

    Raises
    ------
    LabError
        The folder around it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = _lock(folder, progress)
    except OSError as error:
        raise LabError(
            f"{folder.parent} cannot be written: {error.strerror}",
            hint="set XDG_CACHE_HOME to use another cache folder",
        ) from error
    with held:
        if folder.exists() and sound(folder):
            return
        for abandoned in folder.parent.glob(f".{folder.name}.*.partial"):
            # Its maker was killed, or it would hold the lock; a child of it may still write there.
            shutil.rmtree(abandoned, ignore_errors=True)
        partial = Path(
            tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".partial")
        )
        try:
            fill(partial)
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _lock(folder: Path, progress: Callable[[str], None]) -> AcquireReturnProxy[FileLock]:
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        progress(f"waiting for another process to create {folder.name}")
        return lock.acquire()
