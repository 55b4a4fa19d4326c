"""``harness baseline``: runs that later ones are compared with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import as_json, complete_baseline, complete_run

if TYPE_CHECKING:
    from harness.campaign.baselines import Baseline

__all__ = ["baseline"]


@click.group(
    epilog="""\b
Examples:
  harness baseline set good                     the newest run, as baselines/good.json
  harness baseline set good demo-20260102-030405
  harness baseline list
  harness baseline show good
"""
)
def baseline() -> None:
    """Manage the baselines that runs are compared with."""


@baseline.command(name="set", epilog="\b\nExample:\n  harness baseline set good")
@click.argument("name", shell_complete=complete_baseline)
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option(
    "--files/--no-files",
    default=True,
    help="Keep artifacts and runners too, for deciding suspected changes (default: yes).",
)
@click.pass_context
def set_baseline(ctx: click.Context, name: str, run_id: str | None, *, files: bool) -> None:
    """Save a run, by default the newest, as a baseline.

    Writes baselines/NAME.json, and artifacts and runners by hash in baselines/files. Commit both,
    or keep them as CI artifacts.
    """
    from rich.markup import escape

    from harness import api
    from harness.cli.terminal import stderr
    from harness.core.text import count, visible

    saved = api.set_baseline(name, run_id, workspace=workspace_of(ctx), files=files)
    run = saved.run
    for label, missing in saved.unkept.items():
        stderr().print(
            f"[yellow]warning:[/] {escape(visible(label))}: not kept: {escape(visible(missing))}; "
            "a suspicion will be unconfirmable"
        )
    click.echo(f"baseline {name}: run {run.id}, {count(len(run.cases), 'case')}")


@baseline.command(name="list", epilog="\b\nExample:\n  harness baseline list --json")
@wide_option
@as_json
@click.pass_context
def list_baselines(ctx: click.Context, *, as_json: bool) -> None:
    """List baselines, with the reason where one cannot be read."""
    from rich.markup import escape

    from harness.campaign.baselines import load_baseline, stored_baselines
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.core.errors import ResultsError

    workspace = workspace_of(ctx)
    rows: list[dict[str, Any]] = []
    for name in stored_baselines(workspace):
        try:
            rows.append(_summary(load_baseline(workspace, name)))
        except ResultsError as error:
            rows.append({"name": name, "fault": error.message})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Grid(
        Column("Baseline"),
        Column("Run", wrap=16),
        Column("Measured", 1),
        Column("Cases", 2, right=True),
        Column("Launches", 3, right=True),
    )
    for row in rows:
        if "fault" in row:
            table.add(row["name"], f"[red]{escape(row['fault'])}[/]", "", "", "")
        else:
            shown = (row["run"], row["started"][:16], str(row["cases"]), str(row["launches"]))
            table.add(row["name"], *map(escape, shown))
    table.print(console())


@baseline.command(epilog="\b\nExample:\n  harness baseline show good")
@click.argument("name", shell_complete=complete_baseline)
@wide_option
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Show a baseline's figures and what can be launched again."""
    from rich.markup import escape

    from harness.campaign.baselines import load_baseline
    from harness.cli.tables import print_cases
    from harness.cli.terminal import console
    from harness.core.text import visible

    found = load_baseline(workspace_of(ctx), name)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    print_cases(found.run)
    out = console()
    for label, missing in found.unkept.items():
        words = f"{label}: not kept: {missing}"
        out.print(f"[yellow]![/] {escape(visible(words))}")
    made = f"of run {found.run.id}, revision {found.run.revision or 'unknown'}"
    out.print(f"baseline {name}: {escape(visible(made))}")


def _summary(found: Baseline) -> dict[str, Any]:
    return {
        "name": found.name,
        "run": found.run.id,
        "campaign": found.run.campaign,
        "revision": found.run.revision,
        "started": found.run.started.isoformat(),
        "created": found.created.isoformat(),
        "cases": len(found.run.cases),
        "launches": len(found.run.launches),
        "unkept": found.unkept,
    }
