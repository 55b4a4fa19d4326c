"""command: devices behind a program that hands lines to a shell, as ``docker exec`` does."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.core.reason import plain
from harness.transports.base import CommandTimeoutError, ConnectError
from harness.transports.plugin import LinkSpec, TransportPlugin
from harness.transports.shell import CallLine, ShellTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO

    from harness.transports.base import ByteSource, Transport

__all__ = ["PLUGIN"]

_CHUNK = 1 << 16
_KILL_S = 60  # it looks through all processes


class _Link(LinkSpec):
    """Fields of a device that a program reaches.

    Attributes
    ----------
    command
        The program and its arguments; a line for the device's shell follows as the last one.
    """

    command: Annotated[list[str], Field(min_length=1)]

    @property
    def where(self) -> str:
        return " ".join(self.command)


class _Through(ShellTransport):
    def __init__(self, name: str, command: Sequence[str]) -> None:
        super().__init__(name)
        self._command = command

    def close(self) -> None:
        """Do nothing: each command has a process of its own."""

    def _execute(
        self,
        argv: Sequence[str],
        stdin: ByteSource,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        timeout: float,
    ) -> int:
        line = CallLine(argv)
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(
                [*self._command, line.text.decode(errors="surrogateescape")],
                stdin=pipe, stdout=pipe, stderr=pipe,
            )  # fmt: skip
        except OSError as error:
            raise ConnectError(plain(f"{self._name}: {self._command[0]}: {error}")) from error
        with process, ThreadPoolExecutor(3) as pool:
            parts = [
                pool.submit(_drain, process.stdout, out),
                pool.submit(_drain, process.stderr, err),
                pool.submit(_feed, process.stdin, stdin),
            ]
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                subprocess.run([*self._command, line.kill], check=False, timeout=_KILL_S)
                process.kill()
                raise CommandTimeoutError(
                    plain(f"{self._name}: '{line.program}' was not done within {timeout:g} s")
                ) from None
            for part in parts:
                part.result()  # or what it raised: a file that is too large, for example
        return process.returncode


def _drain(stream: IO[bytes], sink: Callable[[bytes], None]) -> None:
    with stream:  # closed early, it ends who writes to it
        while chunk := stream.read1(_CHUNK):
            sink(chunk)


def _feed(stream: IO[bytes], source: ByteSource) -> None:
    with suppress(BrokenPipeError), stream:
        while chunk := source.read(_CHUNK):
            stream.write(chunk)


class _Command(TransportPlugin):
    name = "command"
    api_version = 1
    title = "a program"
    link = _Link

    def open(self, name: str, link: LinkSpec, known_hosts: Path) -> Transport:
        del known_hosts
        return _Through(name, link.command)


PLUGIN = _Command()
