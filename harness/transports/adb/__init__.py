"""adb: Android devices, and Linux boards that run ``adbd``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from harness.transports.adb.server import SERIAL_PATTERN
from harness.transports.plugin import LinkSpec, Program, TransportPlugin

if TYPE_CHECKING:
    from pathlib import Path

    from harness.transports.base import Transport
    from harness.transports.plugin import BoardEndpoint

__all__ = ["PLUGIN", "AdbLink"]


class AdbLink(LinkSpec):
    """Fields of a device that is reached over adb.

    Attributes
    ----------
    address
        A serial number as ``adb devices`` shows it, or ``host:port``.
    """

    address: str | None = None

    @field_validator("address")
    @classmethod
    def _is_serial(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(SERIAL_PATTERN, address, re.ASCII):
            raise ValueError("an adb device's 'address' is a serial number or host:port")
        return address


class _Adb(TransportPlugin):
    name = "adb"
    api_version = 1
    title = "adb"
    link = AdbLink
    example = "adb://"
    reaches_boards = True
    become_root = "adb root"
    programs = (Program("adb", "adb", "devices over adb, and their tests"),)

    def open(self, name: str, link: LinkSpec, known_hosts: Path) -> Transport:
        from harness.transports.adb.transport import AdbTransport  # noqa: PLC0415

        del known_hosts
        return AdbTransport(link.where, name=name)

    def open_board(self, name: str, endpoint: BoardEndpoint) -> Transport:
        from harness.transports.adb.transport import AdbTransport  # noqa: PLC0415

        return AdbTransport(f"127.0.0.1:{endpoint.ports[self.name]}", name=name)

    def link_to(self, address: str, settings: dict[str, Any]) -> LinkSpec:
        """See :meth:`TransportPlugin.link_to`; with no address, the one device that is there."""
        from harness.transports.adb.transport import check_serial, only_serial  # noqa: PLC0415

        return super().link_to(check_serial(address or only_serial()), settings)


PLUGIN = _Adb()
