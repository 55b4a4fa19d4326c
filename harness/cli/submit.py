"""``harness submit`` and ``harness jobs``: campaigns for a fleet."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import (
    Duration,
    as_json,
    complete_campaign,
    complete_run,
    only_option,
    seed_option,
    strict_option,
)
from harness.core.errors import SpecificationError, worst
from harness.core.text import count, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.fleet.centre import Job

__all__ = ["interruptible", "jobs", "submit"]

_run = click.argument("run", shell_complete=complete_run)


@click.command(
    epilog="""\b
Examples:
  harness submit campaigns/night.yaml
  harness submit campaigns/night.yaml --wait --deadline 8h       in CI
  harness submit campaigns/night.yaml --devices-within 2h        labs that are off come back
"""
)
@click.argument("campaign", type=click.Path(path_type=Path), shell_complete=complete_campaign)
@only_option
@click.option(
    "--priority", type=click.IntRange(-100, 100), default=0, show_default=True,
    help="Higher ones are measured first.",
)  # fmt: skip
@click.option(
    "--deadline", "deadline_s", type=Duration(), metavar="DURATION",
    help="Give up after so long, such as 8h, what is not measured by then.",
)  # fmt: skip
@click.option(
    "--devices-within", "devices_within_s", type=Duration(), default="0", metavar="DURATION",
    help="Wait so long for agents that have the devices; by default not at all.",
)  # fmt: skip
@click.option("--wait", is_flag=True, help="Follow the run to its end; Ctrl-C cancels it.")
@strict_option
@seed_option
@as_json
@click.pass_context
def submit(
    ctx: click.Context,
    campaign: Path,
    only: Sequence[str],
    *,
    priority: int,
    deadline_s: float | None,
    devices_within_s: float,
    seed: int | None,
    wait: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Send a campaign to the labs that have its devices; what it needs is built here.

    Results arrive in the workspace's database as they are measured: every command that reads
    results works meanwhile. With --wait the exit status is that of harness run.
    """
    from harness import api
    from harness.cli.progress import LiveProgress
    from harness.cli.terminal import stderr

    with LiveProgress(ends=interruptible() if wait else "") as progress:
        run = api.submit(
            campaign, workspace=workspace_of(ctx), only=only, seed=seed, priority=priority,
            deadline_s=deadline_s, devices_within_s=devices_within_s, wait=wait, observer=progress,
        )  # fmt: skip
    if not wait:
        if as_json:
            click.echo(json.dumps({"run": run.id}))
        else:
            click.echo(run.id)
        stderr().print(f"how it goes: harness jobs show {run.id}")
        return
    if as_json:
        from harness.cli.results import run_as_json

        click.echo(json.dumps(run_as_json(run), indent=2))
    else:
        from harness.cli.tables import print_cases

        print_cases(run)
    stderr().print(f"run [bold]{run.id}[/]; to see a report: harness report {run.id}")
    ctx.exit(int(worst(api.exit_codes(run, strict=strict))))


def interruptible() -> str:
    """Let SIGTERM, by which CI systems cancel a job, interrupt; return what is said then."""
    import signal

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    return "the run is cancelled; what is measured stays"


@click.group(
    epilog="""\b
Examples:
  harness jobs list
  harness jobs cancel night-20260102-030405
"""
)
def jobs() -> None:
    """List, show, cancel and retry what was submitted to a fleet."""


@jobs.command(
    name="list",
    epilog="""\b
Examples:
  harness jobs list
  harness jobs list --all --json
""",
)
@click.option("--all", "ended", is_flag=True, help="Also those that have ended.")
@as_json
@click.pass_context
def list_(ctx: click.Context, *, ended: bool, as_json: bool) -> None:
    """List unfinished shares of submitted runs, one per host."""
    from harness.fleet.centre import Centre

    with Centre.of(workspace_of(ctx)) as centre:
        _print(centre.jobs(ended=ended), as_json=as_json)


@jobs.command(
    epilog="""\b
Example:
  harness jobs show night-20260102-030405
"""
)
@_run
@as_json
@click.pass_context
def show(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Show the shares of a submitted run."""
    from harness.fleet.centre import Centre

    with Centre.of(workspace_of(ctx)) as centre:
        _print(_of(centre.jobs(run), run), as_json=as_json)


@jobs.command(
    epilog="""\b
Example:
  harness jobs cancel night-20260102-030405
"""
)
@_run
@click.pass_context
def cancel(ctx: click.Context, run: str) -> None:
    """Cancel what of a run has not ended; what is measured stays.

    Agents that measure it hear of it within half a minute, and give the devices back.
    """
    from harness.fleet.centre import Centre

    with Centre.of(workspace_of(ctx)) as centre:
        _of(centre.jobs(run), run)
        number = centre.cancel(run, "cancelled by its submitter")
        click.echo(f"{count(number, 'share')} cancelled", err=True)


@jobs.command(
    epilog="""\b
Example:
  harness jobs retry night-20260102-030405
"""
)
@_run
@click.pass_context
def retry(ctx: click.Context, run: str) -> None:
    """Measure what failed, was cancelled or is missing in a run."""
    from harness.fleet.centre import Centre

    with Centre.of(workspace_of(ctx)) as centre:
        _of(centre.jobs(run), run)
        number = centre.retry(run)
        click.echo(f"{count(number, 'share')} waiting again", err=True)


def _of(found: list[Job], run: str) -> list[Job]:
    if not found:
        raise SpecificationError(
            f"no run '{run}' was submitted", hint="harness jobs list --all shows all"
        )
    return found


def _print(found: Sequence[Job], *, as_json: bool) -> None:
    if as_json:
        rows = [{**asdict(job), "open": job.open} for job in found]
        click.echo(json.dumps(rows, indent=2, default=lambda time: time.isoformat()))
        return
    from rich.markup import escape

    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console

    table = Grid(
        Column("Run"),
        Column("Agent", 2),
        Column("Host", 1),
        Column("Devices", 3, wrap=16),
        Column("State", wrap=16),
        Column("Submitted", 4),
        Column("By", 5),
    )
    for job in found:
        state = job.state
        if state == "measuring" and not job.alive:
            state = "its agent is gone"
        shown = (
            job.run, job.agent, job.host, ", ".join(job.devices),
            f"{state}: {job.reason}" if job.reason else state,
            f"{job.submitted:%Y-%m-%d %H:%M}", job.submitter,
        )  # fmt: skip
        table.add(*(escape(visible(each)) for each in shown))
    table.print(console())
