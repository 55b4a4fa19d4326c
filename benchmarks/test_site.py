"""What the history site takes, in time and memory, and how that grows with the runs.

Runs of 200 cases of five launches each. Every build is a process of its own, whose CPU time and
peak memory are told: nothing else on the machine is in it. Reports have a benchmark of their own.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import pytest

from harness.workspace import Workspace
from tests.report.conftest import large_run

CASES = 200
SIZES = (5, 20)  # runs


class Lab:
    """A workspace that gets runs, and its site."""

    def __init__(self, root):
        for name in ("devices", "campaigns"):
            (root / name).mkdir()
        self.root, self.site, self.runs = root, root / "public", 0
        self.path = Workspace(root).database
        Workspace(root).store().close()
        self.run = large_run(CASES)

    def measure(self, runs):
        """Store runs until there are so many, in one commit."""
        devices = {record.case.id: record.case.device for record in self.run.cases}
        with closing(sqlite3.connect(self.path)) as database:
            database.execute("PRAGMA synchronous = OFF")
            for number in range(self.runs, runs):
                later = timedelta(days=number)
                begun = self.run.started + later
                run = self.run.model_copy(
                    update={"id": f"big-{number:03}", "started": begun, "launches": []}
                )
                record = run.model_dump_json(exclude={"launches"})
                database.execute(
                    "INSERT INTO runs (id, campaign, started, record) VALUES (?, ?, ?, ?)",
                    (run.id, run.campaign, begun.isoformat(), record),
                )
                rows = [
                    (
                        f"{number}-{each.id}", run.id, each.case_id, each.slot, 0,
                        each.status.value, devices[each.case_id], begun.isoformat(),
                        each.model_copy(update={"started": each.started + later}).model_dump_json(),
                    )
                    for each in self.run.launches
                ]  # fmt: skip
                database.executemany(
                    "INSERT INTO launches (id, run_id, case_id, slot, attempt, status, device,"
                    " started, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
            database.commit()
        self.runs = runs

    def build(self):
        """Build the site; return CPU seconds and the peak of the resident memory in MB."""
        command = [
            sys.executable, "-m", "harness", "--workspace", self.root, "site", "build", self.site,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build sites of all sizes: with a run that is new, and again with none."""
    lab = Lab(tmp_path_factory.mktemp("site"))
    found = {}
    for runs in SIZES:
        lab.measure(runs - 1)
        lab.build()
        lab.measure(runs)
        found[runs] = (lab.build(), lab.build(), (lab.site / "index.html").stat().st_size)
    return found


def test_a_new_run_is_added_fast_and_pages_are_small(built, at_most):
    runs = SIZES[-1]
    (seconds, megabytes), (idle, _), size = built[runs]
    name = f"site of {runs} runs × {CASES} cases × 5 launches"
    at_most(f"{name}: one run is new", seconds, "s", 20, "CPU time")
    at_most(f"{name}: peak memory", megabytes, "MB", 400, "ru_maxrss, all")
    at_most(f"{name}: nothing is new", idle, "s", 4, "CPU time")
    at_most(f"{name}: its index", size / 1e3, "kB", 80, "the file")


def test_time_grows_no_faster_than_the_runs(built, at_most):
    few, many = (built[runs][0][0] - built[runs][1][0] for runs in SIZES)  # without its start
    growth = SIZES[1] / SIZES[0]
    at_most(
        "site: growth of time over growth of runs",
        many / few / growth,
        "",
        1.2,
        "4 × the runs, a run new",
    )
