"""Devices that answer without end, without sense, or with scripts: bounded, and shown as text."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drill.doubles import FakeTransport
from harness import transports
from harness.campaign.launch import LOG_LIMIT, Launcher
from harness.campaign.on_device import OnDevice
from harness.campaign.prepare import Prepared
from harness.campaign.runners import PythonRunner
from harness.core.contract import MAX_EVENTS_BYTES, EventsError, Job, Outputs, parse_events
from harness.core.errors import ExitCode
from harness.core.records import Case
from harness.core.supervision import MAX_RECORD_BYTES
from harness.lab.inventory import BackendSpec, Device, DeviceSpec
from harness.lab.leases import holdings
from harness.lab.probe import parse, probe
from harness.lab.register import register
from harness.lab.store import DeviceStore
from harness.models.manifest import Manifest, Model
from harness.transports.base import Completed, ConnectError, TransferError, TransportError
from harness.transports.sink import receive
from harness.transports.ssh.connection import fetch_host_key
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.target import SshTarget

SCRIPT = (
    "</pre></td><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"
    "[/bold][link=file:///x]\x1b]0;title\x07\x1b[2J\u202e\x9b31m$(touch x)../../x"
)
CHUNK = bytes(1 << 20)


class HostileDevice(FakeTransport):
    """A double of a device that answers each of the harness's questions as it likes.

    Parameters
    ----------
    answers
        First word of a question (``probe``, ``run``, ``living``, …) to its answer.

    Attributes
    ----------
    asked
        The questions, in their order.
    pulled
        The paths that were pulled, and how many bytes of an endless file were taken.
    """

    def __init__(self, **answers):
        super().__init__(self._say)
        self._answers = answers
        self.asked, self.pulled, self.taken = [], [], 0

    def _say(self, argv, _):
        word = argv[3].removesuffix(".sh") if argv[0] == "sh" else argv[0]
        if "/store/" in argv[0]:
            word = argv[1]
        self.asked.append(word)
        answer = self._answers.get(word, b"")
        return answer if isinstance(answer, Completed) else Completed(0, answer)

    def pull(self, source, target, *, limit=64 << 20, timeout=30):
        self.pulled.append(source)
        with receive(source, target, limit) as write:
            for _ in range(4096):
                write(CHUNK)
                self.taken += len(CHUNK)


def answer(state="ended", events=b"", log=b"", record=b"", *, log_first=0, begun=1):
    sizes = f"{len(events)} {log_first} {len(log)} {len(record)}"
    header = f"edge-supervisor 1 {state} {begun} {sizes}\n"
    return header.encode() + events + log + record


def lines(*entries):
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


JOB = Job(launch="one", engine="none", files={}, inputs=[], time_limit=0.01)


@pytest.fixture
def launcher(supervisor):
    return lambda device: Launcher(device, "/work", supervisor)


@pytest.mark.parametrize(
    ("what", "most"), [("events", MAX_EVENTS_BYTES), ("record", MAX_RECORD_BYTES)]
)
def test_a_launch_whose_answers_have_no_end(launcher, what, most):
    device = HostileDevice(**dict.fromkeys(["run", "read"], answer("running", **{what: CHUNK})))
    with pytest.raises(TransferError, match="do not end"):
        launcher(device).run(JOB, {}, ["true"])
    assert len(device.asked) * len(CHUNK) <= most + 2 * len(CHUNK)


def test_a_log_without_end(launcher):
    record = lines({"event": "exit", "reason": "exited", "wall_s": 1, "left_behind": 0,
                    "log_bytes": 1, "status": 0})  # fmt: skip
    answers = [answer("running", log=CHUNK)] * 20 + [answer("ended", log=CHUNK, record=record)]

    class Device(HostileDevice):
        def _say(self, argv, stdin):
            super()._say(argv, stdin)
            return Completed(0, answers[len(self.asked) - 1])

    ended = launcher(Device()).run(JOB, {}, ["true"])
    assert len(ended.log) == LOG_LIMIT


HEADERS = st.builds(
    lambda state, *numbers: f"edge-supervisor 1 {state} {' '.join(map(str, numbers))}\n".encode(),
    st.sampled_from(["ended", "running", "waiting", "lost", "absent", "orphaned", "x\x1b"]),
    *[st.sampled_from([0, 1, 3, -1, 10**14, 10**40, "", "1e9", "0x1", "\u0661"])] * 5,
)
RUBBISH = st.builds(bytes.__add__, HEADERS | st.just(b""), st.binary(max_size=200))
ENDS = st.sampled_from([0, 1, 75, 77, 98, 126, 127, 137, 255])


@given(st.lists(st.builds(Completed, ENDS, RUBBISH, RUBBISH), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_answers_are_taken_or_refused(supervisor, answers):
    class Device(HostileDevice):
        def _say(self, argv, stdin):
            super()._say(argv, stdin)
            return answers[len(self.asked) % len(answers)]

    def ask(question, *arguments):
        with contextlib.suppress(TransportError):
            return question(*arguments)
        return None

    with patch("harness.campaign.launch.HANGING_S", -1):
        ask(Launcher(Device(), "/work", supervisor).run, JOB, {}, ["true"])
    launcher = Launcher(Device(), "/work", supervisor)
    for name in ask(launcher.kept) or ():
        assert "/" not in name
        assert name.isprintable()
    assert len(ask(launcher.living) or ()) <= 1000
    ask(launcher.forget, ["one"])
    store = DeviceStore(launcher.supervisor)
    assert (ask(store.missing, {"a": 1}) or set()) <= {"a"}
    ask(probe, Device())
    for held in ask(holdings, Device()) or ():
        assert (held.id + held.holder).isprintable()


def test_a_lease_file_of_anything():
    claim = (
        b"holds %d\x1b]0;t\x07 99999999999 x\nwaits %d 99999999999999 y\x1b\n"
        b"waits id%d 99999999999999 plain\n"
    )
    claims = b"".join(claim % (n, n, n) for n in range(50_000))
    found = holdings(HostileDevice(sh=b"1.0\nboot\nboot\n" + claims))
    assert 0 < len(found) < 1000
    assert {held.holder for held in found} == {"plain"}
    assert all(held.id.isprintable() for held in found)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"' + b"A\x1b" * 500_000 + b'"}',
        b'{"event":"done","' + b"\\u001b[2J" * 100_000 + b'":1}',
        b'{"event":"done",' + b",".join(b'"%x":1' % n for n in range(200_000)) + b"}",
        b"[" * 1_000_000,
        b'{"event":"first","ms":1e999}',
        b'{"event":"first","ms":' + b"9" * 1_000_000 + b"}",
    ],
)
def test_a_complaint_of_events_is_short_and_printable(line):
    with pytest.raises(EventsError) as caught:
        parse_events(line + b"\n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def outputs(**changes):
    told = {"seed": 1, "index": 0, "name": "y", "dtype": "float32", "shape": [1, 2]}
    return Outputs(**(told | {"sha256": "0" * 64, "file": "output.bin"} | changes))


REFERENCE = {seed: [np.array([[seed, seed**2]], "float32")] for seed in (1, 2, 3)}


@pytest.fixture
def check(launcher):
    """Check outputs that a hostile device claims, each file without end."""
    manifest = Manifest(
        title="t", licence="l", source={"kind": "paddle.vision", "function": "f"},
        inputs=[{"name": "x", "shape": [1, 2]}],
    )  # fmt: skip
    device = HostileDevice()
    case = Case(model="m", device="here", engine="onnxruntime")
    model = Model(name="m", manifest=manifest)
    prepared = Prepared(case, model, None, PythonRunner("python"), REFERENCE, BackendSpec())
    spec = DeviceSpec(transport="local", abi="x86_64-linux")
    on_device = OnDevice(Device(name="here", spec=spec), device, launcher(device))
    return device, lambda claimed: on_device.check(JOB, prepared, claimed)


@pytest.mark.parametrize(
    "claimed",
    [
        [outputs(shape=[1 << 24] * 8)],
        [outputs(shape=[2, 1])],
        [outputs(index=63)],
        [outputs(seed=-5)],
        [outputs()] * 3,
        [outputs(file=f"output-{n}.bin") for n in range(20_000)],
    ],
)
def test_outputs_that_the_model_does_not_have_are_not_pulled(check, claimed):
    device, ask = check
    assert not ask(claimed).passed
    assert device.pulled == []


def test_an_output_is_pulled_to_its_size_and_from_the_launch_alone(check):
    device, ask = check
    with pytest.raises(TransferError, match="larger than 8 bytes"):
        ask([outputs()])
    assert device.pulled == ["/work/launches/one/output.bin"]
    assert device.taken == 0
    for name in (
        "../output",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "a\nb",
        "a\n",
        "\x1b",
        "a" * 101,
    ):
        with pytest.raises(EventsError):
            parse_events(lines({**outputs().model_dump(), "file": name}))


GIGABYTE = struct.pack(">I", (1 << 30) - 4)  # the length of a packet


@pytest.mark.parametrize("greeting", [b"A" * 65536, b"SSH-2.0-x\r\n" + GIGABYTE + bytes(65536)])
def test_an_ssh_server_that_sends_without_end(tmp_path, greeting):
    """Neither a greeting without an end nor a packet of a gigabyte is kept."""
    sent = 0

    def serve(listener):
        nonlocal sent
        link, _ = listener.accept()
        with link, contextlib.suppress(OSError):
            while sent < 1 << 30:
                sent += link.send(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        target = SshTarget.resolve(f"me@127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(ConnectError):
            fetch_host_key(target, HostKeys(tmp_path / "known_hosts"))
        server.join()
    assert sent < 64 << 20  # what the kernel's buffers hold, and a little


TOLD = SCRIPT.replace("\n", " ").encode()
PROBED = b"".join(
    b"%s\t%s\n" % (key, TOLD)
    for key in (b"model", b"soc", b"compatible", b"serial", b"os", b"kernel", b"tool",
                b"temperature " + TOLD, b"npu " + TOLD, b"library " + TOLD, b"clock_hz " + TOLD)
)  # fmt: skip
ELF = "7f454c4602010100000000000000000002003e00" + "00" * 20
PROBED += f"elf\t{ELF}\nlibc\tglibc 2.36\narchitecture\tx86_64\nend\tyes\n".encode()
SAYS = {
    "events": lines(
        {"event": "hello", "protocol": 1, "runner": SCRIPT[:150], "runner_version": SCRIPT[:150],
         "engine": SCRIPT[:150], "engine_version": SCRIPT[:150],
         "build": {SCRIPT[:150]: SCRIPT[:150]}},
        {"event": "environment", "phase": "before", "temperatures_c": {SCRIPT[:150]: 1},
         "governors": {SCRIPT[:150]: SCRIPT[:150]}, "battery_status": SCRIPT[:150]},
        {"event": "error", "kind": SCRIPT[:150], "message": SCRIPT, "traceback": SCRIPT},
    ),
    "log": SCRIPT.encode() + b"\xff\xfe\0" + SCRIPT.encode(),
    "record": lines(
        {"event": "waiting", "reason": SCRIPT[:150]},
        {"event": "conditions", "waited_s": 1, "unmet": [SCRIPT[:150]], "governor": SCRIPT[:150]},
        {"event": "exit", "reason": "exited", "wall_s": 1, "left_behind": 0, "log_bytes": 1,
         "status": 1},
    ),
}  # fmt: skip


def assert_inert(shown):
    """Text for a terminal has no character that the terminal obeys, or that hides others."""
    bad = [c for c in shown if not c.isprintable() and c not in "\n\t"]
    assert not bad, shown


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        ({"run": answer(**SAYS)}, "alert(1)"),
        (
            {"run": answer(events=b"\x1b]0;t\x07\n", record=SAYS["record"])},
            "contract",
        ),
        ({"run": Completed(98, b"", TOLD)}, "could not be prepared"),
        ({"lease": Completed(77, b"", TOLD)}, "alert(1)"),
        ({"living": TOLD}, "a launch of another run"),
        ({"probe": TOLD}, "probing was cut short"),
    ],
)
def test_what_a_device_says_reaches_screen_and_page_as_text(lab, cli, elements, hostile, told):
    lab.transport(HostileDevice(**({"probe": PROBED} | hostile)))
    said = [cli("run", lab.campaign), cli("devices", "probe", "board")]
    assert said[0].code == ExitCode.LAB, said[0]
    said += [cli("results", "show"), cli("results", "logs")]
    for each in said:
        assert "Traceback" not in each.err
        assert_inert(each.out + each.err)
    assert told in said[0].out + said[0].err
    page = lab.workspace.reports / "page.html"
    if cli("report", "-o", page).code == ExitCode.FINE:
        found = elements(page.read_text(encoding="utf-8"))
        assert not {"img", "iframe", "object"} & found.names
        # The page's own script, and its data, which no browser runs.
        assert sorted(set(found.scripts)) == ["application/gzip", "text/javascript"]
        assert found.scripts.count("text/javascript") == 1
        assert not [name for name in found.attributes if name.startswith("on")]
        assert_inert(found.text)


def test_a_device_file_made_of_what_a_device_says(workspace, cli):
    facts = parse(PROBED)
    for number, name in enumerate(["ssh", "adb"]):
        transport = transports.get(name)
        link = transport.link_to("fe80", {})
        register(workspace.devices / f"d{number}.yaml", transport, link, facts)
    for arguments in (["list"], ["show", "d0"], ["list", "--json"]):
        said = cli("devices", *arguments)
        assert said.code == ExitCode.FINE, said
        assert "<script>alert(1)</script>" in said.out.replace("\n", "") or arguments == ["list"]
        assert_inert(said.out + said.err)


def test_an_address_with_brackets_is_shown_whole(workspace, cli):
    text = "transport: ssh\naddress: root@[fe80::1]\nabi: arm64-linux\n"
    (workspace.devices / "v6.yaml").write_text(text + "description: '[/] [bold]x'\n")
    said = cli("devices", "list")
    assert said.code == ExitCode.FINE, said
    assert "root@[fe80::1]" in said.out
    assert "[/] [bold]x" in said.out
