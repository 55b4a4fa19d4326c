"""From a device of the inventory to a transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import transports
from harness.lab.emulated.board import Board

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.transports.base import Transport
    from harness.transports.plugin import HostIdentity
    from harness.workspace import Workspace

__all__ = ["connect", "identity"]


def connect(workspace: Workspace, device: Device) -> Transport:
    """Return the transport to a device; it connects on first use.

    Raises
    ------
    LabError
        It is an emulated board, and that is not running.
    SpecificationError
        Its address, or the user's configuration of the transport, is wrong.
    """
    spec = device.spec
    transport = transports.get(spec.transport)
    if spec.board:
        return transport.open_board(device.name, Board(workspace, spec.board).endpoint())
    return transport.open(device.name, spec.link, workspace.known_hosts)


def identity(workspace: Workspace, device: Device) -> HostIdentity | None:
    """Return how a device proves that it is itself; none where its transport has no host keys.

    Raises
    ------
    SpecificationError
        It has no address, or that or the user's configuration of the transport is wrong.
    """
    transport = transports.get(device.spec.transport)
    return transport.identity(device.name, device.spec.link, workspace.known_hosts)
