"""Test doubles of a transport: a device in memory, and a link that fails on demand."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from harness.transports.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    CommandTimeoutError,
    Completed,
    TransferError,
    Transport,
    TransportError,
)
from harness.transports.sink import Capture, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.transports.base import ByteSource

__all__ = [
    "CORRUPT",
    "AnswerCut",
    "AnswerLost",
    "Delay",
    "FakeTransport",
    "Fault",
    "FaultyTransport",
]

CORRUPT: Final = "corrupt"
"""The fault of a push, a pull or a command's input, whose last byte arrives changed."""

Fault: TypeAlias = "TransportError | AnswerCut | AnswerLost | Delay | str"


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
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Return the answer, its output bounded as a real transport does."""
        del timeout
        answer = self._answer(argv, _whole(stdin))
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


@dataclass(frozen=True)
class AnswerLost:
    """The fault of a call that the device carries out, and whose answer does not arrive.

    Attributes
    ----------
    error
        What is raised.
    """

    error: TransportError


@dataclass(frozen=True)
class AnswerCut:
    """The fault of a command of whose output only a part arrives.

    Attributes
    ----------
    share
        How much of it, from 0 to 1.
    """

    share: float


@dataclass(frozen=True)
class Delay:
    """The fault of a call whose answer takes so long; one longer than its time limit times out.

    Attributes
    ----------
    seconds
        Of the clock that the transport is given.
    """

    seconds: float


class FaultyTransport(Transport):
    """Passes calls on to another transport, and drops, delays or corrupts where it is told to.

    Parameters
    ----------
    inner
        Does the work.
    faults
        Number of the call (from 1, of whatever kind) to what happens there, or a function that
        tells it by the call's method and first argument:

        - an error: it is raised instead, and nothing is done;
        - :class:`AnswerLost`: it is done, and then the error is raised;
        - :class:`AnswerCut`: it is done, and the end of its output is missing, which no real
          transport lets pass for the whole;
        - :class:`Delay`: it is done, late; where it is too late, a time-out is raised;
        - :data:`CORRUPT`: the last byte of a pushed or pulled file, or of a command's input,
          arrives changed. A command's output does not: every real transport protects it itself.
    wait
        Lets so many seconds pass; a test that gives its own virtual clock here does not sleep.

    Attributes
    ----------
    calls
        Method and first argument of every call made so far.
    """

    def __init__(
        self,
        inner: Transport,
        faults: Mapping[int, Fault] | Callable[[str, object], Fault | None],
        *,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._inner = inner
        self._due = faults if callable(faults) else lambda *_: faults.get(len(self.calls))
        self._wait = wait
        self.calls: list[tuple[str, object]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """Run a command, with the fault that is due."""
        with self._fault("run", tuple(argv), timeout) as fault:
            if fault == CORRUPT:
                stdin = _changed(_whole(stdin))
            answer = self._inner.run(argv, stdin=stdin, timeout=timeout, output_limit=output_limit)
            if isinstance(fault, AnswerCut):
                kept = int(len(answer.stdout) * fault.share)
                return replace(answer, stdout=answer.stdout[:kept])
            return answer

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Push a file, with the fault that is due."""
        with self._fault("push", target, timeout) as fault:
            if fault != CORRUPT:
                self._inner.push(source, target, timeout=timeout)
                return
            with tempfile.TemporaryDirectory() as folder:
                corrupted = Path(folder, source.name)
                corrupted.write_bytes(_changed(source.read_bytes()))
                corrupted.chmod(source.stat().st_mode)
                self._inner.push(corrupted, target, timeout=timeout)

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Pull a file, with the fault that is due."""
        with self._fault("pull", source, timeout) as fault:
            self._inner.pull(source, target, limit=limit, timeout=timeout)
            if fault == CORRUPT:
                target.write_bytes(_changed(target.read_bytes()))

    def close(self) -> None:
        """Close the transport that does the work."""
        self._inner.close()

    @contextmanager
    def _fault(self, method: str, argument: object, timeout: float) -> Iterator[Fault | None]:
        """Let a call be made in between; some faults come before it, and some after."""
        self.calls.append((method, argument))
        fault = self._due(method, argument)
        if isinstance(fault, TransportError):
            raise fault
        yield fault
        match fault:
            case AnswerLost(error):
                raise error
            case Delay(seconds):
                self._wait(min(seconds, timeout))
                if seconds > timeout:
                    raise CommandTimeoutError(f"{method} was not done within {timeout:g} s")


def _whole(stdin: bytes | ByteSource) -> bytes:
    return stdin if isinstance(stdin, bytes) else b"".join(iter(lambda: stdin.read(1 << 16), b""))


def _changed(content: bytes) -> bytes:
    return content[:-1] + bytes(last ^ 1 for last in content[-1:])
