"""Devices that fail in the middle of a run: put aside, looked after, power-cycled, or left."""

from __future__ import annotations

import sys

import pytest

from harness.core.records import Category, DeviceEventKind, Status
from harness.lab.inventory import PowerCycle
from harness.transports.base import ConnectError, ConnectionLostError
from harness.transports.local.transport import LocalTransport

AWAY = "no answer"


class Unplugged(LocalTransport):
    """A device that answers nothing while ``away`` says so."""

    def __init__(self, away=lambda: True):
        self.away = away

    def run(self, argv, **more):
        if self.away():
            raise ConnectError(AWAY)
        return super().run(argv, **more)


def events(bench, device="there"):
    return [event.kind for event in bench.store.device_events(device)]


def by_device(bench, run):
    devices = {record.case.id: record.case.device for record in run.cases}
    found = {name: [] for name in devices.values()}
    for launch in bench.store.load(run.id).launches:
        found[devices[launch.case_id]].append(launch.status)
    return found


@pytest.mark.parametrize("host", [None, "this-machine"], ids=["own host", "shared host"])
def test_a_device_that_stays_away_is_left_and_the_others_go_on(bench, host):
    bench.double("all_of_it()")
    bench.others, bench.host, bench.reconnect_s = {"there": Unplugged()}, host, 0
    run = bench.run(launches=3)
    observer = bench.recorder()
    execution = bench.execution(run, observer)
    execution.measure()
    assert by_device(bench, run) == {"here": [Status.OK] * 3, "there": [Status.FAILED]}
    assert (observer.aside, observer.back) == (["there"], [])
    assert events(bench) == [DeviceEventKind.PUT_ASIDE]
    left_out = {each.case.device: str(each.left_out or "") for each in execution.outcome().cases}
    assert left_out == {"here": "", "there": f"device set aside because {AWAY}"}
    assert bench.time.now - 1000 >= 300  # it is waited for where nothing else is left


@pytest.mark.parametrize("seconds", [0, 40])
def test_how_long_a_device_is_waited_for_is_the_campaigns(bench, seconds):
    bench.double("all_of_it()")
    # On one host: else its time passes while the other one's launch takes real time.
    bench.others, bench.host, bench.reconnect_s = {"there": Unplugged()}, "this-machine", 0
    run = bench.run(launches=1, wait_for_device_s=seconds)
    bench.execution(run, bench.recorder()).measure()
    assert by_device(bench, run)["here"] == [Status.OK]
    assert seconds <= bench.time.now - 1000 < seconds + 60


def told(reasons):
    return [reason and str(reason) for reason in reasons]


def test_a_device_that_comes_back_goes_on(bench):
    bench.double("all_of_it()")
    gone = Unplugged(lambda: 0 < len(bench.store.load("test-run").launches) < 40 and away)
    away = [True]
    bench.others, bench.reconnect_s = {"there": gone}, 0
    bench.time.at[100] = away.clear
    run = bench.run(launches=3)
    observer = bench.recorder()
    execution = bench.execution(run, observer)
    execution.measure()
    found = by_device(bench, run)
    assert found["here"] == [Status.OK] * 3
    assert found["there"].count(Status.OK) == 3
    assert (observer.aside, observer.back) == (["there"], ["there"])
    assert events(bench) == [DeviceEventKind.PUT_ASIDE, DeviceEventKind.CAME_BACK]
    assert not any(each.left_out for each in execution.outcome().cases)


def test_a_device_is_power_cycled_when_it_does_not_answer(bench):
    bench.double("all_of_it()")
    switch = bench.folder / "on"
    device = Unplugged(lambda: not switch.exists())
    bench.transport, bench.reconnect_s = device, 0
    command = [sys.executable, "-c", f"open({str(switch)!r}, 'w')"]
    bench.power_cycle = PowerCycle(command=command)
    observer, launches = bench.measure(bench.run(launches=2))
    assert [launch.status for launch in launches] == [Status.FAILED, Status.OK, Status.OK]
    assert launches[0].category is Category.CONNECTION
    assert told(observer.cycles) == [None, "it answers again"]
    assert events(bench, "here") == [DeviceEventKind.POWER_CYCLED]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no such socket')", "failed (exit 1): no such socket"),
        ("import time; time.sleep(60)", "did not finish within 0.5 s"),
        ("pass", f"did not answer within 0.1 s: {AWAY}"),
    ],
)
def test_a_power_cycle_that_does_not_help_puts_the_device_aside(bench, code, said):
    bench.double("all_of_it()")
    bench.others, bench.reconnect_s = {"there": Unplugged()}, 0
    bench.power_cycle = PowerCycle(
        command=[sys.executable, "-c", code], time_limit_s=60 if code == "pass" else 0.5,
        boot_within_s=0.1,
    )  # fmt: skip
    if "socket" in code:
        bench.power_cycle = bench.power_cycle.model_copy(update={"time_limit_s": 60})
    run = bench.run(launches=2)
    observer = bench.recorder()
    execution = bench.execution(run, observer)
    execution.measure()
    assert by_device(bench, run) == {"here": [Status.OK] * 2, "there": [Status.FAILED]}
    assert said in str(observer.cycles[1])
    assert events(bench) == [DeviceEventKind.POWER_CYCLE_FAILED, DeviceEventKind.PUT_ASIDE]
    (why,) = (each.left_out for each in execution.outcome().cases if each.left_out)
    assert str(why).startswith("device set aside because no answer")


def test_power_cycles_of_a_run_are_bounded(bench):
    """A device that answers when asked, and drops every launch."""

    class Drops(LocalTransport):
        def run(self, argv, **more):
            if argv[1] == "run":
                raise ConnectionLostError("dropped")
            return super().run(argv, **more)

    bench.double("all_of_it()")
    bench.transport, bench.reconnect_s = Drops(), 0
    bench.power_cycle = PowerCycle(command=["true"], most=2)
    observer, launches = bench.measure(bench.run(launches=2))
    assert told(observer.cycles) == [None, "it answers again"] * 2
    assert {launch.status for launch in launches} == {Status.FAILED}
    assert observer.aside == ["here"] * 3


def test_what_an_engine_says_itself_is_not_tried_again(bench):
    bench.double("hello(); emit('error', kind='EngineError', message='no such op'); sys.exit(1)")
    execution = bench.execution(run := bench.run(launches=3), bench.recorder())
    execution.measure()
    (launch,) = bench.store.load(run.id).launches
    (case,) = execution.outcome().cases
    assert str(case.left_out) == f"abandoned after a failed launch: {launch.reason}"


def test_a_failed_launch_is_made_again_after_a_pause(bench):
    bench.double(
        "if not os.path.exists('../../once'):\n"
        "    open('../../once', 'w'); hello(); os.abort()\n"
        "all_of_it()"
    )
    _, launches = bench.measure(bench.run(launches=2))
    made = [(launch.slot, launch.attempt, launch.status.value) for launch in launches]
    assert made == [(0, 0, "failed"), (0, 1, "ok"), (1, 0, "ok")]
    assert bench.time.now - 1000 == pytest.approx(1)


def test_a_restarted_device_gets_its_model_caches_filled_again(bench, monkeypatch):
    boots = iter(["first", "second", "second"])
    monkeypatch.setattr("harness.campaign.on_device.boot_id", lambda _: next(boots))
    bench.double(
        "hello(); load(); sample(); outputs(); emit('done')\n"
        "cache = job['model_cache']\n"
        "if not os.listdir(cache): open(cache + '/x', 'w').write('x')\n"
        "if not os.path.exists('../../once') and job['launch'].split('-')[-2] == '1':\n"
        "    open('../../once', 'w')\n"
        "    os.unlink(cache + '/x')\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    run = bench.run(launches=2, model_caches=("kept",))
    observer = bench.recorder()
    execution = bench.execution(run, observer)
    for device in execution._devices.values():
        device.has_restarted()  # what it is told at the run's beginning
    execution.measure()
    made = [(each.role.value, each.status.value) for each in bench.store.load(run.id).launches]
    assert made[-2:] == [("fill", "ok"), ("measure", "ok")]
    assert ("measure", "failed") in made


def test_a_device_that_is_not_there_when_the_run_begins_joins_it_later(bench):
    bench.double("all_of_it()")
    away = [True]

    def answers():
        if away:
            raise ConnectError(AWAY)
        return "boot"

    bench.others, bench.absent = {"there": LocalTransport()}, {"there": answers}
    bench.time.at[100] = away.clear
    run = bench.run(launches=2)
    observer = bench.recorder()
    execution = bench.execution(run, observer)
    execution.measure()
    assert by_device(bench, run) == {"here": [Status.OK] * 2, "there": [Status.OK] * 2}
    assert (observer.aside, observer.back) == ([], ["there"])
    assert not any(each.left_out for each in execution.outcome().cases)


def test_a_device_that_never_joins_says_that_it_was_not_reached(bench):
    def answers():
        raise ConnectError(AWAY)

    bench.double("all_of_it()")
    bench.others, bench.absent = {"there": LocalTransport()}, {"there": answers}
    execution = bench.execution(run := bench.run(launches=2), bench.recorder())
    execution.measure()
    assert by_device(bench, run) == {"here": [Status.OK] * 2, "there": []}
    left_out = [str(each.left_out or "") for each in execution.outcome().cases]
    assert left_out == ["", f"not reached: {AWAY}"]


def test_a_device_that_is_not_there_is_power_cycled_first(bench):
    bench.double("all_of_it()")
    switch = bench.folder / "on"

    def answers():
        if not switch.exists():
            raise ConnectError(AWAY)
        return "boot"

    bench.others, bench.absent = {"there": LocalTransport()}, {"there": answers}
    bench.power_cycle = PowerCycle(command=["touch", str(switch)])
    run = bench.run(launches=2)
    observer = bench.recorder()
    bench.execution(run, observer).measure()
    assert by_device(bench, run) == {"here": [Status.OK] * 2, "there": [Status.OK] * 2}
    assert told(observer.cycles) == [None, "it answers again"]
