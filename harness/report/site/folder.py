"""The folder that a site is in: what is ours there, and how it is replaced."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from harness.core.errors import LabError, SpecificationError
from harness.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import FrameType

__all__ = ["SiteFolder"]

MARKER: Final = ".edge-harness-site.json"
PART: Final = ".edge-harness-site.part"
FORMAT: Final = 1
_LIMIT: Final = 64 << 20
_INDEX: Final = "index.html"

_Place = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:(?:campaigns|devices|reports|trends)/[a-z0-9][a-z0-9._-]{0,99}|index)\.html$"
    ),
]


class _Kept(Record):
    """A file of the site: a digest of what it was made of, and its size in bytes."""

    made_of: str
    size: int


class _Marker(Record):
    """What the command leaves in a folder to know it by.

    Attributes
    ----------
    made_of
        A digest of all that the site was made of; empty while it is replaced.
    files
        What is the command's own: nothing else is ever replaced or removed.
    """

    made_by: Literal["harness site build"] = "harness site build"
    format: int = FORMAT
    made_of: str = ""
    files: dict[_Place, _Kept] = Field(default_factory=dict)


class SiteFolder:
    """A folder with a site, which is replaced as a whole, and only what the command itself made.

    New files are staged beside the old ones, and take their places one by one when all are there:
    first those that pages lead to, the index last; then what is stale goes. A reader of the site
    meets whole pages and no dead link at any time. An interruption before that leaves the old site
    untouched; what was staged is taken up by the next build.

    Parameters
    ----------
    path
        Made where there is none.

    Raises
    ------
    SpecificationError
        It holds something that the command did not make, or is of a newer version.
    LabError
        It cannot be written, or another command builds in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path / PART
        self._staged: dict[str, _Kept] = {}
        with _told(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path, os.O_RDONLY)
        try:
            with _told(path):
                self._take()
                self._marker = self._known()
                self._part.mkdir(exist_ok=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others build in it."""
        os.close(self._lock)

    def is_made_of(self, digest: str) -> bool:
        """Return whether the site was made of the same, and all of it is there."""
        return self._marker.made_of == digest and all(
            self._has(place, kept.made_of) for place, kept in self._marker.files.items()
        )

    def keep(self, place: str, made_of: str) -> bool:
        """Keep a file that the site has, or an interrupted build staged; return whether it did."""
        staged = self._place_of(place, made_of)
        if self._has(place, made_of):
            self._staged[place] = self._marker.files[place]
        elif staged.is_file():
            self._staged[place] = _Kept(made_of=made_of, size=staged.stat().st_size)
        else:
            return False
        return True

    def stage(self, place: str, made_of: str, content: str) -> None:
        """Write a file that is to take its place later.

        Raises
        ------
        LabError
            It cannot be written.
        """
        encoded = content.encode("utf-8", "replace")
        with _told(self.path):
            _write(self._place_of(place, made_of), encoded)
        self._staged[place] = _Kept(made_of=made_of, size=len(encoded))

    def replace(self, made_of: str) -> int:
        """Make what was kept and staged the site; return how many files are new.

        Raises
        ------
        SpecificationError
            Something that the command did not make is in the way; nothing was replaced.
        LabError
            The folder cannot be written.
        """
        old = self._marker.files
        new = {
            place: kept
            for place, kept in self._staged.items()
            if not self._has(place, kept.made_of)
        }
        self._refuse_foreign(new, old)
        # Neither the old nor the new content is promised of what is in between.
        between = old | {place: _Kept(made_of="", size=0) for place in new}
        with _told(self.path), _uninterrupted():
            self._mark(_Marker(files=between))
            for place in sorted(new, key=lambda place: place == _INDEX):
                target = self.path / place
                target.parent.mkdir(exist_ok=True)
                self._place_of(place, new[place].made_of).replace(target)
            for place in old.keys() - self._staged.keys():
                (self.path / place).unlink(missing_ok=True)
            for folder in {(self.path / place).parent for place in old} - {self.path}:
                with suppress(OSError):  # not empty
                    folder.rmdir()
            self._mark(_Marker(made_of=made_of, files=self._staged))
            shutil.rmtree(self._part)
        return len(new)

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(
                f"{self.path}: another 'harness site build' is running there",
                hint="wait until it ends",
            ) from None

    def _known(self) -> _Marker:
        """Return what is the command's own in the folder."""
        path = self.path / MARKER
        refusal = SpecificationError(
            f"{self.path}: contains files that 'harness site build' did not write",
            hint="name a new or empty folder, or an existing site",
        )
        if not path.exists():
            if any(self.path.iterdir()):
                raise refusal
            marker = _Marker()
            self._mark(marker)
            return marker
        if path.stat().st_size > _LIMIT:
            raise refusal
        try:
            marker = _Marker.model_validate_json(path.read_bytes())
        except ValidationError:
            raise refusal from None
        if marker.format > FORMAT:
            raise SpecificationError(
                f"{self.path}: has format {marker.format}; this harness knows {FORMAT}",
                hint="upgrade edge-harness, or name another folder",
            )
        return marker

    def _has(self, place: str, made_of: str) -> bool:
        kept = self._marker.files.get(place)
        if kept is None or kept.made_of != made_of:
            return False
        path = self.path / place
        return path.is_file() and path.stat().st_size == kept.size

    def _refuse_foreign(self, new: Mapping[str, _Kept], old: Mapping[str, _Kept]) -> None:
        for place in new:
            target = self.path / place
            for path in (target.parent, target):
                foreign = path.is_symlink() and path != self.path
                if foreign or (path == target and place not in old and path.exists()):
                    raise SpecificationError(
                        f"{path}: is in the way and was not written by 'harness site build'",
                        hint="move it away",
                    )

    def _mark(self, marker: _Marker) -> None:
        _write(self.path / MARKER, marker.model_dump_json(indent=1).encode())

    def _place_of(self, place: str, made_of: str) -> Path:
        return self._part / sha256(f"{place} {made_of}".encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file: all of it, or none."""
    part = path.with_name(f"{path.name}.new")
    part.write_bytes(content)
    part.replace(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabError(
            f"{error.filename or path}: {error.strerror}",
            hint="free space there, or name a writable folder; finished reports are reused",
        ) from error


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C for the moment in which files take their places."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        del signum, frame
        asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
