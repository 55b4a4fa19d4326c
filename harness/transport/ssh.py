"""The transport over SSH.

Files go through a plain channel and ``cat``, not through SFTP: it is as fast, and boards
without an SFTP server need nothing else.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import select
import shlex
import threading
import time
from typing import TYPE_CHECKING

import paramiko

from harness.transport.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    CommandTimeoutError,
    Completed,
    ConnectionLostError,
    TransferError,
    Transport,
    TransportError,
)
from harness.transport.connection import CONNECT_TIMEOUT, Connection
from harness.transport.sink import Capture, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from harness.transport.host_keys import HostKeys
    from harness.transport.target import SshTarget

__all__ = ["SshTransport"]

_CHUNK = 1 << 15
_STDERR_LIMIT = 4096
_ABORT_TIMEOUT = 5.0

_BROKEN = (paramiko.SSHException, EOFError, OSError)

_PUSH = 'cat >"$1" && { [ -z "$2" ] || chmod +x "$1"; } && wc -c <"$1"'

_PULL = """\
if [ -f "$1" ]; then exec cat <"$1"; fi
if [ -e "$1" ]; then echo 'not a regular file' >&2; else echo 'no such file' >&2; fi
exit 1"""

# A server ends no command when its channel closes, so every command carries a mark in its
# environment, by which it and all that it started are found. Its length is constant: the size of
# the environment moves a program's stack, and with that its speed.
_MARK = "EDGE_HARNESS_CALL"
_KILL = """\
for f in /proc/[0-9]*/environ; do
  tr '\\0' '\\n' <"$f" | grep -qx "$1" || continue
  p=${f%/environ}; kill -KILL "${p#/proc/}"
done 2>/dev/null"""


class SshTransport(Transport):
    """A device reached over SSH.

    One connection is kept, and made anew on the next call after it was lost. Several threads
    may use it at once.

    Parameters
    ----------
    target
        The server.
    host_keys
        The keys on record: an unknown or changed one is refused.
    connect_timeout
        Seconds for each step of connecting.
    """

    def __init__(
        self, target: SshTarget, host_keys: HostKeys, *, connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        self._target = target
        self._host_keys = host_keys
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`; a command that timed out is killed on the device."""
        out, err = Capture(output_limit), Capture(output_limit)
        status = self._execute(argv, io.BytesIO(stdin), out, err, timeout)
        return Completed(status, out.content, err.content, truncated=out.truncated or err.truncated)

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See :meth:`Transport.push`."""
        out, err = Capture(_STDERR_LIMIT), Capture(_STDERR_LIMIT)
        try:
            with source.open("rb") as file:
                size, mode = source.stat().st_size, source.stat().st_mode
                argv = ["sh", "-c", _PUSH, "sh", target, "x" if mode & 0o100 else ""]
                status = self._execute(argv, file, out, err, timeout)
        except OSError as error:
            raise TransferError(f"{source}: {error.strerror}") from error
        self._check(status, target, err)
        if out.content.strip() != str(size).encode():
            arrived = out.content.strip().decode(errors="replace")
            raise TransferError(f"{target}: {arrived} of {size} bytes arrived")

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See :meth:`Transport.pull`."""
        err = Capture(_STDERR_LIMIT)
        argv = ["sh", "-c", _PULL, "sh", source]
        with receive(source, target, limit) as write:
            self._check(self._execute(argv, io.BytesIO(), write, err, timeout), source, err)

    def close(self) -> None:
        """End the connection; harmless where there is none."""
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _check(self, status: int, path: str, err: Capture) -> None:
        if status != 0:
            said = err.content.decode(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit status {status}"
            raise TransferError(f"{self._target.name}: {path}: {why}")

    def _execute(
        self,
        argv: Sequence[str],
        stdin: BinaryIO,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        timeout: float,
    ) -> int:
        """Run a command to its end and return its exit status, 128 + n for signal n."""
        if any("\0" in argument for argument in argv):
            raise ValueError("an argument holds a NUL character")
        mark = f"{_MARK}={secrets.token_hex(8)}"
        # The shell stays, so that it can tell the signal that ended the command: paramiko drops
        # the message in which a server does.
        line = f"export {mark}; {shlex.join(argv)}; exit $?"
        deadline = time.monotonic() + timeout
        channel = self._open_channel(timeout)
        starter = threading.Thread(target=_start, args=(channel, line, stdin), daemon=True)
        starter.start()
        try:
            status = _drain(channel, out, err, deadline)
        except _Overtime:
            self._abort(channel, mark)
            raise CommandTimeoutError(
                f"{self._target.name}: '{argv[0]}' was not done within {timeout:g} s"
            ) from None
        except KeyboardInterrupt:
            self._abort(channel, mark)
            raise
        finally:
            channel.close()
            starter.join()
        if status < 0:
            raise ConnectionLostError(
                f"{self._target.name}: the connection broke before '{argv[0]}' was done"
            )
        return status

    def _open_channel(self, timeout: float) -> paramiko.Channel:
        """Open a channel, over a new connection where there is none that works."""
        with self._lock:
            if self._connection and self._connection.alive:
                try:
                    return self._connection.open_session(timeout)
                except paramiko.ChannelException as error:  # the connection itself is fine
                    raise TransportError(
                        f"{self._target.name}: no more commands at once: {error.text}"
                    ) from error
                except _BROKEN:
                    pass
            if self._connection:
                self._connection.close()
                self._connection = None
            self._connection = Connection(
                self._target, self._host_keys, timeout=self._connect_timeout
            )
            try:
                return self._connection.open_session(timeout)
            except _BROKEN as error:
                raise ConnectionLostError(
                    f"{self._target.name}: no channel for a command: {error}"
                ) from error

    def _abort(self, channel: paramiko.Channel, mark: str) -> None:
        """Kill a command; where the connection is stuck, give that up instead."""
        connection = self._connection
        killed = threading.Event()

        def kill() -> None:
            channel.close()
            if connection:
                with (
                    contextlib.suppress(*_BROKEN),
                    connection.open_session(_ABORT_TIMEOUT) as other,
                ):
                    other.exec_command(shlex.join(["sh", "-c", _KILL, "sh", mark]))
                    if other.status_event.wait(_ABORT_TIMEOUT):
                        killed.set()

        # Closing a channel sends a message, which can block for ever: a thread does it.
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        killer.join(2 * _ABORT_TIMEOUT)
        if not killed.is_set():
            self.close()


class _Overtime(Exception):  # noqa: N818 - no error yet: the caller decides
    """The time limit passed."""


def _start(channel: paramiko.Channel, line: str, stdin: BinaryIO) -> None:
    """Start a command and feed it; both can block for ever, so a thread does it."""
    try:
        channel.exec_command(line.encode(errors="surrogateescape"))
        with contextlib.suppress(OSError):  # it ended without reading all of it
            while chunk := stdin.read(_CHUNK):
                channel.sendall(chunk)
        channel.shutdown_write()
    except _BROKEN:
        channel.close()


def _drain(
    channel: paramiko.Channel,
    out: Callable[[bytes], None],
    err: Callable[[bytes], None],
    deadline: float,
) -> int:
    """Take a command's output until its end; return its exit status, -1 where none came."""
    poller = select.poll()
    poller.register(channel.fileno(), select.POLLIN)
    ended = False
    while not ended:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise _Overtime
        no_more = bool(channel.eof_received or channel.closed)
        if channel.recv_ready():
            out(channel.recv(_CHUNK))
        if channel.recv_stderr_ready():
            err(channel.recv_stderr(_CHUNK))
        ended = no_more and not (channel.recv_ready() or channel.recv_stderr_ready())
    if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
        raise _Overtime
    return channel.exit_status
