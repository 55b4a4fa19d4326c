"""Launches of runner doubles through the real launcher, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from drill.doubles import CORRUPT, AnswerCut, FaultyTransport
from harness.campaign.launch import Launcher
from harness.core.clock import SteadyClock
from harness.core.records import Category, Status
from harness.lab.leases import Lease, break_lease
from harness.transports.base import ConnectionLostError
from harness.transports.local.transport import LocalTransport


def _ended(pid_file):
    """Say whether a process is gone, or waits for a careless init to reap it."""
    try:
        return psutil.Process(int(pid_file.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_launch_that_goes_well(bench):
    launch = bench.one("all_of_it()")
    assert launch.status is Status.OK
    assert launch.figure_ns == 1_100_000
    assert launch.first_load.total_ms == 36
    assert launch.vmhwm_bytes > 1_000_000
    assert launch.outputs.passed
    assert launch.outputs.full
    assert launch.wall_s > 0


def test_what_only_an_accelerators_runtime_tells_is_kept(bench):
    body = """
hello()
emit("loaded", read_ms=1, read_bytes=3, page_cache="cold", init_ms=2, engine_version="2.3",
     build={"driver": "0.9"})
emit("samples", ns=[1000])
emit("memory", vmhwm_bytes=peak(), runtime_bytes=2000)
emit("layers", layers=[{"name": "a", "op": "Conv", "target": "NPU", "us": 7}])
outputs(); emit("done")
"""
    launch = bench.one(body)
    assert launch.status is Status.OK, str(launch.reason)
    assert (launch.engine_version, launch.build) == ("2.3", {"driver": "0.9"})
    assert launch.runtime_bytes == 2000
    assert [(layer.unit, layer.us) for layer in launch.profile.layers] == [("NPU", 7)]


@pytest.mark.parametrize(
    ("body", "category", "said"),
    [
        ("hello(); os.kill(os.getpid(), signal.SIGSEGV)", Category.ENGINE, "SIGSEGV after 'hello'"),
        ("hello(); os.kill(os.getpid(), signal.SIGKILL)", Category.ENGINE, "SIGKILL after 'hello'"),
        ("os.abort()", Category.RUNNER, "SIGABRT after 'start'"),
        ("hello(); print('bye'); sys.exit(3)", Category.ENGINE, "exited with 3 after 'hello': bye"),
        ("events.write('rubbish\\n')", Category.RUNNER, "broke the contract: events.jsonl:1"),
        ("hello(); load(); sample()", Category.RUNNER, "before it had finished, after 'memory'"),
        ("hello(); load(); sample(); emit('done')", Category.RUNNER, "the requested outputs"),
        ("hello(); load(); outputs(); emit('done')", Category.RUNNER, "without samples"),
        ("hello(); sample([0]); outputs(); emit('done')", Category.RUNNER, "without samples"),
        (
            "emit('error', kind='EngineMissing', message='no module onnxruntime'); sys.exit(1)",
            Category.ENGINE,
            "EngineMissing: no module onnxruntime",
        ),
        (
            "hello(); load(); sample(); outputs(); open('output-1-0.bin', 'wb'); emit('done')",
            Category.DEPLOY,
            "does not match what the runner announced",
        ),
    ],
    ids=lambda value: None if isinstance(value, Category) else value[-30:],
)  # fmt: skip
def test_a_launch_that_fails(bench, body, category, said):
    launch = bench.one(body)
    assert (launch.status, launch.category) == (Status.FAILED, category)
    assert said in str(launch.reason)


def test_a_runner_that_hangs_is_ended_on_the_device(bench):
    launch = bench.one(
        "hello(); open('../../hung', 'w').write(str(os.getpid())); signal.pause()", time_limit=0.5
    )
    assert (launch.status, launch.category) == (Status.FAILED, Category.TIMEOUT)
    assert "limit of 0.5 s, after 'hello'" in str(launch.reason)
    assert _ended(bench.folder / "work" / "hung")


def test_a_runner_that_prints_without_end(bench):
    launch = bench.one("for _ in range(100): sys.stdout.write('x' * (1 << 20))\nall_of_it()")
    assert launch.status is Status.OK
    assert len(launch.log) == 64 << 10


def test_events_without_end(bench):
    launch = bench.one("hello()\nfor _ in range(40): events.write('x' * (1 << 20))")
    assert (launch.status, launch.category) == (Status.FAILED, Category.RUNNER)
    assert "larger than" in str(launch.reason)


@pytest.mark.parametrize(
    "values", ["[1.0, 1.0]", "[float(4 - seed), float((4 - seed) ** 2)]", "[float('nan'), 1.0]"]
)
def test_wrong_outputs_make_a_launch_invalid(bench, values):
    body = f"hello(); load(); sample(); outputs(lambda seed: {values}); emit('done')"
    launch = bench.one(body)
    assert launch.status is Status.INVALID
    assert "wrong outputs" in str(launch.reason)
    assert not launch.outputs.passed


def test_invalid_launches_are_redone_within_the_budget_and_kept(bench):
    bench.double("hello(); load(); sample(); outputs(lambda seed: [0.0, 0.0]); emit('done')")
    _, launches = bench.measure(bench.run(launches=3, redo_budget=2))
    assert [(launch.slot, launch.attempt) for launch in launches] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (2, 0),
    ]  # fmt: skip


def test_outputs_checked_once_are_not_pulled_again(bench):
    bench.double("all_of_it()")
    _, launches = bench.measure(bench.run(launches=3))
    assert [launch.outputs.full for launch in launches] == [True, False, False]


def _calls(link):
    """What went over a link: the supervisor's command, or a transfer."""
    return [
        argument[1] if method == "run" and argument[0][0] == "/" else method
        for method, argument in link.calls
    ]


def test_a_launch_whose_files_are_there_takes_three_round_trips(bench):
    bench.double("all_of_it()")
    bench.transport = first = FaultyTransport(LocalTransport(), {})
    bench.measure(bench.run())
    assert _calls(first).count("push") == 1  # of the supervisor
    again = bench.run(launches=3, name="again")
    bench.transport = link = FaultyTransport(LocalTransport(), {})
    _, launches = bench.measure(again)
    assert [launch.outputs.full for launch in launches] == [True, False, False]
    (listing, first), *calls = link.calls[0], *_calls(link)[1:]
    assert (listing, first[0]) == ("run", "ls")  # what an earlier controller may have left there
    launch = ["store", "run", "forget"]
    outputs = ["pull"] * len(bench.reference)  # once for what has the same digests
    assert calls == [*launch[:2], *outputs, launch[2], *launch, *launch]


def test_a_case_that_keeps_failing_is_given_up_and_others_go_on(bench):
    bench.double("sys.exit(1)", "broken")
    bench.double("all_of_it()", "sound")
    observer, launches = bench.measure(bench.run(launches=4))
    statuses = sorted(launch.status for launch in launches)
    assert statuses == [Status.FAILED] * 2 + [Status.OK] * 4
    assert [label.split(" ")[0] for label in observer.given_up] == ["broken"]


def test_launches_are_interleaved_one_at_a_time(bench):
    alone = (
        "lock = os.open('../../alone', os.O_CREAT | os.O_EXCL)\n"
        "all_of_it()\n"
        "os.unlink('../../alone')"
    )
    for name in ("one", "two", "three"):
        bench.double(alone, name)
    observer, launches = bench.measure(bench.run(launches=3))
    assert {launch.status for launch in launches} == {Status.OK}
    for block in range(3):
        assert len(set(observer.begun[3 * block : 3 * block + 3])) == 3
    assert [launch.position for launch in launches] == list(range(9))


def test_a_resumed_run_makes_only_what_is_missing_or_failed(bench):
    bench.double("os.mkdir('../../once')\nall_of_it()")  # fails from the second time on
    run = bench.run(launches=3)
    bench.measure(run)
    (bench.folder / "work" / "once").rmdir()
    _, launches = bench.measure(bench.store.load(run.id))
    made = [(launch.slot, launch.attempt, launch.status.value) for launch in launches]
    assert made == [
        (0, 0, "ok"), (1, 0, "failed"), (1, 1, "failed"),
        (1, 2, "ok"), (2, 0, "failed"), (2, 1, "failed"),
    ]  # fmt: skip


class Cut(LocalTransport):
    """A link that drops as launches end: what they left stays on the device."""

    def __init__(self, drops):
        self.drops = drops

    def run(self, argv, **more):
        completed = super().run(argv, **more)
        if argv[1] in ("run", "read") and self.drops:
            self.drops -= 1
            raise ConnectionLostError("the link dropped")
        return completed


def test_a_launch_outlives_a_link_that_drops(bench):
    bench.transport = Cut(drops=2)
    bench.double("open('../../journal', 'a').write('x')\nall_of_it()")
    observer, (launch,) = bench.measure(bench.run())
    assert launch.status is Status.OK
    assert observer.states == ["away", "running"]
    assert (bench.folder / "work" / "journal").read_text() == "x"


def test_what_could_not_be_removed_at_once_is_removed_at_the_end(bench):
    def due(method, argument):
        forgets = method == "run" and argument[0][0] == "/" and argument[1] == "forget"
        return ConnectionLostError("the link dropped") if forgets and next(drops) else None

    drops = iter([True, True, True, False])
    bench.transport = FaultyTransport(LocalTransport(), due)
    bench.double("all_of_it()")
    _, launches = bench.measure(bench.run(launches=2))
    assert [launch.status for launch in launches] == [Status.OK] * 2
    assert list((bench.folder / "work" / "launches").iterdir()) == []


def test_a_link_that_stays_away(bench):
    bench.double("open('../../journal', 'a').write('x')\nall_of_it()")
    run = bench.run()
    bench.transport, bench.reconnect_s = Cut(drops=1000), 0
    observer, launches = bench.measure(run)
    # The device answers when it is looked after, and drops each launch: the third time is the last.
    assert [launch.status for launch in launches] == [Status.FAILED] * 3
    assert {launch.category for launch in launches} == {Category.CONNECTION}
    assert {str(launch.reason) for launch in launches} == {"the link dropped"}
    assert (observer.aside, observer.back) == (["here"] * 3, ["here"] * 2)
    bench.transport.drops = 0
    _, (*_, last) = bench.measure(bench.store.load(run.id))
    assert (last.status, last.attempt, last.wall_s) == (Status.OK, 3, None)
    assert (bench.folder / "work" / "journal").read_text() == "x"
    assert list((bench.folder / "work" / "launches").iterdir()) == []


def test_a_launch_whose_supervisor_is_killed(bench):
    bench.double(
        "if not os.path.exists('../../orphan'):\n"
        "    open('../../orphan', 'w').write(str(os.getpid()))\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    signal.pause()\n"
        "all_of_it()"
    )
    _, launches = bench.measure(bench.run(launches=3))
    assert [launch.status.value for launch in launches] == ["failed", "ok", "ok", "ok"]
    assert launches[0].category is Category.DEVICE
    assert "its supervisor was killed; the runner was ended" in str(launches[0].reason)
    assert _ended(bench.folder / "work" / "orphan")


def test_a_device_that_lost_what_was_pushed_gets_it_again(bench):
    # As one whose store is in memory, and which restarts between two launches.
    bench.double(
        "all_of_it()\n"
        "if not os.path.exists('../../once'):\n"
        "    open('../../once', 'w')\n"
        "    for name in os.listdir('../../store'): os.unlink('../../store/' + name)"
    )
    _, launches = bench.measure(bench.run(launches=3))
    assert [launch.status for launch in launches] == [Status.OK] * 3


def test_folders_that_a_controller_did_not_live_to_remove_are_removed(bench, monkeypatch):
    bench.double("all_of_it()")
    run = bench.run(launches=2)
    with monkeypatch.context() as patch:
        patch.setattr(Launcher, "forget", lambda *_: None)
        bench.measure(run)
    folder = bench.folder / "work" / "launches"
    (folder / "other-run-1").mkdir()
    assert len(list(folder.iterdir())) == 3
    bench.measure(bench.store.load(run.id))
    assert [path.name for path in folder.iterdir()] == ["other-run-1"]


def test_what_was_overwritten_in_the_devices_store_is_pushed_again(bench):
    """By something of the same name and size: it would run as another model, outputs right."""
    bench.double(
        "assert open('model.onnx').read() == 'abc'\n"
        "all_of_it()\n"
        "open('model.onnx', 'w').write('xyz')"
    )
    _, launches = bench.measure(bench.run(launches=3))
    assert [launch.status for launch in launches] == [Status.OK] * 3


def test_what_a_run_that_was_given_up_left_is_removed_by_the_next_one(bench):
    bench.double("all_of_it()")
    launches = bench.folder / "work" / "launches"
    for name, finished in (("to-be-resumed", False), ("given-up", True)):
        run = bench.run(name=name)
        bench.transport, bench.reconnect_s = Cut(drops=1000), 0
        observer = bench.recorder()
        execution = bench.execution(run, observer)
        execution.measure()
        bench.store.update(execution.outcome().model_copy(update={"launches": []}))
        if not finished:
            bench.store.update(bench.store.load(name).model_copy(update={"finished": None}))
    bench.transport = LocalTransport()
    assert len(list(launches.iterdir())) == 2
    bench.measure(bench.run(name="next"))
    assert [path.name[:13] for path in launches.iterdir()] == ["to-be-resumed"]


INTERRUPTING = """
hello()
open('../../hung', 'w').write(str(os.getpid()))
os.kill(int(open('../../controller').read()), signal.{signal})
signal.pause()
"""


def test_an_interruption_ends_the_runner_and_stores_nothing_of_it(bench):
    bench.double(INTERRUPTING.format(signal="SIGINT"))
    (bench.folder / "work").mkdir()
    (bench.folder / "work" / "controller").write_text(str(os.getpid()))
    run = bench.run(launches=3)
    with pytest.raises(KeyboardInterrupt):
        bench.measure(run)
    assert _ended(bench.folder / "work" / "hung")
    assert bench.store.load(run.id).launches == []
    assert list((bench.folder / "work" / "launches").iterdir()) == []


class Interrupted(LocalTransport):
    """The user's Ctrl-C comes with the first launch's answer, before its outputs are pulled."""

    def __init__(self):
        self.stopped = threading.Event()

    def run(self, argv, **more):
        answer = super().run(argv, **more)
        if argv[1] == "stop":
            self.stopped.set()
        elif argv[1] == "run" and not self.stopped.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            self.stopped.wait(20)
        return answer


def test_a_launch_that_had_ended_when_the_user_interrupted_is_collected(bench):
    bench.double("open('../../journal', 'a').write(job['launch'] + '\\n')\nall_of_it()")
    run = bench.run(launches=2)
    bench.transport = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        bench.measure(run)
    assert bench.store.load(run.id).launches == []
    _, launches = bench.measure(bench.store.load(run.id))
    assert [launch.status for launch in launches] == [Status.OK] * 2
    begun = (bench.folder / "work" / "journal").read_text().split()
    assert begun == [launch.id for launch in launches]
    assert list((bench.folder / "work" / "launches").iterdir()) == []


def test_an_answer_that_is_cut_short_is_read_again(bench):
    bench.double("open('../../journal', 'a').write('x')\nall_of_it()")

    def due(method, argument):
        begins = method == "run" and argument[0][0] == "/" and argument[1] == "run"
        return AnswerCut(next(shares)) if begins else None

    shares = iter([0.0, 0.02, 0.9])
    bench.transport = FaultyTransport(LocalTransport(), due)
    _, launches = bench.measure(bench.run(launches=3))
    assert [launch.status for launch in launches] == [Status.OK] * 3
    assert (bench.folder / "work" / "journal").read_text() == "xxx"


def test_outputs_that_arrive_changed_are_pulled_again(bench):
    bench.double("all_of_it()")
    changed = {"open": True}

    def due(method, argument):
        return CORRUPT if method == "pull" and changed.pop("open", None) else None

    bench.transport = link = FaultyTransport(LocalTransport(), due)
    _, (launch,) = bench.measure(bench.run())
    assert (launch.status, launch.outputs.full) == (Status.OK, True)
    assert _calls(link).count("pull") == len(bench.reference) + 1


# "at": what of the store kills it instead of doing its work.
KILLED_CONTROLLER = """
import importlib.util, os, pathlib, signal, sys
from contextlib import closing
from harness.results.sqlite import SqliteStore
path, folder, body, supervisor, at = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]
spec = importlib.util.spec_from_file_location("bench", path)
module = importlib.util.module_from_spec(spec)
sys.modules["bench"] = module
spec.loader.exec_module(module)
(folder / "work").mkdir()
(folder / "work" / "controller").write_text(str(os.getpid()))
with SqliteStore(folder / "results.sqlite") as store:
    bench = module.Bench(folder, store, pathlib.Path(supervisor))
    bench.double(body)
    run = bench.run(launches=4)
    if at:
        setattr(store, at, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    bench.measure(run)
"""


def _kill_a_controller(bench, body, at=""):
    conftest = str(Path(__file__).with_name("conftest.py"))
    words = [KILLED_CONTROLLER, conftest, bench.folder, body, bench.supervisor, at]
    died = subprocess.run([sys.executable, "-c", *words], check=False)
    assert died.returncode == -signal.SIGKILL


def test_a_controller_killed_during_a_launch_loses_and_doubles_none(bench):
    # The runner's own journal is the witness: begun in the third launch, the controller dies.
    body = (
        "with open('../../journal', 'a') as journal: journal.write(job['launch'] + '\\n')\n"
        "if len(open('../../journal').readlines()) == 3:\n"
        "    os.kill(int(open('../../controller').read()), signal.SIGKILL)\n"
        "all_of_it()"
    )
    _kill_a_controller(bench, body)
    before = bench.store.load("test-run").launches
    assert [launch.slot for launch in before] == [0, 1]
    bench.double(body)
    _, launches = bench.measure(bench.store.load("test-run"))
    assert launches[:2] == before
    made = [(launch.slot, launch.status) for launch in launches]
    assert made == [(n, Status.OK) for n in range(4)]
    begun = (bench.folder / "work" / "journal").read_text().split()
    assert begun == [launch.id for launch in launches]  # the third went on without a controller


def test_a_launch_that_the_controller_did_not_live_to_store_is_collected(bench):
    body = "open('../../journal', 'a').write(job['launch'] + '\\n')\nall_of_it()"
    _kill_a_controller(bench, body, at="add")
    assert bench.store.load("test-run").launches == []
    bench.double(body)
    _, launches = bench.measure(bench.store.load("test-run"))
    assert [launch.status for launch in launches] == [Status.OK] * 4
    assert [launch.wall_s is None for launch in launches] == [True, False, False, False]
    begun = (bench.folder / "work" / "journal").read_text().split()
    assert begun == [launch.id for launch in launches]


def test_a_device_that_was_taken_away_is_put_aside(bench):
    """By ``break-lease``, in the middle of a run; another device's launches would go on."""
    bench.double("all_of_it()", "one")
    bench.double("all_of_it()", "other")
    run = bench.run(launches=2)
    launcher = bench.launcher()
    lock = str(bench.folder / "lock")
    lease = Lease(launcher.supervisor, "mine", "me@lab", lock=lock)
    lease.take(0, print)

    observer = bench.recorder(
        on_ended=lambda: break_lease(launcher.supervisor, "the fan is dead", lock=lock)
    )
    bench.execution(run, observer, lease).measure()
    first, second = bench.store.load(run.id).launches
    assert (first.status, second.status) == (Status.OK, Status.FAILED)
    assert second.category is Category.DEVICE
    assert "the lease was broken by" in str(second.reason)
    assert "the fan is dead" in str(second.reason)
    assert observer.aside == ["here"]

    lease.take(0, print)  # anew, as --resume does
    again = bench.store.load(run.id)
    bench.execution(again, bench.recorder(), lease).measure()
    done = [each for each in bench.store.load(run.id).launches if each.status is Status.OK]
    assert len(done) == 4


def test_a_clock_that_is_set_during_a_run_moves_none_of_its_times(bench):
    bench.double("all_of_it()")
    run = bench.run(launches=2)
    wall = {"s": run.started.timestamp()}
    observer = bench.recorder(on_ended=lambda: wall.update(s=wall["s"] + 63_000_000))
    execution = bench.execution(run, observer, wall=SteadyClock(lambda: wall["s"]))
    execution.measure()
    outcome = execution.outcome()
    assert outcome.clock_jumped_s > 60_000_000
    times = [launch.started for launch in bench.store.load(run.id).launches]
    assert max(*times, outcome.finished) - run.started < timedelta(days=1)
