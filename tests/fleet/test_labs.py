"""Two labs, a centre and a submitter, each in a network of its own; the link of one is cut."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness import api
from harness.core.records import Status
from harness.fleet.centre import Centre
from harness.fleet.setup import init
from harness.workspace import Workspace, cache_dir
from tests.fleet.conftest import Lab, Submitter
from tests.postgres import PASSWORD, USER, Postgres, programs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.full

NET = "10.213.77"
NAMES = {"centre": 2, "lab-a": 3, "lab-b": 4, "submitter": 5}
BRIDGE = "eht-bridge"


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def networks():
    """Namespaces whose only way out is a bridge; a link goes down with its end there."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("making networks takes root and iproute2")
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
    except subprocess.CalledProcessError:
        pytest.skip("no networks can be made here")
    try:
        _ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for name, number in NAMES.items():
            space = f"eht-{name}"
            _ip("netns", "add", space)
            _ip("link", "add", f"eht-{number}", "type", "veth", "peer", "eth0", "netns", space)
            _ip("link", "set", f"eht-{number}", "master", BRIDGE, "up")
            for command in (
                ("addr", "add", f"{NET}.{number}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", space, *command)
        yield
    finally:
        for name in NAMES:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", f"eht-{name}")
        _ip("link", "del", BRIDGE)


def _inside(name):
    """Return what a command runs in a lab's network with, and with a /dev/shm of its own."""
    mount = 'mount -t tmpfs none /dev/shm && exec "$@"'
    return ["ip", "netns", "exec", f"eht-{name}", "unshare", "-m", "sh", "-c", mount, "sh"]


def _certificate(folder: Path, address: str) -> Path:
    """Write a key and a certificate of an authority of the test's; return the authority's."""
    now, day = datetime.now(UTC), timedelta(days=1)
    keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in ("ca", "server")}
    names = {
        who: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"edge-harness {who}")])
        for who in keys
    }
    for who, key in keys.items():
        made = (
            x509.CertificateBuilder().subject_name(names[who]).issuer_name(names["ca"])
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - day).not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
        )  # fmt: skip
        if who == "server":
            alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            made = made.add_extension(alternative, critical=False)
        signed = made.sign(keys["ca"], hashes.SHA256())
        (folder / f"{who}.crt").write_bytes(signed.public_bytes(Encoding.PEM))
    private = keys["server"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(private)
    return folder / "ca.crt"


@pytest.fixture
def centre(networks, tmp_path, monkeypatch):
    """A centre's URL: a server in its own network, with a certificate, which takes TLS alone."""
    if programs() is None:
        pytest.skip("no PostgreSQL server here (Debian: postgresql)")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    server = Postgres(programs())
    server.stop()
    authority = _certificate(tmp_path, f"{NET}.2")
    data = server.folder / "data"
    owner = data.stat()
    for name in ("server.crt", "server.key"):
        shutil.copy(tmp_path / name, data / name)
        os.chown(data / name, owner.st_uid, owner.st_gid)
    (data / "server.key").chmod(0o600)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("hostssl all all samenet scram-sha-256\n")
    command = [
        "ip", "netns", "exec", "eht-centre", *server._as_user, programs() / "postgres", "-D", data,
        f"--listen_addresses={NET}.2", f"--port={server.port}", "--unix_socket_directories=",
        "--ssl=on", "--fsync=off",
    ]  # fmt: skip
    with (server.folder / "log").open("a") as log:
        process = subprocess.Popen(command, cwd=server.folder, stderr=log, stdout=log)
    until = time.monotonic() + 60
    while True:
        with suppress(OSError):
            socket.create_connection((f"{NET}.2", server.port), 1).close()
            break
        assert process.poll() is None
        assert time.monotonic() < until, (server.folder / "log").read_text()
        time.sleep(0.05)
    url = f"postgresql://{USER}@{NET}.2:{server.port}/postgres?sslrootcert={authority}"
    init(url)
    with Centre(url) as opened:
        for login, group in (("lab_a", "agent"), ("lab_b", "agent"), ("ci", "submit")):
            opened._connected().execute(
                f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' IN ROLE edge_{group}"
            )
    yield url
    process.send_signal(signal.SIGINT)  # not SIGTERM, which waits for clients
    process.wait()
    shutil.rmtree(server.folder)


def _cache(folder: Path) -> Path:
    """Return a cache of a lab's own, but for what is built of the harness."""
    own = folder / "cache" / cache_dir().name
    own.mkdir(parents=True)
    (own / "native").symlink_to(cache_dir() / "native")
    return own.parent


class _Lab(Lab):
    def start(self):
        name = self.login.replace("_", "-")
        environment = os.environ | {
            "EDGE_HARNESS_WORKSPACE": str(self.workspace.root),
            "XDG_CACHE_HOME": str(_cache(self.workspace.root)),
        }
        command = [*_inside(name), sys.executable, "-m", "harness", "agent"]
        with self.log.open("a") as log:
            agent = subprocess.Popen(command, env=environment, stderr=log, cwd=self.workspace.root)
        self.agents.append(agent)
        self.says(" has 1 device: ")
        return agent


def _workspace(folder, url, login):
    for name in ("devices", "models", "campaigns", "reports"):
        (folder / name).mkdir(parents=True)
    (folder / "harness.yaml").write_text(f"results: {url.replace(USER + '@', login + '@')}\n")
    return Workspace(folder)


def test_two_labs_measure_one_campaign_while_a_link_is_cut(centre, tmp_path, monkeypatch):
    labs = [
        _Lab(_workspace(tmp_path / login, centre, login), login) for login in ("lab_a", "lab_b")
    ]
    for lab in labs:
        (lab.workspace.devices / f"{lab.login}_pc.yaml").write_text(
            f"transport: local\nabi: {platform.machine()}-linux\nlabels: {{kind: pc}}\n"
            "engines: {calibration: {}}\n"
        )
    submitter = Submitter(_workspace(tmp_path / "submitter", centre, "ci"))
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(submitter.workspace.root))
    try:
        for lab in labs:
            lab.start()
        path = submitter.campaign("[{labels: {kind: pc}, count: 2}]", launches=6, spin_us=200_000)
        said = subprocess.run(
            ["ip", "netns", "exec", "eht-submitter", sys.executable, "-m", "harness", "submit",
             str(path)], check=True, capture_output=True, text=True, cwd=submitter.workspace.root,
        )  # fmt: skip
        run = said.stdout.strip()
        submitter.awaits(lambda: len(submitter.launches(run)) > 1)
        _ip("link", "set", "eht-3", "down")
        labs[0].says("measuring goes on", within_s=120)
        _ip("link", "set", "eht-3", "up")
        submitter.awaits(lambda: submitter.states(run) == ["done", "done"], within_s=240)
    finally:
        for lab in labs:
            lab.end()
    stored = api.results(run, workspace=submitter.workspace)
    assert stored.finished
    of_case = {record.case.id: record.case.device for record in stored.cases}
    made = sorted((of_case[each.case_id], each.slot, each.attempt) for each in stored.launches)
    assert made == [(f"{login}_pc", slot, 0) for login in ("lab_a", "lab_b") for slot in range(6)]
    assert {each.status for each in stored.launches} == {Status.OK}
    # In parallel: the labs' launches overlap.
    spans = {
        name: [each.started for each in stored.launches if of_case[each.case_id] == name]
        for name in of_case.values()
    }
    assert max(map(min, spans.values())) < min(map(max, spans.values()))
    report = api.report(run, workspace=submitter.workspace)
    assert all(name in report.read_text() for name in of_case.values())
