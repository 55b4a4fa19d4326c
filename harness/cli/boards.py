"""``harness devices up``, ``down`` and ``status``: the emulated boards."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["down", "status", "up"]


def complete_board(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the names of the workspace's emulated boards."""
    from click.shell_completion import CompletionItem

    from harness.devices.emulated.recipe import board_names
    from harness.workspace import Workspace

    del ctx, param
    return [
        CompletionItem(name)
        for name in board_names(Workspace.find())
        if name.startswith(incomplete)
    ]


@click.command(
    epilog="""\b
Example:
  harness devices up qemu-arm64
"""
)
@click.argument("board", metavar="BOARD", shell_complete=complete_board)
@click.pass_context
def up(ctx: click.Context, board: str) -> None:
    """Start an emulated board and wait until it answers.

    The first start builds its image, which every workspace then shares. The board runs until
    `harness devices down`.
    """
    from harness.cli.terminal import steps
    from harness.devices.emulated.board import Board

    chosen = Board(workspace_of(ctx), board)
    with steps() as shown:
        started = chosen.up(shown.update)
    now = chosen.status()
    word = "is up" if started else "was already running"
    click.echo(f"{board} {word}: SSH on 127.0.0.1:{now.port}, process {now.pid}", err=True)


@click.command(
    epilog="""\b
Example:
  harness devices down qemu-arm64
"""
)
@click.argument("board", metavar="BOARD", shell_complete=complete_board)
@click.pass_context
def down(ctx: click.Context, board: str) -> None:
    """End an emulated board; what was written to it is gone."""
    from harness.devices.emulated.board import Board

    ended = Board(workspace_of(ctx), board).down()
    click.echo(f"{board} {'is down' if ended else 'was not running'}", err=True)


@click.command(
    epilog="""\b
Examples:
  harness devices status
  harness devices status qemu-arm64 --json
"""
)
@click.argument("board", metavar="[BOARD]", required=False, shell_complete=complete_board)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, board: str | None, *, as_json: bool) -> None:
    """Show which emulated boards run: all of them, or one."""
    from rich.table import Table

    from harness.cli.terminal import console, humane_seconds
    from harness.devices.emulated.board import Board
    from harness.devices.emulated.recipe import board_names

    workspace = workspace_of(ctx)
    names = [board] if board else board_names(workspace)
    found = [Board(workspace, name).status() for name in names]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Table("Board", "State", "SSH", "Process", "Up", "Image", box=None, pad_edge=False)
    for each in found:
        if each.running:
            table.add_row(
                each.name,
                "[green]running[/]",
                f"127.0.0.1:{each.port}",
                str(each.pid),
                humane_seconds(each.uptime_s or 0),
                (each.image or "")[:12],
            )
        else:
            table.add_row(each.name, "down")
    console().print(table)
