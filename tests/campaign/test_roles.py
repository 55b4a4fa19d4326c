"""Launches that do not measure, and the states that launches are made in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from harness.analysis.cases import State, case_results
from harness.campaign.judge import judge
from harness.campaign.launch import Ended
from harness.core.contract import Job, Sampling
from harness.core.records import Role, Status
from harness.core.supervision import parse_supervision
from harness.lab.inventory import BackendSpec

FILLS = """
cache = job["model_cache"]
if cache and not os.listdir(cache):
    open(cache + "/compiled", "w").write("abc")
    open("../../compiled", "a").write("x")
all_of_it()
"""


def results(bench, run):
    return case_results(bench.store.load(run.id))


def test_a_memory_pass_comes_last_and_measures_nothing(bench):
    bench.double('while \'"during"\' not in open("supervisor.jsonl").read(): pass\nall_of_it()')
    run = bench.run(launches=1, memory_launches=1, pss_every_ms=5)
    _, (measured, memory) = bench.measure(run)
    assert [launch.role for launch in (measured, memory)] == [Role.MEASURE, Role.MEMORY]
    assert (measured.pss_bytes, measured.device_memory) == (None, None)
    assert memory.pss_bytes == max(size for _, size in memory.pss_series) > 1_000_000
    assert memory.device_memory.available_bytes is not None
    (result,) = results(bench, run)
    assert result.counted == [measured]
    assert result.pss_bytes == memory.pss_bytes


PROFILES = """
if job["profile"]:
    assert job["protocol"] == 2
    emit("placement", parts=[{"name": "0", "unit": "NPU", "operators": 27}])
    emit("layers", layers=[{"name": "c", "op": "Conv", "unit": "NPU", "us": 7}], inferences=10,
         unattributed_us=0.5)
"""


def test_a_profile_comes_last_and_measures_nothing(bench):
    bench.double(
        f'hello(); load(); sample(ns=range(1000000, 1000010))\n{PROFILES}\noutputs(); emit("done")'
    )
    run = bench.run(launches=1, memory_launches=1, profile_launches=1)
    _, launches = bench.measure(run)
    assert [launch.role for launch in launches] == [Role.MEASURE, Role.MEMORY, Role.PROFILE]
    assert {launch.status for launch in launches} == {Status.OK}, launches
    measured, memory, profiled = (launch.profile for launch in launches)
    assert measured is memory is None
    assert (profiled.parts[0].unit, profiled.parts[0].operators) == ("NPU", 27)
    assert (profiled.layers[0].us, profiled.inferences, profiled.unattributed_us) == (7, 10, 0.5)
    (result,) = results(bench, run)
    assert [launch.role for launch in result.counted] == [Role.MEASURE]


def test_a_failed_memory_pass_leaves_the_latency(bench):
    bench.double('sys.exit(1) if job["launch"].split("-")[-2] == "2" else all_of_it()')
    run = bench.run(launches=2, memory_launches=1)
    _, launches = bench.measure(run)
    assert [launch.status for launch in launches] == [Status.OK] * 2 + [Status.FAILED] * 2
    (result,) = results(bench, run)
    assert (result.state, len(result.counted), result.pss_bytes) == (State.MEASURED, 2, None)


def test_a_model_cache_is_filled_once_and_found_by_the_others(bench):
    bench.double(FILLS)
    run = bench.run(launches=2, model_caches=("none", "kept"), memory_launches=1)
    _, launches = bench.measure(run)
    assert {launch.status for launch in launches} == {Status.OK}, launches
    without, kept = results(bench, run)
    assert [launch.role for launch in kept.launches] == [
        Role.FILL, Role.MEASURE, Role.MEASURE, Role.MEMORY,
    ]  # fmt: skip
    assert [launch.outputs.full for launch in kept.launches] == [True, True, False, False]
    assert [launch.outputs.full for launch in without.launches] == [True, False, False]
    assert kept.filling_ms["cold"]["total"].n == 1
    assert kept.first_loads_ms["cold"]["total"].n == 2
    assert list((bench.folder / "work" / "launches").iterdir()) == []


def test_an_engine_that_keeps_nothing(bench):
    bench.double("all_of_it()")
    run = bench.run(launches=3, model_caches=["kept"])
    observer, launches = bench.measure(run)
    assert [(launch.role, launch.status) for launch in launches] == [(Role.FILL, "invalid")] * 2
    assert observer.given_up
    (result,) = results(bench, run)
    assert result.state is State.FAILED
    assert str(result.reason) == (
        "its model cache was not filled: the engine left its model cache empty"
    )


def test_a_launch_that_did_not_find_its_model_is_invalid(bench):
    bench.double('open(job["model_cache"] + "/compiled", "a").write("abc")\nall_of_it()')
    run = bench.run(launches=1, model_caches=["kept"], redo_budget=0)
    _, (fill, launch) = bench.measure(run)
    assert (fill.status, launch.status) == (Status.OK, Status.INVALID)
    assert "the engine wrote to its model cache" in str(launch.reason)


class StoppedError(Exception):
    pass


class Stops:
    """An observer that ends the controller when the first launch that measures is stored."""

    def begins(self, *_):
        pass

    def stands(self, *_):
        pass

    def ended(self, _, launch):
        if launch.role is Role.MEASURE:
            raise StoppedError


def made(launches):
    return [(launch.role.value, launch.attempt, launch.status.value) for launch in launches]


def test_a_model_cache_is_filled_anew_when_a_run_goes_on(bench):
    bench.double(FILLS)
    run = bench.run(launches=2, model_caches=["kept"])
    with pytest.raises(StoppedError):
        bench.execution(run, Stops()).measure()
    (left,) = (bench.folder / "work" / "launches").glob("cache-*/*")
    left.write_text("half of it")
    _, launches = bench.measure(bench.store.load(run.id))
    assert made(launches) == [
        ("fill", 0, "ok"), ("measure", 0, "ok"), ("fill", 1, "ok"), ("measure", 0, "ok"),
    ]  # fmt: skip
    assert (bench.folder / "work" / "compiled").read_text() == "xx"


def test_what_an_earlier_controller_left_running_is_joined_before_the_cache_is_filled(bench):
    begun, gate = bench.folder / "begun", bench.folder / "gate"
    os.mkfifo(begun)
    os.mkfifo(gate)
    wait = f'open({str(begun)!r}, "w").close(); open({str(gate)!r}).read()'
    bench.double(f'if job["launch"].endswith("-1-0"): {wait}\n{FILLS}')
    run = bench.run(launches=3, model_caches=["kept"])
    with pytest.raises(StoppedError):
        bench.execution(run, Stops()).measure()

    class GoesOn(Stops):
        def begins(self, *_):
            if gate.exists():
                gate.write_text("go on")
                gate.unlink()

        def ended(self, *_):
            pass

    (cache,) = (bench.folder / "work" / "launches").glob("cache-*")
    job = Job(
        launch=f"{run.id}-{run.cases[0].case.id}-1-0", engine="onnxruntime", files={}, inputs=[],
        check_seeds=[1, 2, 3], model_cache=str(cache),
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(bench.launcher().run, job, {}, [bench.doubles["double"]])
        begun.read_bytes()
        bench.execution(bench.store.load(run.id), GoesOn()).measure()
        left.result()
    assert made(bench.store.load(run.id).launches) == [
        ("fill", 0, "ok"), ("measure", 0, "ok"), ("measure", 0, "ok"), ("fill", 1, "ok"),
        ("measure", 0, "ok"),
    ]  # fmt: skip


def test_wrong_outputs_of_the_filling_are_the_cases(bench):
    bench.double("""
values = (lambda seed: [0.0, 0.0]) if not os.listdir(job["model_cache"]) else (
    lambda seed: [float(seed), float(seed**2)])
open(job["model_cache"] + "/compiled", "w").write("abc")
hello(); load(); sample(); outputs(values); emit("done")
""")
    run = bench.run(launches=1, model_caches=["kept"])
    bench.measure(run)
    assert results(bench, run)[0].state is State.WRONG


def test_cold_and_warm_take_turns(bench):
    bench.double("open('../../journal', 'a').write(job['page_cache'] + ' ')\nall_of_it()")
    bench.measure(bench.run(launches=3, page_cache="both"))
    assert (bench.folder / "work" / "journal").read_text() == "evict warm evict "


def test_a_backends_settings_reach_the_runner(bench):
    bench.settings = BackendSpec(options={"power": "high"}, variables={"VIV_X": "-pcq:1; 'q"})
    bench.double("print(job['options'], os.environ['VIV_X'])\nall_of_it()")
    _, (launch,) = bench.measure(bench.run())
    assert launch.log == "{'power': 'high'} -pcq:1; 'q\n"


EVENTS = b"""\
{"event":"hello","protocol":1,"runner":"r","runner_version":"1","engine":"e","engine_version":"1",\
"process_ms":1,"import_ms":1}
{"event":"loaded","read_ms":1,"page_cache":"cold","init_ms":1}
{"event":"first","ms":1}
{"event":"samples","ns":[1]}
{"event":"memory","vmhwm_bytes":1,"runtime_bytes":7}
{"event":"done"}
"""
RECORD = b"""\
{"event":"started","protocol":1,"supervisor_pid":1,"runner_pid":2,"boot_id":"b","lock":"l",\
"caches_dropped":true,"time":1}
{"event":"exit","reason":"exited","wall_s":1,"status":0,"vmhwm_bytes":2,"left_behind":0,\
"log_bytes":0}
"""


def test_what_the_supervisor_adds_to_a_launch():
    outside = parse_supervision(RECORD)
    few = Sampling(min_samples=1, min_seconds=0)
    job = Job(launch="l", engine="e", files={}, inputs=[], sampling=few)
    ended = Ended(0, 1.0, log="", events=EVENTS, collected=False, outside=outside)
    found = judge(ended, job).measured
    assert found.first_load.state == "cold, libraries cold"
    assert (found.vmhwm_bytes, found.vmhwm_source) == (1, "runner")
    assert found.runtime_bytes == 7
    silent = EVENTS.replace(b'{"event":"memory","vmhwm_bytes":1,"runtime_bytes":7}\n', b"")
    found = judge(replace(ended, events=silent), job).measured
    assert (found.vmhwm_bytes, found.vmhwm_source) == (2, "supervisor")
