"""Launches on this machine, over links that drop."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drill.doubles import CORRUPT, AnswerLost, Delay, FakeTransport, FaultyTransport
from harness.campaign.launch import DeviceBusyError, Handling, Launcher, LaunchLostError
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.patience import Patience
from harness.core.contract import Job
from harness.transports.base import (
    CommandTimeoutError,
    Completed,
    ConnectError,
    ConnectionLostError,
    HostKeyError,
    TransferError,
    TransportError,
)
from harness.transports.local.transport import LocalTransport

LOST = ConnectionLostError("the link dropped")


@dataclass
class Link(LocalTransport):
    """A link double: at the named calls to the supervisor (from 1) it drops before or after.

    A drop after is one whose command was done on the device, but whose answer did not arrive.
    """

    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    def run(self, argv, **more):
        self.calls.append(argv[1])
        number = len(self.calls)
        if number in self.before:
            raise self.before[number]
        answer = super().run(argv, **more)
        if number in self.after:
            raise self.after[number]
        return answer


SHORT = Limits(reading_s=0.02)


@dataclass
class Device:
    """Launches of shell scripts on this machine."""

    folder: object
    program: object
    link: Link = field(default_factory=Link)
    limits: Limits = LIMITS

    def launcher(self, link=None, patience_s=20, patience=None):
        return Launcher(
            link or self.link, str(self.folder / "work"), self.program,
            lock=str(self.folder / "lock"),
            patience=patience or Patience(patience_s, pause=lambda _: None), limits=self.limits,
        )  # fmt: skip

    def run(self, script, name="one", launcher=None, limit=20, **more):
        job = Job(launch=name, engine="none", files={}, inputs=[], time_limit=limit)
        command = ["sh", "-c", f"echo x >>../../journal; {script}"]
        return (launcher or self.launcher()).run(job, {"me": "/proc/version"}, command, **more)

    @property
    def begun(self):
        """How often a runner was started."""
        return len((self.folder / "work" / "journal").read_text().split())

    def owners(self, name="one"):
        words = (self.folder / "work" / "launches" / name / "pid").read_text().split()
        return int(words[0]), int(words[2])


@pytest.fixture
def device(supervisor, tmp_path):
    device = Device(tmp_path, supervisor)
    launcher = device.launcher(LocalTransport())
    launcher.living()  # brings the supervisor there
    yield device
    launcher.forget(launcher.living())


SAYS = "echo 1 >>events.jsonl; echo a; test -e me; echo 2 >>events.jsonl; echo b; exit 7"


def sound(ended):
    return (ended.status, ended.events, ended.log) == (7, b"1\n2\n", "a\nb\n")


def test_a_launch_takes_one_call(device):
    ended = device.run(SAYS)
    assert sound(ended)
    assert not ended.collected
    assert ended.seconds == ended.outside.exit.wall_s > 0
    assert [entry.phase for entry in ended.outside.environment] == ["before", "after"]
    assert device.link.calls == ["run"]


@pytest.mark.parametrize(("before", "after"), [([1], []), ([1, 2, 3], []), ([], [1]), ([2], [1])])
def test_a_link_that_drops_and_comes_back(device, before, after):
    device.link.before = dict.fromkeys(before, LOST)
    device.link.after = dict.fromkeys(after, LOST)
    assert sound(device.run(SAYS))
    assert device.begun == 1


@pytest.mark.parametrize("after", [[2], [2, 3, 5]])
def test_a_link_that_drops_while_reading(device, monkeypatch, after):
    device.limits = SHORT
    gate = device.folder / "gate"
    os.mkfifo(gate)
    device.link.after = dict.fromkeys(after, LOST)
    inner = device.link.run

    def run(argv, **more):
        if len(device.link.calls) == 8:
            gate.write_text("go\n")
        return inner(argv, **more)

    monkeypatch.setattr(device.link, "run", run)
    assert sound(device.run(SAYS.replace("test -e me", "read x <../../../gate")))
    assert device.link.calls[:3] == ["run", "read", "read"]
    assert device.begun == 1


def test_a_link_that_stays_away_loses_nothing(device):
    device.link.after = {1: LOST}
    device.link.before = {2: ConnectError("no route")}
    with pytest.raises(ConnectionLostError):
        device.run(SAYS, launcher=device.launcher(patience_s=0))
    ended = device.run(SAYS, launcher=device.launcher(LocalTransport()))
    assert sound(ended)
    assert ended.collected
    assert device.begun == 1


def test_a_changed_host_key_is_not_tried_again(device):
    device.link.before = {1: HostKeyError("changed")}
    with pytest.raises(HostKeyError):
        device.run(SAYS)
    assert device.link.calls == ["run"]


def test_two_controllers(device, monkeypatch):
    device.limits = SHORT
    os.mkfifo(device.folder / "gate")
    other = device.launcher(LocalTransport())
    device.link.after = {1: LOST}
    with pytest.raises(ConnectionLostError):  # a controller that went away, its launch did not
        device.run("read x <../../../gate", launcher=device.launcher(patience_s=0))
    with pytest.raises(DeviceBusyError, match=r"the device is in use: .*/launches/one pid"):
        device.run(SAYS, "two", launcher=other)
    assert other.living() == ["one"]
    other.stop(["one"])
    assert other.living() == []
    assert sound(device.run(SAYS, "two", launcher=other))


def test_a_killed_supervisor(device, monkeypatch):
    device.limits = SHORT
    os.mkfifo(device.folder / "gate")
    inner = device.link.run

    def run(argv, **more):
        if len(device.link.calls) == 2:
            os.kill(device.owners()[0], signal.SIGKILL)
        return inner(argv, **more)

    monkeypatch.setattr(device.link, "run", run)
    with pytest.raises(LaunchLostError, match="its supervisor was killed"):
        device.run("read x <../../../gate")
    assert sound(device.run(SAYS, launcher=device.launcher(LocalTransport())))


def test_a_supervisor_that_hangs(device, monkeypatch):
    device.limits = SHORT
    monkeypatch.setattr("harness.campaign.launch.HANGING_S", 0.1)
    os.mkfifo(device.folder / "gate")
    inner = device.link.run

    def run(argv, **more):
        if device.link.calls == ["run"]:
            os.kill(device.owners()[0], signal.SIGSTOP)
        return inner(argv, **more)

    monkeypatch.setattr(device.link, "run", run)
    with pytest.raises(LaunchLostError, match="its supervisor hangs"):
        device.run("read x <../../../gate", limit=0.2)
    os.kill(device.owners()[0], signal.SIGCONT)


def test_a_time_limit(device):
    os.mkfifo(device.folder / "gate")
    ended = device.run("read x <../../../gate", limit=0.3)
    assert (ended.status, ended.outside.exit.reason) == (137, "time_limit")
    assert ended.seconds >= 0.3


def test_a_memory_pass(device):
    ended = device.run(
        "while [ $(grep -c pss supervisor.jsonl) -lt 2 ]; do :; done",
        handling=Handling(pss_every_ms=5),
    )
    assert all(entry.bytes > 0 for entry in ended.outside.pss)


def test_a_device_that_forgot_the_supervisor_gets_it_again(device):
    launcher = device.launcher()
    assert sound(device.run(SAYS, launcher=launcher))
    for path in (device.folder / "work" / "store").iterdir():
        path.unlink()
    assert sound(device.run(SAYS, "two", launcher=launcher))


def test_forgetting(device):
    launcher = device.launcher()
    device.run(SAYS, launcher=launcher)
    launcher.forget(["one"])
    assert list((device.folder / "work" / "launches").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Completed(0, b"hello"), r"did not run the supervisor \(exit 0\)"),
        (Completed(126, b"", b"sh: Permission denied"), "Permission denied"),
        (Completed(139), r"\(exit 139\)"),
        (Completed(98, b"", b"edge-supervisor: log: No space left on device"), "No space left"),
        (Completed(0, b"edge-supervisor 1 ended 1 5 0 0 0\nabc"), "but announces 5"),
        (Completed(0, b"edge-supervisor 1 ended 1 0 0 0 0\n"), "has no exit"),
        (Completed(0, b"edge-supervisor 1 ended 1 0 0 0 3\n{}\n"), r"supervisor.jsonl:1: "),
    ],
)
def test_answers_that_make_no_sense(device, answer, said):
    def run(argv, _):
        return Completed(0) if argv[0] == "sh" else answer

    with pytest.raises(TransferError, match=said):
        device.run(SAYS, launcher=device.launcher(FakeTransport(run)))


@dataclass
class Clock:
    """A clock that only waiting moves."""

    now: float = 0.0

    def wait(self, seconds):
        self.now += seconds


FAULTS = st.one_of(
    st.builds(ConnectionLostError, st.just("dropped")),
    st.builds(ConnectError, st.just("no route")),
    st.builds(AnswerLost, st.builds(ConnectionLostError, st.just("dropped"))),
    st.builds(Delay, st.floats(0, 200)),
    st.just(CORRUPT),
)


@given(
    st.lists(st.dictionaries(st.integers(1, 12), FAULTS, max_size=8), min_size=1, max_size=3),
    st.sampled_from([0, 3, 1000]),
)
@settings(max_examples=40, deadline=None)
def test_any_faults_give_one_result_or_an_error_and_one_start(supervisor, faults, patience_s):
    # Each member of `faults` is a controller with a link of its own; the last one has a good one.
    clock, said, errors = Clock(), [], []
    with TemporaryDirectory() as name:
        device = Device(Path(name), supervisor)
        for each in [*faults, {}]:
            link = FaultyTransport(LocalTransport(), each, wait=clock.wait)
            patience = Patience(patience_s, pause=clock.wait, clock=lambda: clock.now)
            launcher = device.launcher(link, patience=patience)
            try:
                said.append(device.run(SAYS, launcher=launcher))
            except TransportError as error:
                errors.append(error)
        kinds = (ConnectionLostError, ConnectError, CommandTimeoutError, TransferError)
        assert {type(error) for error in errors} <= set(kinds)
        assert len(said) + len(errors) == len(faults) + 1
        assert len(said) >= 1
        assert all(map(sound, said))
        assert device.begun == 1
