"""A stored case, ready to be launched again: its artifact, runner and engine, by hash."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.campaign import reasons
from harness.campaign.runners import PROGRAM, NativeRunner, PythonRunner
from harness.core.errors import HarnessError
from harness.lab.inventory import BackendSpec
from harness.models import artifacts
from harness.models.formats import roles
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.campaign.kept import KeptFiles
    from harness.campaign.prepare import Prepared
    from harness.campaign.runners import Runner
    from harness.core.records import CaseRecord, ModelRecord
    from harness.models.artifacts import Artifact

__all__ = ["DIGEST_SHOWN", "UnconfirmableError", "again", "artifact_of"]

_SCRIPT: Final = "edge_runner.py"
DIGEST_SHOWN: Final = 12


class UnconfirmableError(HarnessError):
    """A stored case cannot be launched again."""


def again(
    record: CaseRecord,
    today: CaseRecord,
    models: Sequence[ModelRecord | None],
    now: Prepared,
    kept: KeptFiles,
    folder: Path,
) -> Prepared:
    """Return what launches of a stored case need.

    Parameters
    ----------
    record, today
        The stored case, and the same case as it is today.
    models
        Its model as it was recorded, then and now. Where it was another, there is nothing to check
        outputs against: they were right when it was measured, of the same bytes.
    now
        What launches of today's case need: how its device is reached, and what it is like, is taken
        from there.
    kept
        Where its files may be.
    folder
        An empty one, for its artifact.

    Raises
    ------
    UnconfirmableError
        Something of it is not to be had.
    """
    case = record.case.model_copy(update={"side": "baseline"})
    runner = _runner(record, today, now, kept)
    # An earlier runner may not know of inputs that are given.
    unknown = models[0] != models[1] or bool(now.check_files and runner is not now.runner)
    return replace(
        now,
        case=case,
        is_checked=now.is_checked and not unknown,
        artifact=artifact_of(record, kept, folder),
        runner=runner,
        settings=BackendSpec(options=record.options, variables=record.variables),
    )


def artifact_of(record: CaseRecord, kept: KeptFiles, folder: Path) -> Artifact:
    """Return a stored case's artifact: from the user's cache, else put together in a folder.

    Raises
    ------
    UnconfirmableError
        It is in neither, as it was.
    """
    stored = record.artifact
    files = roles(stored.format) if stored else None
    if stored is None or files is None or not stored.id.isalnum():
        raise UnconfirmableError(reasons.NO_ARTIFACT())
    built = artifacts.read(cache_dir() / "artifacts" / stored.id)
    if built and built.record.files == stored.files and artifacts.unchanged(built):
        return built
    for name in files.values():
        path = kept.get(stored.files.get(name, ""))
        if path is None:
            artifact = stored.id[:DIGEST_SHOWN]
            raise UnconfirmableError(reasons.ARTIFACT_GONE(artifact=artifact, file=name))
        (folder / name).symlink_to(path.resolve())
    return artifacts.Artifact(stored, folder, files)


def _runner(record: CaseRecord, today: CaseRecord, now: Prepared, kept: KeptFiles) -> Runner:
    """Return the runner that a stored case was measured with."""
    same = (today.runner_files, today.engine_from)
    if record.runner_files and (record.runner_files, record.engine_from) == same:
        return now.runner
    found = {name: kept.get(digest) for name, digest in record.runner_files.items()}
    files = {name: path for name, path in found.items() if path}
    if not found or len(files) < len(found):
        missing = sorted(found.keys() - files.keys())
        raise UnconfirmableError(reasons.RUNNER_GONE(files=missing or None))
    if isinstance(now.runner, PythonRunner) and _SCRIPT in files:
        runner = _with_its_engine(now.runner, record.engine_from or "")
        return replace(runner, kept=files)
    if isinstance(now.runner, NativeRunner) and PROGRAM in files:
        return NativeRunner.of(files)
    raise UnconfirmableError(reasons.OTHER_RUNNER())


def _with_its_engine(runner: PythonRunner, engine_from: str) -> PythonRunner:
    """Return the runner with the environment of ours that a case was measured in.

    Where the engine is the device's own, the interpreter is that of the device's file, never what a
    baseline's file says; that its engine is the same shows when it has been launched.
    """
    if engine_from == runner.environment or not (runner.environment and "@" in engine_from):
        return runner
    name, _, digest = engine_from.partition("@")
    if name.isalnum() and digest.isalnum():
        for python in cache_dir().glob(f"environments/{name}-py*-{digest[:12]}/bin/python"):
            return replace(runner, interpreter=str(python), environment=engine_from)
    raise UnconfirmableError(reasons.ENVIRONMENT_GONE(environment=name, lock=digest[:DIGEST_SHOWN]))
