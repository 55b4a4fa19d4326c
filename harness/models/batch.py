"""Many artifacts at once: which are wanted, and building them side by side."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING

import psutil

from harness.core.errors import HarnessError, SpecificationError, unexpected
from harness.core.futures import finish
from harness.core.yamlfile import nearest
from harness.models import failures, toolchain
from harness.models.build import build, find
from harness.models.formats import formats, target_names
from harness.models.recipes import targets
from harness.models.toolchain import UnusableArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.core.records import OutputCheck, Precision
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model

__all__ = [
    "Built",
    "Wanted",
    "build_many",
    "parse_targets",
    "usual_targets",
    "wanted_of",
    "workers",
]

# ResNet50 takes at most 0.9 GB in any stage: room for what is larger.
MEMORY_PER_WORKER = 2 << 30


@dataclass(frozen=True)
class Wanted:
    """One artifact that somebody asks for; the parameters are those of ``build``."""

    model: Model
    format: str
    target: str
    precision: Precision | None = None

    @property
    def label(self) -> str:
        """The format, its target and its precision in words."""
        words = [self.format, *([self.target] if self.target != "any" else [])]
        return " ".join([*words, *([self.precision] if self.precision else [])])


@dataclass(frozen=True)
class Built:
    """What came of one.

    Attributes
    ----------
    artifact
        None where it was refused.
    cached
        Whether it was there already.
    check
        Of its outputs; none where it cannot be run here.
    reason, hint
        Why it was refused, why building it failed, or why what can be run here could not be
        checked.
    failed
        Whether a tool failed at building it, or its engine cannot run it; what is refused was
        not tried.
    """

    wanted: Wanted
    artifact: Artifact | None
    cached: bool
    seconds: float
    check: OutputCheck | None = None
    reason: str = ""
    hint: str | None = None
    failed: bool = False


def parse_targets(text: str) -> list[tuple[str, str]]:
    """Return formats and what they are built for from their names, with commas between them.

    Raises
    ------
    SpecificationError
        A name is unknown.
    """
    known = target_names()
    found = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in known:
            raise SpecificationError(f"unknown target '{name}'", hint=nearest(name, known))
        found.append(known[name])
    if not found:
        raise SpecificationError("no target given", hint=nearest("", known))
    return list(dict.fromkeys(found))


def usual_targets() -> list[tuple[str, str]]:
    """Return what is built where nothing is asked for: all that needs no toolkit of its own."""
    usual = (each for each in formats().values() if each.usual)
    return [(each.name, place) for each in usual for place in each.by_name.values()]


def wanted_of(
    models: Iterable[Model],
    kinds: Sequence[tuple[str, str]],
    precision: Precision | None = None,
) -> list[Wanted]:
    """Return the artifacts of models; what a model or format is not built in is left out."""
    return [
        Wanted(model, kind, place, precision)
        for model in models
        for kind, place in kinds
        if kind in targets(model) and precision in (None, *formats()[kind].precisions)
    ]


def workers() -> int:
    """Return how many stages this machine runs side by side, by its processors and memory."""
    by_memory = psutil.virtual_memory().available // MEMORY_PER_WORKER
    return max(1, min(len(os.sched_getaffinity(0)), int(by_memory)))


def build_many(
    wanted: Sequence[Wanted],
    *,
    check: Callable[[Model, Artifact, Callable[[str], None]], OutputCheck | None],
    jobs: int,
    progress: Callable[[str], None],
    retry_failed: bool = False,
) -> list[Built]:
    """Build artifacts, models side by side, and check what can be; none stops the others.

    An interruption ends the tools that run, which leaves nothing half-made.

    Parameters
    ----------
    check
        Compares an artifact's outputs with the reference; none where it cannot be run here.
    retry_failed
        Whether to run stages again that failed before.
    jobs
        How many stages run at once.

    Returns
    -------
    list of Outcome
        In the order of ``wanted``.
    """
    if retry_failed:
        failures.forget()
    there = [_is_there(each) for each in wanted]
    stopped = Event()
    done: dict[int, Built] = {}
    building: set[int] = set()
    counting = Lock()

    def told(step: str) -> None:
        progress(f"[{len(done)}/{len(wanted)}] {step}")

    def one_model(indices: list[int]) -> None:
        for index in indices:
            with counting:
                if stopped.is_set():
                    return
                building.add(index)
            try:
                outcome = _build_one(wanted[index], check, told, cached=there[index])
                with counting:
                    done[index] = outcome
            finally:
                with counting:
                    building.discard(index)

    by_model: dict[str, list[int]] = {}
    for index, each in enumerate(wanted):
        by_model.setdefault(each.model.name, []).append(index)
    with ThreadPoolExecutor(jobs) as executor:
        # An interruption may come at any of these lines, with tools running from the first on.
        try:
            finish([executor.submit(one_model, indices) for indices in by_model.values()])
        except BaseException:
            with counting:
                stopped.set()
            executor.shutdown(wait=False, cancel_futures=True)
            while building:
                toolchain.end_running()
                time.sleep(0.05)
            raise
    return [done[index] for index in range(len(wanted))]


def _is_there(wanted: Wanted) -> bool:
    try:
        found = find(wanted.model, wanted.format, wanted.target, precision=wanted.precision)
    except HarnessError:
        return False  # building it says why
    return found is not None


def _build_one(
    wanted: Wanted,
    check: Callable[[Model, Artifact, Callable[[str], None]], OutputCheck | None],
    progress: Callable[[str], None],
    *,
    cached: bool,
) -> Built:
    began = time.monotonic()
    artifact = None
    seconds = None
    try:
        artifact = build(
            wanted.model,
            wanted.format,
            wanted.target,
            precision=wanted.precision,
            progress=progress,
        )
        seconds = time.monotonic() - began
        checked = check(wanted.model, artifact, progress)
    except Exception as error:  # noqa: BLE001 - one artifact never stops the others
        known = error if isinstance(error, HarnessError) else None
        return Built(
            wanted,
            artifact,
            cached and artifact is not None,
            seconds or time.monotonic() - began,
            reason=known.message if known else unexpected(error),
            hint=known.hint if known else None,
            failed=not isinstance(error, SpecificationError)
            and (artifact is None or isinstance(error, UnusableArtifactError)),
        )
    return Built(wanted, artifact, cached, seconds, checked)
