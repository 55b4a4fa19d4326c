"""The ways to an SSH server on loopback, and to doubles of adb's server."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import socketserver
import stat
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from harness.transports.adb.server import AdbServer
from harness.transports.adb.transport import AdbTransport
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.transport import SshTransport


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


# What AOSP's transport.cpp says of a device in each state.
REFUSALS = {
    "unauthorized": "device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n"
    "Try 'adb kill-server' if that seems wrong.\n"
    "Otherwise check for a confirmation dialog on your device.",
    "no permissions": "insufficient permissions for device: user in plugdev group; "
    "are your udev rules wrong?\nSee [http://developer.android.com/tools/device.html]",
    "authorizing": "device still authorizing",
    "offline": "device offline",
}


class AdbDouble(socketserver.ThreadingTCPServer):
    """A double of the adb server and of the daemons behind it, which run commands on this machine.

    Parameters
    ----------
    old
        Their daemons do not know the shell protocol's second version: a line's output comes
        through a terminal, its streams merged, without an exit status.

    Attributes
    ----------
    states
        Serial to state, as ``adb devices`` has them.
    network
        Those that ``adb connect`` reaches.
    requests
        What it was asked.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, old=False):
        super().__init__(("127.0.0.1", 0), None)
        self.old = old
        self.states = {"DEMO01": "device"}
        self.network = set()
        self.requests = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def server(self):
        return AdbServer(*self.server_address)

    def transport(self, serial="DEMO01"):
        return AdbTransport(serial, name="demo", server=self.server)

    def stop(self):
        self.shutdown()
        self.server_close()

    def finish_request(self, request, client_address):
        """Serve one connection."""
        with contextlib.suppress(OSError, EOFError):
            while self.serve(request, self.receive(request, int(self.receive(request, 4), 16))):
                pass

    def handle_error(self, request, client_address):
        raise  # noqa: PLE0704 - for the test to fail by

    @staticmethod
    def receive(link, size):
        content = b""
        while len(content) < size:
            chunk = link.recv(size - len(content))
            if not chunk:
                raise EOFError
            content += chunk
        return content

    @staticmethod
    def say(link, word, text=None):
        message = b"" if text is None else b"%04x%s" % (len(text.encode()), text.encode())
        link.sendall(word + message)

    def serve(self, link, service):
        """Answer a request; return whether another may follow on the same connection."""
        if service.startswith(b"shell,v2,raw:") and not self.old:
            self.say(link, b"OKAY")
            self.shell(link, service.partition(b"raw:")[2])
        elif service.startswith(b"shell:") and len(service) < 4096:
            self.say(link, b"OKAY")
            self.old_shell(link, service.partition(b":")[2])
        elif service == b"sync:":
            self.say(link, b"OKAY")
            self.sync(link)
        elif service.startswith(b"host"):
            self.requests.append(service.decode())
            return self.host(link, service.decode())
        else:
            self.say(link, b"FAIL", "closed")
        return False

    def host(self, link, service):
        """Answer a request to the server itself."""
        asked = re.fullmatch(r"host-serial:(.+):features|host:transport:(.+)", service)
        serial = (asked[1] or asked[2]) if asked else service.split(":", 2)[-1]
        if service == "host:devices":
            self.say(link, b"OKAY", "".join(f"{s}\t{state}\n" for s, state in self.states.items()))
        elif service.startswith("host:disconnect:"):
            gone = self.states.pop(serial, None)
            self.say(link, b"OKAY" if gone else b"FAIL", f"no such device '{serial}'")
        elif service.startswith("host:connect:") and serial in self.network:
            self.states[serial] = "device"
            self.say(link, b"OKAY", f"connected to {serial}")
        elif service.startswith("host:connect:"):
            self.say(link, b"OKAY", f"failed to connect to '{serial}': Connection refused")
        elif (state := self.states.get(serial)) != "device":
            self.say(link, b"FAIL", REFUSALS.get(state, f"device '{serial}' not found"))
        elif asked[1]:
            self.say(link, b"OKAY", "" if self.old else "shell_v2,cmd,stat_v2")
        else:
            self.say(link, b"OKAY")
            return True
        return False

    def sync(self, link):
        while True:
            kind, size = struct.unpack("<4sI", self.receive(link, 8))
            assert kind == b"SEND"
            path, _, mode = self.receive(link, size).rpartition(b",")
            assert stat.S_ISREG(int(mode))
            with Path(os.fsdecode(path)).open("wb") as file:
                while (part := struct.unpack("<4sI", self.receive(link, 8)))[0] == b"DATA":
                    file.write(self.receive(link, part[1]))
            link.sendall(struct.pack("<4sI", b"OKAY", 0))

    def shell(self, link, line):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([b"sh", b"-c", line], cwd="/", **pipes)
        sending = threading.Lock()

        def relay(kind, stream):
            with stream, contextlib.suppress(OSError):
                while chunk := os.read(stream.fileno(), 1 << 16):
                    with sending:
                        link.sendall(struct.pack("<BI", kind, len(chunk)) + chunk)

        def feed():
            with contextlib.suppress(OSError, EOFError), process.stdin as stdin:
                while (header := struct.unpack("<BI", self.receive(link, 5)))[0] == 0:
                    content = self.receive(link, header[1])
                    with contextlib.suppress(BrokenPipeError):
                        os.write(stdin.fileno(), content)

        threads = [
            threading.Thread(target=relay, args=(1, process.stdout), daemon=True),
            threading.Thread(target=relay, args=(2, process.stderr), daemon=True),
        ]
        threading.Thread(target=feed, daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = process.wait()
        code = status if status >= 0 else 128 - status
        link.sendall(struct.pack("<BIB", 3, 1, code))

    def old_shell(self, link, line):
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [b"sh", b"-c", line], cwd="/", stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        with contextlib.suppress(OSError):  # a terminal's end
            while chunk := os.read(ours, 1 << 16):
                link.sendall(chunk)
        os.close(ours)
        process.wait()


@pytest.fixture
def start_adb():
    started = []

    def start(**options):
        started.append(AdbDouble(**options))
        return started[-1]

    yield start
    for double in started:
        double.stop()


@pytest.fixture
def adb_double(start_adb):
    return start_adb()


@pytest.fixture
def adb(adb_double):
    return adb_double.transport()


@pytest.fixture
def old_adb(start_adb):
    return start_adb(old=True).transport()
