"""What an agent has of a share on its own disk: it goes on while the centre is away.

Each share has a results database of its own, and the launches in it are the agent's truth: they
are stored there first, and sent to the centre as soon as it can be reached.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.core.errors import LabError
from harness.core.records import Launch
from harness.results.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.core.records import DeviceEvent, Run
    from harness.workspace import Workspace

__all__ = ["Spool", "SpoolFullError", "remove_old"]

KEPT_S: Final = 30 * 86400.0


class SpoolFullError(LabError):
    """A launch cannot be stored here."""


class Spool:
    """A share's run, with its launches, in a database of the agent's.

    Parameters
    ----------
    share
        Its id.
    """

    def __init__(self, workspace: Workspace, share: str) -> None:
        folder = _folder(workspace)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{sha256(share.encode()).hexdigest()[:24]}.sqlite"
        self.store = SqliteStore(self._path)
        self._unsent: deque[Launch] = deque()
        self._noted = 0

    def begin(self, run: Run, stored: Iterable[str]) -> Run:
        """Return the run with all its launches, those here and those at the centre.

        Parameters
        ----------
        run
            As it was sent.
        stored
            The records of launches that the centre has.
        """
        if self.store.find(run.id) is None:
            self.store.create(run)
        known = self.store.load(run.id)
        there = {record.id: record for record in map(Launch.model_validate_json, stored)}
        self._unsent.extend(each for each in known.launches if each.id not in there)
        for launch in known.launches:
            there.pop(launch.id, None)
        for launch in there.values():
            self.store.add(run.id, launch)
        return known.model_copy(update={"launches": [*known.launches, *there.values()]})

    def add(self, run: str, launch: Launch) -> None:
        """Store a launch; it is to be sent.

        Raises
        ------
        SpoolFullError
            It cannot be written; it stays on its device.
        """
        try:
            self.store.add(run, launch)
        except LabError as error:
            raise SpoolFullError(error.message, hint=error.hint) from error
        self._unsent.append(launch)

    @property
    def unsent(self) -> int:
        """How many launches wait to be sent."""
        return len(self._unsent)

    def flush(self, send: Callable[[Launch], None], tell: Callable[[DeviceEvent], None]) -> None:
        """Send what was not sent yet: launches in their order, and what happened to devices.

        What fails is tried again by the next call; what arrived is not known to have arrived then,
        so that both have to take it twice.
        """
        while self._unsent:
            send(self._unsent[0])
            self._unsent.popleft()
        for event in self.store.device_events()[self._noted :]:
            tell(event)
            self._noted += 1

    def close(self, *, ended: bool) -> None:
        """Close it.

        Parameters
        ----------
        ended
            Whether all of it is at the centre, and it is not needed any more.
        """
        self.store.close()
        if ended:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def remove_old(workspace: Workspace) -> None:
    """Remove spools that nobody came back for within a month: their shares have ended."""
    for path in _folder(workspace).glob("*.sqlite*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink()


def _folder(workspace: Workspace) -> Path:
    return workspace.state / "spool"
