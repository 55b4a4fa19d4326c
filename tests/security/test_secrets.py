"""Secrets of the controller's user: found nowhere but where the user put them."""

from __future__ import annotations

import json
import logging
import re

import pytest

from harness.core.errors import ExitCode
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget
from harness.transports.ssh.transport import SshTransport

TOKEN = "canary-4b1d-token"


@pytest.fixture
def secrets(monkeypatch, tmp_path):
    """Secrets in the controller's environment, in whatever variable."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, f"{TOKEN}-{name}")
    return [TOKEN.encode()]


@pytest.mark.parametrize("way", ["local", "ssh"])
def test_a_campaign_leaves_none_anywhere(lab, cli, secrets, request, caplog, way):
    caplog.set_level(logging.DEBUG)
    reached = "transport: local"
    if way == "ssh":
        sshd = request.getfixturevalue("sshd")
        lab.monkeypatch.delenv("SSH_AUTH_SOCK")  # paramiko leaks a socket where no agent answers
        lines = sshd.key.read_text().splitlines()
        secrets += [line.encode() for line in lines if "-----" not in line]
        known = f"[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n"
        lab.workspace.known_hosts.write_text(known)
        reached = f"transport: ssh\naddress: {sshd.address}\nidentity_file: {sshd.key}"
    lab.device(reached, ", backends: {cpu: {variables: {MEANT: for-the-runner}}}")
    report = lab.workspace.reports / "report.html"
    said = [
        cli("run", lab.campaign),
        cli("devices", "probe", "board", "--json"),
        cli("devices", "show", "board", "--json"),
        cli("results", "show", "--json"),
        cli("results", "logs"),
        cli("report", "-o", report),
    ]
    assert {each.code for each in said} == {ExitCode.FINE}, said
    (launch,) = json.loads(said[3].out)["launches"]
    # The runner told of its environment and of all processes: that is what is searched.
    assert "MEANT = for-the-runner" in launch["log"]
    assert "--limit 20" in launch["log"]
    written = lab.everything()
    assert {report, lab.workspace.database} <= written.keys()
    places = {"printed": repr(said).encode(), "logged": caplog.text.encode(), **written}
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, place


def test_a_runner_here_gets_what_a_login_would(lab, cli, secrets):
    lab.device()
    assert cli("run", lab.campaign).code == ExitCode.FINE
    names = set(re.findall("^([A-Z_]+) = ", cli("results", "logs").out, re.MULTILINE))
    assert {"HOME", "PATH"} <= names
    assert names <= {
        "EDGE_HARNESS_LAUNCH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME",
        "PATH", "SHELL", "TMPDIR", "TZ", "USER",
    }  # fmt: skip


@pytest.mark.parametrize("damage", [lambda text: text[:150], lambda text: text.replace("A", "B")])
def test_a_key_that_cannot_be_read_is_not_quoted(sshd, tmp_path, damage):
    key = tmp_path / "key"
    key.write_text(damage(sshd.key.read_text()) + TOKEN)
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n")
    target = SshTarget.resolve(sshd.address, identity_file=key)
    with (
        SshTransport(target, HostKeys(known)) as transport,
        pytest.raises(Exception, match="not a private key") as caught,
    ):
        transport.run(["true"])
    shown = repr(caught.value) + caught.value.message
    assert not [line for line in key.read_text().split() if len(line) > 16 and line in shown]
