"""What is particular to adb: to doubles of its server and daemons; see tests/e2e for real ones."""

from __future__ import annotations

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.transports.adb.server import AdbServer
from harness.transports.adb.shell import PacketReader, ScriptReader
from harness.transports.adb.transport import AdbTransport, only_serial
from harness.transports.base import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    TransportError,
)

WHERE = "127.0.0.1:6001"


def refused(transport, kind=ConnectError):
    with pytest.raises(kind) as caught:
        transport.run(["true"])
    assert type(caught.value) is kind
    return caught.value


@pytest.mark.parametrize(
    ("state", "kind", "message", "hint"),
    [
        ("unauthorized", AuthenticationError, "does not trust this computer's adb key", "unlock"),
        ("no permissions", AuthenticationError, "no permission to open its USB", "plugdev"),
        ("authorizing", ConnectError, "still connecting", "try again"),
        ("offline", ConnectError, "is offline", "adb reconnect offline"),
        (None, ConnectError, "no such device", "adb devices -l"),
    ],
)
def test_every_state_has_its_message(adb_double, state, kind, message, hint):
    adb_double.states["DEMO01"] = state
    error = refused(adb_double.transport(), kind)
    assert error.message.startswith("demo: ")
    assert message in error.message
    assert hint in error.hint


def test_the_only_device_is_found_and_of_several_one_must_be_named(adb_double):
    assert only_serial(adb_double.server) == "DEMO01"
    adb_double.states[WHERE] = "unauthorized"
    with pytest.raises(SpecificationError, match=r"DEMO01 \(device\), 127.0.0.1:6001 \(unauth"):
        only_serial(adb_double.server)
    del adb_double.states["DEMO01"]
    with pytest.raises(AuthenticationError, match="6001: it does not trust"):
        only_serial(adb_double.server)
    adb_double.states.clear()
    with pytest.raises(ConnectError, match="has no device"):
        only_serial(adb_double.server)


def test_several_devices_are_told_apart(adb_double):
    adb_double.states["DEMO02"] = "offline"
    assert adb_double.transport("DEMO01").run(["echo", "one"]).text == "one\n"
    refused(adb_double.transport("DEMO02"))
    assert "host:transport:DEMO01" in adb_double.requests
    assert "host:transport:DEMO02" not in adb_double.requests


@pytest.mark.parametrize("state", [None, "offline"])
def test_a_device_on_the_network_is_connected_to_anew(adb_double, state):
    adb_double.network.add(WHERE)
    adb_double.states[WHERE] = state
    transport = adb_double.transport(WHERE)
    for _ in range(2):
        assert transport.run(["echo", "there"]).text == "there\n"
    assert adb_double.requests.count(f"host:connect:{WHERE}") == 1


def test_a_device_on_the_network_that_refuses_is_told_with_the_servers_words(adb_double):
    error = refused(adb_double.transport(WHERE))
    assert f"failed to connect to '{WHERE}': Connection refused" in error.message
    assert "adb tcpip 5555" in error.hint


def test_a_command_whose_status_never_comes_is_lost(adb_double):
    adb_double.shell = lambda link, line: link.sendall(b"\x01\x01\0\0\0x")
    refused(adb_double.transport(), ConnectionLostError)


SHELLS = "$`;|&<>'\"\\ \n\t\r*?(){}[]~!#%-=a\x7fé\u202e"


@pytest.mark.parametrize("way", ["adb", "old_adb"])
def test_whatever_is_said_stays_an_argument_and_a_name(way, request, tmp_path):
    """By either of the ways to a shell that adb has; for SSH see ``tests/security``."""
    device = request.getfixturevalue(way)
    there, back, source = tmp_path / "there", tmp_path / "back", tmp_path / "source"
    there.mkdir()
    source.write_bytes(b"content")
    word = st.text(st.sampled_from(SHELLS), max_size=12)
    name = st.text(st.sampled_from(SHELLS), min_size=1, max_size=12)

    @given(st.lists(word, min_size=1, max_size=4), name)
    @settings(max_examples=25, deadline=None)
    def ask(words, name):
        said = device.run(["printf", "%s\\0", *words]).stdout
        assert said.decode() == "".join(f"{each}\0" for each in words)
        device.push(source, f"{there}/{name}")
        assert [path.name for path in there.iterdir()] == [name]
        device.pull(f"{there}/{name}", back)
        assert back.read_bytes() == b"content"
        (there / name).unlink()

    ask()


def test_commands_run_side_by_side(adb):
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda n: adb.run(["echo", str(n)]).text, range(12))
        assert list(answers) == [f"{n}\n" for n in range(12)]


def test_an_old_daemons_files_are_gone_afterwards(old_adb):
    parent = old_adb.run(["sh", "-c", "cat /proc/$PPID/cmdline"], stdin=b"input").text
    script = Path(parent.split("\0")[1])
    assert script.name.startswith("edge-harness-")
    assert list(script.parent.glob(f"{script.stem}.*")) == []


def test_a_command_that_is_too_long_says_so(adb):
    with pytest.raises(TransportError, match="too long for adb") as caught:
        adb.run(["true", "x" * 70_000])
    assert not isinstance(caught.value, ConnectError)  # which would be tried again


def test_without_a_server_and_adb_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = AdbServer(port=probe.getsockname()[1])
        error = refused(AdbTransport("DEMO01", server=nowhere))
    assert "is not running, and adb is not installed here" in error.message
    assert error.hint == "apt-get install adb"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"OKAY-2fx", b""])
def test_something_that_is_no_adb_server_is_refused(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as link:
                link.recv(1000)
                link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        server = AdbServer(port=listener.getsockname()[1])
        error = refused(AdbTransport("DEMO01", server=server))
        thread.join()
    assert "not an adb server" in error.message or "closed the connection" in error.message


@pytest.mark.parametrize(
    ("variables", "host", "port"),
    [
        ({}, "127.0.0.1", 5037),
        ({"ANDROID_ADB_SERVER_PORT": "6000"}, "127.0.0.1", 6000),
        ({"ANDROID_ADB_SERVER_ADDRESS": "lab", "ANDROID_ADB_SERVER_PORT": "6000"}, "lab", 6000),
        ({"ADB_SERVER_SOCKET": "tcp:6001", "ANDROID_ADB_SERVER_PORT": "6"}, "127.0.0.1", 6001),
        ({"ADB_SERVER_SOCKET": "tcp:[::1]:6001"}, "::1", 6001),
    ],
)
def test_the_server_is_the_one_that_adb_would_use(monkeypatch, variables, host, port):
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert AdbServer.of_environment() == AdbServer(host, port)


@pytest.mark.parametrize("value", ["localfilesystem:/tmp/adb", "tcp:lab:0", "tcp:x"])
def test_a_server_that_is_nowhere_is_named(monkeypatch, value):
    monkeypatch.setenv("ADB_SERVER_SOCKET", value)
    with pytest.raises(SpecificationError, match="ADB_SERVER_SOCKET: '"):
        AdbServer.of_environment()


SERVER = AdbServer()


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-z0-9.:\[\]\n-]{1,20}")))
def test_any_text_is_a_serial_that_stays_one_part_of_a_request_or_refused(text):
    try:
        AdbTransport(text, server=SERVER)
    except SpecificationError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert not text.startswith("-")
    assert text == text.strip()
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        assert host.endswith("]")
    else:
        assert ":" not in host
    assert not host or port.isdigit()


class Sink(bytearray):
    def __call__(self, chunk):
        self.extend(chunk)


def feed(reader, stream, cuts):
    start = 0
    for size in [*cuts, len(stream)]:
        reader(stream[start : start + size])
        start += size


CUTS = st.lists(st.integers(1, 50), max_size=20)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 5, 77]), st.binary(max_size=40)), max_size=10),
    st.integers(0, 255),
    CUTS,
)
def test_packets_are_parted_wherever_they_are_cut(sent, status, cuts):
    stream = b"".join(struct.pack("<BI", kind, len(part)) + part for kind, part in sent)
    out, err = Sink(), Sink()
    reader = PacketReader(out, err)
    feed(reader, stream, cuts)
    assert reader.status is None
    reader(struct.pack("<BIB", 3, 1, status) + b"\x01\x01\0\0\0x")
    assert reader.status == status
    assert out == b"".join(part for kind, part in sent if kind == 1)
    assert err == b"".join(part for kind, part in sent if kind == 2)


@given(st.binary(), CUTS)
def test_rubbish_instead_of_packets_is_borne(stream, cuts):
    feed(PacketReader(Sink(), Sink()), stream, cuts)


LIKELY = st.lists(
    st.one_of(st.binary(max_size=10), st.sampled_from([b"\r", b"\n", b"\r\n", b"tok", b"tok-e"]))
).map(b"".join)


@given(LIKELY, LIKELY, st.integers(0, 255), CUTS, st.booleans(), LIKELY)
def test_a_script_tells_all_that_there_is(out, err, status, cuts, terminal, noise):
    stream = b"tok1-begin\n%stok1-error%stok1-end %d\n" % (out, err, status)
    stream = noise + (stream.replace(b"\n", b"\r\n") if terminal else stream)
    told = Sink(), Sink()
    reader = ScriptReader("tok1", *told)
    feed(reader, stream[:-1], cuts)
    assert reader.status is None
    reader(stream[-1:])
    assert (reader.status, *told) == (status, out, err)


@pytest.mark.parametrize(
    "end", [b"", b" \n", b" -1\n", b" 0x1\n", b" 1", b" 1000\n", b" 1 1\n", b" 999\n"]
)
def test_a_script_whose_status_is_not_one_has_none(end):
    reader = ScriptReader("tok1", Sink(), Sink())
    reader(b"tok1-begin\ntok1-errortok1-end" + end)
    assert reader.status is None
