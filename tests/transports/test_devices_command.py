"""``harness devices add`` and ``trust``: over ssh, and over adb to doubles of it."""

from __future__ import annotations

import io
import re
import shutil

import paramiko
import pytest

from harness.lab.classes import detect
from harness.lab.inventory import load_device
from harness.lab.probe import probe
from harness.transports.local.transport import LocalTransport
from harness.transports.ssh.host_keys import HostKeys


@pytest.fixture
def fingerprint(sshd):
    return paramiko.PKey.from_path(sshd.folder / "host_key").fingerprint


@pytest.fixture
def answer(monkeypatch):
    """Set what the user types."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_trust_shows_the_key_and_records_it_once_confirmed(
    sshd, workspace, cli, answer, fingerprint
):
    answer("n\n")
    said = cli("devices", "trust", f"ssh://{sshd.address}")
    assert said.code == 2
    assert fingerprint in said.err
    assert "nothing was recorded" in said.err
    assert not workspace.known_hosts.exists()

    answer("y\n")
    assert cli("devices", "trust", f"ssh://{sshd.address}").code == 0
    assert workspace.known_hosts.stat().st_mode & 0o777 == 0o600
    assert len(HostKeys(workspace.known_hosts).of(sshd.target())) == 1
    assert "already" in cli("devices", "trust", f"ssh://{sshd.address}").err


def test_trust_by_fingerprint(sshd, workspace, cli, fingerprint):
    said = cli("devices", "trust", f"ssh://{sshd.address}", "--fingerprint", "SHA256:other")
    assert said.code == 2
    assert "nothing was recorded" in said.err
    assert cli("devices", "trust", f"ssh://{sshd.address}", "--fingerprint", fingerprint).code == 0
    # Of one that is on record, too: a script has to hear that this is another device.
    said = cli("devices", "trust", f"ssh://{sshd.address}", "--fingerprint", "SHA256:other")
    assert said.code == 2
    assert "not SHA256:other" in said.err


def test_a_changed_key_is_only_replaced_when_asked_to(start_sshd, workspace, cli):
    server = start_sshd()
    address = f"ssh://{server.address}"
    assert cli("devices", "trust", address, "--yes").code == 0
    before = HostKeys(workspace.known_hosts).of(server.target())
    server.stop()
    server.make_key("host_key")
    server.start()
    said = cli("devices", "trust", address, "--yes")
    assert said.code == 2
    assert before[0].fingerprint in said.err
    assert "--replace" in said.err
    assert HostKeys(workspace.known_hosts).of(server.target()) == before
    said = cli("devices", "trust", address, "--yes", "--replace")
    assert f"on record until now: ssh-ed25519 {before[0].fingerprint}" in said.err
    assert HostKeys(workspace.known_hosts).of(server.target()) != before


def test_add_asks_for_trust_and_writes_the_devices_file(sshd, workspace, home, cli, answer):
    add = ["devices", "add", f"ssh://{sshd.address}", "--name", "board"]
    add += ["--identity-file", str(sshd.key)]
    answer("")
    said = cli(*add)
    assert said.code == 2
    assert f"harness devices trust ssh://{sshd.address} --fingerprint SHA256:" in said.err

    answer("y\n")
    said = cli(*add)
    assert said.code == 0, said.err
    device = load_device(workspace, "board")
    assert device.spec.link.address == sshd.address
    assert device.spec.engines["calibration"].built_in  # what every device can run
    assert device.spec.link.identity_file == str(sshd.key)
    here = probe(LocalTransport())
    assert device.spec.abi == here.abi
    assert device.spec.device_class == detect(here.abi, here.says_of_itself) is not None

    said = cli("devices", "probe", "board")
    assert said.code == 0, said.err
    assert f"class        {device.spec.device_class} (" in said.out
    assert re.search(f"ABI +{device.spec.abi}", said.out)

    said = cli(*add)
    assert said.code == 2
    assert "device 'board' already exists" in said.err


def test_probe_of_an_unknown_key_says_how_to_trust_it(sshd, workspace, cli):
    (workspace.devices / "board.yaml").write_text(
        f"transport: ssh\naddress: {sshd.address}\nidentity_file: {sshd.key}\nabi: android-armv7\n"
    )
    said = cli("devices", "probe", "board")
    assert said.code == 2
    assert "harness devices trust board" in said.err
    assert cli("devices", "trust", "board", "--yes").code == 0
    said = cli("devices", "probe", "board")
    assert said.code == 0
    assert "! its file has android-armv7" in said.out


def test_a_device_whose_login_fails_is_not_added(sshd, workspace, cli, tmp_path):
    shutil.copy(sshd.make_key("wrong_key"), tmp_path / "wrong")
    assert cli("devices", "trust", f"ssh://{sshd.address}", "--yes").code == 0
    said = cli("devices", "add", f"ssh://{sshd.address}", "--identity-file", tmp_path / "wrong")
    assert said.code == 3
    assert "(refused)" in said.err
    assert list(workspace.devices.iterdir()) == []


@pytest.fixture
def adb_here(adb_double, monkeypatch):
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_double.server.port))
    return adb_double


def test_the_device_that_is_plugged_in_is_added_and_probed(adb_here, workspace, cli):
    said = cli("devices", "add", "adb://", "--name", "phone")
    assert said.code == 0, said.err
    device = load_device(workspace, "phone")
    assert (device.spec.transport, device.spec.link.address) == ("adb", "DEMO01")
    assert device.spec.abi == probe(LocalTransport()).abi
    said = cli("devices", "probe", "phone")
    assert said.code == 0, said.err
    assert re.search(f"ABI +{device.spec.abi}", said.out)
    assert "adb DEMO01" in cli("devices", "list").out.replace("\n", " ")


def test_of_several_devices_one_must_be_named(adb_here, workspace, cli):
    adb_here.states["DEMO02"] = "unauthorized"
    said = cli("devices", "add", "adb://")
    assert said.code == 2
    assert "DEMO01 (device), DEMO02 (unauthorized)" in said.err
    assert "adb://DEMO01" in said.err
    said = cli("devices", "add", "adb://DEMO02")
    assert said.code == 3
    assert "Allow USB debugging" in said.err
    said = cli("devices", "add", "adb://a:kill:b")
    assert said.code == 2
    assert "is not an adb device" in said.err
    assert list(workspace.devices.iterdir()) == []
