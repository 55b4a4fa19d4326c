"""A run's launches as they end, appended to a file: the rows that ``harness export`` writes."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.core.errors import SpecificationError
from harness.export.rows import LaunchRow, launch_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.core.records import Launch, Run

__all__ = ["Follower"]

_HEAD: Final = f'{{"table_schema":"{LaunchRow.schema_name()}"'.encode()
_STEP: Final = 1 << 16
_MAX_LINE: Final = 1 << 20


class Follower:
    """Appends each launch to a file, once, and on disk before it returns.

    Several controllers may append to one file. What one that was killed left of a line is removed.

    Attributes
    ----------
    fault
        Why nothing is appended any more: a full disk ends no run, whose database has it all.
    """

    def __init__(self, path: Path) -> None:
        self.fault = ""
        self._path = path
        self._run: Run | None = None

    def begin(self, run: Run) -> None:
        """Append the launches that a run has and the file lacks; further ones are of this run.

        Raises
        ------
        SpecificationError
            The file cannot be written, or holds something else than rows of launches.
        """
        self._run = run.model_copy(update={"launches": []})
        try:
            with self._locked() as file:
                known = self._launches(file, run.id)
                for launch in run.launches:
                    if launch.id not in known:
                        self._append(file, launch)
        except OSError as error:
            raise SpecificationError(
                f"{self._path}: {error.strerror or error}",
                hint="name a file in an existing folder",
            ) from None

    def __call__(self, launch: Launch) -> str:
        """Append a launch, unless one could not be appended before; return why this one was not."""
        if self.fault:
            return ""
        try:
            with self._locked() as file:
                self._append(file, launch)
        except (OSError, SpecificationError) as error:
            self.fault = str(error)
        return self.fault

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file for one controller at a time, whole lines in it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            head = os.pread(file, len(_HEAD), 0)
            if not _HEAD.startswith(head):
                raise self._foreign(1)
            _cut_off_half_a_line(file)
            yield file
        finally:
            os.close(file)

    def _append(self, file: int, launch: Launch) -> None:
        assert self._run  # noqa: S101 - for the type checker: begin() was called
        content = launch_row(self._run, launch).model_dump_json().encode() + b"\n"
        while content:
            content = content[os.write(file, content) :]
        os.fsync(file)

    def _launches(self, file: int, run_id: str) -> set[str]:
        """Return the ids of a run's launches that the file has."""
        found = set()
        with os.fdopen(os.dup(file), "rb") as lines:
            lines.seek(0)
            for number, line in enumerate(iter(lambda: lines.readline(_MAX_LINE), b""), 1):
                try:
                    row = json.loads(line)
                    schema, run, launch = row["table_schema"], row["run"], row["launch"]
                except (ValueError, RecursionError, TypeError, KeyError):
                    schema = run = launch = None
                if schema != LaunchRow.schema_name():
                    raise self._foreign(number)
                if run == run_id:
                    found.add(launch)
        return found

    def _foreign(self, line: int) -> SpecificationError:
        return SpecificationError(
            f"{self._path}:{line}: not a row of {LaunchRow.schema_name()}",
            hint=(
                "name a new file, or one written by harness run --export or harness export "
                "--level launch"
            ),
        )


def _cut_off_half_a_line(file: int) -> None:
    """Remove what a writer that was killed, or a full disk, left behind the last line."""
    size = end = os.fstat(file).st_size
    while end:
        begin = max(0, end - _STEP)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    if end < size:
        os.ftruncate(file, end)
