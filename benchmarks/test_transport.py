"""Commands and files on the way to the emulated board, beside OpenSSH on the same link.

What is compared alternates in one run, so that other load on this machine weighs on both.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.hashing import sha256_of
from harness.lab.store import DeviceStore
from harness.lab.supervisor import DeviceSupervisor
from harness.native.supervisor import supervisor
from harness.transports.ssh.board import board_server
from harness.transports.ssh.transport import SshTransport

COMMANDS = 40
PUSHES = 5
MB = 1_000_000
SIZE = 20 * MB
WORKDIR = "/data/edge-harness"


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def alternating(rounds, *actions, between=lambda: None):
    """Return the median seconds of each action, without what is done between them."""
    seconds = [[] for _ in actions]
    for _ in range(rounds):
        for action, each in zip(actions, seconds, strict=True):
            each.append(timed(action))
            between()
    return list(map(statistics.median, seconds))


class OpenSsh:
    """OpenSSH's client to the board, over a connection that is kept."""

    def __init__(self, target, folder, cipher=None):
        key = target.identity_files[0]
        control = folder / f"ssh-{cipher or 'default'}"
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": key, "LogLevel": "ERROR",
            "UserKnownHostsFile": key.parent / "known_hosts", "HostKeyAlias": target.host_key_alias,
            "ControlPath": control,
        }  # fmt: skip
        self._options = ["-F", "none", *(f"-o{name}={value}" for name, value in options.items())]
        self._port = str(target.port)
        self._where = f"{target.user}@{target.host}"
        cipher_option = ["-c", cipher] if cipher else []
        self.run("-M", "-N", "-f", *cipher_option)

    def run(self, *words, command=()):
        argv = ["ssh", *self._options, "-p", self._port, *words, self._where, *command]
        # The master in the background keeps its standard error open: it is not piped.
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def copy(self, source, target):
        argv = ["scp", *self._options, "-P", self._port, source, f"{self._where}:{target}"]
        subprocess.run(argv, check=True)

    def close(self):
        self.run("-q", "-O", "exit")


@pytest.fixture
def openssh(board, tmp_path):
    opened = []

    def connect(cipher=None):
        opened.append(OpenSsh(board_server(board.endpoint())[0], tmp_path, cipher))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


class Proxy:
    """A TCP proxy on loopback that counts what goes to the device, and may slow it down."""

    def __init__(self, port, bytes_per_s=None):
        self.sent = 0
        self._to = port
        self._bytes_per_s = bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            # Small buffers, so that they hide nothing of the rate.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            far = socket.create_connection(("127.0.0.1", self._to))
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, source, target, counted):
        free_at = time.monotonic()
        with source, target, suppress(OSError):  # the other direction ended, and closed both
            while chunk := source.recv(1 << 14):
                if counted:
                    self.sent += len(chunk)
                    if self._bytes_per_s:
                        free_at = max(free_at, time.monotonic()) + len(chunk) / self._bytes_per_s
                        time.sleep(max(0.0, free_at - time.monotonic()))
                target.sendall(chunk)

    def close(self):
        self._listener.close()


@contextmanager
def through_proxy(endpoint, bytes_per_s=None):
    target, host_keys = board_server(endpoint)
    proxy = Proxy(target.port, bytes_per_s)
    try:
        with SshTransport(replace(target, port=proxy.port), host_keys) as transport:
            yield proxy, transport
    finally:
        proxy.close()


def store_of(transport):
    """Return the board's store, with the supervisor there."""
    on_board = DeviceSupervisor(transport, WORKDIR, supervisor("arm64-linux", print))
    store = DeviceStore(on_board)
    store.ensure({})
    return store


@pytest.fixture
def ssh(board):
    with SshTransport(*board_server(board.endpoint())) as transport:
        transport.run(["true"])
        yield transport


@pytest.fixture
def incompressible(tmp_path):
    path = tmp_path / "incompressible"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def library(tmp_path):
    """Eight megabytes of a real shared library."""
    libraries = Path(np.__file__).parent.parent.joinpath("numpy.libs").iterdir()
    path = tmp_path / "library"
    path.write_bytes(max(libraries, key=lambda each: each.stat().st_size).read_bytes()[: 8 * MB])
    return path


def test_command(ssh, openssh, at_most):
    client = openssh()
    ours, theirs = alternating(
        COMMANDS, lambda: ssh.run(["true"]), lambda: client.run(command=["true"])
    )
    how = f"{ours * 1e3:.0f} and {theirs * 1e3:.0f} ms, medians of {COMMANDS}, warm, alternating"
    at_most("a command, against OpenSSH multiplexed", ours / theirs, "", 1, how)


def test_push(ssh, openssh, incompressible, at_most):
    store = store_of(ssh)
    digest = sha256_of(incompressible)
    targets = [store.path(digest), "/data/by-scp"]
    aes, default = openssh("aes128-ctr"), openssh()

    def verify_and_remove():
        (size,) = ssh.run(["sh", "-c", 'stat -c %s "$@" 2>/dev/null', "sh", *targets]).text.split()
        assert int(size) == SIZE
        ssh.run(["rm", "-f", *targets])

    harness, with_aes, with_default = alternating(
        PUSHES,
        lambda: store.ensure({digest: incompressible}),
        lambda: aes.copy(incompressible, targets[1]),
        lambda: default.copy(incompressible, targets[1]),
        between=verify_and_remove,
    )
    how = f"{harness:.2f} and {{:.2f}} s, medians of {PUSHES}, warm, ours verified there"
    at_most(
        "push of 20 MB, against scp -c aes128-ctr", harness / with_aes, "", 1, how.format(with_aes)
    )
    at_most(
        "push of 20 MB, against scp",
        harness / with_default,
        "",
        None,
        how.format(with_default) + "; scp takes chacha20, which a processor without AES "
        "instructions is quicker at, and paramiko has none",
    )


def test_second_push(board, incompressible, at_most):
    files = {sha256_of(incompressible): incompressible}
    with through_proxy(board.endpoint()) as (proxy, transport):
        store = store_of(transport)
        before = proxy.sent
        store.ensure(files)
        first = proxy.sent - before
        store.ensure(files)
        second = proxy.sent - before - first
    assert first >= SIZE
    at_most(
        "sent for 20 MB that are there", second / 1e3, "kB", 20, f"at a proxy; first {first} bytes"
    )


def test_compression(ssh, board, library, at_most):
    """Pushing plainly and as the store decides to, which takes an unmeasured link to be slow."""
    digest = sha256_of(library)

    def compare(transport, rounds):
        def plain():
            transport.push(library, "/data/plain", timeout=600)

        def decided():
            DeviceStore(on_board).ensure({digest: library})

        def remove():
            transport.run(["rm", "-f", f"{WORKDIR}/store/{digest}"])

        on_board = DeviceSupervisor(transport, WORKDIR, supervisor("arm64-linux", print))
        DeviceStore(on_board).ensure({})
        plainly, packed = alternating(rounds, plain, decided, between=remove)
        return packed / plainly, f"{packed:.2f} and {plainly:.2f} s, 8 MB of a shared library"

    ratio, how = compare(ssh, PUSHES)
    at_most("compressed push to the board, against plain", ratio, "", None, how)
    with through_proxy(board.endpoint(), bytes_per_s=MB) as (_, transport):
        ratio, how = compare(transport, 1)
    at_most("the same over a link of 1 MB/s", ratio, "", 0.8, how)
