"""What a transport declares: its name, its fields of a device's file, and how a link is opened."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core.errors import SpecificationError
from harness.core.yamlfile import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from harness.transports.base import Transport

__all__ = ["BoardEndpoint", "HostIdentity", "LinkSpec", "Program", "TransportPlugin"]


class LinkSpec(Spec):
    """What a device's file says of how the device is reached: a transport's own fields."""

    @property
    def where(self) -> str:
        """Where the device is, in a word; empty where the file does not say."""
        return str(getattr(self, "address", None) or "")


@dataclass(frozen=True)
class BoardEndpoint:
    """Where a running emulated board listens on this machine, and what lets one in.

    Attributes
    ----------
    name
        The board's.
    ports
        Name of a transport to the port on 127.0.0.1 where the board's server for it listens.
    folder
        With the key that logs in (``id_ed25519``) and the board's own key (``known_hosts``).
    """

    name: str
    ports: dict[str, int]
    folder: Path


@dataclass(frozen=True)
class Program:
    """A program that is looked for on this machine.

    Attributes
    ----------
    package
        Debian's, that has it.
    needed_for
        What does not work without it.
    """

    name: str
    package: str
    needed_for: str


class HostIdentity(abc.ABC):
    """The keys by which a device proves that it is itself: on record, and as it shows them.

    Attributes
    ----------
    name
        What the user calls the device.
    host
        What its keys are on record under.
    """

    name: str
    host: str

    @abc.abstractmethod
    def recorded(self) -> list[str]:
        """Return the keys on record, each as its type and fingerprint."""

    @abc.abstractmethod
    def fetch(self) -> tuple[str, str]:
        """Ask the device for its key; return that as type and fingerprint, and the latter alone.

        Raises
        ------
        TransportError
            It does not answer.
        """

    @abc.abstractmethod
    def verify(self) -> None:
        """Hold the key that was fetched against those on record.

        Raises
        ------
        HostKeyError
            It is none of them, or was revoked.
        """

    @abc.abstractmethod
    def record(self) -> None:
        """Put the key that was fetched on record, in place of others."""


class TransportPlugin(abc.ABC):
    """A way to reach devices.

    Attributes
    ----------
    name
        As ``transport`` in devices' files, and as the scheme of addresses.
    api_version
        Of the plugin contract; see :class:`harness.core.registry.Plugin`.
    title
        In words, for the documentation's tables.
    link
        The fields of a device's file that are this transport's own.
    example
        An address to show, with its scheme; none where devices are not added by address.
    takes_bare_addresses
        Whether an address without a scheme is one of its.
    reaches_boards
        Whether emulated boards listen for it.
    is_this_machine
        Whether its devices are this machine: they share its processors, and may use the harness's
        own environments.
    become_root
        The command that makes its logins root's, on devices that allow it.
    programs
        What it, or its tests, need on this machine.
    """

    name: ClassVar[str]
    api_version: ClassVar[int]
    title: ClassVar[str]
    link: ClassVar[type[LinkSpec]]
    example: ClassVar[str | None] = None
    takes_bare_addresses: ClassVar[bool] = False
    reaches_boards: ClassVar[bool] = False
    is_this_machine: ClassVar[bool] = False
    become_root: ClassVar[str | None] = None
    programs: ClassVar[tuple[Program, ...]] = ()

    @abc.abstractmethod
    def open(self, name: str, link: LinkSpec, known_hosts: Path) -> Transport:
        """Return the transport to a device; it connects on first use.

        Parameters
        ----------
        name
            What the user calls the device. Messages name it.
        link
            Of the class that ``link`` names.
        known_hosts
            The workspace's file of host keys, in OpenSSH's format; it need not exist.

        Raises
        ------
        SpecificationError
            The address, or the user's configuration of the transport, is wrong.
        """

    def open_board(self, name: str, endpoint: BoardEndpoint) -> Transport:
        """Return the transport to a running emulated board, where ``reaches_boards``."""
        raise NotImplementedError

    def link_to(self, address: str, settings: dict[str, Any]) -> LinkSpec:
        """Return the fields of a device with an address, without its scheme.

        Parameters
        ----------
        settings
            More of the fields.

        Raises
        ------
        SpecificationError
            They are wrong; or none is given, and it cannot be found out.
        """
        try:
            return self.link.model_validate({"address": address, **settings})
        except ValueError as error:
            raise SpecificationError(
                f"{self.name}://{address} is not the address of a device",
                hint=self.example and f"such as {self.example}",
            ) from error

    def identity(self, name: str, link: LinkSpec, known_hosts: Path) -> HostIdentity | None:
        """Return how a device proves that it is itself; none where the transport has no host keys.

        The parameters and errors are those of :meth:`open`.
        """
        del name, link, known_hosts
        return None
