"""``harness devices doctor`` on this machine, and on a device that is not there."""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime

import pytest

from harness.core.records import DeviceEvent, DeviceEventKind

ABI = f"{platform.machine()}-linux".replace("aarch64", "arm64")


@pytest.fixture
def device(workspace, monkeypatch, supervisor):
    monkeypatch.setattr("harness.native.supervisor.supervisor", lambda *_: supervisor)

    def write(more="", way="transport: local"):
        (workspace.devices / "board.yaml").write_text(
            f"{way}\nabi: {ABI}\nworkdir: {workspace.root}/work\n{more}\n"
        )

    write()
    return write


def checks(said):
    return {check["name"]: check for check in json.loads(said.out)["checks"]}


def test_a_device_in_order(device, cli, workspace):
    said = cli("devices", "doctor", "board")
    assert said.code == 0
    for name in ("connection", "clock", "work folder", "supervisor", "lease", "leftovers"):
        assert f"\nok       {name}" in said.out
    assert not (workspace.root / "work").exists()  # nothing was changed
    assert checks(cli("devices", "doctor", "board", "--json"))["recent runs"]["found"] == "none"


def test_leftovers_are_removed_where_that_is_asked_for(device, cli, workspace, supervisor):
    launches = workspace.root / "work" / "launches"
    (launches / "old-0123456789ab-0-0").mkdir(parents=True)
    said = cli("devices", "doctor", "board", "--json")
    assert checks(said)["leftovers"]["found"] == "1 of finished or unknown runs"
    assert (launches / "old-0123456789ab-0-0").exists()
    said = cli("devices", "doctor", "board", "--clean", "--json")
    assert checks(said)["leftovers"]["found"] == "1 removed"
    assert not list(launches.iterdir())


def test_a_device_that_does_not_answer_still_has_its_history(device, cli, workspace):
    device(way="transport: ssh\naddress: root@127.0.0.1:1")
    with workspace.store() as store:
        store.note(
            DeviceEvent(
                device="board", at=datetime.now(UTC), kind=DeviceEventKind.UNREACHABLE, detail="x"
            )
        )
    said = cli("devices", "doctor", "board", "--json")
    assert said.code == 3
    found = checks(said)
    assert found["connection"]["state"] == "failed"
    assert found["connection"]["todo"]
    assert found["recent runs"]["state"] == "warning"
    assert found["recent runs"]["found"] == "1 run: 1 unreachable"
    assert "1 unreachable" in cli("devices", "list", "--offline").out


def test_an_untrusted_host_key(device, cli, sshd):
    device(way=f"transport: ssh\naddress: {sshd.address}\nidentity_file: {sshd.key}")
    said = cli("devices", "doctor", "board", "--json")
    assert said.code == 2
    assert "harness devices trust board" in checks(said)["connection"]["todo"]
    assert cli("devices", "trust", "board", "--yes").code == 0
    said = cli("devices", "doctor", "board", "--json")
    assert said.code == 0
    assert "SHA256:" in checks(said)["host key"]["found"]


def test_what_its_file_says_is_held_against_it(device, cli):
    device(
        "power_cycle: {command: [no-such-program]}\n"
        f"engines: {{onnxruntime: {{python: {sys.executable}}}}}"
    )
    said = cli("devices", "doctor", "board", "--json")
    found = checks(said)
    assert found["power cycle"]["state"] == "warning"
    assert said.code == (3 if found["onnxruntime cpu"]["state"] == "failed" else 0)


def test_a_device_that_is_another(device, cli, workspace):
    file = workspace.devices / "board.yaml"
    file.write_text(file.read_text().replace(ABI, "armv7hf-linux"))
    said = cli("devices", "doctor", "board", "--json")
    assert said.code == 3
    assert checks(said)["ABI"]["state"] == "failed"
