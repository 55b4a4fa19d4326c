"""Controllers killed at random points: nothing is lost or doubled, in database or export."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness.core.records import Status

LAUNCHES = 6
KILLS = 8

# What harness run --resume does, on the bench's device; its export beside it. Each line that it is
# given starts a controller in a process of its own, which does not take the time to import all.
CONTROLLER = """
import importlib.util, os, pathlib, sys
from contextlib import closing
from harness.export.follow import Follower
from harness.core.records import DeviceRecord
from harness.results.sqlite import SqliteStore
path, folder, body, supervisor = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]
spec = importlib.util.spec_from_file_location("bench", path)
module = importlib.util.module_from_spec(spec)
sys.modules["bench"] = module
spec.loader.exec_module(module)

class Observer(module.Recorder):
    def ended(self, host, launch):
        self.export(launch)

def measure():
    with SqliteStore(folder / "results.sqlite") as store:
        bench = module.Bench(folder, store, pathlib.Path(supervisor))
        bench.double(body)
        run = store.load("test-run")
        device = DeviceRecord(
            name="here", description="", transport="local", host="h", emulated=False
        )
        observer = Observer()
        observer.export = Follower(folder / "night.jsonl")
        observer.export.begin(run.model_copy(update={"devices": [device]}))
        bench.execution(run, observer).measure()

for _ in sys.stdin:
    if (controller := os.fork()) == 0:
        measure()
        os._exit(0)
    print(controller, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(controller, 0)[1]), flush=True)
"""
# The runner's own journal is the witness of what ran on the device.
BODY = "open('../../journal', 'a').write(job['launch'] + '\\n')\nall_of_it()"


def test_a_controller_killed_again_and_again(bench):
    seed = random.SystemRandom().getrandbits(32)
    moments = random.Random(seed)
    bench.double(BODY)
    bench.run(launches=LAUNCHES)
    conftest = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", CONTROLLER, conftest, bench.folder, BODY, bench.supervisor]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, **pipes) as controllers:
        for number in range(KILLS + 1):
            controllers.stdin.write("go\n")
            controller = int(controllers.stdout.readline())
            if number < KILLS:
                readable, _, _ = select.select(
                    [controllers.stdout], [], [], moments.expovariate(1 / 0.3)
                )
                if not readable:
                    os.kill(controller, signal.SIGKILL)
            ended = int(controllers.stdout.readline())
            assert ended in ({0, -signal.SIGKILL} if number < KILLS else {0}), f"seed {seed}"
        controllers.stdin.close()
    stored = bench.store.load("test-run").launches
    assert sorted(launch.slot for launch in stored) == list(range(LAUNCHES))
    assert {launch.status for launch in stored} == {Status.OK}
    began = (bench.folder / "work" / "journal").read_text().split()
    assert Counter(began) == Counter(launch.id for launch in stored)
    lines = (bench.folder / "night.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["launch"] for line in lines) == Counter(began)
    assert not list((bench.folder / "work" / "launches").iterdir())
