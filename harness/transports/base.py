"""The transport protocol: how the controller runs commands on a device and moves files.

An implementation overrides four methods. Everything it raises is a :class:`TransportError`, so
that a caller decides by the class: try again, put the device aside, or tell the user.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.core.errors import LabError, SpecificationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = [
    "AuthenticationError",
    "ByteSource",
    "CommandTimeoutError",
    "Completed",
    "ConnectError",
    "ConnectionLostError",
    "HostKeyError",
    "TransferError",
    "Transport",
    "TransportError",
]

DEFAULT_OUTPUT_LIMIT = 1 << 20
DEFAULT_PULL_LIMIT = 64 << 20
DEFAULT_TIMEOUT = 30.0


class TransportError(LabError):
    """The device could not be reached, or did not do what was asked."""


class ConnectError(TransportError):
    """No connection: nothing answers, or it does not speak our protocol."""


class AuthenticationError(ConnectError):
    """The device answers and refuses the user or the key."""


class HostKeyError(ConnectError, SpecificationError):
    """The device's host key is unknown, or is not the one on record."""

    exit_code = SpecificationError.exit_code


class ConnectionLostError(TransportError):
    """The connection broke while it was in use."""


class CommandTimeoutError(TransportError):
    """A command or a transfer was not done within its time limit."""


class TransferError(TransportError):
    """A file could not be moved, or did not arrive as it was sent."""


class ByteSource(Protocol):
    """What a command's standard input comes from: an open file, for example."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, and none only at the end."""


@dataclass(frozen=True)
class Completed:
    """What a command left behind.

    Attributes
    ----------
    returncode
        Its exit status; 128 + n where signal n ended it.
    stdout, stderr
        At most the first ``output_limit`` bytes of each.
    truncated
        Whether there was more than that.
    """

    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 becomes replacement characters."""
        return self.stdout.decode(errors="replace")


class Transport(abc.ABC):
    """A connection to one device, made on first use and kept until :meth:`close`."""

    @abc.abstractmethod
    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Run a command and wait for its end.

        Parameters
        ----------
        argv
            The program and its arguments; no shell interprets them.
        stdin
            What it reads; end of file follows. A source is read as the command takes it, and
            not to its end where the command does not.
        timeout
            Seconds until the call gives up. It ends the command where the transport can.
        output_limit
            Bytes kept of each of stdout and stderr; the rest is read and dropped.

        Raises
        ------
        ConnectError
            There is no connection and none could be made.
        ConnectionLostError
            The connection broke before the exit status came.
        CommandTimeoutError
            The time limit passed.
        """

    @abc.abstractmethod
    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Copy a file to the device; executable if the source is.

        The folder must exist. Whoever needs certainty verifies a hash on the device: see
        :mod:`harness.lab.store`.

        Raises
        ------
        TransferError
            The device refused it (no such folder, disk full).
        ConnectError, ConnectionLostError, CommandTimeoutError
            As for :meth:`run`.
        """

    @abc.abstractmethod
    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Copy a file from the device, all of it or none.

        Raises
        ------
        TransferError
            It does not exist, is not a regular file, or is larger than ``limit`` bytes.
        ConnectError, ConnectionLostError, CommandTimeoutError
            As for :meth:`run`.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End the connection; harmless where there is none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
