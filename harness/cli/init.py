"""``harness init``: a new workspace."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["init"]


@click.command(
    epilog="""\b
Examples:
  harness init lab          create the folder lab
  harness init              use the current folder, which must be empty
"""
)
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Create a workspace with devices, models and campaigns.

    campaigns/calibration.yaml needs no downloads: it measures the lab itself.
    """
    from harness.scaffold.workspace import create
    from harness.transports import examples

    for name in create(folder):
        click.echo(folder / name)
    place = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    click.echo(
        "\nNext:\n"
        f"{place}"
        "  harness doctor                          what is missing and how to fix it\n"
        "  harness run campaigns/calibration.yaml  check the lab itself; no downloads\n"
        "  harness run campaigns/example.yaml      measure; the first run builds environments\n"
        "  harness devices up qemu-arm64           start an emulated ARM board\n"
        f"  {f'harness devices add {examples()[0]}':40}add a board",
        err=True,
    )
