"""``harness check``: the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.analysis.gate import FRESH
from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import (
    Duration,
    as_json,
    changes_option,
    complete_baseline,
    complete_campaign,
    complete_run,
    only_option,
    strict_option,
    wait_option,
)
from harness.core.errors import LabError, SpecificationError, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["blocks_option", "check"]

blocks_option = click.option(
    "--blocks",
    type=click.IntRange(4, 100),
    default=FRESH,
    show_default=True,
    help="Fresh launches per side that decide a suspected change.",
)
_file = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="""\b
Examples:
  harness check --baseline good                        the baseline's own campaign
  harness check --baseline good campaigns/demo.yaml --junit check.xml --markdown check.md
  harness check --baseline good --run demo-20260102-030405   a stored run
  harness check --baseline good --submit 2h            in the labs of a fleet
  harness check --baseline good --change engine        test an engine upgrade
"""
)
@click.argument(
    "campaign", type=click.Path(path_type=Path), required=False, shell_complete=complete_campaign
)
@click.option(
    "--baseline", "name", required=True, metavar="NAME", shell_complete=complete_baseline,
    help="Baseline to compare with.",
)  # fmt: skip
@click.option(
    "--run", "run_id", metavar="RUN", shell_complete=complete_run,
    help="Check a stored run instead of measuring.",
)  # fmt: skip
@only_option
@blocks_option
@changes_option
@wait_option
@click.option(
    "--submit", "deadline_s", type=Duration(), metavar="DURATION",
    help="Measure in the labs of a fleet, which give up after so long, such as 2h.",
)  # fmt: skip
@click.option("--junit", type=_file, help="Write JUnit XML.")
@click.option("--markdown", type=_file, help="Write a summary for a pull request.")
@strict_option
@wide_option
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    campaign: Path | None,
    *,
    name: str,
    run_id: str | None,
    only: Sequence[str],
    blocks: int,
    changes: Sequence[str],
    wait_s: float,
    deadline_s: float | None,
    junit: Path | None,
    markdown: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Measure a campaign and compare it with a baseline.

    Where stored launches do not show "unchanged", baseline and candidate are launched again,
    alternately, and only those launches decide. Exit status: 0 fine, 1 regression or missed
    expectation, 3 the lab failed, 4 invalid or not comparable; inconclusive warns, and is 4 with
    --strict.
    """
    from harness import api
    from harness.cli.progress import LiveProgress
    from harness.cli.submit import interruptible
    from harness.cli.verdict_tables import print_gate
    from harness.report import verdicts

    if run_id is not None and (campaign is not None or only):
        raise SpecificationError("--run checks a stored run as it is; omit the campaign")
    for path in filter(None, (junit, markdown)):
        if not path.parent.is_dir():
            raise SpecificationError(f"{path.parent}: no such folder")
    away = deadline_s is not None
    try:
        with LiveProgress(ends=interruptible() if away else "") as progress:
            found = api.check(
                name, campaign, run=run_id, workspace=workspace_of(ctx), only=only, blocks=blocks,
                changes=changes, wait_s=wait_s, away=away, deadline_s=deadline_s, observer=progress,
            )  # fmt: skip
    except LabError as error:  # CI shows its files, and not the terminal
        if junit:
            junit.write_text(verdicts.junit_of_failure(name, error), encoding="utf-8")
        if markdown:
            markdown.write_text(verdicts.markdown_of_failure(name, error), encoding="utf-8")
        raise
    if junit:
        junit.write_text(verdicts.junit(found), encoding="utf-8")
    if markdown:
        markdown.write_text(verdicts.markdown(found), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(verdicts.gate_as_json(found), indent=2))
    else:
        print_gate(found)
    codes = [*api.exit_codes(found.run, strict=strict), *found.exit_codes(strict=strict)]
    ctx.exit(int(worst(codes)))
