"""Pushed files on a device, each under the hash of its content; kept by the supervisor there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.lab import reasons
from harness.lab.sending import Gzipped, Link, gain_below
from harness.lab.supervisor import CANNOT_PREPARE, no_room, said
from harness.transports.base import Completed, TransferError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.lab.supervisor import DeviceSupervisor

__all__ = ["DeviceStore"]

SLOWEST_BYTES_PER_S = 250_000
_ATTEMPTS = 2

_WRONG_CONTENT: Final = 65
_NO_GZIP: Final = 69
_NO_ROOM: Final = 73
_CUT_SHORT: Final = 74


class DeviceStore:
    """The folder ``store`` in a device's work folder.

    Parameters
    ----------
    supervisor
        On the device; it verifies what arrives, and removes what was not used for longest.
    limit_mb
        Megabytes above which it does; without it the supervisor decides by the device's disk.
    """

    def __init__(self, supervisor: DeviceSupervisor, *, limit_mb: int | None = None) -> None:
        self._supervisor = supervisor
        self._folder = supervisor.store
        self._limit = [] if limit_mb is None else ["--limit", str(limit_mb)]
        self._link = Link()
        self._unpacks = True

    def missing(self, sizes: Mapping[str, int]) -> set[str]:
        """Return which files the device does not have, in one round trip.

        Room is made for those, and the others stay there for an hour at least.

        Parameters
        ----------
        sizes
            SHA-256 of the content (hexadecimal) to bytes.

        Raises
        ------
        TransferError
            The device has no room for them, or may not be written to.
        TransportError
            As for :meth:`harness.transports.base.Transport.run`.
        """
        needed = {self._supervisor.digest: self._supervisor.size, **sizes}
        words = [word for digest, size in needed.items() for word in (digest, str(size))]
        launches = ["--launches", self._supervisor.launches]
        answer = self._supervisor.call(
            ["store", "look", self._folder, *self._limit, *launches, *words]
        )
        if answer.returncode != 0:
            raise self._refused(answer)
        return set(answer.text.split()) & set(sizes)

    def ensure(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Push the files that the device does not have; return where each is there.

        Parameters
        ----------
        files
            SHA-256 of the content (hexadecimal) to the file.

        Returns
        -------
        dict
            The same hashes to paths on the device.

        Raises
        ------
        TransferError
            A file arrived changed twice, or the device has no room or may not be written to.
        TransportError
            As for :meth:`harness.transports.base.Transport.run`.
        """
        sizes = {digest: path.stat().st_size for digest, path in files.items()}
        for digest in sorted(self.missing(sizes), key=list(files).index):
            self._push(digest, files[digest], sizes[digest])
        return {digest: self.path(digest) for digest in files}

    def path(self, digest: str) -> str:
        """Return where a file is on the device."""
        return f"{self._folder}/{digest}"

    def _push(self, digest: str, source: Path, size: int) -> None:
        for _ in range(_ATTEMPTS):
            answer = self._put(digest, source, size)
            if answer.returncode == _NO_GZIP:
                self._unpacks = False
                answer = self._put(digest, source, size)
            if answer.returncode == 0:
                return
            if answer.returncode not in {_WRONG_CONTENT, _CUT_SHORT}:
                raise self._refused(answer)
        raise TransferError(reasons.CORRUPTED(file=source.name, sent=digest, said=said(answer)))

    def _put(self, digest: str, source: Path, size: int) -> Completed:
        with source.open("rb") as file:
            packed = self._unpacks and self._link.bytes_per_s < gain_below(file, size)
            return self._supervisor.call(
                ["store", "put", self._folder, digest, str(size), *["--gzip"] * packed],
                stdin=self._link.measured(Gzipped(file) if packed else file, packed=packed),
                timeout=30 + size / SLOWEST_BYTES_PER_S,
            )

    def _refused(self, answer: Completed) -> TransferError:
        why = said(answer)
        if answer.returncode == _NO_ROOM:
            return no_room(self._folder, why)
        if answer.returncode == CANNOT_PREPARE:
            return TransferError(reasons.NO_FOLDER(folder=self._folder, said=why))
        return self._supervisor.not_run(answer)
