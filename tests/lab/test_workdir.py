"""The work folder on a device that several users have."""

from __future__ import annotations

import os

import pytest

from harness.lab.inventory import Device, DeviceSpec
from harness.lab.workdir import check_workdir, own_workdir
from harness.transports.base import TransferError
from harness.transports.local.transport import LocalTransport


class Nobody(LocalTransport):
    """A user who is not root, and to whom nothing here belongs."""

    def run(self, argv, **more):
        return super().run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv], **more
        )


@pytest.fixture
def folder(tmp_path):
    for each in (tmp_path, *list(tmp_path.parents)[:-2]):
        if each.owner() == tmp_path.owner():
            each.chmod(each.stat().st_mode | 0o055)
    return tmp_path / "edge-harness"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
@pytest.mark.parametrize("taken", ["", "launches", "store"])
def test_a_folder_that_belongs_to_another_user(folder, taken):
    spec = {"transport": "local", "abi": "x86_64-linux", "workdir": str(folder)}
    device = Device(name="board", spec=DeviceSpec(**spec))
    check_workdir(Nobody(), device)  # it is not there yet
    assert own_workdir(Nobody(), str(folder)) is None
    (folder / taken).mkdir(parents=True)
    with pytest.raises(TransferError, match="belongs to another user") as refused:
        check_workdir(Nobody(), device)
    assert "workdir" in refused.value.hint
    assert own_workdir(Nobody(), str(folder)) == f"{folder}-65534"
    check_workdir(LocalTransport(), device)
