"""The adb server, which has the devices: USB, keys, mDNS and TCP links are its business.

It is spoken to as the ``adb`` program does it: a connection for each request, a length of four
hexadecimal digits before it, ``OKAY`` or ``FAIL`` and a message back (AOSP's ``adb/OVERVIEW.TXT``
and ``SERVICES.TXT``).
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.text import visible
from harness.transports.adb import reasons
from harness.transports.base import ConnectError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SERIAL_PATTERN", "AdbRefusedError", "AdbServer", "receive"]

# A serial number may have spaces within it.
SERIAL_PATTERN = (
    r"[A-Za-z0-9]([ -9;-?A-~]{0,126}[!-9;-?A-~])?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\]:[0-9]{1,5}"
)
"""What the server calls a device: its serial number, or ``HOST:PORT`` on the network.

A serial may hold spaces and brackets: adb makes such names of devices that it finds on the network.
A colon parts the words of a request, so there is none elsewhere.
"""

_DEFAULT_PORT = 5037
_START_TIMEOUT = 30.0
_MAX_REQUEST = 0xFFFF
_MAX_MESSAGE = 300


class AdbRefusedError(ConnectError):
    """The server, or a device behind it, said no; the message is its own."""


@dataclass(frozen=True)
class AdbServer:
    """Where a server listens; it is started there if none does."""

    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT

    @classmethod
    def of_environment(cls) -> AdbServer:
        """Return the server that ``adb`` itself would use.

        ``ADB_SERVER_SOCKET`` (its TCP forms), ``ANDROID_ADB_SERVER_ADDRESS`` and
        ``ANDROID_ADB_SERVER_PORT`` count.

        Raises
        ------
        SpecificationError
            One of them makes no sense.
        """
        variable = "ANDROID_ADB_SERVER_PORT"
        host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "")
        port = os.environ.get(variable) or str(_DEFAULT_PORT)
        if specified := os.environ.get("ADB_SERVER_SOCKET"):
            variable = "ADB_SERVER_SOCKET"
            scheme, _, where = specified.partition(":")
            host, _, port = where.rpartition(":") if scheme == "tcp" else ("", "", "")
        if not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 1 << 16):
            raise SpecificationError(
                f"{variable}: {os.environ[variable]!r} is not an address of the adb server",
                hint="ADB_SERVER_SOCKET=tcp:HOST:PORT, or ANDROID_ADB_SERVER_PORT=PORT",
            )
        return cls(host.strip("[]") or cls.host, int(port))

    def devices(self, deadline: float) -> dict[str, str]:
        """Return the serials that the server knows, and each one's state.

        Raises
        ------
        ConnectError
            As for :meth:`query`.
        """
        lines = (line.partition("\t") for line in self.query("host:devices", deadline).splitlines())
        return {_clean(serial): _clean(state) for serial, tab, state in lines if tab}

    def query(self, service: str, deadline: float) -> str:
        """Return the server's answer to a request.

        Parameters
        ----------
        service
            As AOSP's ``SERVICES.TXT`` has them.
        deadline
            When to give up, by :func:`time.monotonic`.

        Raises
        ------
        AdbRefusedError
            It said no.
        ConnectError
            There is no server and none could be started, or it did not answer in time.
        """
        try:
            with self._talk(deadline) as link, link:
                _request(link, service.encode(), deadline)
                return _message(link, deadline)
        except TimeoutError as error:
            raise ConnectError(reasons.SERVER_SILENT(address=self._address)) from error

    def open(self, serial: str, service: bytes, deadline: float) -> socket.socket:
        """Connect to a service of a device.

        Raises
        ------
        AdbRefusedError, ConnectError
            As for :meth:`query`, but where the time is up:
        TimeoutError
            The deadline passed.
        TransportError
            The request is too long.
        """
        with self._talk(deadline) as link:
            _request(link, f"host:transport:{serial}".encode(), deadline)
            _request(link, service, deadline)
        return link

    @contextmanager
    def _talk(self, deadline: float) -> Iterator[socket.socket]:
        """Connect to the server; what goes wrong then ends the connection and is told."""
        link: socket.socket | None = None
        try:
            try:
                link = self._connect(deadline)
            except ConnectionRefusedError:
                self._start()
                link = self._connect(deadline)
            yield link
        except BaseException as error:
            if link:
                link.close()
            if isinstance(error, (OSError, EOFError)) and not isinstance(error, TimeoutError):
                raise ConnectError(
                    reasons.SERVER_FAILED(address=self._address, said=str(error))
                ) from error
            raise

    @property
    def _address(self) -> str:
        return f"{self.host}:{self.port}"

    def _connect(self, deadline: float) -> socket.socket:
        link = socket.create_connection((self.host, self.port), timeout=_left(deadline))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def _start(self) -> None:
        """Start the server, as ``adb`` would; it knows its USB devices when this returns."""
        if not ipaddress.ip_address(socket.getaddrinfo(self.host, None)[0][4][0]).is_loopback:
            raise ConnectError(reasons.NO_SERVER(address=self._address))
        program = shutil.which("adb")
        if program is None:
            raise ConnectError(reasons.NO_ADB(address=self._address))
        try:
            # In a session of its own: Ctrl-C is for this process, and the server is the user's.
            done = subprocess.run(
                [program, "-L", f"tcp:localhost:{self.port}", "start-server"],
                capture_output=True,
                check=False,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                timeout=_START_TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise ConnectError(
                reasons.SERVER_SLOW(address=self._address, seconds=_START_TIMEOUT)
            ) from error
        if done.returncode != 0:
            said = _clean(done.stderr.decode(errors="replace"))
            raise ConnectError(reasons.SERVER_NOT_STARTED(address=self._address, said=said))


def receive(link: socket.socket, size: int, deadline: float) -> bytes:
    """Return exactly so many bytes.

    Raises
    ------
    EOFError
        The other side hung up before.
    TimeoutError
        They did not come in time.
    """
    content = bytearray()
    while len(content) < size:
        link.settimeout(_left(deadline))
        chunk = link.recv(size - len(content))
        if not chunk:
            raise EOFError("it closed the connection")
        content += chunk
    return bytes(content)


def _request(link: socket.socket, service: bytes, deadline: float) -> None:
    """Send a request, and wait until it is accepted."""
    if len(service) > _MAX_REQUEST:
        raise TransportError(reasons.TOO_LONG(bytes=len(service)))
    link.settimeout(_left(deadline))
    link.sendall(b"%04x%s" % (len(service), service))
    answer = receive(link, 4, deadline)
    if answer == b"FAIL":
        raise AdbRefusedError(_clean(_message(link, deadline)))
    if answer != b"OKAY":
        raise ConnectError(reasons.NOT_ADB(said=repr(answer)))


def _message(link: socket.socket, deadline: float) -> str:
    length = receive(link, 4, deadline)
    if not re.fullmatch(rb"[0-9A-Fa-f]{4}", length):
        raise ConnectError(reasons.NOT_ADB(said=repr(length)))
    return receive(link, int(length, 16), deadline).decode(errors="replace")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _clean(said: str) -> str:
    return visible(" ".join(said.split()))[:_MAX_MESSAGE]
