"""A fake device's link, and the faults that strike its calls: by stage, each at a planned call."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drill.doubles import FaultyTransport
from harness.transports.base import (
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_PULL_LIMIT,
    DEFAULT_TIMEOUT,
    CommandTimeoutError,
    Completed,
    ConnectError,
    ConnectionLostError,
    Transport,
)
from harness.transports.local.transport import LocalTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drill.doubles import Fault
    from harness.transports.base import ByteSource

__all__ = ["DeviceLink", "Strikes", "struck", "verb_of"]

_LOOK_S = 0.005


class Hooked(Transport):
    """Passes calls on, and does something after one of them.

    Attributes
    ----------
    after
        Called after the next call, once.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.after: Callable[[], object] | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`."""
        answer = self._inner.run(argv, stdin=stdin, timeout=timeout, output_limit=output_limit)
        self._then()
        return answer

    def push(self, source: Path, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See :meth:`Transport.push`."""
        self._inner.push(source, target, timeout=timeout)
        self._then()

    def pull(
        self,
        source: str,
        target: Path,
        *,
        limit: int = DEFAULT_PULL_LIMIT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See :meth:`Transport.pull`."""
        self._inner.pull(source, target, limit=limit, timeout=timeout)
        self._then()

    def close(self) -> None:
        """See :meth:`Transport.close`."""
        self._inner.close()

    def _then(self) -> None:
        after, self.after = self.after, None
        if after:
            after()


class DeviceLink(LocalTransport):
    """The way to a fake device: commands run here, with that device's lock.

    Parameters
    ----------
    lock
        The device's lock file.
    out
        Where its runners ask for what follows.
    restart, cool
        Restarts the device; is called after each call.

    What waits for a launch is let go of where the launch's runner asks for it by a file: at
    ``drop`` the link drops in the middle, or stalls; at ``restart`` the device restarts.
    """

    def __init__(
        self, lock: Path, out: Path, restart: Callable[[], object], cool: Callable[[], object]
    ) -> None:
        self._lock = lock
        self._out = out
        self._restart = restart
        self._cool = cool

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | ByteSource = b"",
        timeout: float = DEFAULT_TIMEOUT,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
    ) -> Completed:
        """See :meth:`Transport.run`."""
        way = self._watched if verb_of(argv) in {"run", "read"} else self._plain
        answer = way(_locked(argv, self._lock), stdin, timeout, output_limit)
        self._cool()
        return answer

    def _plain(
        self, argv: Sequence[str], stdin: bytes | ByteSource, timeout: float, limit: int
    ) -> Completed:
        return super().run(argv, stdin=stdin, timeout=timeout, output_limit=limit)

    def _watched(
        self, argv: Sequence[str], stdin: bytes | ByteSource, timeout: float, limit: int
    ) -> Completed:
        answer: Future[Completed] = Future()

        def wait() -> None:
            try:
                answer.set_result(self._plain(argv, stdin, timeout, limit))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                answer.set_exception(error)

        threading.Thread(target=wait, daemon=True).start()
        drop, restart = self._out / "drop", self._out / "restart"
        while True:
            try:
                return answer.result(_LOOK_S)
            except TimeoutError:
                if answer.done():
                    raise
            if drop.exists():
                word = drop.read_text().strip()
                drop.unlink()
                raise (CommandTimeoutError if word else ConnectionLostError)("the link dropped")
            if restart.exists():
                restart.unlink()
                self._restart()
                raise ConnectionLostError("the link dropped")


class Strikes:
    """What is to happen to the calls to one device in one session.

    Parameters
    ----------
    plan
        Stage and number of the call in it (from 1) to the fault.
    tell
        Told of a strike: the stage, and the launch's name where one is under way.

    Attributes
    ----------
    refusals
        How many of the next calls find no way to the device.
    link
        Whose calls these are.
    """

    def __init__(
        self,
        device: Any,  # noqa: ANN401 - a fault knows which kind of target it is for
        plan: Mapping[tuple[str, int], Callable[[Strikes], Fault | None]],
        tell: Callable[[str, str | None], object],
    ) -> None:
        self.device = device
        self.refusals: float = 0
        self.link: Hooked
        self._plan = plan
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._looked = False
        self._began = False

    def __call__(self, method: str, argument: object) -> Fault | None:
        """Return the fault that is due, if there is one."""
        if self.refusals:
            self.refusals -= 1
            return ConnectError(f"{self.device.name}: no route to it")
        stage, launch = self._stage(method, argument)
        self._counts[stage] += 1
        strike = self._plan.get((stage, self._counts[stage]))
        if strike is None:
            return None
        self._tell(stage, launch)
        return strike(self)

    def _stage(self, method: str, argument: object) -> tuple[str, str | None]:
        if method == "push" or not isinstance(argument, tuple):
            return (
                ("push", None) if method == "push" else ("reading", Path(str(argument)).parent.name)
            )
        verb, launch = verb_of(argument), Path(argument[2]).name if len(argument) > 2 else ""  # noqa: PLR2004
        stage = {"run": "start", "read": "reading", "forget": "storing"}.get(verb)
        if stage:
            self._began = self._began or verb == "run"
            return stage, launch
        if verb == "store":
            looks = launch == "look"
            self._looked = self._looked or looks
            return ("between" if self._began and looks else "push"), None
        return ("between" if self._looked else "before start"), None


def struck(inner: Transport, strikes: Strikes) -> Transport:
    """Return a transport whose calls are struck; no delay takes time."""
    strikes.link = Hooked(inner)
    return FaultyTransport(strikes.link, strikes, wait=lambda _: None)


def verb_of(argv: Sequence[str]) -> str:
    """Return the supervisor's command that a call is, or nothing."""
    return argv[1] if argv[0].startswith("/") and len(argv) > 1 else ""


def _locked(argv: Sequence[str], own: Path) -> Sequence[str]:
    """Name the device's own lock: all fake devices share this machine, whose lock is one."""
    lock = ["--lock", str(own)]
    match verb_of(argv):
        case "run":
            return [*argv[:3], *lock, *argv[3:]]
        case "lease":
            return [*argv[:2], *lock, *argv[2:]]
    return argv
