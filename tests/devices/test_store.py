from __future__ import annotations

import hashlib

import pytest

from harness.devices.store import DeviceStore
from harness.transport.base import ConnectionLostError, TransferError
from harness.transport.fake import CORRUPT, FaultyTransport
from harness.transport.local import LocalTransport


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.nb"
    path.write_bytes(b"weights" * 1000)
    return path


@pytest.fixture
def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "device's work"


def store(workdir, faults=None):
    transport = FaultyTransport(LocalTransport(), faults or {})
    return DeviceStore(transport, str(workdir)), transport.calls


def content(workdir):
    return {path.name: path.read_bytes() for path in (workdir / "store").iterdir()}


def test_a_file_is_pushed_once(workdir, file, digest):
    first, calls = store(workdir)
    assert first.ensure({digest: file}) == {digest: f"{workdir}/store/{digest}"}
    assert [method for method, _ in calls] == ["run", "push", "run"]
    assert content(workdir) == {digest: file.read_bytes()}
    again, calls = store(workdir)
    again.ensure({digest: file})
    assert [method for method, _ in calls] == ["run"]


def test_a_corrupted_transfer_is_repeated_once(workdir, file, digest):
    corrupting, calls = store(workdir, {2: CORRUPT})
    corrupting.ensure({digest: file})
    assert [method for method, _ in calls] == ["run", "push", "run", "push", "run"]
    assert content(workdir) == {digest: file.read_bytes()}


def test_a_file_corrupted_twice_is_refused_with_both_hashes(workdir, file, digest):
    corrupting, _ = store(workdir, {2: CORRUPT, 4: CORRUPT})
    arrived = hashlib.sha256(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    with pytest.raises(TransferError) as caught:
        corrupting.ensure({digest: file})
    for part in ("model.nb", digest, arrived.hexdigest()):
        assert part in caught.value.message
    assert content(workdir) == {}


def test_a_file_that_a_crash_cut_off_is_pushed_anew(workdir, file, digest):
    whole, _ = store(workdir)
    path = whole.ensure({digest: file})[digest]
    (workdir / "store" / digest).write_bytes(b"weig")
    assert whole.ensure({digest: file}) == {digest: path}
    assert content(workdir) == {digest: file.read_bytes()}


def test_what_a_broken_push_left_is_removed(workdir, file, digest):
    breaking, _ = store(workdir, {3: ConnectionLostError("gone")})
    with pytest.raises(ConnectionLostError):
        breaking.ensure({digest: file})
    assert content(workdir) == {f"{digest}.partial": file.read_bytes()}
    store(workdir)[0].ensure({})
    assert content(workdir) == {}


def test_a_full_disk_is_told_apart(workdir, file, digest):
    full, _ = store(workdir, {2: TransferError("cat: write error: No space left on device")})
    with pytest.raises(TransferError, match="the device has no room") as caught:
        full.ensure({digest: file})
    assert "workdir" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_named(tmp_path, file, digest):
    (tmp_path / "taken").touch()
    blocked, _ = store(tmp_path / "taken")
    with pytest.raises(TransferError, match="taken/store"):
        blocked.ensure({digest: file})
