"""Transports: the project's own, and those of installed packages."""

from __future__ import annotations

from typing import Any

from harness.core.errors import SpecificationError
from harness.core.registry import Registry
from harness.core.yamlfile import nearest
from harness.transports.plugin import LinkSpec, TransportPlugin

__all__ = ["COMMON", "TRANSPORTS", "by_address", "examples", "get"]

COMMON = frozenset(
    {
        "abi",
        "board",
        "class",
        "conditions",
        "description",
        "device_class",
        "engines",
        "host",
        "labels",
        "power_cycle",
        "soc",
        "store_limit_mb",
        "transport",
        "workdir",
    }
)
"""The fields of every device's file, whatever it is reached by (harness.lab.inventory)."""


def _fault(transport: TransportPlugin) -> str | None:
    """Say what is wrong with the declaration of a transport."""
    link: Any = transport.link  # somebody else's: not what the types promise, maybe
    if not (isinstance(link, type) and issubclass(link, LinkSpec)):
        return f"its 'link' is {link!r}, not a subclass of {LinkSpec.__module__}.LinkSpec"
    if taken := sorted(COMMON & link.field_names()):
        return f"its field '{taken[0]}' is one that every device's file has"
    if transport.example and not transport.example.startswith(f"{transport.name}://"):
        return f"its example {transport.example!r} does not begin with '{transport.name}://'"
    return None


TRANSPORTS: Registry[TransportPlugin] = Registry(
    TransportPlugin,  # type: ignore[type-abstract]
    "transport",
    package="harness.transports",
    group="edge_harness.transports",
    check=_fault,
)

get = TRANSPORTS.get


def examples() -> list[str]:
    """Return an address of each transport by which devices are added, the usual one first."""
    usual_first = sorted(TRANSPORTS, key=lambda each: not each.takes_bare_addresses)
    return [each.example for each in usual_first if each.example]


def by_address(address: str) -> tuple[TransportPlugin, str]:
    """Return the transport of an address, and the address without its scheme.

    Raises
    ------
    SpecificationError
        There is no such transport, or its devices are not added by address.
    """
    scheme, separator, plain = address.partition("://")
    known = {each.name: each for each in TRANSPORTS if each.example}
    if not separator:
        bare = (each for each in known.values() if each.takes_bare_addresses)
        if usual := next(bare, None):
            return usual, address
    if found := known.get(scheme):
        return found, plain
    if scheme not in TRANSPORTS:
        get(scheme)  # says which is near, or what is wrong with it
    raise SpecificationError(
        f"{scheme} devices are not added by address", hint=nearest(scheme, known)
    )
