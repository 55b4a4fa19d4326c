"""``harness schema``: the JSON Schemas of the files that a user writes."""

from __future__ import annotations

import click

__all__ = ["schema"]


@click.command(
    epilog="""\b
Examples:
  harness schema device
  harness schema campaign > schemas/campaign.json

\b
Editors with YAML support check files that begin with
  # yaml-language-server: $schema=../schemas/campaign.json
"""
)
@click.argument(
    "kind",
    metavar="KIND",
    type=click.Choice(["board", "campaign", "chip", "device", "model", "runner", "settings"]),
)
def schema(kind: str) -> None:
    """Print the JSON Schema of a file type.

    KIND is board, campaign, chip, device, model, runner or settings.
    """
    from harness.scaffold.schemas import schema_text

    click.echo(schema_text(kind), nl=False)
