"""The supervisor on a device: brought there where it is missing, and called."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from harness.core.hashing import sha256_of
from harness.lab import reasons
from harness.transports.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_TIMEOUT,
    Completed,
    TransferError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.core.reason import Reason
    from harness.transports.base import ByteSource, Transport

__all__ = ["DeviceSupervisor", "no_room", "said"]

CANNOT_PREPARE: Final = 98
_CANNOT_RUN = {126, 127}
_ATTEMPTS = 2
_AVAILABLE = 3  # column of df -P


class DeviceSupervisor:
    """The supervisor's program on a device.

    Whether it is there is found out by calling it, so that a device that has it is asked nothing.

    Parameters
    ----------
    transport
        To the device.
    workdir
        The device's folder for pushed files and launches.
    program
        The supervisor for the device's ABI.

    Attributes
    ----------
    store, launches
        The folders on the device of pushed files, itself among them, and of launches.
    """

    def __init__(self, transport: Transport, workdir: str, program: Path) -> None:
        self.store = f"{workdir}/store"
        self.launches = f"{workdir}/launches"
        self.digest = sha256_of(program)
        self.size = program.stat().st_size
        self._transport = transport
        self._local = program
        self._installing = threading.Lock()

    def call(
        self,
        words: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Call a command of the supervisor.

        Raises
        ------
        TransferError
            It is not there, and could not be brought there or cannot be run.
        TransportError
            As for :meth:`harness.transports.base.Transport.run`.
        """
        argv = [f"{self.store}/{self.digest}", *words]
        answer = self._transport.run(argv, stdin=stdin, timeout=timeout, output_limit=output_limit)
        if answer.returncode in _CANNOT_RUN:
            # It is new there, or a restarted device had it in memory only.
            with self._installing:
                self._install()
            answer = self._transport.run(
                argv, stdin=stdin, timeout=timeout, output_limit=output_limit
            )
        if answer.returncode in _CANNOT_RUN:
            raise self.not_run(answer)
        return answer

    def not_run(self, answer: Completed) -> TransferError:
        """Return the error for an answer that is not the supervisor's."""
        return TransferError(reasons.NOT_RUN(status=answer.returncode, said=said(answer)))

    def _install(self) -> None:
        """Push the supervisor, which then tells its own digest.

        It is not told the right one, so that one that arrived changed cannot say it by accident.
        """
        made = self._transport.run(["mkdir", "-p", self.store])
        if made.returncode != 0:
            raise TransferError(reasons.NO_FOLDER(folder=self.store, said=said(made)))
        for _ in range(_ATTEMPTS):
            new = f"{self.store}/{self.digest}.{secrets.token_hex(4)}.new"
            try:
                self._transport.push(self._local, new)
                adopted = self._transport.run([new, "store", "adopt", new])
            except TransportError as error:
                self._remove(new)
                if self._is_full():
                    raise no_room(self.store, error.reason) from error
                raise
            if adopted.text.strip() == self.digest:
                return
            self._remove(new)
        if adopted.returncode != 0:
            raise self.not_run(adopted)
        raise TransferError(reasons.CORRUPTED(file=self._local.name))

    def _is_full(self) -> bool:
        """Whether the disk under the store is full, as the device counts it."""
        with suppress(TransportError):
            # Blocks of 1 KiB, POSIX's format: filesystem, size, used, available …
            lines = self._transport.run(["df", "-Pk", self.store]).text.splitlines()
            columns = lines[-1].split() if lines else []
            return len(columns) > _AVAILABLE and columns[_AVAILABLE] == "0"
        return False

    def _remove(self, path: str) -> None:
        with suppress(TransportError):
            self._transport.run(["rm", "-f", path])


def no_room(folder: str, said: str | Reason) -> TransferError:
    """Return the error for a full disk."""
    return TransferError(reasons.NO_ROOM(folder=folder, said=said))


def said(answer: Completed) -> str | Reason:
    """Return the last line that a command complained with, or its exit status."""
    lines = answer.stderr.decode(errors="replace").strip().splitlines()
    if not lines:
        return reasons.EXIT_STATUS(status=answer.returncode)
    return lines[-1].removeprefix("edge-supervisor: ")[:300]
