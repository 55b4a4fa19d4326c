"""The store of a device that is this machine, through the supervisor that runs there."""

from __future__ import annotations

import hashlib
import os

import pytest

from drill.doubles import CORRUPT, FaultyTransport
from harness.core.hashing import sha256_of
from harness.lab.store import DeviceStore
from harness.lab.supervisor import DeviceSupervisor
from harness.transports.base import TransferError
from harness.transports.local.transport import LocalTransport

FIRST_USE = ["store look", "mkdir", "push", "store adopt", "store look"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.nb"
    path.write_bytes(b"weights" * 100_000)
    return path


@pytest.fixture
def digest(file):
    return sha256_of(file)


@pytest.fixture
def small(tmp_path):
    """A file that is not sent compressed."""
    path = tmp_path / "small"
    path.write_bytes(b"1234")
    return path


class Device:
    """A work folder on this machine, and what was done over the link to it."""

    def __init__(self, folder, program):
        self.folder = folder
        self._program = program

    def store(self, faults=None, inner=None):
        """Return a store as a controller sees it that has just been started."""
        self._transport = FaultyTransport(inner or LocalTransport(), faults or {})
        return DeviceStore(DeviceSupervisor(self._transport, str(self.folder), self._program))

    @property
    def calls(self):
        """What was called, in words; the words of a supervisor's command are two."""
        words = []
        for method, argument in self._transport.calls:
            if method == "run":
                words.append(" ".join(argument[1:3]) if argument[0][0] == "/" else argument[0])
            else:
                words.append(method)
        return words

    @property
    def content(self):
        """What is in the store beside the supervisor."""
        own = sha256_of(self._program)
        files = (self.folder / "store").iterdir()
        return {path.name: path.read_bytes() for path in files if path.name != own}


@pytest.fixture
def device(tmp_path, supervisor):
    return Device(tmp_path / "device's work", supervisor)


@pytest.fixture
def used(device):
    """The device, with the supervisor there."""
    device.store().ensure({})
    return device


def test_a_file_is_pushed_once_and_looked_up_in_one_round_trip(device, file, digest):
    paths = device.store().ensure({digest: file})
    assert paths == {digest: f"{device.folder}/store/{digest}"}
    assert os.access(paths[digest], os.X_OK)
    assert device.calls == [*FIRST_USE, "store put"]
    assert device.content == {digest: file.read_bytes()}
    assert device.store().ensure({digest: file}) == paths
    assert device.calls == ["store look"]


def test_a_supervisor_that_arrives_changed_is_not_used(device):
    device.store({3: CORRUPT}).ensure({})
    assert device.calls == [*FIRST_USE[:4], "rm", "push", "store adopt", "store look"]
    assert device.store({}).missing({}) == set()


def test_a_supervisor_that_cannot_run_there_is_told_apart(tmp_path):
    script = tmp_path / "for-another-machine"
    script.write_text("#!/no/such/machine\n")
    script.chmod(0o755)
    device = Device(tmp_path / "work", script)
    with pytest.raises(TransferError, match="did not run the supervisor") as caught:
        device.store().ensure({})
    assert "ABI" in caught.value.hint
    assert device.content == {}


def test_a_corrupted_transfer_is_repeated_once(used, small):
    digest = sha256_of(small)
    used.store({2: CORRUPT}).ensure({digest: small})
    assert used.calls == ["store look", "store put", "store put"]
    assert used.content == {digest: b"1234"}


def test_a_file_corrupted_twice_is_refused_with_both_hashes(used, small):
    with pytest.raises(TransferError) as caught:
        used.store({2: CORRUPT, 3: CORRUPT}).ensure({sha256_of(small): small})
    for part in ("small", sha256_of(small), hashlib.sha256(b"1235").hexdigest()):
        assert part in caught.value.message
    assert used.content == {}


def test_a_file_that_was_cut_off_is_pushed_anew(used, file, digest):
    (used.folder / "store" / digest).write_bytes(b"weig")
    used.store().ensure({digest: file})
    assert used.content == {digest: file.read_bytes()}


def test_a_device_without_gzip_gets_the_file_as_it_is(used, file, digest):
    class WithoutGzip(LocalTransport):
        def run(self, argv, **more):
            return super().run(["env", "PATH=/nowhere", *argv], **more)

    store = used.store(inner=WithoutGzip())
    store.ensure({digest: file})
    assert used.calls == ["store look", "store put", "store put"]
    assert used.content == {digest: file.read_bytes()}
    (used.folder / "store" / digest).unlink()
    store.ensure({digest: file})
    assert used.calls[3:] == ["store look", "store put"]


def test_a_file_that_the_disk_has_no_room_for_is_not_sent(used, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(TransferError, match="no space") as caught:
        used.store().ensure({"0" * 64: tmp_path / "large"})
    assert "workdir" in caught.value.hint
    assert used.calls == ["store look"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path, supervisor):
    (tmp_path / "taken").touch()
    with pytest.raises(TransferError, match="taken/store"):
        Device(tmp_path / "taken", supervisor).store().ensure({})
