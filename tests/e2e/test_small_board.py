"""A board with a small /tmp that runs no programs, and without SFTP."""

from __future__ import annotations

import subprocess

import pytest

from harness.campaign.launch import Launcher
from harness.core.contract import Job
from harness.lab.connect import connect
from harness.lab.emulated.board import Board
from harness.lab.inventory import load_device
from harness.native.supervisor import supervisor
from harness.transports.base import TransferError
from harness.transports.ssh.board import board_server
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
    target, _ = board_server(Board(workspace, SMALL).endpoint())
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
    assert "its workdir allows programs to run" in caught.value.hint


def test_a_full_disk_is_told_and_nothing_is_left_there(device, link):
    link.run(["sh", "-c", "dd if=/dev/zero of=/tmp/full bs=64k 2>/dev/null"], timeout=120)
    launcher = Launcher(link, WORKDIR, supervisor(device.spec.abi, print))
    with pytest.raises(TransferError, match=f"no space in {WORKDIR}/store") as caught:
        launcher.living()
    assert "set 'workdir' in the device's file" in caught.value.hint
    assert link.run(["find", "/tmp", "-type", "f"]).text == "/tmp/full\n"
    link.run(["rm", "/tmp/full"])
