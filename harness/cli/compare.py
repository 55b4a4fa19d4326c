"""``harness compare``: two runs, or two ways to run a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.check import blocks_option
from harness.cli.grid import wide_option
from harness.cli.options import (
    Duration,
    as_json,
    changes_option,
    complete_compared,
    complete_run,
    strict_option,
)
from harness.core.errors import ExitCode, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compare"]


@click.command(
    epilog="""\b
Examples:
  harness compare good demo             baseline against campaign demo's newest run
  harness compare RUN1 RUN2 --confirm   decide on fresh launches
  harness compare 1f62bb4 70a1890       newest runs of two commits
  harness compare cpu npu:rk3588        speed-up in the newest run, with interval
  harness compare onnxruntime paddle-lite --in RUN
  harness compare device:board-1 device:board-2

\b
Of two runs, the first is the baseline. Where a name is ambiguous, prefix it with
run: baseline: campaign: commit: backend: device: engine: or precision:
"""
)
@click.argument("baseline", metavar="A", shell_complete=complete_compared)
@click.argument("candidate", metavar="B", shell_complete=complete_compared)
@click.option(
    "--in", "run_id", metavar="RUN", shell_complete=complete_run,
    help="Run to compare devices, engines or backends in; by default the newest.",
)  # fmt: skip
@click.option(
    "--confirm", is_flag=True, help="Decide suspected changes on fresh launches of both sides."
)
@blocks_option
@changes_option
@click.option(
    "--wait", "wait_s", type=Duration(), default="0", metavar="DURATION",
    help="With --confirm: how long to wait for devices in use by others (default: do not wait).",
)  # fmt: skip
@strict_option
@wide_option
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

    Cases that must not be compared are refused, with the reason. A suspected change between two
    runs is inconclusive until fresh launches of both sides decide it: --confirm, or harness check.
    """
    from harness import api
    from harness.cli.progress import LiveProgress
    from harness.cli.verdict_tables import print_comparisons, print_gate
    from harness.report.verdicts import as_json as in_json
    from harness.report.verdicts import gate_as_json

    with LiveProgress() as progress:
        found = api.compare(
            baseline, candidate, run=run_id, workspace=workspace_of(ctx), confirm=confirm,
            blocks=blocks, changes=changes, wait_s=wait_s, observer=progress,
        )  # fmt: skip
    if isinstance(found, api.Gate):
        if as_json:
            click.echo(json.dumps(gate_as_json(found), indent=2))
        else:
            print_gate(found)
        ctx.exit(int(worst(found.exit_codes(strict=strict))))
    if as_json:
        click.echo(json.dumps({"comparisons": list(map(in_json, found.comparisons))}, indent=2))
    else:
        print_comparisons(found.comparisons)
    refused = all(comparison.refusals for comparison in found.comparisons)
    ctx.exit(int(ExitCode.INVALID if refused else ExitCode.FINE))
