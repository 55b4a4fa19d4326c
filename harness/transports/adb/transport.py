"""The transport over adb: Android devices, and Linux boards that run ``adbd``."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
import select
import struct
import threading
import time
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.text import visible
from harness.transports import reasons
from harness.transports.adb import reasons as adb_reasons
from harness.transports.adb.server import (
    SERIAL_PATTERN,
    AdbRefusedError,
    AdbServer,
    receive,
)
from harness.transports.adb.shell import PacketReader, ScriptReader, packets, script
from harness.transports.base import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    TransferError,
    TransportError,
)
from harness.transports.shell import CallLine, ShellTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from harness.core.reason import Code
    from harness.transports.base import ByteSource

__all__ = ["AdbTransport", "check_serial", "only_serial"]

_CHUNK = 1 << 16
_MAX_MESSAGE = 300
_SYNC = struct.Struct("<4sI")
_CONNECT_TIMEOUT = 15.0  # the server gives up connecting after 10
_ABORT_TIMEOUT = 5.0
_SCRATCH = ("/tmp", "/data/local/tmp")  # noqa: S108 - the device's; Android has the second only

# What the server says of a device that cannot be used, and what that means.
_STATES: tuple[tuple[str, type[ConnectError], Code], ...] = (
    ("unauthorized", AuthenticationError, adb_reasons.UNAUTHORIZED),
    ("permission|udev", AuthenticationError, adb_reasons.NO_PERMISSION),
    ("authorizing|connecting", ConnectError, adb_reasons.CONNECTING),
    ("offline", ConnectError, adb_reasons.OFFLINE),
    ("not found", ConnectError, adb_reasons.NOT_FOUND),
)


def check_serial(serial: str) -> str:
    """Return a device's serial.

    Raises
    ------
    SpecificationError
        It is none: it could be taken for more than one word of a request.
    """
    if not re.fullmatch(SERIAL_PATTERN, serial, re.ASCII):
        raise SpecificationError(
            f"{serial!r} is not an adb device",
            hint="a serial number as `adb devices` shows it, or HOST:PORT",
        )
    return serial


def only_serial(server: AdbServer | None = None) -> str:
    """Return the serial of the one device that the adb server has.

    Raises
    ------
    SpecificationError
        There are several.
    ConnectError
        There is none, or it cannot be used, or there is no server.
    """
    server = server or AdbServer.of_environment()
    devices = server.devices(time.monotonic() + _CONNECT_TIMEOUT)
    listed = ", ".join(f"{serial} ({state})" for serial, state in devices.items())
    if len(devices) > 1:
        raise SpecificationError(
            f"the adb server has several devices: {listed}",
            hint=f"name one: adb://{next(iter(devices))}",
        )
    if not devices:
        raise ConnectError(adb_reasons.NO_DEVICE())
    ((serial, state),) = devices.items()
    if state != "device":
        raise _explained(f"adb://{serial}", state)
    return serial


class AdbTransport(ShellTransport):
    """A device that the adb server has, or can connect to.

    Every command is a connection of its own to the server, which keeps the device's. Several
    threads may use it at once. The server is started if none runs, and left running. A daemon
    too old to tell exit status and standard error is made to tell them.

    Parameters
    ----------
    serial
        A serial number, or ``HOST:PORT``: that is connected to, and again after it was lost.
    name
        What the user calls the device; by default ``adb://SERIAL``.
    server
        By default the one that ``adb`` would use.

    Raises
    ------
    SpecificationError
        That is no serial, or the environment's server is none.
    """

    def __init__(
        self, serial: str, *, name: str | None = None, server: AdbServer | None = None
    ) -> None:
        super().__init__(name or f"adb://{serial}")
        self._serial = check_serial(serial)
        self._server = server or AdbServer.of_environment()
        self._connecting = threading.Lock()

    def close(self) -> None:
        """Do nothing: no connection outlasts its command, and the server's are the user's."""

    def _execute(
        self,
        argv: Sequence[str],
        stdin: ByteSource,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        timeout: float,
    ) -> int:
        line = CallLine(argv)
        token = secrets.token_hex(8)
        deadline = time.monotonic() + timeout
        reader: PacketReader | ScriptReader
        modern = "shell_v2" in self._features().split(",")
        try:
            if modern:
                reader = PacketReader(out, err)
                self._converse(b"shell,v2,raw:" + line.text, packets(stdin), reader, deadline)
            else:
                reader = ScriptReader(token, out, err)
                path = self._send_script(line, stdin, token, deadline)
                self._converse(f"shell:sh {path}".encode(), iter(()), reader, deadline)
        except TimeoutError:
            self._abort(line, token)
            raise CommandTimeoutError(
                reasons.TOO_SLOW(device=self._name, program=line.program, seconds=timeout)
            ) from None
        except KeyboardInterrupt:
            self._abort(line, token)
            raise
        except AdbRefusedError as error:
            raise _explained(self._name, error.message) from error
        except (ConnectionError, EOFError) as error:
            raise self._lost(line) from error
        if reader.status is None:
            raise self._lost(line)
        return reader.status

    def _lost(self, line: CallLine) -> ConnectionLostError:
        return ConnectionLostError(reasons.BROKE(device=self._name, program=line.program))

    def _features(self) -> str:
        """Ask what the device's daemon can do; one on the network is connected to first."""
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        service = f"host-serial:{self._serial}:features"
        with self._connecting:
            try:
                try:
                    return self._server.query(service, deadline)
                except AdbRefusedError as error:
                    if ":" not in self._serial or not re.search("not found|offline", error.message):
                        raise
                self._connect(deadline)
                return self._server.query(service, deadline)
            except AdbRefusedError as error:
                raise _explained(self._name, error.message) from error

    def _connect(self, deadline: float) -> None:
        """Have the server connect to a device on the network, again if it is offline."""
        self._disconnect(deadline)
        answer = self._server.query(f"host:connect:{self._serial}", deadline)
        # Where the device did not accept our key, it is there and unauthorized.
        if not re.match("(already )?connected to|failed to authenticate", answer):
            said = visible(answer.strip())[:_MAX_MESSAGE]
            raise ConnectError(adb_reasons.NOT_CONNECTED(device=self._name, said=said))

    def _disconnect(self, deadline: float) -> None:
        with contextlib.suppress(AdbRefusedError):
            self._server.query(f"host:disconnect:{self._serial}", deadline)

    def _converse(
        self,
        service: bytes,
        feed: Iterator[bytes],
        reader: PacketReader | ScriptReader,
        deadline: float,
    ) -> None:
        """Send all of the feed and read, until the status has come or the other side hung up."""
        with self._server.open(self._serial, service, deadline) as link:
            link.settimeout(0)
            poller = select.poll()
            poller.register(link, select.POLLIN | select.POLLOUT)
            pending = b""
            while reader.status is None:
                left = deadline - time.monotonic()
                ready = poller.poll(left * 1000) if left > 0 else []
                if not ready:
                    raise TimeoutError
                if ready[0][1] & select.POLLOUT:
                    pending = pending or next(feed, b"")
                    try:
                        sent = link.send(pending)
                    except ConnectionError:
                        sent = 0  # what it said before may still be read
                    if not sent:
                        poller.modify(link, select.POLLIN)
                    pending = pending[sent:]
                if ready[0][1] & ~select.POLLOUT:
                    chunk = link.recv(_CHUNK)
                    if not chunk:
                        return
                    reader(chunk)

    def _send_script(self, line: CallLine, stdin: ByteSource, token: str, deadline: float) -> str:
        """Put a script for an old daemon onto the device, its standard input beside it.

        Such a daemon takes no line longer than 4 kB, and no end of an input.
        """
        base = self._put_script(line, token, deadline)
        try:
            with self._server.open(self._serial, b"sync:", deadline) as link:
                _send_file(link, f"{base}.in", stdin, deadline)
        except TransferError as error:
            raise TransferError(reasons.OF_DEVICE(device=self._name, why=error.reason)) from error
        return f"{base}.sh"

    def _put_script(self, line: CallLine, token: str, deadline: float) -> str:
        """Put the script into the first folder that takes it; return the files' path but ".sh"."""
        refused: TransferError | None = None
        for folder in _SCRATCH:
            base = _base(folder, token)
            content = script(line.mark, line.command, base, token)
            try:
                with self._server.open(self._serial, b"sync:", deadline) as link:
                    _send_file(link, f"{base}.sh", io.BytesIO(content), deadline)
            except TransferError as error:
                refused = refused or TransferError(f"{self._name}: {error.message}")
            else:
                return base
        assert refused  # noqa: S101 - for the type checker: there are folders
        raise refused

    def _abort(self, line: CallLine, token: str) -> None:
        """Kill a command; where the device does not answer, give up a connection that was made."""
        deadline = time.monotonic() + _ABORT_TIMEOUT
        files = " ".join(f"{_base(folder, token)}.*" for folder in _SCRATCH)
        service = f"shell:{line.kill}; rm -f {files}".encode()
        try:
            with (
                self._server.open(self._serial, service, deadline) as link,
                contextlib.suppress(EOFError),
            ):
                receive(link, _CHUNK, deadline)
        except (OSError, TransportError):
            if ":" in self._serial:
                with contextlib.suppress(TransportError):
                    self._disconnect(deadline + _ABORT_TIMEOUT)


def _explained(name: str, said: str) -> ConnectError:
    """Return the error for what the server says of a device that cannot be used."""
    for sign, kind, meaning in _STATES:
        if re.search(sign, said):
            return kind(meaning(device=name))
    return ConnectError(adb_reasons.UNUSABLE(device=name, said=said))


def _base(folder: str, token: str) -> str:
    return f"{folder}/edge-harness-{token}"


def _send_file(link: socket.socket, path: str, content: ByteSource, deadline: float) -> None:
    """Write a file over a connection to the sync service (AOSP: ``SYNC.TXT``)."""
    target = f"{path},{0o100600}".encode()
    # A device that refuses the file hangs up, perhaps, but says why before.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _send(link, b"SEND", len(target), target, deadline)
        while chunk := content.read(_CHUNK):
            _send(link, b"DATA", len(chunk), chunk, deadline)
        _send(link, b"DONE", int(time.time()), b"", deadline)
    kind, size = _SYNC.unpack(receive(link, _SYNC.size, deadline))
    if kind != b"OKAY":
        said = receive(link, min(size, _MAX_MESSAGE), deadline) if kind == b"FAIL" else kind
        raise TransferError(reasons.FILE(path=path, said=visible(said.decode(errors="replace"))))


def _send(link: socket.socket, kind: bytes, number: int, content: bytes, deadline: float) -> None:
    link.settimeout(max(0.001, deadline - time.monotonic()))
    link.sendall(_SYNC.pack(kind, number) + content)
