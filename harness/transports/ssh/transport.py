"""The transport over SSH."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import TYPE_CHECKING

import paramiko

from harness.core.text import visible
from harness.transports import reasons
from harness.transports.base import CommandTimeoutError, ConnectionLostError, TransportError
from harness.transports.shell import AfterMark, CallLine, ShellTransport
from harness.transports.ssh import reasons as ssh_reasons
from harness.transports.ssh.connection import CONNECT_TIMEOUT, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.transports.base import ByteSource
    from harness.transports.ssh.host_keys import HostKeys
    from harness.transports.ssh.target import SshTarget

__all__ = ["SshTransport"]

_CHUNK = 1 << 15
# Many packets long: what is left of one goes in a packet of its own, which costs a slow device as
# much as a full one. With one packet's length, which is a little less than _CHUNK, every second
# packet was such a rest.
_FEED = 1 << 18
_ABORT_TIMEOUT = 5.0

_BROKEN = (paramiko.SSHException, EOFError, OSError)


class SshTransport(ShellTransport):
    """A device reached over SSH.

    One connection is kept, and made again on the next call after it was lost. Several threads
    may use it at once; where the server takes no more commands on it, a call gets a connection of
    its own.

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
        super().__init__(target.name)
        self._target = target
        self._host_keys = host_keys
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def close(self) -> None:
        """End the connection; harmless where there is none."""
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _execute(
        self,
        argv: Sequence[str],
        stdin: ByteSource,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        timeout: float,
    ) -> int:
        line = CallLine(argv)
        deadline = time.monotonic() + timeout
        out, err = AfterMark(line.token, out), AfterMark(line.token, err)
        with self._session(timeout) as channel:
            status = self._run(channel, line, stdin, out, err, deadline, timeout)
        if status >= 0 and not out.seen:
            raise self._not_a_shell(status, out.before or err.before)
        return status

    def _run(  # noqa: PLR0913, PLR0917 - a command, its streams and its time
        self,
        channel: paramiko.Channel,
        line: CallLine,
        stdin: ByteSource,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        deadline: float,
        timeout: float,
    ) -> int:
        starter = threading.Thread(target=_start, args=(channel, line.marked, stdin), daemon=True)
        starter.start()
        try:
            status = _drain(channel, out, err, deadline)
        except _Overtime:
            self._abort(channel, line)
            raise CommandTimeoutError(
                reasons.TOO_SLOW(device=self._name, program=line.program, seconds=timeout)
            ) from None
        except KeyboardInterrupt:
            self._abort(channel, line)
            raise
        finally:
            _close(channel)
            starter.join()
        if status < 0:
            raise ConnectionLostError(reasons.BROKE(device=self._name, program=line.program))
        return status

    @contextlib.contextmanager
    def _session(self, timeout: float) -> Iterator[paramiko.Channel]:
        """Open a channel for a command, on a connection of its own where the server wants that."""
        channel = self._open_channel(timeout)
        if channel is not None:
            yield channel
            return
        own = Connection(self._target, self._host_keys, timeout=self._connect_timeout)
        try:
            yield self._first_channel(own, timeout)
        finally:
            own.close()

    def _open_channel(self, timeout: float) -> paramiko.Channel | None:
        """Open a channel, over a new connection where there is none that works.

        Returns
        -------
        Channel or None
            None where the connection is fine, and the server takes no more commands on it.
        """
        with self._lock:
            if self._connection and self._connection.alive:
                try:
                    return self._connection.open_session(timeout)
                except paramiko.ChannelException:
                    return None
                except _BROKEN:
                    pass
            if self._connection:
                self._connection.close()
                self._connection = None
            self._connection = Connection(
                self._target, self._host_keys, timeout=self._connect_timeout
            )
            return self._first_channel(self._connection, timeout)

    def _first_channel(self, connection: Connection, timeout: float) -> paramiko.Channel:
        try:
            return connection.open_session(timeout)
        except paramiko.ChannelException as error:
            raise TransportError(
                ssh_reasons.NO_COMMANDS(device=self._name, said=error.text)
            ) from error
        except _BROKEN as error:
            raise ConnectionLostError(
                ssh_reasons.NO_CHANNEL(device=self._name, said=str(error))
            ) from error

    def _not_a_shell(self, status: int, said: bytes) -> TransportError:
        lines = visible(said.decode(errors="replace")).strip().splitlines()
        what = lines[-1][:200] if lines else reasons.EXIT_STATUS(status=status)
        return TransportError(
            ssh_reasons.NOT_A_SHELL(device=self._name, user=self._target.user, said=what)
        )

    def _abort(self, channel: paramiko.Channel, line: CallLine) -> None:
        """Kill a command; where the connection is stuck, give that up instead."""
        connection = self._connection
        killed = threading.Event()

        def kill() -> None:
            _close(channel)
            if connection:
                with (
                    contextlib.suppress(*_BROKEN, TransportError),
                    self._session(_ABORT_TIMEOUT) as other,
                    other,
                ):
                    other.exec_command(line.kill_by_any)
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


def _start(channel: paramiko.Channel, line: bytes, stdin: ByteSource) -> None:
    """Start a command and feed it; both can block for ever, so a thread does it."""
    try:
        channel.exec_command(line)
        with contextlib.suppress(OSError):  # it ended without reading all of it
            while chunk := stdin.read(_FEED):
                channel.sendall(chunk)
        channel.shutdown_write()
    except _BROKEN:
        _close(channel)


def _close(channel: paramiko.Channel) -> None:
    # It tells the server, and so fails where the link has just dropped.
    with contextlib.suppress(*_BROKEN):
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
