"""The SSH server of an emulated board, which listens on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget

if TYPE_CHECKING:
    from harness.transports.plugin import BoardEndpoint

__all__ = ["alias", "board_server"]


def alias(board: str) -> str:
    """Return what a board's host key is on record under."""
    return f"edge-harness-{board}"


def board_server(endpoint: BoardEndpoint) -> tuple[SshTarget, HostKeys]:
    """Return where a board's server is, and the keys that it may show."""
    target = SshTarget(
        name=endpoint.name,
        host="127.0.0.1",
        port=endpoint.ports["ssh"],
        user="root",
        identity_files=(endpoint.folder / "id_ed25519",),
        identities_only=True,
        host_key_alias=alias(endpoint.name),
    )
    return target, HostKeys(endpoint.folder / "known_hosts")
