"""What a name stands for in a comparison: a run, a baseline, a commit, or a way to run models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.campaign.baselines import load_baseline, stored_baselines
from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from harness.core.records import Run
    from harness.results.store import Store
    from harness.workspace import Workspace

__all__ = ["Named", "named"]

AXES: Final = ("backend", "device", "engine", "precision")
_RUNS: Final = ("run", "baseline", "campaign", "commit")
MIN_COMMIT: Final = 6  # characters that a commit is known by


@dataclass(frozen=True)
class Named:
    """What a name stands for: a run, or a value of one of the axes of a run."""

    name: str
    run: Run
    axis: str | None = None

    @property
    def words(self) -> str:
        """It, as a message calls it."""
        return f"{self.axis or 'run'} '{self.name}'"


def named(workspace: Workspace, store: Store, name: str, run_id: str | None) -> Named:
    """Return what a name stands for.

    Parameters
    ----------
    name
        As it is, or with the kind before it: ``device:board``.
    run_id
        The run that axes' values are looked for in; by default the newest.

    Raises
    ------
    SpecificationError
        Nothing, or several things.
    """
    kind, colon, rest = name.partition(":")
    wanted = kind if colon and kind in (*AXES, *_RUNS) else None
    plain = rest if wanted else name
    found: dict[str, Named] = {}
    for run_kind in _RUNS:
        if wanted in (None, run_kind) and (run := _run(workspace, store, run_kind, plain)):
            found[run_kind] = Named(plain, run)
    newest = run_id or store.latest()
    if newest is not None and wanted not in _RUNS:
        run = store.load(newest)
        for axis in AXES:
            values = {getattr(record.case, axis) for record in run.cases}
            if wanted in (None, axis) and plain in values:
                found[axis] = Named(plain, run, axis)
    if not found:
        raise SpecificationError(
            f"nothing is called '{name}': not a run, baseline, commit or campaign with a run,"
            f" nor a device, engine, backend or precision of the run",
            hint="harness results list; harness baseline list; --in RUN names another run",
        )
    runs = {each.run.id for each in found.values()}
    if len(found) > 1 and not (len(runs) == 1 and all(not each.axis for each in found.values())):
        offers = " or ".join(f"{each}:{plain}" for each in found)
        raise SpecificationError(f"'{name}' is ambiguous", hint=f"say {offers}")
    return next(iter(found.values()))


def _run(workspace: Workspace, store: Store, kind: str, name: str) -> Run | None:
    if kind == "baseline":
        return load_baseline(workspace, name).run if name in stored_baselines(workspace) else None
    if kind == "campaign":
        found = store.latest(campaign=name)
    elif kind == "run":
        found = store.find(name)
    else:
        found = store.latest(revision=name) if len(name) >= MIN_COMMIT else None
    return store.load(found) if found else None
