"""A device that shows another host key than the one on record is refused, whatever the way."""

from __future__ import annotations

import sys

import pytest

from harness.core.errors import ExitCode
from harness.transports.base import HostKeyError
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget
from harness.transports.ssh.transport import SshTransport


@pytest.fixture
def other_key(sshd):
    """A key that is on record, and is not the server's."""
    return " ".join(sshd.make_key("other_key").with_suffix(".pub").read_text().split()[:2])


COMMANDS = {
    "probe": ["devices", "probe", "board"],
    "add": ["devices", "add", "ssh://ADDRESS", "--name", "new", "--identity-file", "KEY"],
    "trust": ["devices", "trust", "board"],
    "trust at once": ["devices", "trust", "board", "--yes"],
    "run": ["run", "CAMPAIGN"],
    "push": ["models", "push", "m", "--engine", "onnxruntime", "--device", "board"],
    "check": ["runners", "check", "printing", "board"],
    "doctor": ["devices", "doctor", "board", "--clean"],
    "break-lease": ["devices", "break-lease", "board", "--reason", "a test"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_by_every_command(lab, cli, sshd, other_key, tmp_path, name):
    record = f"[127.0.0.1]:{sshd.port} {other_key}\n"
    lab.workspace.known_hosts.write_text(record)
    lab.device(f"transport: ssh\naddress: {sshd.address}\nidentity_file: {sshd.key}")
    words = {"ADDRESS": sshd.address, "KEY": str(sshd.key), "CAMPAIGN": str(lab.campaign)}
    arguments = COMMANDS[name]
    if name == "check":
        added = cli(
            "runners", "add", "edge-runner", sys.executable, "--engine", "onnxruntime",
            "--abi", "x86_64-linux", "--name", "printing",
        )  # fmt: skip
        assert added.code == ExitCode.FINE, added
    for word, meant in words.items():
        arguments = [argument.replace(word, meant) for argument in arguments]
    said = cli(*arguments)
    assert said.code == ExitCode.SPECIFICATION, said
    shown = said.out + said.err  # the doctor's findings are its result
    assert "is on record: another machine answers" in shown
    assert "--replace" in shown
    assert lab.workspace.known_hosts.read_text() == record
    assert [path.name for path in lab.workspace.devices.iterdir()] == ["board.yaml"]
    assert not lab.work.exists()


@pytest.mark.parametrize("way", ["ProxyJump gate", "ProxyCommand {python} {relay} {port}"])
def test_behind_another_server_and_of_that(sshd, other_key, tmp_path, monkeypatch, way):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "link = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "def send():\n"
        "    while chunk := os.read(0, 65536):\n"
        "        link.sendall(chunk)\n"
        "threading.Thread(target=send, daemon=True).start()\n"
        "while chunk := link.recv(65536):\n"
        "    os.write(1, chunk)\n"
    )
    (tmp_path / ".ssh").mkdir()
    common = f"  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.key}\n"
    common += f"  User {sshd.address.partition('@')[0]}\n"
    (tmp_path / ".ssh" / "config").write_text(
        f"Host gate\n{common}  HostKeyAlias gate\nHost board\n{common}  HostKeyAlias board\n"
        f"  {way.format(python=sys.executable, relay=relay, port=sshd.port)}\n"
    )
    known = tmp_path / "known_hosts"
    changed = ["board"] + ["gate"] * ("Jump" in way)
    for one in changed:
        keys = {name: other_key if name == one else sshd.public_host_key for name in changed}
        known.write_text("".join(f"{name} {key}\n" for name, key in keys.items()))
        transport = SshTransport(SshTarget.resolve("board"), HostKeys(known))
        with transport, pytest.raises(HostKeyError, match=rf"ssh://{one} .*\n*.*is on record"):
            transport.run(["true"])


def test_when_the_connection_is_made_anew(start_sshd, tmp_path):
    server = start_sshd()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.public_host_key}\n")
    with SshTransport(server.target(), HostKeys(known)) as transport:
        assert transport.run(["true"]).returncode == 0
        server.stop()
        server.make_key("host_key")
        server.start()
        transport.close()
        with pytest.raises(HostKeyError, match="is on record"):
            transport.run(["touch", str(tmp_path / "touched")])
    assert not (tmp_path / "touched").exists()
