"""``harness export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from harness.api import stored
from harness.cli.app import workspace_of
from harness.cli.options import complete_run
from harness.core.errors import SpecificationError
from harness.core.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.export.files import Format
    from harness.export.rows import Level, Row
    from harness.results.store import Store


@click.command(
    epilog="""\b
Examples:
  harness export -o launches.parquet            the newest run, one row per launch
  harness export RUN RUN --level sample -o samples.csv
  harness export --all --level case > cases.jsonl
  harness export --level imported --format csv  published figures

\b
In Python:
  import harness
  launches = harness.load_results("launches.parquet")
"""
)
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option("--all", "all_runs", is_flag=True, help="All runs, oldest first.")
@click.option(
    "--level",
    type=click.Choice(["case", "launch", "sample", "layer", "imported"]),
    default="launch",
    show_default=True,
    help="What each row holds.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default stdout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="Format (default: by the file's suffix, else jsonl).",
)
@click.pass_context
def export(
    ctx: click.Context,
    runs: Sequence[str],
    output: Path | None,
    form: str | None,
    *,
    all_runs: bool,
    level: str,
) -> None:
    """Export results, by default of the newest run, as JSON Lines, CSV or Parquet.

    Each row names the schema and its version; the "Data" page of the documentation lists the
    columns.
    """
    from harness.export.files import FORMATS, write

    if runs and (all_runs or level == "imported"):
        raise SpecificationError("name runs, or pass --all, or export imported tables")
    by_name = FORMATS.get(output.suffix.lower()) if output else "jsonl"
    chosen = form or by_name
    if chosen is None:
        raise SpecificationError(
            f"{output}: unknown format",
            hint=f"name a file ending in one of {', '.join(FORMATS)}, or pass --format",
        )
    with workspace_of(ctx).store() as store:
        rows = _rows(store, runs, cast("Level", level), all_runs=all_runs)
        target = output or sys.stdout
        written = write(rows, cast("Level", level), target, cast("Format", chosen))
    where = f" to {output}" if output else ""
    click.echo(f"{count(written, 'row')} of level '{level}'{where}", err=True)


def _rows(store: Store, runs: Sequence[str], level: Level, *, all_runs: bool) -> Iterator[Row]:
    """Yield rows, telling which run they are of: there may be many."""
    from harness.cli.terminal import steps
    from harness.export.frames import stored_rows

    if level == "imported":
        if not store.imported():
            raise SpecificationError(
                "no table has been imported in this workspace", hint="harness import FILE.csv"
            )
        yield from stored_rows(store, level, runs=None)
        return
    wanted = [summary.id for summary in store.summaries()][::-1] if all_runs else list(runs)
    with steps() as progress:
        for run_id in wanted or [stored(store, None).id]:
            if len(wanted) > 1:
                progress.update(f"exporting {run_id}")
            yield from stored_rows(store, level, runs=[run_id])
