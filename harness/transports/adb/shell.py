"""What goes over a connection to a device's shell service: in the form of today, and of old.

Today's (AOSP: ``shell_protocol.h``) has packets of a kind, a length and content, for each stream
and for the exit status. The old one, of Android before 7 and of the adbd in many a vendor's
Linux, is the output of a line, standard error in between, perhaps through a terminal that puts a
carriage return before each line feed, and says nothing of an exit status. There the line is made
to tell: see :func:`script`.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.transports.base import ByteSource

__all__ = ["PacketReader", "ScriptReader", "packets", "script"]

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")
_CHUNK = 1 << 15
_LAST_STATUS = 255


class PacketReader:
    """Parts the packets of a device into streams and exit status, whatever it sends.

    Parameters
    ----------
    out, err
        Take the parts of standard output and error.

    Attributes
    ----------
    status
        The exit status once it came; nothing counts after it.
    """

    def __init__(self, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
        self._sinks = {_STDOUT: out, _STDERR: err}
        self._header = bytearray()
        self._kind = _STDOUT
        self._left = 0
        self.status: int | None = None

    def __call__(self, chunk: bytes) -> None:
        """Take what came, packets' ends wherever they are."""
        start = 0
        while start < len(chunk) and self.status is None:
            if not self._left:
                end = start + _HEADER.size - len(self._header)
                self._header += chunk[start:end]
                if len(self._header) == _HEADER.size:
                    self._kind, self._left = _HEADER.unpack(self._header)
                    self._header.clear()
            else:
                end = start + self._left
                part = chunk[start:end]
                self._left -= len(part)
                if self._kind == _EXIT:
                    self.status = part[0]
                elif self._kind in self._sinks:
                    self._sinks[self._kind](part)
            start = end


def packets(stdin: ByteSource) -> Iterator[bytes]:
    """Give what is sent to the device: the content of a file, then its end."""
    while chunk := stdin.read(_CHUNK):
        yield _HEADER.pack(_STDIN, len(chunk)) + chunk
    yield _HEADER.pack(_CLOSE_STDIN, 0)


def script(mark: str, command: bytes, base: str, token: str) -> bytes:
    """Return a script that runs a command and makes the old form tell all that there is.

    It prints a line to begin with, which shows whether there is a terminal; standard output;
    a word; standard error; and a word with the exit status. Its files are removed at its end.

    Parameters
    ----------
    mark
        A variable for the command's environment: ``NAME=VALUE``.
    command
        A line for the shell.
    base
        Path and beginning of the name of its files: ``BASE.sh``, which holds this script,
        ``BASE.in``, which is the command's standard input, and ``BASE.err``.
    token
        Cannot be foreseen by what is run, and so not be printed by it.
    """
    return (
        f"exec 2>{base}.err\nexport {mark}\necho {token}-begin\n(\n".encode()
        + command
        + f"\n) <{base}.in\nstatus=$?\necho -n {token}-error\ncat {base}.err\n"
        f"rm -f {base}.sh {base}.in {base}.err\necho {token}-end $status\n".encode()
    )


class ScriptReader:
    """Parts what a :func:`script` prints; see :class:`PacketReader` for the rest.

    Parameters
    ----------
    token
        The script's.
    """

    def __init__(
        self, token: str, out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> None:
        self._begin = re.compile(rb"%s-begin(\r?)\n" % token.encode())
        self._awaited = [(f"{token}-error".encode(), out), (f"{token}-end ".encode(), err)]
        self._terminal: bool | None = None
        self._return = b""
        self._held = b""
        self.status: int | None = None

    def __call__(self, chunk: bytes) -> None:
        """Take what came."""
        if self._terminal is None:
            self._held += chunk
            found = self._begin.search(self._held)
            if found is None:
                self._held = self._held[-len(self._begin.pattern) :]
                return
            self._terminal, chunk = bool(found[1]), self._held[found.end() :]
            self._held = b""
        if self._terminal:
            # Exact: a terminal puts a carriage return before each line feed, and nothing else.
            text = self._return + chunk
            self._return = text[-1:] if text.endswith(b"\r") else b""
            chunk = text.removesuffix(b"\r").replace(b"\r\n", b"\n")
        self._held += chunk
        while self._awaited:
            word, sink = self._awaited[0]
            before, found_word, after = self._held.partition(word)
            if not found_word:
                keep = len(word) - 1  # its beginning may have come
                sink(self._held[:-keep])
                self._held = self._held[-keep:]
                return
            sink(before)
            self._held = after
            del self._awaited[0]
        self._held = self._held[:4]
        told = re.fullmatch(rb"(\d{1,3})\n", self._held)
        if told and int(told[1]) <= _LAST_STATUS:
            self.status = int(told[1])
