"""An SSH connection: the way to the server, its host key, and the login."""

from __future__ import annotations

import base64
import binascii
import errno
import logging
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from harness.transports.base import AuthenticationError, ConnectError
from harness.transports.ssh import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.reason import Reason
    from harness.transports.ssh.host_keys import HostKeys
    from harness.transports.ssh.target import SshTarget

__all__ = ["Connection", "fetch_host_key"]

CONNECT_TIMEOUT = 10.0
KEEPALIVE_SECONDS = 5
DEAD_AFTER_SECONDS = 15
_MAX_PACKET = 1 << 19  # bytes; OpenSSH's are half of that at most

# paramiko logs a traceback for every server that hangs up; its exceptions tell the same.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connection:
    """A connection to a server whose key was verified, logged in.

    Parameters
    ----------
    target
        The server.
    host_keys
        The keys on record.
    timeout
        Seconds for each step: reaching it, key exchange, login; for every jump host again.

    Raises
    ------
    ConnectError, AuthenticationError, HostKeyError
        No connection, and why.
    """

    def __init__(
        self, target: SshTarget, host_keys: HostKeys, *, timeout: float = CONNECT_TIMEOUT
    ) -> None:
        with ExitStack() as stack:
            self._transport = _negotiate(target, host_keys, timeout, stack)
            host_keys.verify(target, self._transport.get_remote_server_key())
            _log_in(self._transport, target)
            self._transport.set_keepalive(KEEPALIVE_SECONDS)
            self._stack = stack.pop_all()

    @property
    def alive(self) -> bool:
        """Whether the connection is up, as far as is known without using it."""
        return self._transport.is_active()

    def open_session(self, timeout: float) -> paramiko.Channel:
        """Open a channel for one command; raises what paramiko raises."""
        return self._transport.open_session(timeout=timeout)

    def open_tunnel(self, host: str, port: int, timeout: float) -> paramiko.Channel:
        """Open a channel to an address as the server sees it; raises what paramiko raises."""
        return self._transport.open_channel(
            "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout
        )

    def close(self) -> None:
        """Hang up, the jump hosts too."""
        self._stack.close()


def fetch_host_key(
    target: SshTarget, host_keys: HostKeys, *, timeout: float = CONNECT_TIMEOUT
) -> paramiko.PKey:
    """Return the key that a server shows, without trusting it; jump hosts must be trusted.

    Raises
    ------
    ConnectError, AuthenticationError, HostKeyError
        The server, or one on the way to it, is not reached.
    """
    with ExitStack() as stack:
        return _negotiate(target, host_keys, timeout, stack).get_remote_server_key()


class _Packetizer(Packetizer):
    """Refuses what no server sends: paramiko would keep gigabytes of one packet or greeting."""

    _greeted = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002 - paramiko's
        if n > _MAX_PACKET:
            raise paramiko.SSHException(f"a packet of {n} bytes is no packet")
        return super().read_all(n, check_rekey)

    def _read_timeout(self, timeout: float) -> bytes:  # of the greeting alone
        part: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeted += len(part)
        if self._greeted > _MAX_PACKET:
            raise paramiko.SSHException("its greeting has no end")
        return part


class _Transport(paramiko.Transport):
    """Keeps what paramiko does not tell.

    Attributes
    ----------
    offered
        What the server offers, where nothing fits.
    dismissed
        Whether the server has said that it hangs up; else the link dropped.
    """

    offered: dict[str, list[str]] | None = None
    dismissed = False

    def _really_parse_kex_init(self, *args: Any, **kwargs: Any) -> dict[str, list[str]]:  # noqa: ANN401 - paramiko's, passed on
        self.offered = super()._really_parse_kex_init(*args, **kwargs)  # type: ignore[misc]
        return self.offered

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        self.dismissed = True
        super()._parse_disconnect(message)  # type: ignore[misc]


def _negotiate(
    target: SshTarget, host_keys: HostKeys, timeout: float, stack: ExitStack
) -> _Transport:
    """Reach a server and agree on keys; its host key is not verified yet."""
    transport = _Transport(_reach(target, host_keys, timeout, stack), packetizer_class=_Packetizer)
    stack.callback(transport.close)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    options = transport.get_security_options()
    # A server with several keys is to show the one that is on record.
    known = {key.get_name().replace("ssh-rsa", "rsa-sha2-512") for key in host_keys.of(target)}
    options.key_types = sorted(options.key_types, key=lambda each: each not in known)
    try:
        transport.start_client(timeout=timeout)
        transport.get_remote_server_key()
    except IncompatiblePeer as error:
        raise _incompatible(target, transport, error) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        silent = reasons.SSH_SILENT(seconds=timeout) if transport.is_active() else None
        why = silent or str(error) or reasons.HUNG_UP()
        raise ConnectError(
            reasons.NO_SERVER(device=target.name, address=target.address, why=why)
        ) from error
    return transport


def _reach(
    target: SshTarget, host_keys: HostKeys, timeout: float, stack: ExitStack
) -> socket.socket | paramiko.Channel:
    where = {"device": target.name, "address": target.address}
    if target.jump:
        jump = Connection(target.jump, host_keys, timeout=timeout)
        stack.callback(jump.close)
        try:
            return jump.open_tunnel(target.host, target.port, timeout)
        except (paramiko.SSHException, EOFError) as error:
            said = str(getattr(error, "text", None) or error)
            raise ConnectError(
                reasons.NOT_FROM_JUMP(**where, jump=target.jump.name, said=said)
            ) from error
    if target.proxy_command:
        return _proxy(target.proxy_command, stack)
    try:
        link = socket.create_connection((target.host, target.port), timeout=timeout)
    except OSError as error:
        raise ConnectError(_why(error, timeout, where)) from error
    stack.callback(link.close)
    # Nagle's algorithm costs 50 ms a command; and without the kernel's own limit a link that
    # went dead silently would hold a call for as long as TCP repeats itself, a quarter of an hour.
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_SECONDS * 1000)
    return link


def _proxy(command: str, stack: ExitStack) -> socket.socket:
    """Start a ``ProxyCommand``; paramiko's own does not notice when the command has ended."""
    ours, its = socket.socketpair()
    stack.callback(ours.close)
    with its:
        end = its.fileno()
        process = subprocess.Popen(  # noqa: S602 - ssh_config says that a shell runs it
            f"exec {command}", shell=True, stdin=end, stdout=end, stderr=subprocess.DEVNULL
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return ours


def _why(error: OSError, timeout: float, where: Mapping[str, str]) -> Reason:
    if isinstance(error, socket.gaierror):
        return reasons.NO_HOST(**where)
    if isinstance(error, ConnectionRefusedError):
        return reasons.REFUSED(**where)
    if isinstance(error, TimeoutError):
        return reasons.NO_ANSWER(**where, seconds=timeout)
    off_net = error.errno == errno.ENETUNREACH
    failed = reasons.NO_NETWORK if off_net else reasons.UNREACHABLE
    return failed(**where, said=error.strerror or str(error))


def _incompatible(
    target: SshTarget, transport: _Transport, error: IncompatiblePeer
) -> ConnectError:
    """Name the algorithms that the server offers where none of them is known here."""
    ours = transport.get_security_options()
    offered = transport.offered or {}
    for what, field, known in (
        ("key exchange", "kex_algo_list", ours.kex),
        ("host key type", "server_key_algo_list", ours.key_types),
        ("cipher", "server_encrypt_algo_list", ours.ciphers),
        ("MAC", "server_mac_algo_list", ours.digests),
    ):
        theirs = offered.get(field, [])
        if theirs and not set(theirs) & set(known):
            return ConnectError(
                reasons.INCOMPATIBLE(
                    device=target.name,
                    what=what,
                    offered=", ".join(theirs)[:300],
                    known=list(known[:3]),
                )
            )
    return ConnectError(reasons.NO_SSH(device=target.name, said=str(error)))


def _log_in(transport: _Transport, target: SshTarget) -> None:
    refused = 0
    notes: list[Reason] = []
    where = {"device": target.name, "address": target.address}
    copy = f"ssh-copy-id -p {target.port} {target.user}@{target.host}"
    agent = paramiko.Agent()
    try:
        for origin, key in _keys(target, agent.get_keys(), notes):
            try:
                missing = transport.auth_publickey(target.user, key)
            except paramiko.BadAuthenticationType as error:
                raise AuthenticationError(
                    reasons.NO_KEYS(**where, methods=error.allowed_types)
                ) from error
            except paramiko.AuthenticationException as error:
                # paramiko takes no answer for a refusal.
                overdue = transport.is_active() and "timeout" in str(error)
                dropped = not (transport.is_active() or transport.dismissed or refused)
                if overdue or dropped:
                    raise ConnectError(reasons.BROKE_IN_LOGIN(**where)) from error
                refused += 1
                # A server that knows RSA keys with SHA-1 only refuses them without a word of that.
                rsa = key.get_name() == "ssh-rsa"
                notes.append((reasons.RSA_REFUSED if rsa else reasons.KEY_REFUSED)(key=origin))
                if not transport.is_active():
                    raise AuthenticationError(
                        reasons.TOO_MANY_KEYS(**where, tried=notes)
                    ) from error
            else:
                if not missing:
                    return
                notes.append(reasons.MORE_ASKED(key=origin, methods=missing))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise ConnectError(reasons.FAILED(**where, said=str(error))) from error
    finally:
        agent.close()
    tried = notes or [reasons.NOTHING_TRIED()]
    raise AuthenticationError(reasons.NO_LOGIN(**where, tried=tried, command=copy))


def _keys(
    target: SshTarget, held: tuple[paramiko.AgentKey, ...], notes: list[Reason]
) -> Iterator[tuple[str | Reason, paramiko.PKey]]:
    """Give the keys to try and where each is from; what cannot be used is noted."""
    usual = [Path.home() / ".ssh" / f"id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")]
    for path in target.identity_files or [path for path in usual if path.exists()]:
        try:
            yield str(path), paramiko.PKey.from_path(path)
        except (TypeError, FileNotFoundError) as error:
            # TypeError is how cryptography says that a passphrase is missing.
            if key := _of_file(path, held):
                yield reasons.FROM_AGENT(key=str(path)), key
            elif isinstance(error, FileNotFoundError):
                notes.append(reasons.KEY_MISSING(key=str(path)))
            else:
                notes.append(reasons.KEY_ENCRYPTED(key=str(path)))
        except OSError as error:
            notes.append(reasons.KEY_UNREADABLE(key=str(path), said=error.strerror or ""))
        except Exception as error:  # noqa: BLE001 - cryptography's errors have no common class
            notes.append(reasons.KEY_UNSUPPORTED(key=str(path), said=str(error)))
    if not target.identities_only:
        yield from ((reasons.OF_AGENT(key=key.fingerprint), key) for key in held)


def _of_file(path: Path, held: tuple[paramiko.AgentKey, ...]) -> paramiko.AgentKey | None:
    """Return the agent's key that a key file is of, by the ``.pub`` file beside it."""
    try:
        blob = base64.b64decode(Path(f"{path}.pub").read_text(encoding="utf-8").split()[1])
    except (OSError, UnicodeDecodeError, IndexError, binascii.Error):
        return None
    return next((key for key in held if key.asbytes() == blob), None)
