"""Launches of foreign runners: what is pushed for one, and what its output says."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines import benchmark_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.campaign.launch import Ended
    from harness.campaign.prepare import Prepared
    from harness.devices.runners import Runner
    from harness.results.contract import Job

__all__ = ["command", "files_of", "translate"]


@contextmanager
def files_of(runner: Runner, job: Job) -> Iterator[dict[str, Path]]:
    """Give the files of a launch by their name in its folder, the artifact's aside."""
    script = files("harness.runner").joinpath(benchmark_bin.SCRIPT)
    with tempfile.TemporaryDirectory(prefix="edge-harness-") as scratch, as_file(script) as path:
        found = {
            benchmark_bin.SCRIPT: path,
            benchmark_bin.PROGRAM: runner.program,
            **runner.libraries,
        }
        for name, text in benchmark_bin.inputs(job).items():
            found[name] = Path(scratch, name)
            found[name].write_text(text, encoding="ascii")
        yield found


def command(runner: Runner, prepared: Prepared, job: Job) -> list[str]:
    """Return the command of a launch."""
    outputs = next(iter(prepared.reference.values()))
    return benchmark_bin.command(job, runner.spec.abi, len(outputs))


def translate(runner: Runner, prepared: Prepared, job: Job, ended: Ended) -> Ended:
    """Return what a launch left, with the events that its output stands for."""
    if ended.status != 0 and ended.seconds >= job.time_limit:
        return replace(ended, events=b"")  # it was ended from outside: that is all there is to say
    outputs = next(iter(prepared.reference.values()))
    events = benchmark_bin.translate(ended.log, ended.status, job, runner.spec.abi, outputs)
    lines = [event.model_dump_json(exclude_none=True) + "\n" for event in events]
    return replace(ended, events="".join(lines).encode())
