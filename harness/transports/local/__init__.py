"""The controller's own machine as a device: subprocesses and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.transports.plugin import LinkSpec, TransportPlugin

if TYPE_CHECKING:
    from pathlib import Path

    from harness.transports.base import Transport

__all__ = ["PLUGIN"]


class _Local(TransportPlugin):
    name = "local"
    api_version = 1
    title = "this machine"
    link = LinkSpec
    is_this_machine = True

    def open(self, name: str, link: LinkSpec, known_hosts: Path) -> Transport:
        from harness.transports.local.transport import LocalTransport  # noqa: PLC0415

        del name, link, known_hosts
        return LocalTransport()


PLUGIN = _Local()
