"""``harness init``: a new workspace."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["init"]


@click.command(
    epilog="""\b
Examples:
  harness init lab          make a workspace in the new folder lab
  harness init              make one in the current folder, which must be empty
"""
)
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Make a new workspace: this machine and an emulated board, models, campaigns.

    campaigns/calibration.yaml needs nothing to be downloaded: it measures the lab itself.
    """
    from harness.scaffold.workspace import create
    from harness.transports import examples

    for name in create(folder):
        click.echo(folder / name)
    place = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    click.echo(
        "\nNext:\n"
        f"{place}"
        "  harness doctor                          what is missing here, and how to mend it\n"
        "  harness run campaigns/calibration.yaml  is the lab sound? It needs no download\n"
        "  harness run campaigns/example.yaml      measure; the first run makes environments\n"
        "  harness devices up qemu-arm64           start an emulated ARM board\n"
        f"  {f'harness devices add {examples()[0]}':40}add a board",
        err=True,
    )
