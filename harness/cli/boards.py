"""``harness devices up``, ``down`` and ``status``: the emulated boards."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_names

if TYPE_CHECKING:
    from harness.workspace import Workspace

__all__ = ["down", "status", "up"]


@click.command(
    epilog="""\b
Examples:
  harness devices up qemu-arm64
  harness devices up --restart qemu-arm64    like a power cut
"""
)
@click.argument("board", metavar="BOARD", shell_complete=complete_names("boards"))
@click.option("--restart", is_flag=True, help="Stop it first if it is running; its ports stay.")
@click.pass_context
def up(ctx: click.Context, board: str, *, restart: bool) -> None:
    """Start an emulated board and wait until it answers.

    The first start builds its image, shared by all workspaces. The board runs until `harness
    devices down`.
    """
    from harness.cli.terminal import steps
    from harness.lab.emulated.board import Board

    chosen = Board(workspace_of(ctx), board)
    with steps() as shown:
        started = chosen.up(shown.update, restart=restart)
    now = chosen.status()
    word = "is up" if started else "was already running"
    ports = f"SSH on 127.0.0.1:{now.port}, adb on 127.0.0.1:{now.adb_port}"
    click.echo(f"{board} {word}: {ports}, process {now.pid}", err=True)


@click.command(
    epilog="""\b
Example:
  harness devices down qemu-arm64
"""
)
@click.argument("board", metavar="BOARD", shell_complete=complete_names("boards"))
@click.pass_context
def down(ctx: click.Context, board: str) -> None:
    """Stop an emulated board; its disk is discarded.

    Warns where a campaign is using it, which continues when the board is up again.
    """
    from harness.lab.emulated.board import Board

    workspace = workspace_of(ctx)
    chosen = Board(workspace, board)
    if chosen.status().running:
        for holder in _holders(workspace, board):
            click.echo(
                f"{board} is leased to {holder}: its campaign waits, and continues after "
                f"harness devices up {board}",
                err=True,
            )
    ended = chosen.down()
    click.echo(f"{board} {'is down' if ended else 'was not running'}", err=True)


def _holders(workspace: Workspace, board: str) -> list[str]:
    """Return who holds the leases of a board's devices, as far as it answers."""
    from harness.cli.leases import leases_of
    from harness.core.errors import HarnessError
    from harness.core.text import visible
    from harness.lab.inventory import load_devices

    devices = [each for each in load_devices(workspace).values() if each.spec.board == board]
    held = (
        each.holder
        for answer in leases_of(workspace, devices).values()
        if answer is not None and not isinstance(answer, HarnessError)
        for each in answer
        if each.kind == "holds"
    )
    return [visible(holder) for holder in dict.fromkeys(held)]


@click.command(
    epilog="""\b
Examples:
  harness devices status
  harness devices status qemu-arm64 --json
"""
)
@click.argument("board", metavar="[BOARD]", required=False, shell_complete=complete_names("boards"))
@as_json
@click.pass_context
def status(ctx: click.Context, board: str | None, *, as_json: bool) -> None:
    """Show the state of emulated boards."""
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console, humane_seconds
    from harness.core.yamlfile import names
    from harness.lab.emulated.board import Board

    workspace = workspace_of(ctx)
    chosen = [board] if board else names(workspace.boards)
    found = [Board(workspace, name).status() for name in chosen]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Grid(
        Column("Board"),
        Column("State"),
        Column("SSH", 1),
        Column("adb", 2),
        Column("Process", 4),
        Column("Up", 3),
        Column("Image", 5),
    )
    for each in found:
        if each.running:
            table.add(
                each.name,
                "[green]running[/]",
                f"127.0.0.1:{each.port}",
                f"127.0.0.1:{each.adb_port}",
                str(each.pid),
                humane_seconds(each.uptime_s or 0),
                (each.image or "")[:12],
            )
        else:
            table.add(each.name, "down", *[""] * 5)
    table.print(console())
