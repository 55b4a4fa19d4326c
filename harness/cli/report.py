"""``harness report``."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.app import workspace_of
from harness.cli.options import complete_baseline, complete_imported, complete_run, in_language

__all__ = ["report"]


@click.command(
    epilog="""\b
Examples:
  harness report                      the newest run, into reports/
  harness report demo -o demo.html    the newest run of the campaign 'demo'
  harness report --baseline good      with what regressed since
  harness report --imported published-npu   with published figures alongside
  harness report --lang zh-CN         opens in Chinese; both languages are in it
  harness report RUN                  this run; 'harness results list' shows all
"""
)
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default reports/RUN.html.",
)
@click.option(
    "--baseline",
    shell_complete=complete_baseline,
    help="Compare with a baseline, using stored launches only.",
)
@click.option(
    "--imported",
    "tables",
    multiple=True,
    metavar="TABLE",
    shell_complete=complete_imported,
    help="Show an imported table too, without verdicts; repeatable.",
)
@in_language
@click.pass_context
def report(
    ctx: click.Context,
    run: str | None,
    output: Path | None,
    baseline: str | None,
    tables: tuple[str, ...],
    lang: str,
) -> None:
    """Render a run, by default the newest, as one HTML file and print its path.

    RUN is a run's id, or a campaign's name for its newest run. The file is self-contained, in all
    languages, and loads nothing from a network.
    """
    from harness import api
    from harness.cli.progress import LiveProgress

    with LiveProgress() as progress:
        path = api.report(
            run, workspace=workspace_of(ctx), baseline=baseline, imported=tables, lang=lang,
            output=output, observer=progress,
        )  # fmt: skip
    click.echo(path)
