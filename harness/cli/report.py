"""``harness report``."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import complete_run, in_language
from harness.cli.results import load_run, open_store
from harness.errors import SpecificationError

if TYPE_CHECKING:
    from harness.results.schema import Run
    from harness.workspace import Workspace

__all__ = ["report"]


@click.command(
    epilog="""\b
Examples:
  harness report                      the newest run, into reports/
  harness report demo -o demo.html    the newest run of the campaign 'demo'
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
@in_language
@click.pass_context
def report(ctx: click.Context, run: str | None, output: Path | None, lang: str) -> None:
    """Render one HTML file from a run, by default the newest, and print its path.

    RUN is a run's id, or a campaign's name for its newest run. The file holds all it needs, in all
    languages, and loads nothing from a network.
    """
    from harness.cli.terminal import steps
    from harness.devices.chips import load_cards
    from harness.report.chips import measured
    from harness.report.render import render

    with closing(open_store(ctx)) as store:
        found = load_run(store, store.latest(campaign=run) or run if run else None)
    with steps() as progress:
        progress.update(f"rendering {found.id}, {len(found.launches)} launches")
        on_chips = measured(found, load_cards(workspace_of(ctx)))
        html = render(found, lang=lang, on_chips=on_chips)
    path = output or _default(workspace_of(ctx), found)
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
