"""``harness run`` and ``harness plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import (
    as_json,
    complete_campaign,
    only_option,
    seed_option,
    strict_option,
    wait_option,
)
from harness.cli.terminal import console, humane_seconds, stderr
from harness.core.errors import ExitCode, SpecificationError, worst

if TYPE_CHECKING:
    from collections.abc import Sequence


NEWEST = "newest"


_campaign = click.argument(
    "campaign", type=click.Path(path_type=Path), required=False, shell_complete=complete_campaign
)


@click.command(
    epilog="""\b
Examples:
  harness plan campaigns/demo.yaml
  harness plan campaigns/demo.yaml --only local --only 'onnx*'
"""
)
@_campaign
@only_option
@wide_option
@as_json
@click.pass_context
def plan(ctx: click.Context, campaign: Path | None, only: Sequence[str], *, as_json: bool) -> None:
    """Show a campaign's cases and expected time, without touching a device.

    Times are estimated from earlier runs; without any, they are guesses.
    """
    from harness import api

    planned = api.plan(_required(campaign), workspace=workspace_of(ctx), only=only)
    rows, expected = planned.cases, planned.expected
    if as_json:
        content = {
            "cases": [
                {
                    "id": row.case.id,
                    **row.case.model_dump(mode="json"),
                    "launches": row.launches,
                    "relative_precision": row.precision,  # of the estimate; the case has its own
                    "max_launches": row.max_launches,
                    "memory_launches": row.memory_launches,
                    "profile_launches": row.profile_launches,
                    "artifact": row.artifact.id if row.artifact else None,
                    "refused": str(row.refused) if row.refused else None,
                    "refused_code": row.refused.code if row.refused else None,
                }
                for row in rows
            ],
            "conditions": {
                name: device.spec.conditions.model_dump(mode="json", exclude_defaults=True)
                for name, device in planned.devices.items()
            },
            "sustained_s": planned.protocol.sustained_s,
            "expected_seconds": expected.seconds,
            "guessed_cases": expected.guessed,
        }
        click.echo(json.dumps(content, indent=2))
        return
    from rich.markup import escape

    from harness.cli.grid import Column, Grid
    from harness.core.text import count, visible

    table = Grid(
        Column("Model"),
        Column("Device"),
        Column("Engine", wrap=16),
        Column("Launches", 1, right=True),
        Column("Artifact", 2, wrap=16),
    )
    for row in rows:
        case = row.case
        name = case.device + (" (emulated)" if planned.devices[case.device].emulated else "")
        built = "built" if row.artifact else "will be built"
        extra = len(row.roles) - row.launches
        most = f" to {row.max_launches}" if row.precision else ""
        table.add(
            case.model,
            name,
            case.setting,
            f"{row.launches}{most}" + (f" + {extra}" if extra else ""),
            escape(visible(f"refused: {row.refused}")) if row.refused else built,
        )
    table.print(console())
    for name, device in planned.devices.items():
        if asked := str(device.spec.conditions):
            click.echo(f"\n{name}: {asked}")
    if planned.protocol.sustained_s is not None:
        click.echo(f"\neach launch that measures samples for {planned.protocol.sustained_s:g} s")
    launches = sum(len(row.roles) for row in rows if row.refused is None)
    guessed = f", {expected.guessed} of {len(rows)} cases guessed" if expected.guessed else ""
    click.echo(
        f"\n{count(len(rows), 'case')}, {count(launches, 'launch')} "
        "(+: extra launches for memory or a model cache), "
        f"about {humane_seconds(expected.seconds)}{guessed}; plus building and booting"
    )


@click.command(
    epilog="""\b
Examples:
  harness run campaigns/demo.yaml
  harness run campaigns/demo.yaml --only qemu-arm64
  harness run campaigns/demo.yaml --wait 2h   wait for devices in use
  harness run campaigns/demo.yaml --export night.jsonl      one line per launch
  harness run --resume                        resume the newest interrupted run
  harness run --resume demo-20260102-030405   resume this run and retry failed launches
"""
)
@_campaign
@only_option
@click.option(
    "--resume",
    "resumed",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN]",
    help="Resume a run; by default the newest interrupted one.",
)
@wait_option
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Append a row to this file as each launch ends.",
)
@strict_option
@seed_option
@wide_option
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    campaign: Path | None,
    only: Sequence[str],
    resumed: str | None,
    seed: int | None,
    wait_s: float,
    *,
    export_to: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Run a campaign: build, push, measure, and store each launch as it ends.

    Ctrl-C stops the runners on the devices, keeps what is stored, and exits with 130; --resume
    continues from there.
    """
    from rich.markup import escape

    from harness import api
    from harness.cli.progress import LiveProgress
    from harness.export.follow import Follower

    if export_to and export_to.suffix != ".jsonl":
        raise SpecificationError(
            f"--export writes JSON Lines, not {export_to.suffix or export_to.name}",
            hint="name a file that ends in .jsonl; for other formats: harness export RUN",
        )
    export = Follower(export_to) if export_to else None
    if resumed is not None and (only or seed is not None):
        raise SpecificationError(
            "--resume continues a run as it was planned", hint="omit --only and --seed"
        )
    with LiveProgress(export) as progress:
        if resumed is None:
            finished = api.measure(
                _required(campaign), workspace=workspace_of(ctx), only=only, seed=seed,
                wait_s=wait_s, observer=progress,
            )  # fmt: skip
        else:
            of_campaign = campaign if resumed == NEWEST else Path(resumed)
            by_id = resumed != NEWEST and of_campaign and of_campaign.suffix != ".yaml"
            finished = api.resume(
                resumed if by_id else None,
                campaign=of_campaign.stem if of_campaign else None,
                workspace=workspace_of(ctx),
                wait_s=wait_s,
                observer=progress,
            )
    if as_json:
        from harness.cli.results import run_as_json

        click.echo(json.dumps(run_as_json(finished), indent=2))
    else:
        from harness.cli.tables import print_cases

        print_cases(finished)
    stderr().print(f"run [bold]{finished.id}[/]; to see a report: harness report {finished.id}")
    codes = list(api.exit_codes(finished, strict=strict))
    if export and export.fault:
        stderr().print(
            f"[yellow]warning:[/] {export_to} is missing launches: {escape(export.fault)}; to"
            f" append them: harness run --resume {finished.id} --export {export_to}"
        )
        codes.append(ExitCode.LAB)
    ctx.exit(int(worst(codes)))


def _required(campaign: Path | None) -> Path:
    if campaign is None:
        raise SpecificationError("no campaign file given", hint="harness run campaigns/NAME.yaml")
    return campaign
