"""What SSH and adb have in common: a POSIX shell on the device that commands are handed to.

Files go through a command's standard input and output and ``cat``, not through SFTP or adb's
sync service: it is as fast, boards without an SFTP server need nothing else, and both transports
treat names, folders and errors alike.
"""

from __future__ import annotations

import abc
import io
import re
import secrets
import shlex
from typing import TYPE_CHECKING

from harness.transports import reasons
from harness.transports.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    Completed,
    TransferError,
    Transport,
)
from harness.transports.sink import Capture, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.transports.base import ByteSource

__all__ = ["AfterMark", "CallLine", "ShellTransport"]

_STDERR_LIMIT = 4096

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


class CallLine:
    """A command as a line for the device's shell, and the line that ends it.

    Parameters
    ----------
    argv
        The program and its arguments.

    Raises
    ------
    ValueError
        An argument holds a NUL character.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        if any("\0" in argument for argument in argv):
            raise ValueError("an argument holds a NUL character")
        self.program = argv[0]
        self.token = secrets.token_hex(8)
        self.mark = f"{_MARK}={self.token}"
        self.command = shlex.join(argv).encode(errors="surrogateescape")

    @property
    def text(self) -> bytes:
        """What runs it.

        The shell stays, so that it can tell the signal that ended the command: paramiko drops
        the message in which a server does.
        """
        return b"export %s; %s; exit $?" % (self.mark.encode(), self.command)

    @property
    def marked(self) -> bytes:
        """The same whatever the login shell is, after a line on either stream: see AfterMark."""
        told = self.token.encode()
        return _by_posix_shell(b"echo %s; echo %s >&2; %s" % (told, told, self.text))

    @property
    def kill(self) -> str:
        """What ends it, and all that it started."""
        return shlex.join(["sh", "-c", _KILL, "sh", self.mark])

    @property
    def kill_by_any(self) -> bytes:
        """The same, whatever the login shell is."""
        return _by_posix_shell(self.kill.encode())


# What single quotes hold alike in every login shell. csh looks for '!' even there, and for line
# feeds; fish takes a backslash for one of its own.
_PLAIN = re.compile(rb"[^\x00-\x1f'!\\\x7f-\xff]*")
_WORD = 480  # bytes: csh takes no longer words


def _by_posix_shell(line: bytes) -> bytes:
    """Return a line that has ``sh`` run another line: in sh, bash, csh, tcsh and fish alike."""
    if len(line) <= _WORD and _PLAIN.fullmatch(line):
        return b"exec sh -c '%s'" % line
    words, word = [], b""
    for byte in line:
        character = bytes((byte,))
        if byte == ord("\n"):
            word += b"\\n"
        else:
            word += character if _PLAIN.fullmatch(character) else b"\\0%03o" % byte
        if len(word) > _WORD:
            words.append(word)
            word = b""
    quoted = b" ".join(b"'%s'" % each for each in (*words, word))
    return b'exec sh -c \'eval "$(printf %b "$@")"\' sh ' + quoted


class AfterMark:
    """Passes on what comes after a line that only the command's own shell prints.

    What a login script prints before is no part of an answer.

    Parameters
    ----------
    token
        The line, which cannot be foreseen.

    Attributes
    ----------
    seen
        Whether the line came.
    """

    def __init__(self, token: str, sink: Callable[[bytes], None]) -> None:
        self._line = token.encode() + b"\n"
        self._sink = sink
        self._held = b""
        self._told = b""
        self.seen = False

    def __call__(self, chunk: bytes) -> None:
        """Take what came."""
        if self.seen:
            self._sink(chunk)
            return
        before, line, after = (self._held + chunk).partition(self._line)
        self.seen = bool(line)
        certain = len(before) if line else max(0, len(before) - len(self._line))
        self._told = (self._told + before[:certain])[:_STDERR_LIMIT]
        self._held = before[certain:]
        if after:
            self._sink(after)

    @property
    def before(self) -> bytes:
        """What came before the line, as far as it is worth showing."""
        return self._told + self._held


class ShellTransport(Transport):
    """A device whose shell is handed lines; a subclass says how.

    Parameters
    ----------
    name
        What the user calls the device. Messages name it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`; a command that timed out is killed on the device."""
        out, err = Capture(output_limit), Capture(output_limit)
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        status = self._execute(argv, source, out, err, timeout)
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
            raise TransferError(
                reasons.FILE(path=str(source), said=error.strerror or "")
            ) from error
        self._check(status, target, err)
        if out.content.strip() != str(size).encode():
            arrived = out.content.strip().decode(errors="replace")
            raise TransferError(reasons.CUT_SHORT(path=target, arrived=arrived, size=size))

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

    def _check(self, status: int, path: str, err: Capture) -> None:
        if status != 0:
            said = err.content.decode(errors="replace").strip().splitlines()
            why = said[-1] if said else reasons.EXIT_STATUS(status=status)
            raise TransferError(reasons.DEVICE_FILE(device=self._name, path=path, said=why))

    @abc.abstractmethod
    def _execute(
        self,
        argv: Sequence[str],
        stdin: ByteSource,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        timeout: float,
    ) -> int:
        """Run a command to its end and return its exit status, 128 + n for signal n."""
