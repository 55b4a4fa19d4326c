"""``harness results``: what is stored."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.api import stored
from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import Duration, as_json, complete_imported, complete_run
from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.analysis.expectations import Outcome
    from harness.analysis.failures import FailureGroup
    from harness.analysis.summary import Range
    from harness.core.records import Launch, Run

__all__ = ["results", "run_as_json"]


_run = click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_run)


@click.group(
    epilog="""\b
Examples:
  harness results list
  harness results show                      the newest run
  harness results show RUN --json > run.json
  harness results logs RUN --failed         logs of failed launches
"""
)
def results() -> None:
    """List and show stored runs, launches and logs."""


@results.command(name="list", epilog="\b\nExample:\n  harness results list --json")
@wide_option
@as_json
@click.pass_context
def list_runs(ctx: click.Context, *, as_json: bool) -> None:
    """List stored runs, newest first."""
    from harness.campaign.locks import is_running
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console

    workspace = workspace_of(ctx)
    with workspace_of(ctx).store() as store:
        summaries = list(store.summaries())
    states = {
        each.id: "finished"
        if each.finished
        else "running"
        if is_running(workspace, each.id)
        else "interrupted"
        for each in summaries
    }
    if as_json:
        rows = [
            {
                "id": summary.id,
                "campaign": summary.campaign,
                "state": states[summary.id],
                "started": summary.started.isoformat(),
                "finished": summary.finished.isoformat() if summary.finished else None,
                "planned": summary.planned,
                "launches": {status.value: n for status, n in summary.launches.items()},
            }
            for summary in summaries
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Grid(
        Column("Run"), Column("Started", 2), Column("State", 1), Column("Launches", wrap=12)
    )
    for summary in summaries:
        made = ", ".join(f"{n} {status}" for status, n in sorted(summary.launches.items()))
        planned = "unknown" if summary.planned is None else str(summary.planned)
        table.add(
            summary.id,
            f"{summary.started.astimezone():%Y-%m-%d %H:%M}",
            states[summary.id] if summary.finished else f"[yellow]{states[summary.id]}[/]",
            f"{made or 'none'} of {planned} planned",
        )
    table.print(console())


@results.command(
    epilog="""\b
Examples:
  harness results show demo-20260102-030405
  harness results show demo                  the newest run of a campaign
"""
)
@_run
@wide_option
@as_json
@click.pass_context
def show(ctx: click.Context, run_id: str | None, *, as_json: bool) -> None:
    """Show a run's results (--json: with every sample).

    RUN is a run's id, or a campaign's name for its newest run.
    """
    with workspace_of(ctx).store() as store:
        run = stored(store, run_id)
    if as_json:
        click.echo(json.dumps(run_as_json(run), indent=2))
        return
    from harness.cli.tables import print_cases

    print_cases(run)


@results.command(
    epilog="""\b
Examples:
  harness results layers                      the newest run
  harness results layers RUN --top 5
  harness results layers RUN --against OTHER  what became slower, what left the NPU
  harness results layers RUN --json
"""
)
@_run
@click.option(
    "--top",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Layers per case, slowest first.",
)
@click.option(
    "--against",
    metavar="RUN",
    shell_complete=complete_run,
    help="Earlier run to compare the layers of the same cases with.",
)
@as_json
@click.pass_context
def layers(
    ctx: click.Context, run_id: str | None, *, top: int, against: str | None, as_json: bool
) -> None:
    """Show which layers take the time, and where they ran.

    Needs launches of role profile: protocol: {profile_launches: 1} in the campaign.
    """
    from harness.analysis.cases import case_results
    from harness.analysis.layers import profile_of
    from harness.cli.tables import print_layers

    with workspace_of(ctx).store() as store:
        run = stored(store, run_id)
        earlier = stored(store, against) if against else None
    if earlier is not None:
        _compare_layers(run, earlier, top=top, as_json=as_json)
        return
    found = [(each, profile) for each in case_results(run) if (profile := profile_of(each))]
    if as_json:
        rows = [
            {"case": each.record.case.id, "label": each.record.case.label, **asdict(profile)}
            | {"on_processor": sorted(profile.on_processor)}
            for each, profile in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        raise SpecificationError(
            f"run {run.id} has no profile",
            hint="measure it with protocol: {profile_launches: 1} in the campaign",
        )
    print_layers(found, top)


def _compare_layers(run: Run, earlier: Run, *, top: int, as_json: bool) -> None:
    """Print what changed in the layers of the cases that both runs profiled."""
    from harness.analysis.cases import case_results
    from harness.analysis.comparable import Side, differences
    from harness.analysis.layers import layer_changes, profile_of
    from harness.cli.tables import print_layer_changes

    before = {each.record.case.id: each for each in case_results(earlier)}
    found = []
    for result in case_results(run):
        other = before.get(result.record.case.id)
        now, then = profile_of(result), profile_of(other) if other else None
        if other is None or now is None or then is None:
            continue
        # A simulator's times, or an emulator's, are compared with their like only.
        if bool(result.simulated) == bool(other.simulated):
            differs = differences(Side(run, result), Side(earlier, other))
            found.append((result, layer_changes(now, then), (now, then), differs))
    if not found:
        raise SpecificationError(
            f"runs {run.id} and {earlier.id} have no case in common that both profiled",
            hint="measure both with protocol: {profile_launches: 1} in the campaign",
        )
    if not as_json:
        print_layer_changes(found, top)
        return
    rows = [
        {
            "case": result.record.case.id,
            "label": result.record.case.label,
            "differences": differs,
            "accelerated": now.accelerated,
            "accelerated_then": then.accelerated,
            "left": changes.left,
            "returned": changes.returned,
            "layers": [
                {"name": each.name, "measure": each.measure, "change": each.change}
                | {"now": asdict(each.now) if each.now else None}
                | {"then": asdict(each.then) if each.then else None}
                for each in changes.layers
            ],
        }
        for result, changes, (now, then), differs in found
    ]
    click.echo(json.dumps(rows, indent=2))


@results.command(epilog="\b\nExample:\n  harness results logs --failed")
@_run
@click.option("--failed", is_flag=True, help="Only failed and invalid launches.")
@click.pass_context
def logs(ctx: click.Context, run_id: str | None, *, failed: bool) -> None:
    """Show runner logs, by default of the newest run."""
    from harness.core.records import Status
    from harness.core.text import visible

    with workspace_of(ctx).store() as store:
        run = stored(store, run_id)
    labels = {record.case.id: record.case.label for record in run.cases}
    shown = [launch for launch in run.launches if not failed or launch.status is not Status.OK]
    if not shown:
        click.echo("no launch to show", err=True)
    for launch in shown:
        head = f"== {labels[launch.case_id]} {launch.name}, attempt {launch.attempt + 1}: "
        click.secho(visible(head + _outcome(launch)), bold=True)
        click.echo(visible(launch.log).rstrip() or "(no output)")


@results.command(
    epilog="""\b
Examples:
  harness results imported                    all imported tables
  harness results imported published-npu      one of them
  harness results imported published-npu --remove
"""
)
@click.argument("table", metavar="[TABLE]", required=False, shell_complete=complete_imported)
@click.option("--remove", is_flag=True, help="Delete the table.")
@as_json
@click.pass_context
def imported(ctx: click.Context, table: str | None, *, remove: bool, as_json: bool) -> None:
    """List imported tables of published figures, or show one."""
    if remove and table is None:
        raise SpecificationError("no table named", hint="harness results imported TABLE --remove")
    with workspace_of(ctx).store() as store:
        tables = [store.load_imported(table)] if table else store.imported()
        if remove and table:
            store.remove_imported(table)
            click.echo(f"removed '{table}'", err=True)
            return
    if as_json:
        click.echo(json.dumps([found.model_dump(mode="json") for found in tables], indent=2))
        return
    from harness.cli.tables import print_imported

    print_imported(tables, figures=table is not None)


@results.command(
    epilog="""\b
Examples:
  harness results prune --logs-older-than 30d
  harness results prune --logs-older-than 0s --dry-run     how much there is in all
"""
)
@click.option(
    "--logs-older-than",
    "age_s",
    type=Duration(),
    required=True,
    metavar="DURATION",
    help="Minimum age of the launches, such as 30d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@click.pass_context
def prune(ctx: click.Context, age_s: float, *, dry_run: bool) -> None:
    """Delete old runner logs; results stay.

    A launch's log holds the last 64 KiB that its runner printed.
    """
    from datetime import UTC, datetime, timedelta

    from harness.cli.terminal import steps
    from harness.core.text import count, megabytes

    before = datetime.now(UTC) - timedelta(seconds=age_s)
    with workspace_of(ctx).store() as store, steps() as shown:
        launches, size = store.logs_bytes(before)
        if launches and not dry_run:
            shown.update("deleting logs and freeing space")
            store.drop_logs(before)
    done = "would be deleted" if dry_run else "deleted"
    click.echo(f"logs of {count(launches, 'launch')}, {megabytes(size)}: {done}", err=True)


_REASON = {"code", "facts"}


def _outcome(launch: Launch) -> str:
    where = f" ({launch.category})" if launch.category else ""
    return f"{launch.status}{where}" + (f": {launch.reason}" if launch.reason else "")


def run_as_json(run: Run) -> dict[str, Any]:
    """Return a run as JSON, with each case's summary beside its launches."""
    from harness.analysis.cases import case_results
    from harness.analysis.expectations import check_expectations
    from harness.analysis.failures import failure_groups
    from harness.analysis.flags import flags, repeatability
    from harness.analysis.shapes import after_changes
    from harness.quantities import quantities

    content: dict[str, Any] = _worded(run.model_dump(mode="json"))
    results = case_results(run)
    content["failures"] = [_failure_as_json(group) for group in failure_groups(run, results)]
    changes = after_changes(results)
    for row, result in zip(content["cases"], results, strict=True):
        row["id"] = result.record.case.id
        row["state"] = result.state.value
        row["reason"] = str(result.reason or "")
        row["reason_code"] = result.reason.code if result.reason else None
        row["lacking"] = result.lacking
        row["precision_reached"] = result.precision_reached
        row["repeatability"] = repeatability(result.figures_ms)
        row["flags"] = [{"kind": flag.kind, "text": str(flag.reason)} for flag in flags(result)]
        row["latency_ms"] = asdict(result.latency_ms) if result.latency_ms else None
        row["first_load_ms"] = _parts(result.first_loads_ms)
        row["filling_ms"] = _parts(result.filling_ms)
        row["memory"] = {
            "vmhwm_bytes": result.memory_bytes,
            "vmhwm_sources": sorted(result.memory_sources),
            "pss_bytes": result.pss_bytes,
            "device": result.device_memory.model_dump() if result.device_memory else None,
            "runtime_bytes": result.runtime_bytes,
        }
        row["quantities"] = {
            quantity.name: {
                "unit": quantity.unit.name,
                "better": quantity.better,
                "states": {state: asdict(known) for state, known in values.items()},
            }
            for quantity in quantities()
            if (values := result.values(quantity))
        }
        row["after_change_ms"] = {
            "again" if found.again else "new": {
                "set": asdict(found.set_ms),
                "first": asdict(found.first_ms),
                "change": asdict(found.change_ms),
                "next": asdict(found.next_ms),
            }
            for found in changes
            if found.result is result
        }
    content["expectations"] = [
        {"case_id": outcome.result.record.case.id, **_outcome_as_json(outcome)}
        for outcome in check_expectations(run, results)
    ]
    return content


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    names = ("quantity", "unit", "limit", "at_least", "met", "value", "low", "high", "reason")
    told = {name: getattr(outcome, name) for name in names}
    told["reason"] = str(outcome.reason or "")
    told["reason_code"] = outcome.reason.code if outcome.reason else None
    return told


def _failure_as_json(group: FailureGroup) -> dict[str, Any]:
    from harness.core.reason import ENGLISH

    hint = ENGLISH.hint(group.reason) or str(group.todo)
    told = {name: getattr(group, name) for name in ("category", "launches", "made_good")}
    told |= {"reason": str(group.reason), "reason_code": group.reason.code}
    return told | {"devices": group.devices, "cases": group.cases, "todo": hint}


def _worded(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with each reason in words, and beside it its code."""
    from harness.core.reason import Reason

    if isinstance(value, list):
        return [_worded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _REASON:
        return str(Reason.model_validate(value))
    told = {name: _worded(each) for name, each in value.items()}
    codes = {
        f"{name}_code": each["code"]
        for name, each in value.items()
        if isinstance(each, dict) and each.keys() == _REASON
    }
    return told | codes


def _parts(by_state: Mapping[str, Mapping[str, Range]]) -> dict[str, Any]:
    return {
        state: {part: asdict(known) for part, known in parts.items()}
        for state, parts in by_state.items()
    }
