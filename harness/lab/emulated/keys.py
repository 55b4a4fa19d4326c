"""Keys of an emulated board: each workspace has its own, so that no other answers for it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from harness.core.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["as_dropbear", "as_machine_id", "as_public", "load_or_make"]

_KIND = b"ssh-ed25519"


def load_or_make(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file of OpenSSH's format; without the file one is made.

    Raises
    ------
    LabError
        The file holds no such key.
    """
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - takes a descriptor
            stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        temporary.rename(path)
        return key
    try:
        loaded = load_ssh_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise LabError(f"{path}: not a private key", hint=f"rm {path}") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise LabError(f"{path}: not an Ed25519 key", hint=f"rm {path}")
    return loaded


def as_public(key: Ed25519PrivateKey) -> str:
    """Return the public key as ``authorized_keys`` and ``known_hosts`` have it."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def as_dropbear(key: Ed25519PrivateKey) -> bytes:
    """Return the private key in dropbear's format.

    That is two strings, each after its length in four bytes: the kind, and the private with the
    public half (``buf_put_ed25519_priv_key`` in dropbear's ed25519.c).
    """
    halves = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return b"".join(len(part).to_bytes(4, "big") + part for part in (_KIND, halves))


def as_machine_id(key: Ed25519PrivateKey) -> str:
    """Return an identity for /etc/machine-id that lasts as long as the key."""
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:32]
