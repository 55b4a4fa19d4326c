"""``harness compare``: two runs, or two ways to run a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.app import workspace_of
from harness.cli.check import blocks_option
from harness.cli.options import (
    Duration,
    as_json,
    changes_option,
    complete_compared,
    complete_run,
    strict_option,
)
from harness.core.errors import ExitCode, ResultsError, SpecificationError, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.analysis.comparisons import Comparison
    from harness.core.records import Run
    from harness.results.store import Store
    from harness.workspace import Workspace

__all__ = ["compare"]

AXES = ("backend", "device", "engine", "precision")
MIN_COMMIT = 6  # characters that a commit is known by


@click.command(
    epilog="""\b
Examples:
  harness compare good demo             a baseline, and the newest run of campaign 'demo'
  harness compare RUN1 RUN2 --confirm   decide suspicions on fresh launches
  harness compare 1f62bb4 70a1890       the newest runs of two commits
  harness compare cpu npu:rk3588        CPU against NPU in the newest run: speed-up, with interval
  harness compare onnxruntime paddle-lite --in RUN
  harness compare device:board-1 device:board-2

\b
Of two runs, the first is the baseline. A name may stand for several things;
then say which: run: baseline: campaign: commit: backend: device: engine: precision:
"""
)
@click.argument("baseline", metavar="A", shell_complete=complete_compared)
@click.argument("candidate", metavar="B", shell_complete=complete_compared)
@click.option(
    "--in", "run_id", metavar="RUN", shell_complete=complete_run,
    help="The run in which two ways are compared; by default the newest.",
)  # fmt: skip
@click.option("--confirm", is_flag=True, help="Decide suspicions on fresh launches of both.")
@blocks_option
@changes_option
@click.option(
    "--wait", "wait_s", type=Duration(), default="0", metavar="DURATION",
    help="With --confirm, wait so long for devices that others have; by default not at all.",
)  # fmt: skip
@strict_option
@as_json
@click.pass_context
def compare(
    ctx: click.Context,
    baseline: str,
    candidate: str,
    run_id: str | None,
    *,
    confirm: bool,
    blocks: int,
    changes: Sequence[str],
    wait_s: float,
    strict: bool,
    as_json: bool,
) -> None:
    """Compare runs, baselines, devices, engines, backends or commits.

    Cases that must not be compared are refused, with the reason. Of two runs, a suspicion is
    inconclusive until fresh launches of both sides decide it: --confirm, or harness check.
    """
    workspace = workspace_of(ctx)
    with workspace.store() as store:
        sides = [_find(workspace, store, name, run_id) for name in (baseline, candidate)]
        kinds = {side.axis for side in sides}
        if len(kinds) > 1:
            words = " and ".join(side.words for side in sides)
            raise SpecificationError(
                f"{words} cannot be compared with each other",
                hint="name two runs, baselines or commits; or two devices, engines or backends",
            )
        if sides[0].axis:
            codes = list(_contrasts(sides[0], sides[1], as_json=as_json))
        else:
            from harness.analysis.gate import gate
            from harness.cli.check import decide
            from harness.cli.verdict_tables import print_gate
            from harness.report.verdicts import gate_as_json

            found = gate(sides[1].run, sides[0].run, baseline, changes, expectations=False)
            if not found.comparisons:
                raise ResultsError(
                    f"{baseline} and {candidate} have no case in common",
                    hint="harness results show RUN lists a run's cases",
                )
            if confirm:
                found = decide(workspace, store, found, sides[0].run, blocks=blocks, wait_s=wait_s)
            if as_json:
                click.echo(json.dumps(gate_as_json(found), indent=2))
            else:
                print_gate(found)
            codes = list(found.exit_codes(strict=strict))
    ctx.exit(int(worst(codes)))


@dataclass(frozen=True)
class _Named:
    """What a name stands for: a run, or a value of one of the axes of a run."""

    name: str
    run: Run
    axis: Literal["backend", "device", "engine", "precision"] | None = None

    @property
    def words(self) -> str:
        return f"{self.axis or 'run'} '{self.name}'"


def _find(workspace: Workspace, store: Store, name: str, run_id: str | None) -> _Named:
    """Return what a name stands for.

    Raises
    ------
    SpecificationError
        Nothing, or several things.
    """
    kind, colon, rest = name.partition(":")
    wanted = kind if colon and kind in (*AXES, *_RUNS) else None
    plain = rest if wanted else name
    found: dict[str, _Named] = {}
    for run_kind in _RUNS:
        if wanted in (None, run_kind) and (run := _run(workspace, store, run_kind, plain)):
            found[run_kind] = _Named(plain, run)
    newest = run_id or store.latest()
    if newest is not None and wanted not in _RUNS:
        run = store.load(newest)
        for axis in AXES:
            values = {getattr(record.case, axis) for record in run.cases}
            if wanted in (None, axis) and plain in values:
                found[axis] = _Named(plain, run, axis)  # type: ignore[arg-type]
    if not found:
        raise SpecificationError(
            f"nothing is called '{name}': no run, baseline, campaign with a run or commit, and no "
            "device, engine, backend or precision of the run",
            hint="harness results list; harness baseline list; --in RUN names another run",
        )
    runs = {each.run.id for each in found.values()}
    if len(found) > 1 and not (len(runs) == 1 and all(not each.axis for each in found.values())):
        offers = " or ".join(f"{each}:{plain}" for each in found)
        raise SpecificationError(f"'{name}' stands for several things", hint=f"say {offers}")
    return next(iter(found.values()))


_RUNS = ("run", "baseline", "campaign", "commit")


def _run(workspace: Workspace, store: Store, kind: str, name: str) -> Run | None:
    from harness.campaign.baselines import load_baseline, stored_baselines

    if kind == "baseline":
        return load_baseline(workspace, name).run if name in stored_baselines(workspace) else None
    if kind == "campaign":
        found = store.latest(campaign=name)
    elif kind == "run":
        found = store.find(name)
    else:
        found = store.latest(revision=name) if len(name) >= MIN_COMMIT else None
    return store.load(found) if found else None


def _contrasts(baseline: _Named, candidate: _Named, *, as_json: bool) -> Iterator[ExitCode]:
    from harness.analysis.comparisons import compare as compare_cases
    from harness.analysis.comparisons import contrasts
    from harness.cli.verdict_tables import print_comparisons
    from harness.report.verdicts import as_json as in_json

    axis = baseline.axis or ""
    pairs = contrasts(baseline.run, axis, candidate.name, baseline.name)
    if not pairs:
        raise ResultsError(
            f"no case of {candidate.words} has one of {baseline.words} to be set against",
            hint="they have to be of one model, device (but for devices) and input",
        )
    found: list[Comparison] = [compare_cases(*pair, contrast=True) for pair in pairs]
    if as_json:
        click.echo(json.dumps({"comparisons": list(map(in_json, found))}, indent=2))
    else:
        print_comparisons(found)
    if all(comparison.refusals for comparison in found):
        yield ExitCode.INVALID
