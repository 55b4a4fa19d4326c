"""The conformance kit for transports: whether a link to a device keeps the protocol.

It runs short commands and moves small files, in a folder of its own that it removes.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.conformance import Check
from harness.transports.base import CommandTimeoutError, TransferError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.transports.base import Transport
    from harness.transports.plugin import TransportPlugin

__all__ = ["check_transport"]

_HOSTILE = ("it's", "$(echo owned)", "a b\n`c`", "--flag", "*", "ümläut", '"', "\\")
_SIZE = 300_000
_LIMIT = 1000
_TIMEOUT_S = 2.0
_SLEEP_S = 20  # what a transport that ends nothing waits for


def check_transport(
    plugin: TransportPlugin, transport: Transport, *, progress: Callable[[str], None]
) -> Iterator[Check]:
    """Try a link to a device, and yield what was tried.

    Parameters
    ----------
    transport
        To a device with a POSIX shell.

    Raises
    ------
    TransportError
        The device is not reached, or has no folder for temporary files.
    """
    yield Check("its declaration is complete")  # or the registry had left it out
    progress("running commands")
    yield from _commands(transport)
    folder = transport.run(["mktemp", "-d"]).text.strip()
    if not folder.startswith("/"):
        raise TransportError("mktemp -d gave no folder on the device")
    progress("moving files")
    try:
        with tempfile.TemporaryDirectory(prefix="edge-harness-") as scratch:
            yield from _files(transport, folder, Path(scratch))
    finally:
        with suppress(TransportError):
            transport.run(["rm", "-rf", folder])
    progress("closing the link")
    transport.close()
    yield _expect("a link that was closed is made again", lambda: _says(transport, "again"))
    with suppress(TypeError):  # of a class, whatever it holds
        page = Path(_file_of(plugin)).parent / "README.md"
        yield Check(
            "it has a page of documentation", "" if page.is_file() else f"there is no {page}"
        )


def _commands(transport: Transport) -> Iterator[Check]:
    def all_of_it() -> str:
        done = transport.run(["sh", "-c", "cat; echo oops >&2; exit 7"], stdin=b"in\0put")
        found = (done.returncode, done.stdout, done.stderr, done.truncated)
        return "" if found == (7, b"in\0put", b"oops\n", False) else f"they are {found!r}"

    def arguments() -> str:
        said = transport.run(["printf", "%s\\0", *_HOSTILE]).stdout.split(b"\0")[:-1]
        wanted = [argument.encode() for argument in _HOSTILE]
        return "" if said == wanted else f"{said!r} instead of {wanted!r}"

    def missing() -> str:
        status = transport.run(["edge-harness-no-such-program"]).returncode
        return "" if status == 127 else f"it is {status}"  # noqa: PLR2004 - POSIX's

    def signal() -> str:
        status = transport.run(["sh", "-c", "kill -SEGV $$"]).returncode
        return "" if status == 139 else f"it is {status}"  # noqa: PLR2004 - 128 + SIGSEGV

    def unread() -> str:
        status = transport.run(["true"], stdin=bytes(1 << 20)).returncode
        return "" if status == 0 else f"the status is {status}"

    def bounded() -> str:
        done = transport.run(["head", "-c", str(_SIZE), "/dev/zero"], output_limit=_LIMIT)
        found = (len(done.stdout), done.truncated)
        return "" if found == (_LIMIT, True) else f"{found[0]} bytes, truncated: {found[1]}"

    def timed_out() -> str:
        try:
            transport.run(["sleep", str(_SLEEP_S)], timeout=_TIMEOUT_S)
        except CommandTimeoutError:
            return _says(transport, "usable")
        return "no CommandTimeoutError was raised"

    yield _expect("status, output and errors come back, and input arrives", all_of_it)
    yield _expect("arguments arrive as they are: no shell interprets them", arguments)
    yield _expect("a missing program gives the status 127", missing)
    yield _expect("a signal n gives the status 128 + n", signal)
    yield _expect("a command need not read its input", unread)
    yield _expect("output is bounded", bounded)
    yield _expect("a time limit ends the call, and the link is usable", timed_out)


def _files(transport: Transport, folder: str, scratch: Path) -> Iterator[Check]:
    source, back = scratch / "source", scratch / "back"
    source.write_bytes(os.urandom(_SIZE))
    source.chmod(0o755)
    target = f"{folder}/it's a $(name)"

    def there_and_back() -> str:
        transport.push(source, target)
        transport.pull(target, back)
        if back.read_bytes() != source.read_bytes():
            return "what comes back is another file"
        status = transport.run(["test", "-x", target]).returncode
        return "" if status == 0 else "it is not executable there, as the source is"

    def refused(call: Callable[[], None]) -> Callable[[], str]:
        def run() -> str:
            back.unlink(missing_ok=True)
            try:
                call()
            except TransferError:
                return "a part of it is left here" if back.exists() else ""
            return "no TransferError was raised"

        return run

    yield _expect("files go there and back, executable as they were", there_and_back)
    yield _expect(
        "a push into a missing folder is refused",
        refused(lambda: transport.push(source, f"{folder}/missing/target")),
    )
    yield _expect(
        "a pull of a missing file is refused",
        refused(lambda: transport.pull(f"{folder}/missing", back)),
    )
    yield _expect("a pull of a folder is refused", refused(lambda: transport.pull(folder, back)))
    yield _expect(
        "a pull stops at its limit, and leaves nothing",
        refused(lambda: transport.pull(target, back, limit=_LIMIT)),
    )


def _expect(what: str, tried: Callable[[], str]) -> Check:
    """Return what was tried; what it raises is a fault, too, whatever it is."""
    try:
        return Check(what, tried())
    except Exception as error:  # noqa: BLE001 - somebody else's code
        return Check(what, f"{type(error).__name__}: {error}")


def _says(transport: Transport, word: str) -> str:
    said = transport.run(["echo", word]).text
    return "" if said == f"{word}\n" else f"echo {word} gave {said!r}"


def _file_of(plugin: TransportPlugin) -> str:
    import inspect  # noqa: PLC0415 - for this alone

    return inspect.getfile(type(plugin))
