"""``harness store``: the centre of a fleet, for the owner of its database."""

from __future__ import annotations

import click

from harness.cli.app import workspace_of
from harness.core.errors import SpecificationError

__all__ = ["store"]

_MB = 1_000_000


@click.group(
    epilog="""\b
Examples:
  harness store init
  harness store gc --older 90
"""
)
def store() -> None:
    """Make a PostgreSQL database the centre of a fleet, and keep it tidy."""


@store.command(
    epilog="""\b
Example, as the database's owner:
  harness store init
  psql -c "CREATE ROLE lab_a LOGIN PASSWORD '...' IN ROLE edge_agent"
  psql -c "CREATE ROLE ci LOGIN PASSWORD '...' IN ROLE edge_submit"
"""
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), metavar="MB",
    help="Megabytes that the files of one host's share may have; 2147 by default.",
)  # fmt: skip
@click.pass_context
def init(ctx: click.Context, limit: int | None) -> None:
    """Make a PostgreSQL database the centre of a fleet.

    The roles are edge_submit, edge_agent and edge_read: grant one to each login. What is there
    already is left as it is.
    """
    from harness.fleet.setup import init as make

    made = make(_url(ctx), None if limit is None else limit * _MB)
    click.echo("the centre is ready" if made else "the centre was ready before", err=True)


@store.command(
    name="gc",
    epilog="""\b
Example:
  harness store gc --older 90
""",
)
@click.option(
    "--older", type=click.IntRange(0, 3650), default=30, show_default=True, metavar="DAYS",
    help="Files of shares that ended so many days ago.",
)  # fmt: skip
@click.pass_context
def collect(ctx: click.Context, older: int) -> None:
    """Remove models and artifacts no longer needed; results stay.

    After that, their runs cannot be retried, only submitted again.
    """
    from harness.fleet.setup import collect as remove

    freed = remove(_url(ctx), older)
    click.echo(f"freed {freed / _MB:.1f} MB", err=True)


def _url(ctx: click.Context) -> str:
    url = workspace_of(ctx).settings.results
    if url is None:
        raise SpecificationError(
            "this workspace's results are in SQLite, which needs no centre",
            hint="results: postgresql://OWNER@HOST/DATABASE in harness.yaml",
        )
    return url
