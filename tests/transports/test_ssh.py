"""What is particular to SSH, against a real sshd."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from harness.core.errors import ExitCode
from harness.transports.base import (
    AuthenticationError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    HostKeyError,
    TransportError,
)
from harness.transports.ssh.connection import fetch_host_key
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget
from harness.transports.ssh.transport import SshTransport


def refused(target, host_keys, kind):
    """Return the error with which a connection fails; it has to be of a kind."""
    transport = SshTransport(target, host_keys, connect_timeout=5)
    with transport, pytest.raises(kind) as caught:
        transport.run(["true"])
    assert type(caught.value) is kind
    return caught.value


def test_an_unknown_host_key_is_refused(sshd, tmp_path):
    error = refused(sshd.target(), HostKeys(tmp_path / "none"), HostKeyError)
    assert "is unknown" in error.message
    assert "SHA256:" in error.message
    assert error.hint == "harness devices trust demo"
    assert error.exit_code == ExitCode.SPECIFICATION


def test_a_changed_host_key_is_refused(sshd, known_hosts, host_keys):
    other = fetch_host_key(sshd.target(), host_keys)
    key = sshd.make_key("another_key")
    recorded = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {recorded}\n")
    error = refused(sshd.target(), host_keys, HostKeyError)
    assert other.fingerprint in error.message
    assert "is on record" in error.message
    assert error.hint.endswith("harness devices trust demo --replace")


def test_the_users_known_hosts_counts_where_the_workspace_has_none(sshd, home, tmp_path):
    line = f"127.0.0.1,[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n"
    known = home / ".ssh" / "known_hosts"
    known.write_text(line)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    hashed = known.read_text()
    assert hashed.startswith("|1|")
    known.write_text(f"# a comment\n@cert-authority *.lab ssh-rsa AAAA\nrubbish\n{hashed}")
    with SshTransport(sshd.target(), HostKeys(tmp_path / "none")) as transport:
        assert transport.run(["true"]).returncode == 0


def test_a_revoked_host_key_is_refused_even_where_it_is_on_record(sshd, home, host_keys):
    (home / ".ssh" / "known_hosts").write_text(f"@revoked * {sshd.public_host_key}\n")
    assert "was revoked" in refused(sshd.target(), host_keys, HostKeyError).message


def test_a_wrong_key_is_an_authentication_error(sshd, host_keys):
    key = sshd.make_key("wrong_key")
    error = refused(sshd.target(key=key), host_keys, AuthenticationError)
    assert f"{key} (refused)" in error.message
    assert error.hint.startswith(f"ssh-copy-id -p {sshd.port} ")


def test_a_missing_key_file_is_named(sshd, host_keys, tmp_path):
    error = refused(sshd.target(key=tmp_path / "none"), host_keys, AuthenticationError)
    assert f"{tmp_path}/none (no such file)" in error.message


def test_a_file_that_is_no_key_is_named(sshd, host_keys, tmp_path):
    (tmp_path / "text").write_text("hello")
    error = refused(sshd.target(key=tmp_path / "text"), host_keys, AuthenticationError)
    assert "not a private key" in error.message


def test_without_any_key_the_error_says_so(sshd, host_keys):
    error = refused(SshTarget.resolve(sshd.address, name="demo"), host_keys, AuthenticationError)
    assert "no agent is running" in error.message


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """A real ssh-agent; returns what gives it a key with the passphrase 'secret'."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    ask = tmp_path / "askpass"
    ask.write_text("#!/bin/sh\necho secret\n")
    ask.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    yield lambda key: subprocess.run(["ssh-add", "-q", key], check=True, stdin=subprocess.DEVNULL)
    process.terminate()
    process.wait()


def test_an_encrypted_key_needs_the_agent(sshd, host_keys, agent):
    key = sshd.make_key("encrypted_key", passphrase="secret")
    error = refused(sshd.target(key=key), host_keys, AuthenticationError)
    assert f"encrypted, and no agent holds it: ssh-add {key}" in error.message
    accepted = sshd.folder / "authorized_keys"
    accepted.write_text(accepted.read_text() + key.with_suffix(".pub").read_text())
    agent(key)
    with SshTransport(sshd.target(key=key), host_keys) as transport:
        assert transport.run(["true"]).returncode == 0
    with SshTransport(SshTarget.resolve(sshd.address), host_keys) as transport:
        assert transport.run(["true"]).returncode == 0


def test_a_refusing_port_an_unknown_host_and_a_silent_one_are_told_apart(host_keys, sshd):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = SshTarget.resolve(f"root@127.0.0.1:{probe.getsockname()[1]}", name="demo")
        assert "connection refused" in refused(free, host_keys, ConnectError).message
        probe.listen()
        silent = SshTransport(free, host_keys, connect_timeout=0.2)
        with silent, pytest.raises(ConnectError, match=r"answered within|banner"):
            silent.run(["true"])
    nowhere = SshTarget.resolve("root@no-such-host.invalid", name="demo")
    assert "no such host" in refused(nowhere, host_keys, ConnectError).message


def test_something_that_is_not_ssh_is_refused(host_keys):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as link:
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        target = SshTarget.resolve(f"root@127.0.0.1:{server.getsockname()[1]}", name="demo")
        error = refused(target, host_keys, ConnectError)
        thread.join()
    assert error.hint == "is an SSH server running on that port?"


@pytest.mark.parametrize(
    ("option", "what", "offered"),
    [
        ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange", "group14-sha1"),
        ("Ciphers chacha20-poly1305@openssh.com", "cipher", "chacha20-poly1305"),
        ("MACs umac-64@openssh.com", "MAC", "umac-64"),
    ],
)
def test_an_unsupported_algorithm_is_named(start_sshd, tmp_path, option, what, offered):
    server = start_sshd(option)
    error = refused(server.target(), HostKeys(tmp_path / "none"), ConnectError)
    assert f"no {what} that is supported here, only" in error.message
    assert offered in error.message
    assert "enable there" in error.hint


def rsa_key(folder, name):
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", path]
    subprocess.run(command, check=True)
    return path


def test_a_host_key_of_the_past_is_named(start_sshd, tmp_path):
    """As dropbear before 2020.79 has it: RSA, with SHA-1."""
    key = rsa_key(tmp_path, "old_host_key")
    server = start_sshd(f"HostKey {key}", "HostKeyAlgorithms ssh-rsa")
    error = refused(server.target(), HostKeys(tmp_path / "none"), ConnectError)
    assert "no host key type that is supported here, only ssh-rsa" in error.message
    assert "enable there: " in error.hint


def test_a_users_key_of_the_past_is_refused_with_the_way_out(start_sshd, tmp_path):
    server = start_sshd("PubkeyAcceptedAlgorithms ssh-rsa")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.public_host_key}\n")
    key = rsa_key(server.folder, "old_user_key")
    (server.folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    error = refused(server.target(key=key), HostKeys(known), AuthenticationError)
    assert "RSA is used with SHA-2" in error.message
    assert "try an ECDSA or Ed25519 key" in error.message


def test_no_sftp_server_is_needed(start_sshd, tmp_path):
    server = start_sshd()
    assert "Subsystem" not in (server.folder / "sshd_config").read_text()
    host_keys = HostKeys(tmp_path / "known")
    host_keys.record(server.target(), fetch_host_key(server.target(), host_keys))
    (tmp_path / "file").write_bytes(b"content")
    with SshTransport(server.target(), host_keys) as transport:
        transport.push(tmp_path / "file", str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b"content"


def session_of(transport):
    """Return the server's process for this connection."""
    parents_parent = "cut -d ' ' -f 4 /proc/$PPID/stat"  # of the shell that sshd started
    return psutil.Process(int(transport.run(["sh", "-c", parents_parent]).text))


def test_a_connection_lost_in_use_is_reported_and_the_next_call_connects_anew(ssh):
    pid = session_of(ssh).pid
    with pytest.raises(ConnectionLostError, match="demo: the connection broke"):
        ssh.run(["sh", "-c", f"kill -KILL {pid}; sleep 1000"])
    assert ssh.run(["echo", "back"]).text == "back\n"


def test_a_connection_lost_while_idle_is_not_noticed(ssh):
    session_of(ssh).kill()
    assert ssh.run(["echo", "back"]).text == "back\n"


def test_a_server_that_hangs_costs_the_time_limit_and_its_connection(ssh):
    session = session_of(ssh)
    try:
        stop = f"kill -STOP {session.pid}; cat"
        with pytest.raises(CommandTimeoutError):
            ssh.run(["sh", "-c", stop], stdin=bytes(64 << 20), timeout=1)
        assert ssh.run(["echo", "back"]).text == "back\n"
        assert session_of(ssh) != session
    finally:
        session.kill()


def test_one_connection_serves_several_threads(ssh):
    before = session_of(ssh).pid
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda n: ssh.run(["echo", str(n)]).text, range(12))
        assert list(answers) == [f"{n}\n" for n in range(12)]
    assert session_of(ssh).pid == before


def test_jump_hosts_are_gone_through_and_their_keys_are_checked(sshd, home, host_keys, tmp_path):
    user = sshd.address.partition("@")[0]
    (home / ".ssh" / "config").write_text(f"""\
Host gate
  HostName 127.0.0.1
  Port {sshd.port}
Host board
  HostName localhost
  Port {sshd.port}
  HostKeyAlias the-board
  ProxyJump gate,gate
Host *
  User {user}
  IdentityFile {sshd.key}
""")
    board = SshTarget.resolve("board")
    assert board.jump.jump == SshTarget.resolve("gate")
    error = refused(board, host_keys, HostKeyError)
    assert "ssh://board (the-board)" in error.message
    host_keys.record(board, fetch_host_key(board, host_keys))
    with SshTransport(board, host_keys) as transport:
        assert transport.run(["echo", "through"]).text == "through\n"
    error = refused(board, HostKeys(tmp_path / "none"), HostKeyError)
    assert error.hint == "harness devices trust ssh://gate"


def test_a_proxy_command_is_used_and_ended(sshd, home, host_keys):
    script = home / "relay.py"
    script.write_text(
        "import os, socket, sys, threading\n"
        "link = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "def send():\n"
        "    while chunk := os.read(0, 65536):\n"
        "        link.sendall(chunk)\n"
        "threading.Thread(target=send, daemon=True).start()\n"
        "while chunk := link.recv(65536):\n"
        "    os.write(1, chunk)\n"
    )
    (home / ".ssh" / "config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
        f"  ProxyCommand {sys.executable} {script} %p\n"
    )
    target = SshTarget.resolve(f"{sshd.address.partition('@')[0]}@board", identity_file=sshd.key)
    with SshTransport(target, host_keys) as transport:
        assert transport.run(["echo", "through"]).text == "through\n"
        (relay,) = (c for c in psutil.Process().children() if str(script) in c.cmdline())
    assert not relay.is_running()
    (home / ".ssh" / "config").write_text("Host board\n  ProxyCommand false\n")
    assert "ssh://" in refused(SshTarget.resolve("board"), host_keys, ConnectError).message


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_link_that_drops_anywhere_in_the_login_is_no_refusal(sshd, link, tmp_path, way):
    # Else it would not be tried again.
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{link.port} {sshd.public_host_key}\n")
    user = sshd.address.partition("@")[0]
    target = SshTarget.resolve(f"{user}@127.0.0.1:{link.port}", identity_file=sshd.key)
    seen = []
    for last in range(1, 100):
        link.cut()
        link.messages[way] = 0
        link.cut_when(lambda _, last=last: link.messages[way] == last)
        try:
            with SshTransport(target, HostKeys(known)) as transport:
                transport.run(["true"])
        except TransportError as error:
            seen.append(type(error))
        else:  # it was done before so many pieces passed
            break
    assert len(seen) > 5
    assert set(seen) <= {ConnectError, ConnectionLostError}
