"""Launches on this machine, by the supervisor's own commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEADER = re.compile(rb"edge-supervisor 1 (\w+) ([01]) (\d+) (\d+) (\d+) (\d+)\n")


@dataclass(frozen=True)
class Answer:
    """What the supervisor said of a launch."""

    code: int
    error: str
    state: str = ""
    begun: bool = False
    events: bytes = b""
    log_first: int = 0
    log: bytes = b""
    record: list = field(default_factory=list)
    record_size: int = 0

    @property
    def exit(self):
        return self.record[-1] if self.state == "ended" else None

    def of(self, event):
        return [entry for entry in self.record if entry["event"] == event]

    @property
    def position(self):
        return f"{len(self.events)},{self.log_first + len(self.log)},{self.record_size}"


@dataclass
class Lab:
    """A folder for launches, and a lock of its own."""

    program: Path
    folder: Path

    @property
    def lock(self):
        return self.folder / "lock"

    def call(self, *words, stdin=b"", environment=None):
        return subprocess.run(
            [self.program, *map(str, words)], input=stdin, capture_output=True, check=False,
            env=environment,
        )  # fmt: skip

    def begin(self, script, *options, name="launch", wait=20, limit=20, **more):
        """Run a shell script as the runner."""
        lock = [] if "--lock" in options else ["--lock", self.lock]
        return self._answer(
            "run", self.folder / name, *lock, "--wait", wait, "--limit", limit, *options,
            "--", "sh", "-c", script, stdin=b'{"job": 1}', **more,
        )  # fmt: skip

    def read(self, name="launch", wait=20, position="0,0,0"):
        return self._answer("read", self.folder / name, "--wait", wait, "--from", position)

    def stop(self, name="launch"):
        return self.call("stop", self.folder / name).returncode

    def pid(self, name, launch="launch"):
        """A number that a runner wrote into a file of its folder."""
        return int((self.folder / launch / name).read_text())

    def gate(self, name="gate"):
        """Make a pipe at which a runner can wait: `read x <../gate`."""
        path = self.folder / name
        os.mkfifo(path)
        return path

    def told(self, gate):
        """Wait until a runner has written to a pipe."""
        return gate.read_text()

    def owners(self, name="launch"):
        words = (self.folder / name / "pid").read_text().split()
        return int(words[0]), int(words[2])

    def _answer(self, *words, **more):
        done = self.call(*words, **more)
        error = done.stderr.decode()
        header = HEADER.match(done.stdout)
        if done.returncode or not header:
            return Answer(done.returncode, error)
        state, begun = header[1].decode(), header[2] == b"1"
        events, first, log, record = map(int, header.groups()[2:])
        rest = done.stdout[header.end() :]
        assert len(rest) == events + log + record
        lines = rest[events + log :].splitlines()
        return Answer(
            done.returncode, error, state, begun, rest[:events], first,
            rest[events : events + log], [json.loads(line) for line in lines], record,
        )  # fmt: skip


def gone(pid):
    """Whether a process has ended, waiting for the kernel to be done with it."""
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(5)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.fixture
def lab(supervisor, tmp_path):
    lab = Lab(supervisor, tmp_path)
    yield lab
    names = [path.parent for path in tmp_path.glob("*/alive")]
    lab.call("stop", *names)


@pytest.fixture(name="gone")
def _gone():
    return gone
