"""The conformance kit for engines: whether a plugin does what the harness expects of it.

It builds an artifact of a model, starts the engine's part of the Python runner on this machine as a
campaign would, and holds what comes back against the runner contract and the model's reference
outputs. It also starts it with malformed jobs, and ends it in the middle.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import psutil

from harness.analysis.outputs import check as check_outputs
from harness.conformance import Check
from harness.core.contract import (
    MAX_SAMPLES,
    Done,
    EventsError,
    Failure,
    Hello,
    Job,
    Outputs,
    Samples,
    Sampling,
    WarmupPolicy,
    parse_events,
)
from harness.core.errors import SpecificationError
from harness.core.reason import Reason
from harness.models import build, environments, recipes
from harness.models.npm import SCRIPT, device_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from harness.core.contract import Event
    from harness.engines.base import Engine
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model

__all__ = ["check_engine", "fitting", "more_threads"]

_MARK = "EDGE_HARNESS_KIT"
_TIME_LIMIT_S = 300.0
_POLL_S = 0.01
_SHOWN = 300
# Of one thread's time: what a runtime's own threads take beside it.
_MOST_CPU = 1.5
_CLOCK_TICK_MS = 10.0
# New inputs are not in the processor's caches yet.
_MOST_SLOWER = 5.0


@dataclass(frozen=True)
class _Ended:
    """What a runner left."""

    status: int
    content: bytes
    stderr: str
    folder: Path

    @property
    def events(self) -> list[Event]:
        return parse_events(self.content)


@dataclass(frozen=True)
class _Kit:
    """What a launch of the engine takes."""

    engine: Engine
    model: Model
    artifact: Artifact
    python: str
    check_file: Path | None
    files: Mapping[str, Path]

    @property
    def job(self) -> Job:
        """A short job that is right."""
        manifest = self.model.manifest
        return Job(
            launch="conformance",
            engine=self.engine.name,
            backend=self.engine.in_python[0],
            precision=self.artifact.record.precision or "fp32",
            files=dict(self.artifact.roles),
            inputs=manifest.fed(),
            check_seeds=manifest.check_seeds,
            check_files=["check.bin"] if self.check_file else [],
            warmup=WarmupPolicy(min_samples=2, min_seconds=0, max_samples=5),
            sampling=Sampling(min_samples=5, min_seconds=0.1, max_samples=100_000),
        )

    @contextmanager
    def started(
        self,
        job: Mapping[str, Any],
        spoil: Callable[[Path], None] = lambda _: None,
        command: Sequence[str] = (SCRIPT, "job.json"),
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """Start the runner, or another script, in a folder of its own, which goes with it."""
        with tempfile.TemporaryDirectory(prefix="edge-harness-") as place:
            folder = Path(place)
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            for name, path in self.files.items():
                (folder / name).symlink_to(path)
            if self.check_file:
                (folder / "check.bin").symlink_to(self.check_file)
            for name in self.artifact.roles.values():
                shutil.copyfile(self.artifact.folder / name, folder / name)
            spoil(folder)
            with (
                (folder / "stderr").open("wb") as stderr,
                subprocess.Popen(
                    [self.python, "-B", *command],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    env={**os.environ, _MARK: place},
                ) as process,
            ):
                try:
                    yield process, folder
                finally:
                    process.kill()
                    _end_marked(place)

    @contextmanager
    def ended(
        self, job: Mapping[str, Any], spoil: Callable[[Path], None] = lambda _: None
    ) -> Iterator[_Ended]:
        """Run a job to its end, in a folder that something is done to before."""
        with self.started(job, spoil) as (process, folder):
            try:
                status = process.wait(_TIME_LIMIT_S)
            except subprocess.TimeoutExpired:
                status = -signal.SIGKILL
            yield _left(status, folder)


def _end_marked(place: str) -> None:
    """End what a runner started and left, as the supervisor does on a device."""
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.environ().get(_MARK) == place:
                process.kill()
                marked.append(process)
    psutil.wait_procs(marked, timeout=_TIME_LIMIT_S)


def _left(status: int, folder: Path) -> _Ended:
    events = folder / "events.jsonl"
    said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    return _Ended(status, events.read_bytes() if events.exists() else b"", said, folder)


def fitting(engine: Engine, models: Mapping[str, Model]) -> Model:
    """Return the first model that an engine can be checked with.

    Raises
    ------
    SpecificationError
        There is none.
    """
    for model in models.values():
        if engine.in_python and engine.format_on(engine.in_python[0]) in recipes.targets(model):
            return model
    raise SpecificationError(
        f"no model in this workspace can be built for {engine.name}",
        hint="harness models add FILE, then name it with --model",
    )


def check_engine(
    engine: Engine, model: Model, *, python: str | None, progress: Callable[[str], None]
) -> Iterator[Check]:
    """Try an engine's plugin, and yield what was tried.

    Parameters
    ----------
    python
        An interpreter that has the engine; by default that of its environment.

    Raises
    ------
    SpecificationError
        There is no interpreter for it, or the model cannot be built for it.
    ToolchainError
        An environment could not be made.
    """
    yield from _declaration(engine)
    if not engine.in_python:
        return
    if python is None:
        if engine.environment is None:
            raise SpecificationError(
                f"{engine.name} has no environment on this machine",
                hint="name an interpreter that has it: --python PATH",
            )
        python = str(environments.python(engine.environment, progress))
    abi = {"aarch64": "arm64-linux"}.get(platform.machine(), f"{platform.machine()}-linux")
    here, backend = SimpleNamespace(abi=abi, soc=None), engine.in_python[0]
    target = engine.target(here, backend)
    artifact = build.build(model, engine.format_on(backend), target, progress=progress)
    if refused := engine.refuse(here, artifact.paths, backend):
        yield Check("an artifact for this machine is not refused here", str(refused))
        return
    reference = build.reference(model, progress=progress)
    check_file = build.check_inputs(model, progress=progress)
    files = device_files(engine, progress)
    kit = _Kit(engine, model, artifact, python, check_file, files)
    progress(f"launching {engine.name}")
    tried = list(_right_job(kit, reference))
    yield from tried
    if tried[0].fault:
        return  # all that follows would fail for the same reason
    yield from _computes(kit)
    progress(f"launching {engine.name} with malformed jobs")
    yield from _wrong_jobs(kit)
    progress(f"interrupting {engine.name}")
    yield from _interrupted(kit)


def _declaration(engine: Engine) -> Iterator[Check]:
    """Ask the host side what a campaign asks it."""
    yield Check("its declaration is complete")  # or the registry had left it out
    device = SimpleNamespace(abi="arm64-linux", soc=None)
    for backend in ("cpu", "gpu", "npu:unheard_of"):
        answers = {
            "lacks": (engine.lacks(device, backend), (Reason, type(None))),
            "precisions_on": (engine.precisions_on(device, backend), (tuple,)),
            "keeps_models": (engine.keeps_models(backend), (bool,)),
            "changes_shapes": (engine.changes_shapes(device, backend), (bool,)),
            "target": (engine.target(device, backend), (str,)),
        }
        for method, (answer, kinds) in answers.items():
            if not isinstance(answer, kinds):
                fault = f"{method}() answers {answer!r} for the backend {backend}"
                yield Check("its methods answer as they are declared", fault)
                return
    yield Check("its methods answer as they are declared")
    unheard_of = engine.lacks(device, "npu:unheard_of")
    yield Check(
        "a backend that it does not have is refused",
        "" if unheard_of else "lacks() refuses no backend 'npu:unheard_of'",
    )


def _right_job(kit: _Kit, reference: Mapping[int, list[NDArray[Any]]]) -> Iterator[Check]:
    job = kit.job
    with kit.ended(job.model_dump(mode="json")) as ended:
        what = "a launch keeps the runner contract"
        try:
            events = ended.events
        except EventsError as error:
            yield Check(what, str(error))
            return
        if ended.status or not events or not isinstance(events[-1], Done):
            yield Check(what, _how(ended))
            return
        hello = next(event for event in events if isinstance(event, Hello))
        named = hello.engine == kit.engine.name
        yield Check(what, "" if named else f"it says that it is {hello.engine!r}")
        samples = [n for event in events if isinstance(event, Samples) for n in event.ns]
        least = job.sampling.min_samples
        enough = len(samples) >= least and min(samples, default=0) > 0
        yield Check(
            "it times each inference",
            "" if enough else f"{len(samples)} samples of {least}, or some that took no time",
        )
        yield Check("it keeps to the thread that it is given", more_threads(events))
        given = _outputs(events, ended.folder)
        tolerance = kit.model.manifest.tolerance[job.precision]
        yield Check("outputs are those of the reference", _wrong(given, reference, tolerance))


def more_threads(events: Sequence[Event]) -> str:
    """Say how much more than one thread was computing, if so."""
    sampled = [event for event in events if isinstance(event, Samples) and event.cpu_ms]
    wall_ms = sum(sum(event.ns) for event in sampled) / 1e6
    cpu_ms = sum(event.cpu_ms or 0.0 for event in sampled)
    if cpu_ms <= _MOST_CPU * wall_ms + _CLOCK_TICK_MS:
        return ""
    return f"the job has threads=1, and {cpu_ms / wall_ms:.1f} processors were busy"


def _computes(kit: _Kit) -> Iterator[Check]:
    """Hold the first inference of new inputs against the next, which has the same inputs."""
    what = "each inference is computed"
    job = kit.job.model_dump(mode="json")
    script = recipes.resource("conformance", "once.py")
    with kit.started(job, command=[str(script)]) as (process, folder):
        try:
            process.wait(_TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            yield Check(what, f"sixteen inferences took more than {_TIME_LIMIT_S:g} s")
            return
        ended = _left(process.returncode, folder)
    if ended.status != 0:
        yield Check(what, _how(ended))
        return
    pairs = json.loads(ended.stderr.strip().splitlines()[-1])
    first, second = np.median(pairs[1:], axis=0)
    yield Check(
        what,
        ""
        if first <= _MOST_SLOWER * second
        else f"the first of new inputs takes {first / second:.0f} times as long as the next: "
        "run() has to compute, not bind() or the first call",
    )


def _outputs(events: Sequence[Event], folder: Path) -> dict[int, list[NDArray[Any]]]:
    found: dict[int, list[NDArray[Any]]] = {}
    for event in events:
        if isinstance(event, Outputs):
            values = np.frombuffer((folder / event.file).read_bytes(), event.dtype)
            found.setdefault(event.seed, []).append(values.reshape(event.shape))
    return found


def _wrong(
    given: Mapping[int, list[NDArray[Any]]],
    reference: Mapping[int, list[NDArray[Any]]],
    tolerance: float,
) -> str:
    found = check_outputs(given, reference, tolerance)
    return "" if found.passed else str(found.reason or "they are not")


def _wrong_jobs(kit: _Kit) -> Iterator[Check]:
    """Give it jobs that no campaign would: each must end with ``error`` and the exit status 1."""
    job = kit.job.model_dump(mode="json")
    other = [{**spec, "name": f"no_{spec['name']}"} for spec in job["inputs"]]
    narrow = [{**spec, "shape": [*spec["shape"], 3]} for spec in job["inputs"]]
    name = kit.artifact.roles["model"]
    wrong: dict[str, tuple[dict[str, Any], Callable[[Path], None]]] = {
        "a job for another engine": ({"engine": "no-such-engine"}, _nothing),
        "a backend that it does not have": ({"backend": "npu:unheard_of"}, _nothing),
        "an option that it does not have": ({"options": {"no_such_option": "1"}}, _nothing),
        "an input that the model does not have": ({"inputs": other}, _nothing),
        "an input of one axis too many": ({"inputs": narrow}, _nothing),
        "a model's file that is not there": ({"files": {"model": "absent"}}, _nothing),
        "a model's file that is none": ({}, lambda place: _spoil(place / name)),
    }
    for what, (changes, spoil) in wrong.items():
        with kit.ended({**job, **changes}, spoil) as ended:
            yield Check(f"{what} is an error", _no_error(ended))


def _nothing(_: Path) -> None:
    """Leave a launch's folder as it is."""


def _spoil(path: Path) -> None:
    replaced = path.with_suffix(".spoilt")
    replaced.write_bytes(b"this is no model\n" * 1000)
    replaced.replace(path)


def _no_error(ended: _Ended) -> str:
    """Say what is wrong with the end of a launch that had to fail, or nothing."""
    try:
        events = ended.events
    except EventsError as error:
        return str(error)
    if not events or not isinstance(events[-1], Failure):
        return f"there is no event 'error': {_how(ended)}"
    return "" if ended.status == 1 else f"'error', and then {_how(ended)}"


def _interrupted(kit: _Kit) -> Iterator[Check]:
    """End it while it samples: what it wrote by then must be whole, and it must be gone."""
    endless = Sampling(
        min_samples=MAX_SAMPLES, min_seconds=0, max_samples=MAX_SAMPLES, max_seconds=600
    )
    job = kit.job.model_copy(update={"sampling": endless}).model_dump(mode="json")
    with kit.started(job) as (process, folder):
        events = folder / "events.jsonl"
        for _ in range(int(_TIME_LIMIT_S / _POLL_S)):
            sampling = events.exists() and b'"warmup"' in events.read_bytes()
            if process.poll() is not None or sampling:
                break
            with _patience(process):
                process.wait(_POLL_S)
        ended_early = process.poll() is not None
        process.terminate()
        with _patience(process):
            process.wait(10)
        gone = process.poll() is not None
        ended = _left(process.returncode if gone else 0, folder)
    what = "one that is ended in the middle leaves whole events, and no result"
    if ended_early or not gone:
        yield Check(what, _how(ended) if ended_early else "it goes on after SIGTERM")
        return
    try:
        done = any(isinstance(event, Done) for event in ended.events)
    except EventsError as error:
        yield Check(what, str(error))
        return
    yield Check(what, "it says that it is done" if done else "")


@contextmanager
def _patience(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Take it as an answer that a process goes on."""
    try:
        yield
    except subprocess.TimeoutExpired:
        assert process.returncode is None  # noqa: S101 - that is what the exception says


def _how(ended: _Ended) -> str:
    status = ended.status
    how = f"it ended by signal {-status}" if status < 0 else f"it ended with {status}"
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    return f"{how}: {lines[-1][:_SHOWN]}" if lines else how
