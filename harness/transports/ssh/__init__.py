"""SSH: Linux boards, and whatever else runs a server for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import StringConstraints

from harness.core.errors import SpecificationError
from harness.transports.plugin import HostIdentity, LinkSpec, Program, TransportPlugin

if TYPE_CHECKING:
    from harness.transports.base import Transport
    from harness.transports.plugin import BoardEndpoint
    from harness.transports.ssh.target import SshTarget

__all__ = ["PLUGIN", "SshLink"]


class SshLink(LinkSpec):
    """Fields of a device that is reached over SSH.

    Attributes
    ----------
    address
        ``user@host[:port]``, or an alias from ``~/.ssh/config``.
    identity_file
        A private key; without one the agent and the usual files are tried.
    """

    address: (
        Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]+@)?[A-Za-z0-9.:\[\]_-]+$")]
        | None
    ) = None
    identity_file: (
        Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=4096)] | None
    ) = None


class _Ssh(TransportPlugin):
    name = "ssh"
    api_version = 1
    title = "SSH"
    link = SshLink
    example = "ssh://user@host"
    takes_bare_addresses = True
    reaches_boards = True
    programs = (Program("sshd", "openssh-server", "the tests of ssh"),)

    # paramiko loads slowly, and few commands reach a device.
    def open(self, name: str, link: LinkSpec, known_hosts: Path) -> Transport:
        from harness.transports.ssh.host_keys import HostKeys  # noqa: PLC0415
        from harness.transports.ssh.transport import SshTransport  # noqa: PLC0415

        return SshTransport(_target(name, link), HostKeys(known_hosts))

    def open_board(self, name: str, endpoint: BoardEndpoint) -> Transport:
        from dataclasses import replace  # noqa: PLC0415

        from harness.transports.ssh.board import board_server  # noqa: PLC0415
        from harness.transports.ssh.transport import SshTransport  # noqa: PLC0415

        target, host_keys = board_server(endpoint)
        return SshTransport(replace(target, name=name), host_keys)

    def identity(self, name: str, link: LinkSpec, known_hosts: Path) -> HostIdentity:
        from harness.transports.ssh.host_keys import HostKeys, SshIdentity  # noqa: PLC0415

        return SshIdentity(_target(name, link), HostKeys(known_hosts))


def _target(name: str, link: LinkSpec) -> SshTarget:
    from harness.transports.ssh.target import SshTarget  # noqa: PLC0415

    assert isinstance(link, SshLink)  # noqa: S101 - for the type checker: it is what we declare
    if link.address is None:
        raise SpecificationError(f"{name} has no SSH address")
    identity = Path(link.identity_file) if link.identity_file else None
    return SshTarget.resolve(link.address, name=name, identity_file=identity)


PLUGIN = _Ssh()
