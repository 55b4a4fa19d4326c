"""Leases on the command line."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.core.errors import ExitCode
from harness.lab.leases import Holding
from harness.transports.base import ConnectError
from tests.conftest import REPOSITORY


@pytest.fixture
def device(workspace):
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    away = "transport: ssh\naddress: 127.0.0.1:1\nabi: arm64-linux\n"
    (workspace.devices / "away.yaml").write_text(away)


@pytest.mark.usefixtures("device")
def test_the_list_says_who_has_what(cli, monkeypatch):
    found = [Holding("holds", "a", 40, "ann@lab (demo)"), Holding("waits", "b", 9, "bob\x1b[0m")]
    monkeypatch.setattr("harness.lab.leases.holdings", lambda transport: found)
    monkeypatch.setattr("harness.transports.ssh.transport.SshTransport.run", _refused)
    rows = {row["name"]: row for row in json.loads(cli("devices", "list", "--json").out)}
    assert rows["here"]["leases"][0]["holder"] == "ann@lab (demo)"
    said = cli("devices", "list").out
    assert "for 40 s" in said
    assert "\x1b" not in said
    monkeypatch.undo()


@pytest.mark.usefixtures("device")
def test_a_device_that_is_away_is_not_reached(cli):
    rows = {row["name"]: row for row in json.loads(cli("devices", "list", "--json").out)}
    assert rows["here"]["reached"]
    assert not rows["away"]["reached"]
    assert rows["away"]["leases"] is None


def test_a_long_description_takes_one_line(cli, workspace):
    text = "transport: local\nabi: x86_64-linux\ndescription: " + "words " * 40
    (workspace.devices / "here.yaml").write_text(text)
    heading, *rows = cli("devices", "list", "--offline").out.splitlines()
    assert heading.split()[-1] == "Description"
    (row,) = rows
    assert row.rstrip().endswith("words words")


@pytest.mark.usefixtures("device")
def test_offline_connects_to_none(cli, monkeypatch):
    monkeypatch.setattr("harness.lab.connect.connect", _refused)
    said = cli("devices", "list", "--offline", "--json")
    assert said.code == ExitCode.FINE
    assert "leases" not in json.loads(said.out)[0]


@pytest.mark.parametrize("wait", ["soon", "-1", "1y", "1e9"])
def test_waits_that_are_none(cli, wait):
    said = cli("run", "campaigns/x.yaml", "--wait", wait)
    assert said.code == ExitCode.SPECIFICATION
    assert "not a duration such as" in said.err


def _refused(*args, **more):
    raise ConnectError("away")


def test_boards_that_are_stopped_are_folded(cli, workspace):
    shutil.copytree(REPOSITORY / "devices" / "boards", workspace.boards)
    text = "transport: ssh\nabi: arm64-linux\nboard: qemu-arm64\n"
    (workspace.devices / "board.yaml").write_text(text)
    (workspace.devices / "here.yaml").write_text("transport: local\nabi: x86_64-linux\n")
    shown = cli("devices", "list", "--offline").out
    assert [line.split()[0] for line in shown.splitlines()] == ["Device", "here", "stopped"]
    assert "stopped boards: board (harness devices up BOARD)" in shown
    assert "EMULATED board qemu-arm64" in cli("devices", "list", "--offline", "--wide").out
    assert "board" in cli("devices", "list", "--offline", "--json").out
