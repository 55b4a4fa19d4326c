"""A real SSH server on loopback, run as the current user."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.transport.host_keys import HostKeys
from harness.transport.ssh import SshTransport
from harness.transport.target import SshTarget

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass
class Sshd:
    """A running sshd with its own host key, and a user key that it accepts."""

    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen = field(init=False)

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.key = self.make_key("user_key")
        self.make_key("host_key")
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.start()

    def make_key(self, name, passphrase=""):
        path = self.folder / name
        path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path]
        subprocess.run(command, check=True)
        return path

    def start(self):
        configuration = [
            *self.options,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
        ]
        (self.folder / "sshd_config").write_text("\n".join(configuration) + "\n")
        command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "Server listening" in line:
                break
        else:
            pytest.fail("sshd did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    @property
    def public_host_key(self):
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def address(self):
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def target(self, name="demo", key=None):
        return SshTarget.resolve(self.address, name=name, identity_file=key or self.key)


@pytest.fixture(scope="session")
def sshd_folder(tmp_path_factory):
    if SSHD is None:
        pytest.skip("no sshd here (Debian: openssh-server)")
    separation = Path("/run/sshd")  # what sshd asks for where root starts it
    made = os.geteuid() == 0 and not separation.exists()
    if made:
        separation.mkdir(mode=0o755)
    yield tmp_path_factory.mktemp("sshd")
    if made:
        separation.rmdir()


@pytest.fixture(scope="session")
def sshd(sshd_folder):
    server = Sshd(sshd_folder / "shared")
    yield server
    server.stop()


@pytest.fixture
def start_sshd(sshd_folder, tmp_path):
    started = []

    def start(*options):
        server = Sshd(tmp_path / f"sshd{len(started)}", options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder and no agent, so that no test sees the user's own keys."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def known_hosts(sshd, tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n")
    return path


@pytest.fixture
def host_keys(known_hosts):
    return HostKeys(known_hosts)


@pytest.fixture
def ssh(sshd, host_keys):
    with SshTransport(sshd.target(), host_keys) as transport:
        yield transport
