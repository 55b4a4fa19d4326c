"""Baselines: a run that later ones are compared with, as a file of its own.

``baselines/NAME.json`` can be committed, or kept as an artifact of a CI job. What is needed to
launch its cases again is beside it, in ``baselines/files``, each file under its SHA-256.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from harness.campaign.kept import cached, keep
from harness.core.contract import fault_of
from harness.core.errors import ResultsError, SpecificationError
from harness.core.records import SCHEMA_VERSION, Record, Role, Run
from harness.core.yamlfile import nearest
from harness.models import artifacts
from harness.workspace import cache_dir, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.campaign.kept import KeptFiles
    from harness.core.records import CaseRecord, Launch
    from harness.workspace import Workspace

__all__ = [
    "Baseline",
    "kept_files",
    "load_baseline",
    "read_baseline",
    "save_baseline",
    "stored_baselines",
]

FORMAT: Final = 1
SIZE_LIMIT: Final = 64 << 20
LONGEST_NS: Final = 86_400 * 10**9
"""A day: no inference and no first load takes longer."""


class Baseline(Record):
    """A baseline's file.

    Attributes
    ----------
    format
        Of the file.
    schema_version
        Of the records in it.
    run
        With the launches that measured, without their single samples.
    unkept
        Cases, in words, of which not everything was at hand to be kept, with the reason.
    """

    format: Literal[1] = FORMAT
    schema_version: int = SCHEMA_VERSION
    name: str
    created: datetime
    run: Run
    unkept: dict[str, str] = Field(default_factory=dict)


def save_baseline(
    workspace: Workspace, name: str, run: Run, created: datetime, *, files: bool = True
) -> Baseline:
    """Make a run a baseline, and keep what is needed to launch its cases again.

    Parameters
    ----------
    files
        Whether artifacts and runners are kept beside it; without, a suspicion can only be decided
        where they are in the user's cache.

    Raises
    ------
    SpecificationError
        The name is not safe as a file name.
    ResultsError
        The run has no launch that went well.
    """
    check_name(name, "baseline")
    launches = [_thinned(launch) for launch in run.launches if launch.role is Role.MEASURE]
    if not any(launch.figure_ns for launch in launches):
        raise ResultsError(f"run {run.id} has no latency to compare with")
    workspace.baselines.mkdir(exist_ok=True)
    unkept = {}
    if files:
        source, target = cached(), workspace.baselines / "files"
        for record in run.cases:
            if record.refused is None and (missing := _keep(record, source, target)):
                unkept[record.case.label] = missing
    baseline = Baseline(
        name=name, created=created, run=run.model_copy(update={"launches": launches}), unkept=unkept
    )
    path = workspace.baselines / f"{name}.json"
    part = path.with_name(f".{name}.{os.getpid()}")
    part.write_text(baseline.model_dump_json(indent=1), encoding="utf-8")
    part.replace(path)
    return baseline


def load_baseline(workspace: Workspace, name: str) -> Baseline:
    """Return a baseline.

    Raises
    ------
    SpecificationError
        No such name.
    ResultsError
        Its file is not whole, no baseline, or of another version.
    """
    path = workspace.baselines / f"{name}.json"
    known = stored_baselines(workspace)
    if name not in known:
        raise SpecificationError(
            f"no baseline '{name}' in {workspace.baselines}",
            hint=nearest(name, known) or f"make one of a run: harness baseline set {name}",
        )
    return read_baseline(path)


def read_baseline(path: Path) -> Baseline:
    """Return the baseline in a file; the errors are those of :func:`load_baseline`."""
    hint = "set it again: harness baseline set NAME RUN"
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ResultsError(f"{path}: exceeds the {SIZE_LIMIT >> 20} MiB limit for a baseline")
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}", hint=hint) from error
    try:
        version = _Version.model_validate_json(content)
    except ValidationError as error:
        raise ResultsError(
            f"{path}: not a valid baseline file: {fault_of(error)}", hint=hint
        ) from None
    if version.format != FORMAT or version.schema_version > SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: has format {version.format} and schema version "
            f"{version.schema_version}; this "
            f"harness knows {FORMAT} and {SCHEMA_VERSION}",
            hint="use the edge-harness version that wrote it, or a newer one",
        )
    try:
        found = Baseline.model_validate_json(content)
    except ValidationError as error:
        raise ResultsError(
            f"{path}: not a valid baseline file: {fault_of(error)}", hint=hint
        ) from None
    seen = set()
    for launch in found.run.launches:
        loaded = launch.first_load.total_ms * 1e6 if launch.first_load else None
        for time in (launch.figure_ns, loaded):
            if time is not None and not 0 < time <= LONGEST_NS:
                raise ResultsError(f"{path}: launch {launch.id} has an invalid time", hint=hint)
        place = (launch.case_id, launch.role, launch.slot, launch.attempt)
        if place in seen:  # counted twice, a launch would make intervals too narrow
            raise ResultsError(f"{path}: launch {launch.id} appears twice", hint=hint)
        seen.add(place)
    # The file's name is what it is called by: a copy is a baseline of its own.
    return found.model_copy(update={"name": path.stem})


def stored_baselines(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's baselines, in order."""
    return sorted(path.stem for path in workspace.baselines.glob("*.json"))


def kept_files(workspace: Workspace) -> KeptFiles:
    """Return where files of baselines and runs are kept."""
    return cached(workspace.baselines / "files")


class _Version(Record):
    """What is read of a file first, whatever else is in it."""

    model_config = ConfigDict(extra="ignore")

    format: int
    schema_version: int


def _thinned(launch: Launch) -> Launch:
    """Return a launch without what no comparison needs: its samples are most of a run's bytes."""
    return launch.model_copy(
        update={
            "samples_ns": [], "warmup_ns": [], "environment": [], "profile": None,
            "pss_series": [], "log": "",
        }
    )  # fmt: skip


def _keep(record: CaseRecord, source: KeptFiles, target: Path) -> str:
    """Keep a case's artifact and runner; return what could not be kept, or nothing."""
    missing = []
    for name, path in _files(record, source):
        if path is None:
            missing.append(name)
        else:
            keep(path, target)
    if not record.runner_files:
        missing.append("its runner (measured before runners were kept)")
    return ", ".join(missing)


def _files(record: CaseRecord, source: KeptFiles) -> Iterator[tuple[str, Path | None]]:
    if record.artifact:
        built = artifacts.read(cache_dir() / "artifacts" / record.artifact.id)
        whole = built and built.record.files == record.artifact.files and artifacts.unchanged(built)
        for name in record.artifact.files:
            yield name, built.folder / name if built and whole else None
    for name, digest in record.runner_files.items():
        yield name, source.get(digest)
