"""A store that refuses, and interruptions beside it: what ended on a device is collected later."""

from __future__ import annotations

import os
import threading

import pytest
from sqlalchemy.exc import InterfaceError

from harness.core.errors import LabError
from harness.core.records import Category, Status
from harness.transports.base import ConnectionLostError
from harness.transports.local.transport import LocalTransport

JOURNALLED = "open('../../journal', 'a').write(job['launch'] + '\\n')\nall_of_it()"


def begun(bench, work="work"):
    """Return the launches that runners began on a device, as these wrote it down."""
    return (bench.folder / work / "journal").read_text().split()


def left(bench, work="work"):
    return sorted(path.name for path in (bench.folder / work / "launches").iterdir())


def refusing(error):
    def add(*_):
        raise error

    return add


@pytest.mark.parametrize(
    "error",
    [
        LabError("database or disk is full"),
        LabError("database is locked"),
        LabError("attempt to write a readonly database"),
        InterfaceError("INSERT", {}, OSError("connection gone")),
    ],
    ids=lambda error: str(error)[:40],
)
def test_what_a_store_refuses_is_collected_by_the_next_session(bench, monkeypatch, error):
    bench.double(JOURNALLED)
    run = bench.run(launches=2)
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "add", refusing(error))
        for _ in range(2):  # the second one collects what the first one could not store
            with pytest.raises(type(error)):
                bench.measure(bench.store.load(run.id))
    assert len(begun(bench)) == 1
    _, launches = bench.measure(bench.store.load(run.id))
    assert [launch.status for launch in launches] == [Status.OK] * 2
    assert sorted(begun(bench)) == sorted(launch.id for launch in launches)
    assert left(bench) == []


class HeldUp(LocalTransport):
    """A device whose link is held up, until its controller ends what it takes for under way."""

    def __init__(self):
        self.holds = False
        self.held = threading.Event()
        self.stopped = threading.Event()

    def run(self, argv, **more):
        verb = argv[1] if argv[0].startswith("/") else ""
        if self.holds and verb in {"read", "store"}:
            self.held.set()
            assert self.stopped.wait(20)
            raise ConnectionLostError("the link dropped")
        if verb == "stop":
            self.stopped.set()
        return super().run(argv, **more)


def test_a_launch_that_was_about_to_be_collected_survives_another_interruption(bench, monkeypatch):
    """One device's launch cannot be stored; the other's is left where it is, and not removed."""
    bench.double(JOURNALLED)
    bench.others = {"there": (there := HeldUp())}
    run = bench.run(launches=1)
    with monkeypatch.context() as patch:
        both = threading.Barrier(2)

        def full(*_):
            both.wait(20)
            raise LabError("database or disk is full")

        patch.setattr(bench.store, "add", full)
        with pytest.raises(LabError):
            bench.measure(run)
    assert len(left(bench)) == len(left(bench, "work-there")) == 1

    with monkeypatch.context() as patch:
        there.holds = True

        def full_again(*_):
            assert there.held.wait(20)
            raise LabError("database or disk is full")

        patch.setattr(bench.store, "add", full_again)
        with pytest.raises(LabError):
            bench.measure(bench.store.load(run.id))
    there.holds = False

    _, launches = bench.measure(bench.store.load(run.id))
    assert [launch.status for launch in launches] == [Status.OK] * 2
    assert len(begun(bench)) == len(begun(bench, "work-there")) == 1
    assert left(bench) == left(bench, "work-there") == []


def test_a_launch_stopped_after_its_runner_was_done_is_a_result(bench):
    """Its runner has said all, and is ended by an interruption before it could exit."""
    bench.double(
        f"{JOURNALLED}\n"
        "if os.path.exists('../../controller'):\n"
        "    controller = int(open('../../controller').read())\n"
        "    os.unlink('../../controller')\n"
        "    os.kill(controller, signal.SIGINT)\n"
        "    signal.pause()"
    )
    (bench.folder / "work").mkdir()
    (bench.folder / "work" / "controller").write_text(str(os.getpid()))
    run = bench.run(launches=1)
    with pytest.raises(KeyboardInterrupt):
        bench.measure(run)
    _, (launch,) = bench.measure(bench.store.load(run.id))
    assert launch.status is Status.OK, launch.reason
    assert launch.exit.reason == "stopped"
    assert begun(bench) == [launch.id]
    assert left(bench) == []


def test_what_cannot_be_deployed_any_more_is_collected_all_the_same(bench, monkeypatch):
    bench.double(JOURNALLED)
    run = bench.run(launches=1)
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "add", refusing(LabError("database or disk is full")))
        with pytest.raises(LabError):
            bench.measure(run)
    for path in (bench.folder / "work" / "store").iterdir():
        if path.name != bench.launcher().supervisor.digest:
            path.unlink()
    bench.transport = NoRoom()
    _, (launch,) = bench.measure(bench.store.load(run.id))
    assert (launch.status, begun(bench)) == (Status.OK, [launch.id])


class NoRoom(LocalTransport):
    """A device whose disk has become full."""

    def run(self, argv, **more):
        if argv[0].startswith("/") and argv[1] == "store":
            argv = ["sh", "-c", "exit 73", *argv]
        return super().run(argv, **more)


def test_an_answer_that_makes_no_sense_again_and_again_loses_nothing(bench):
    bench.double(JOURNALLED)
    run = bench.run(launches=1)
    bench.transport = Garbled()
    _, launches = bench.measure(run)
    assert {launch.category for launch in launches} == {Category.DEPLOY}
    bench.transport = LocalTransport()
    _, (*_, last) = bench.measure(bench.store.load(run.id))
    assert last.status is Status.OK
    assert len(begun(bench)) == 1
    assert left(bench) == []


class Garbled(LocalTransport):
    """A device whose answers about launches arrive as something else."""

    def run(self, argv, **more):
        answer = super().run(argv, **more)
        if argv[0].startswith("/") and argv[1] in {"run", "read"}:
            return type(answer)(0, b"Welcome!\n")
        return answer
