from __future__ import annotations

import paramiko
import pytest

from harness.transports.base import HostKeyError
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget

BOARD = SshTarget(name="demo", host="10.0.0.7", port=2222, user="root")
OTHER = SshTarget(name="other", host="10.0.0.8", port=22, user="root")


@pytest.fixture(scope="module")
def keys():
    return [paramiko.ECDSAKey.generate() for _ in range(2)]


def test_a_recorded_key_replaces_that_servers_only(tmp_path, keys):
    path = tmp_path / "known_hosts"
    path.write_text("# mine\n")
    host_keys = HostKeys(path)
    host_keys.record(OTHER, keys[0])
    host_keys.record(BOARD, keys[0])
    host_keys.record(BOARD, keys[1])
    assert host_keys.of(BOARD) == [keys[1]]
    assert host_keys.of(OTHER) == [keys[0]]
    host_keys.verify(BOARD, keys[1])
    with pytest.raises(HostKeyError, match="is on record"):
        host_keys.verify(BOARD, keys[0])
    assert path.read_text().startswith("# mine\n10.0.0.8 ecdsa-sha2-nistp256 ")
    assert "\n[10.0.0.7]:2222 ecdsa-sha2-nistp256 " in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.glob("*known*")) == [path]


def test_the_workspaces_record_goes_before_the_users(tmp_path, home, keys):
    HostKeys(home / ".ssh" / "known_hosts").record(BOARD, keys[0])
    host_keys = HostKeys(tmp_path / "known_hosts")
    host_keys.verify(BOARD, keys[0])
    host_keys.record(BOARD, keys[1])
    host_keys.verify(BOARD, keys[1])
    with pytest.raises(HostKeyError):
        host_keys.verify(BOARD, keys[0])
