"""Pushed files on a device, each under the hash of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.transport.base import Completed, TransferError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.transport.base import Transport

__all__ = ["DeviceStore"]

SLOWEST_BYTES_PER_S = 250_000
_ATTEMPTS = 2

# Only verified content gets its final name; the size tells a file that a crash cut off.
_LOOK = """\
mkdir -p "$1" && cd "$1" && rm -f ./*.partial || exit 1
shift
while [ $# -gt 0 ]; do
  size=$(stat -c %s "$1" 2>/dev/null || wc -c <"$1" 2>/dev/null)
  [ "$size" = "$2" ] || echo "$1"
  shift 2
done"""

_ACCEPT = """\
sum=$(sha256sum <"$1") || exit 1
sum=${sum%% *}
if [ "$sum" = "$3" ]; then mv -f "$1" "$2"; else echo "$sum"; rm -f "$1"; fi"""


class DeviceStore:
    """The folder ``store`` in a device's work folder.

    Parameters
    ----------
    transport
        To the device.
    workdir
        The device's folder for pushed files and launches.
    """

    def __init__(self, transport: Transport, workdir: str) -> None:
        self._transport = transport
        self._folder = f"{workdir}/store"

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
            As for :meth:`harness.transport.base.Transport.run`.
        """
        sizes = {digest: path.stat().st_size for digest, path in files.items()}
        pairs = [word for digest, size in sizes.items() for word in (digest, str(size))]
        looked = self._shell(_LOOK, [self._folder, *pairs])
        if looked.returncode != 0:
            raise TransferError(f"{self._folder}: {_last_line(looked)}")
        for digest in set(looked.text.split()) & set(files):
            self._push(digest, files[digest], sizes[digest])
        return {digest: self._path(digest) for digest in files}

    def _push(self, digest: str, source: Path, size: int) -> None:
        partial = f"{self._path(digest)}.partial"
        timeout = 30 + size / SLOWEST_BYTES_PER_S
        arrived = ""
        for _ in range(_ATTEMPTS):
            try:
                self._transport.push(source, partial, timeout=timeout)
            except TransferError as error:
                self._shell('rm -f "$1"', [partial])
                if "No space left" not in error.message:
                    raise
                raise TransferError(
                    f"{source.name} ({size} bytes): the device has no room in {self._folder}",
                    hint="make room there, or set 'workdir' in the device's file",
                ) from error
            accepted = self._shell(_ACCEPT, [partial, self._path(digest), digest], timeout)
            if accepted.returncode != 0:
                raise TransferError(f"{source.name}: not verified: {_last_line(accepted)}")
            arrived = accepted.text.strip()
            if not arrived:
                return
        raise TransferError(
            f"{source.name}: corrupted in transfer, twice: sent with SHA-256 {digest}, "
            f"arrived with {arrived[:64]}"
        )

    def _path(self, digest: str) -> str:
        return f"{self._folder}/{digest}"

    def _shell(self, script: str, arguments: Sequence[str], timeout: float = 30.0) -> Completed:
        return self._transport.run(["sh", "-c", script, "sh", *arguments], timeout=timeout)


def _last_line(completed: Completed) -> str:
    lines = completed.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit status {completed.returncode}"
