"""Test doubles of a transport: a device in memory, and a link that fails on demand."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.transport.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    Completed,
    TransferError,
    Transport,
    TransportError,
)
from harness.transport.sink import Capture, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["CORRUPT", "FakeTransport", "FaultyTransport"]

CORRUPT: Final = "corrupt"
"""The fault of a push whose last byte arrives changed."""


class FakeTransport(Transport):
    """A device that exists only in memory.

    Parameters
    ----------
    answer
        Gives what a command leaves behind, from its argv and standard input.
    files
        Path on the device to content; pushes add to it.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[str], bytes], Completed] = lambda argv, stdin: Completed(0),  # noqa: ARG005 - the shape of an answer
        files: dict[str, bytes] | None = None,
    ) -> None:
        self._answer = answer
        self.files = {} if files is None else files

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Return the answer, its output bounded as a real transport does."""
        del timeout
        answer = self._answer(argv, stdin)
        out, err = Capture(output_limit), Capture(output_limit)
        out(answer.stdout)
        err(answer.stderr)
        truncated = answer.truncated or out.truncated or err.truncated
        return Completed(answer.returncode, out.content, err.content, truncated=truncated)

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Keep the file's content in memory."""
        del timeout
        self.files[target] = source.read_bytes()

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Write a file that is in memory."""
        del timeout
        if source not in self.files:
            raise TransferError(f"{source}: no such file")
        with receive(source, target, limit) as write:
            write(self.files[source])

    def close(self) -> None:
        """Do nothing: there is no connection."""


class FaultyTransport(Transport):
    """Passes calls on to another transport, and fails where it is told to.

    Parameters
    ----------
    inner
        Does the work.
    faults
        Number of the call (from 1, of whatever kind) to what happens there: an error that is
        raised instead, or :data:`CORRUPT`, for a push.

    Attributes
    ----------
    calls
        Method and first argument of every call made so far.
    """

    def __init__(self, inner: Transport, faults: Mapping[int, TransportError | str]) -> None:
        self._inner = inner
        self._faults = faults
        self.calls: list[tuple[str, object]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Run a command, or fail."""
        self._fault("run", tuple(argv))
        return self._inner.run(argv, stdin=stdin, timeout=timeout, output_limit=output_limit)

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Push a file, or a corrupted one, or fail."""
        if self._fault("push", target) != CORRUPT:
            self._inner.push(source, target, timeout=timeout)
            return
        content = source.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            corrupted = Path(folder, source.name)
            corrupted.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            self._inner.push(corrupted, target, timeout=timeout)

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Pull a file, or fail."""
        self._fault("pull", source)
        self._inner.pull(source, target, limit=limit, timeout=timeout)

    def close(self) -> None:
        """Close the transport that does the work."""
        self._inner.close()

    def _fault(self, method: str, argument: object) -> str | None:
        self.calls.append((method, argument))
        fault = self._faults.get(len(self.calls))
        if isinstance(fault, TransportError):
            raise fault
        return fault
