"""A board with a small /tmp that runs no programs, and without SFTP."""

from __future__ import annotations

import subprocess

import pytest

from harness.campaign.launch import Launcher
from harness.devices.connect import connect
from harness.devices.emulated.board import Board
from harness.devices.inventory import load_device
from harness.devices.store import DeviceStore
from harness.hashing import sha256_of
from harness.native.supervisor import supervisor
from harness.results.contract import Job
from harness.transport.base import TransferError
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

SMALL = "qemu-arm64-small"
WORKDIR = "/tmp/edge-harness"


@pytest.fixture(scope="module")
def workspace(lab, boot):
    boot(SMALL)
    return Workspace(lab.root)


@pytest.fixture
def device(workspace):
    return load_device(workspace, SMALL)


@pytest.fixture
def link(workspace, device):
    with connect(workspace, device) as transport:
        yield transport
        transport.run(["rm", "-rf", WORKDIR])


def test_it_shares_the_other_boards_image(lab, workspace, board):
    assert Board(workspace, SMALL).status().image == Board(workspace, board).status().image


def test_it_has_no_sftp(workspace, link):
    del link  # it is up
    endpoint = Board(workspace, SMALL).endpoint()
    target = endpoint.target
    options = {
        "Port": target.port,
        "IdentityFile": target.identity_files[0],
        "UserKnownHostsFile": workspace.state / "boards" / SMALL / "known_hosts",
        "HostKeyAlias": target.host_key_alias,
        "BatchMode": "yes",
    }
    said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ["ssh", "-F", "none", *said, "-s", f"{target.user}@{target.host}", "sftp"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 127


def test_nothing_runs_in_a_noexec_folder_and_the_error_says_so(device, link):
    launcher = Launcher(link, WORKDIR, supervisor(device.spec.abi, print))
    job = Job(launch="noexec", engine="none", files={}, inputs=[], time_limit=60)
    with pytest.raises(TransferError, match="Permission denied") as caught:
        launcher.run(job, {}, ["true"])
    assert "may programs be run from its workdir?" in caught.value.hint


def test_a_file_that_has_no_room_leaves_nothing_there(link, tmp_path):
    source = tmp_path / "model.onnx"
    source.write_bytes(bytes(9 << 20))
    with pytest.raises(TransferError, match=f"no room in {WORKDIR}/store") as caught:
        DeviceStore(link, WORKDIR).ensure({sha256_of(source): source})
    assert "set 'workdir' in the device's file" in caught.value.hint
    assert link.run(["find", "/tmp", "-type", "f"]).text == ""
