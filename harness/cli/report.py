"""``harness report``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import complete_baseline, complete_imported, complete_run, in_language
from harness.cli.results import load_run, open_store
from harness.core.errors import SpecificationError
from harness.core.text import count

if TYPE_CHECKING:
    from harness.core.records import Run
    from harness.workspace import Workspace

__all__ = ["report"]


@click.command(
    epilog="""\b
Examples:
  harness report                      the newest run, into reports/
  harness report demo -o demo.html    the newest run of the campaign 'demo'
  harness report --baseline good      with what regressed since
  harness report --imported published-npu   with others' figures beside
  harness report --lang zh-CN         opens in Chinese; both languages are in it
  harness report RUN                  this run; 'harness results list' shows all
"""
)
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default reports/RUN.html.",
)
@click.option(
    "--baseline",
    shell_complete=complete_baseline,
    help="Hold the run against a baseline, by the launches that are stored.",
)
@click.option(
    "--imported",
    "tables",
    multiple=True,
    metavar="TABLE",
    shell_complete=complete_imported,
    help="Show an imported table beside it, without a verdict; may be repeated.",
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
    """Render one HTML file from a run, by default the newest, and print its path.

    RUN is a run's id, or a campaign's name for its newest run. The file holds all it needs, in all
    languages, and loads nothing from a network.
    """
    from harness.analysis.gate import gate
    from harness.campaign.baselines import load_baseline
    from harness.cli.terminal import steps
    from harness.lab.chips import load_cards
    from harness.report.chips import measured
    from harness.report.render import Beside, render

    with open_store(ctx) as store:
        found = load_run(store, store.latest(campaign=run) or run if run else None)
        imported = [store.load_imported(name) for name in tables]
    workspace = workspace_of(ctx)
    held = gate(found, load_baseline(workspace, baseline).run, baseline) if baseline else None
    with steps() as progress:
        progress.update(f"rendering {found.id}, {count(len(found.launches), 'launch')}")
        on_chips = measured(found, load_cards(workspace))
        html = render(found, lang=lang, beside=Beside(held, imported, on_chips))
    path = output or _default(workspace, found)
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SpecificationError(
            f"{path}: {error.strerror}", hint="name a file in a folder that exists: -o FILE"
        ) from None
    click.echo(path)


def _default(workspace: Workspace, run: Run) -> Path:
    workspace.reports.mkdir(exist_ok=True)
    # It may come from a database that was handed on: it must not leave the folder.
    return workspace.reports / f"{re.sub(r'[^A-Za-z0-9._-]', '_', run.id)}.html"
