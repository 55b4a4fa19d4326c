"""Where a command's output and a pulled file go: bounded, whatever the device sends."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.transports import reasons
from harness.transports.base import TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Capture", "receive"]


class Capture:
    """Keeps the first bytes of a stream and drops the rest.

    Parameters
    ----------
    limit
        How many bytes to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content = bytearray()
        self.truncated = False

    def __call__(self, chunk: bytes) -> None:
        """Take the next part of the stream."""
        kept = chunk[: self._limit - len(self._content)]
        self._content += kept
        self.truncated = self.truncated or len(kept) < len(chunk)

    @property
    def content(self) -> bytes:
        """What was kept."""
        return bytes(self._content)


@contextmanager
def receive(source: str, target: Path, limit: int) -> Iterator[Callable[[bytes], None]]:
    """Write a file that is there in full when the block ends well, and else not at all.

    Parameters
    ----------
    source
        Its name on the device, for messages.
    limit
        How many bytes it may have.

    Raises
    ------
    TransferError
        It is larger, or cannot be written here.
    """
    received = 0

    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:50]}.")
    except OSError as error:
        raise TransferError(
            reasons.FILE(path=str(target.parent), said=error.strerror or "")
        ) from error
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - Path.open takes no descriptor

            def write(chunk: bytes) -> None:
                nonlocal received
                received += len(chunk)
                if received > limit:
                    raise TransferError(  # noqa: TRY301 - the cleaning up is for all errors
                        reasons.TOO_LARGE(path=source, limit=limit)
                    )
                try:
                    file.write(chunk)
                except OSError as error:
                    raise TransferError(
                        reasons.FILE(path=str(target), said=error.strerror or "")
                    ) from error

            yield write
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
