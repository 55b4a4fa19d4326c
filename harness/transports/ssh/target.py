"""Where an SSH device is: an address, completed from the user's ``~/.ssh/config``."""

from __future__ import annotations

import getpass
import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SshTarget"]

_ADDRESS = re.compile(
    r"(?:ssh://)?"
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_MAX_DEPTH = 8


@dataclass(frozen=True)
class SshTarget:
    """An SSH server, and how to get there.

    Attributes
    ----------
    name
        What the user calls it: a device's name, or an address. Messages name it.
    identity_files
        Private keys, tried in this order.
    identities_only
        Whether keys of the agent are left aside unless one of the files is theirs.
    host_key_alias
        What its key is on record under, instead of host and port.
    jump
        The server that connections to this one go through.
    proxy_command
        A command whose standard input and output are the connection, instead.
    """

    name: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    host_key_alias: str | None = None
    jump: SshTarget | None = None
    proxy_command: str | None = None

    @classmethod
    def resolve(
        cls,
        address: str,
        *,
        name: str | None = None,
        identity_file: Path | None = None,
        config: Path | None = None,
    ) -> SshTarget:
        """Complete an address.

        Parameters
        ----------
        address
            ``[ssh://][user@]host[:port]``, an IPv6 host in brackets; the host may be an alias.
        identity_file
            The one private key to use; the configuration's are then left aside.
        config
            By default ``~/.ssh/config``. ``HostName``, ``Port``, ``User``, ``IdentityFile``,
            ``IdentitiesOnly``, ``HostKeyAlias``, ``ProxyJump``, ``ProxyCommand`` and
            ``Include`` count.

        Raises
        ------
        SpecificationError
            The address or the configuration is wrong.
        """
        path = config or Path.home() / ".ssh" / "config"
        try:
            parsed = paramiko.SSHConfig.from_text("\n".join(_lines(path)))
            target = _resolve(address, parsed, depth=0)
        except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, OSError) as error:
            raise SpecificationError(f"{path}: {error}") from error
        if identity_file:
            try:
                only = (identity_file.expanduser(),)
            except RuntimeError as error:  # the home folder of a user that does not exist
                raise SpecificationError(f"{identity_file}: {error}") from error
            target = replace(target, identity_files=only, identities_only=True)
        return replace(target, name=name or target.name)

    @property
    def address(self) -> str:
        """User, host and port, as they are connected to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def host_key_name(self) -> str:
        """What ``known_hosts`` calls it."""
        plain = self.host if self.port == paramiko.config.SSH_PORT else f"[{self.host}]:{self.port}"
        return self.host_key_alias or plain


def _resolve(address: str, config: paramiko.SSHConfig, depth: int) -> SshTarget:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"] or 1) < 1 << 16:
        raise SpecificationError(
            f"{address!r} is not an address", hint="user@host[:port]; an IPv6 host in brackets"
        )
    if depth > _MAX_DEPTH:
        raise SpecificationError(f"{address}: more than {_MAX_DEPTH} jump hosts: a loop?")
    host = match["ipv6"] or match["host"]
    found = config.lookup(host)
    target = SshTarget(
        name=f"ssh://{address.removeprefix('ssh://')}",
        host=found["hostname"],
        port=int(match["port"] or found.get("port", paramiko.config.SSH_PORT)),
        user=match["user"] or found.get("user") or getpass.getuser(),
        identity_files=tuple(Path(file).expanduser() for file in found.get("identityfile", [])),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        host_key_alias=found.get("hostkeyalias"),
        proxy_command=found.get("proxycommand"),
    )
    hops = found.get("proxyjump", "none")
    if hops.lower() == "none":
        return target
    jump: SshTarget | None = None
    for hop in hops.split(","):
        following = _resolve(hop.strip(), config, depth + 1)
        jump = replace(following, jump=jump) if jump else following
    return replace(target, jump=jump, proxy_command=None)


def _lines(path: Path, depth: int = 0) -> Iterator[str]:
    """Give a configuration's lines with ``Include`` carried out, which paramiko does not do."""
    if depth > _MAX_DEPTH or not path.is_file():
        return
    section = "Host *"
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        keyword, *arguments = re.split(r"[\s=]+", line.strip())
        if keyword.lower() in ("host", "match"):
            section = line
        if keyword.lower() != "include":
            yield line
            continue
        for argument in arguments:
            pattern = Path.home() / ".ssh" / Path(argument.strip('"')).expanduser()
            for included in sorted(glob.glob(str(pattern))):  # noqa: PTH207 - of an absolute path
                yield from _lines(Path(included), depth + 1)
        yield section
