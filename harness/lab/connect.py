"""From a device of the inventory to a transport."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.lab.emulated.board import Board
from harness.transports.adb.transport import AdbTransport
from harness.transports.local.transport import LocalTransport
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.transport import SshTransport
from harness.transports.target import SshTarget

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.transports.base import Transport
    from harness.workspace import Workspace

__all__ = ["connect", "ssh_target"]


def connect(workspace: Workspace, device: Device) -> Transport:
    """Return the transport to a device; it connects on first use.

    Raises
    ------
    LabError
        It is an emulated board, and that is not running.
    SpecificationError
        Its address, the user's SSH configuration or the environment's adb server is wrong.
    """
    if device.spec.transport == "local":
        return LocalTransport()
    endpoint = Board(workspace, device.spec.board).endpoint() if device.spec.board else None
    if device.spec.transport == "adb":
        serial = endpoint.adb if endpoint else device.spec.address
        assert serial  # noqa: S101 - for the type checker: the inventory has checked it
        return AdbTransport(serial, name=device.name)
    if endpoint:
        return SshTransport(endpoint.target, endpoint.host_keys)
    return SshTransport(ssh_target(device), HostKeys(workspace.known_hosts))


def ssh_target(device: Device) -> SshTarget:
    """Return where a device's SSH server is.

    Raises
    ------
    SpecificationError
        It has no address, or that or the user's SSH configuration is wrong.
    """
    if device.spec.transport != "ssh" or device.spec.address is None:
        raise SpecificationError(f"{device.name} has no SSH address")
    identity = device.spec.identity_file
    return SshTarget.resolve(
        device.spec.address,
        name=device.name,
        identity_file=Path(identity) if identity else None,
    )
