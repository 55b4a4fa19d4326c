"""The transport to this machine: subprocesses and copies."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.transports import reasons
from harness.transports.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    CommandTimeoutError,
    Completed,
    TransferError,
    Transport,
)
from harness.transports.sink import Capture, receive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from harness.transports.base import ByteSource

__all__ = ["LocalTransport"]

_CHUNK = 1 << 16

# What a login to a device has. The rest of the controller's environment, tokens above all, is no
# business of what runs there; what a runner needs besides is in its device's file.
_PASSED_ON = frozenset(
    {
        "HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TMPDIR",
        "TZ",
        "USER",
    }
)


class LocalTransport(Transport):
    """The controller's own machine as a device.

    Commands run in a session of their own, from ``/``, and with as little of the controller's
    environment as a login would have; what a timed-out command left in its process group is
    killed with it.
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`; a missing program gives 127, as in a shell."""
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={name: os.environ[name] for name in _PASSED_ON & os.environ.keys()},
                start_new_session=True,
            )
        except OSError as error:
            message = f"{argv[0]}: {error.strerror}\n"
            return Completed(126 if shutil.which(argv[0]) else 127, stderr=message.encode())
        out, err = Capture(output_limit), Capture(output_limit)
        with process:
            try:
                source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
                _communicate(process, source, out, err, time.monotonic() + timeout)
            except subprocess.TimeoutExpired:
                raise CommandTimeoutError(
                    reasons.TOO_SLOW_HERE(program=argv[0], seconds=timeout)
                ) from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        status = process.returncode
        return Completed(
            status if status >= 0 else 128 - status,
            out.content,
            err.content,
            truncated=out.truncated or err.truncated,
        )

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See :meth:`Transport.push`; a copy has no time limit."""
        del timeout
        try:
            shutil.copyfile(source, target)
            if os.access(source, os.X_OK):
                Path(target).chmod(0o755)
        except OSError as error:
            path = str(error.filename or target)
            raise TransferError(reasons.FILE(path=path, said=error.strerror or "")) from error

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See :meth:`Transport.pull`; a copy has no time limit."""
        del timeout
        path = Path(source)
        if path.exists() and not path.is_file():
            raise TransferError(reasons.NOT_REGULAR(path=source))
        try:
            with path.open("rb") as file, receive(source, target, limit) as write:
                while chunk := file.read(_CHUNK):
                    write(chunk)
        except OSError as error:
            raise TransferError(reasons.FILE(path=source, said=error.strerror or "")) from error

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _communicate(
    process: subprocess.Popen[bytes],
    stdin: ByteSource,
    out: Capture,
    err: Capture,
    deadline: float,
) -> None:
    """Feed and drain a process until it ends; ``Popen.communicate`` would keep all output."""
    streams: dict[IO[bytes] | None, Capture] = {process.stdout: out, process.stderr: err}
    pending = memoryview(b"")
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None  # noqa: S101 - for the type checker: they are pipes
            selector.register(stream, selectors.EVENT_READ)
        feed = process.stdin
        assert feed is not None  # noqa: S101 - as above
        os.set_blocking(feed.fileno(), False)
        selector.register(feed, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in ready:
                if key.fileobj is feed:
                    chunk = pending or memoryview(stdin.read(_CHUNK))
                    try:
                        pending = chunk[os.write(key.fd, chunk) :]
                    except BrokenPipeError:  # it wants no more
                        chunk = memoryview(b"")
                    if not chunk:
                        selector.unregister(feed)
                        feed.close()
                elif said := os.read(key.fd, _CHUNK):
                    streams[key.fileobj](said)  # type: ignore[index]
                else:
                    selector.unregister(key.fileobj)
    process.wait(timeout=max(0.0, deadline - time.monotonic()))
