"""``harness agent``: a lab's part in a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import complete_names
from harness.core.text import count, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["agent"]


@click.command(
    epilog="""\b
Examples:
  harness agent --check        could it work?
  harness agent                offers all devices of the workspace
  harness agent rk3588 phone   offers these
"""
)
@click.argument("names", metavar="[DEVICE]...", nargs=-1, shell_complete=complete_names("devices"))
@click.option("--check", is_flag=True, help="Connect, say what would be offered, and end.")
@click.pass_context
def agent(ctx: click.Context, names: Sequence[str], *, check: bool) -> None:
    """Measure what the fleet's centre has for this lab's devices, until SIGTERM.

    It connects to the centre and to the devices, and listens nowhere. While the centre is away it
    goes on, and sends what it measured afterwards. One agent serves a machine.
    """
    from harness.fleet.agent import Agent
    from harness.fleet.agent import check as checked

    workspace = workspace_of(ctx)
    if check:
        found = checked(workspace, names)
        click.echo(f"{found.name} reaches {found.where}")
        for name in found.devices:
            taken = ": another lab has a device of that name" if name in found.taken else ""
            click.echo(f"  {name}{taken}")
        click.echo(f"{count(len(found.devices) - len(found.taken), 'device')} to offer")
        ctx.exit(2 if found.taken else 0)
    Agent(workspace, names, lambda line: click.echo(visible(line), err=True)).run()
