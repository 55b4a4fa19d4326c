"""Host keys: which are on record, and how one is put there."""

from __future__ import annotations

import binascii
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from harness.transports.base import HostKeyError
from harness.transports.plugin import HostIdentity
from harness.transports.ssh import reasons

if TYPE_CHECKING:
    from harness.transports.ssh.target import SshTarget

__all__ = ["HostKeys", "SshIdentity", "describe"]


def describe(key: paramiko.PKey) -> str:
    """Return a key's type and fingerprint, as OpenSSH shows them."""
    return f"{key.get_name()} {key.fingerprint}"


@dataclass(frozen=True)
class _Entry:
    names: tuple[str, ...]
    key: paramiko.PKey
    revoked: bool

    def of(self, name: str) -> bool:
        return any(
            each == name
            or (each.startswith("|1|") and paramiko.HostKeys.hash_host(name, each) == each)
            for each in self.names
        )


class HostKeys:
    """The keys on record: the workspace's, and where it has none for a host, the user's.

    Parameters
    ----------
    path
        The workspace's file, in OpenSSH's format; it need not exist.
    user_path
        By default ``~/.ssh/known_hosts``. It is never written.
    """

    def __init__(self, path: Path, user_path: Path | None = None) -> None:
        self._path = path
        self._user_path = user_path or Path.home() / ".ssh" / "known_hosts"

    def of(self, target: SshTarget) -> list[paramiko.PKey]:
        """Return the keys on record for a server."""
        for path in (self._path, self._user_path):
            entries = [entry for entry in _read(path) if entry.of(target.host_key_name)]
            if keys := [entry.key for entry in entries if not entry.revoked]:
                return keys
        return []

    def verify(self, target: SshTarget, key: paramiko.PKey) -> None:
        """Accept the key that a server has shown.

        Raises
        ------
        HostKeyError
            None is on record for it, or another, or it was revoked.
        """
        entries = _read(self._path) + _read(self._user_path)
        if any(entry.revoked and entry.key == key for entry in entries):
            raise HostKeyError(reasons.KEY_REVOKED(device=target.name, key=describe(key)))
        known = self.of(target)
        if key in known:
            return
        presented = {
            "device": target.name,
            "host": target.host_key_name,
            "key": describe(key),
        }
        if known:
            recorded = [describe(each) for each in known]
            raise HostKeyError(reasons.KEY_CHANGED(**presented, recorded=recorded))
        raise HostKeyError(reasons.KEY_UNKNOWN(**presented))

    def record(self, target: SshTarget, key: paramiko.PKey) -> None:
        """Put a key into the workspace's file, in place of what it has for that server."""
        name = target.host_key_name
        kept = [
            line
            for line in _read_lines(self._path)
            if (entry := _parse(line)) is None or entry.revoked or not entry.of(name)
        ]
        kept.append(f"{name} {key.get_name()} {key.get_base64()}")
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent)  # with mode 0600
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - takes a descriptor
            file.write("\n".join(kept) + "\n")
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(self._path)


class SshIdentity(HostIdentity):
    """A server's keys, on record and as it shows them."""

    def __init__(self, target: SshTarget, host_keys: HostKeys) -> None:
        self.name = target.name
        self.host = target.host_key_name
        self._target = target
        self._host_keys = host_keys
        self._shown: paramiko.PKey | None = None

    def recorded(self) -> list[str]:
        """See :meth:`HostIdentity.recorded`."""
        return [describe(key) for key in self._host_keys.of(self._target)]

    def fetch(self) -> tuple[str, str]:
        """See :meth:`HostIdentity.fetch`; jump hosts must be trusted."""
        from harness.transports.ssh.connection import fetch_host_key  # noqa: PLC0415 - imports us

        self._shown = fetch_host_key(self._target, self._host_keys)
        return describe(self._shown), self._shown.fingerprint

    def verify(self) -> None:
        """See :meth:`HostIdentity.verify`."""
        self._host_keys.verify(self._target, self._fetched())

    def record(self) -> None:
        """See :meth:`HostIdentity.record`."""
        self._host_keys.record(self._target, self._fetched())

    def _fetched(self) -> paramiko.PKey:
        assert self._shown is not None  # noqa: S101 - by whom it is called
        return self._shown


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _read(path: Path) -> list[_Entry]:
    return [entry for line in _read_lines(path) if (entry := _parse(line))]


def _parse(line: str) -> _Entry | None:
    """Read a line; what paramiko cannot use (comments, authorities, old key types) is none."""
    text = line.strip()
    revoked = text.startswith("@revoked ")
    text = text.removeprefix("@revoked ").strip()
    if not text or text[0] in "#@":
        return None
    try:
        entry = HostKeyEntry.from_line(text)
    except (InvalidHostKey, paramiko.SSHException, binascii.Error, ValueError):
        return None
    if entry is None or entry.key is None:
        return None
    return _Entry(tuple(entry.hostnames or ()), entry.key, revoked)
