"""Transports, store and probe against another SSH server, a real adbd, and another shell."""

from __future__ import annotations

import os

import pytest

from harness.core.hashing import sha256_of
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.lab.probe import probe
from harness.lab.store import DeviceStore
from harness.lab.supervisor import DeviceSupervisor
from harness.native.supervisor import supervisor
from harness.transports.base import CommandTimeoutError
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["qemu-arm64", "qemu-arm64-adb"])
def device(lab, board, adb_server, request):
    return load_device(Workspace(lab.root), request.param)


@pytest.fixture
def transport(lab, device):
    with connect(Workspace(lab.root), device) as transport:
        yield transport


def test_commands_end_as_they_do_elsewhere(transport):
    assert transport.run(["printf", "%s|", "it's", "$(x)", "a b"]).text == "it's|$(x)|a b|"
    assert transport.run(["no-such-program"]).returncode == 127
    assert transport.run(["sh", "-c", "kill -SEGV $$"]).returncode == 139


def test_a_timed_out_command_is_killed_there(transport):
    with pytest.raises(CommandTimeoutError):
        transport.run(["sh", "-c", "echo $$ >/tmp/pid; sleep 1000"], timeout=2)
    assert transport.run(["sh", "-c", "kill -0 $(cat /tmp/pid)"]).returncode == 1


def test_files_are_stored_and_come_back(transport, device, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20))
    digest = sha256_of(source)
    program = supervisor(device.spec.abi, print)
    store = DeviceStore(DeviceSupervisor(transport, device.workdir, program))
    path = store.ensure({digest: source})[digest]
    transport.pull(path, tmp_path / "back")
    assert sha256_of(tmp_path / "back") == digest


def test_the_board_tells_what_it_is(transport, device):
    interpreter = device.spec.engines["onnxruntime"].python
    facts = probe(transport, [interpreter])
    assert facts.abi == device.spec.abi
    assert facts.libc == "glibc"
    assert [(len(cpus.numbers), cpus.core) for cpus in facts.cpus] == [(2, "Cortex-A53")]
    assert facts.machine_id
    # QEMU's board has neither: they are unknown, not 0.
    assert facts.temperatures_c == {}
    assert facts.cpus[0].max_khz is None
    (python,) = facts.pythons
    assert set(python.engines) == {"litert", "paddle-inference", "onnxruntime", "mnn", "ncnn"}
