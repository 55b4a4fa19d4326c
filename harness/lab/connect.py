"""From a device of the inventory to a transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import transports
from harness.core.errors import HarnessError, LabError
from harness.lab.emulated.board import Board
from harness.transports.base import Transport

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.transports.plugin import HostIdentity
    from harness.workspace import Workspace

__all__ = ["connect", "identity"]


def connect(workspace: Workspace, device: Device) -> Transport:
    """Return the transport to a device; it connects on first use.

    Raises
    ------
    LabError
        It is an emulated board, and that is not running; or another package's transport fails.
    SpecificationError
        Its address, or the user's configuration of the transport, is wrong.
    """
    spec = device.spec
    transport = transports.get(spec.transport)
    endpoint = Board(workspace, spec.board).endpoint() if spec.board else None
    try:
        opened: object = (
            transport.open_board(device.name, endpoint)
            if endpoint
            else transport.open(device.name, spec.link, workspace.known_hosts)
        )
    except HarnessError:
        raise
    except Exception as error:  # whatever somebody else's plugin may raise
        raise _bad(device, f"{type(error).__name__}: {error}") from error
    if not isinstance(opened, Transport):
        raise _bad(device, f"it opened a {type(opened).__name__}, which is no transport")
    return opened


def _bad(device: Device, fault: str) -> LabError:
    name = device.spec.transport
    package = transports.TRANSPORTS.origins[name].package
    return LabError(f"{device.name}: transport '{name}' of the package {package}: {fault}")


def identity(workspace: Workspace, device: Device) -> HostIdentity | None:
    """Return how a device proves that it is itself; none where its transport has no host keys.

    Raises
    ------
    SpecificationError
        It has no address, or that or the user's configuration of the transport is wrong.
    """
    transport = transports.get(device.spec.transport)
    return transport.identity(device.name, device.spec.link, workspace.known_hosts)
