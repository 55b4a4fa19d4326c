"""``harness fleet``: which labs there are, and what they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json
from harness.core.text import visible

if TYPE_CHECKING:
    from harness.fleet.centre import FleetDevice

__all__ = ["fleet"]


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  harness fleet
  harness fleet --json
""",
)
@as_json
@click.pass_context
def fleet(ctx: click.Context, *, as_json: bool) -> None:
    """Show the agents, devices and queue of a fleet."""
    if ctx.invoked_subcommand is not None:
        return
    from rich.markup import escape

    from harness import __version__
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.fleet.centre import Centre

    with Centre.of(workspace_of(ctx)) as centre:
        agents, devices = centre.agents(), centre.devices()
        jobs = centre.jobs(ended=False)
    if as_json:
        content = {
            "agents": [
                {
                    "name": each.name, "machine": each.machine, "harness": each.harness,
                    "seen": each.seen.isoformat(), "alive": each.alive,
                }
                for each in agents
            ],
            "devices": [_row(each) for each in devices.values()],
            "open_shares": len(jobs),
        }  # fmt: skip
        click.echo(json.dumps(content, indent=2))
        return
    table = Grid(Column("Agent"), Column("Machine", 2), Column("Version", 1), Column("State"))
    for each in agents:
        differs = "" if each.harness == __version__ else f" (here {__version__})"
        state = "at work" if each.alive else f"last heard of {each.seen:%Y-%m-%d %H:%M}"
        texts = (each.name, each.machine, each.harness + differs, state)
        table.add(*(escape(visible(text)) for text in texts))
    table.print(console())
    console().print()
    table = Grid(
        Column("Device"),
        Column("Agent", 1),
        Column("Class", 3),
        Column("SoC", 4),
        Column("Labels", 5, wrap=16),
        Column("Open shares", 2, right=True),
    )
    for name, device in sorted(devices.items()):
        spec = device.device.spec
        labels = ", ".join(f"{label}: {value}" for label, value in spec.labels.items())
        shown = (
            name + (" (emulated)" if device.device.emulated else ""), device.agent.name,
            spec.device_class or "", spec.soc or "", labels, str(device.waiting),
        )  # fmt: skip
        table.add(*(escape(visible(each)) for each in shown))
    table.print(console())


@fleet.command(
    epilog="""\b
Example:
  harness fleet metrics > /var/lib/node_exporter/textfile/edge.prom
"""
)
@click.pass_context
def metrics(ctx: click.Context) -> None:
    """Print the fleet's state in Prometheus' text format.

    For a textfile collector; the "Fleet" page of the documentation has a Grafana dashboard.
    """
    from harness.fleet.centre import Centre
    from harness.fleet.metrics import metrics as lines

    with Centre.of(workspace_of(ctx)) as centre:
        click.echo("\n".join(lines(centre)))


def _row(device: FleetDevice) -> dict[str, Any]:
    spec = device.device.spec
    return {
        "name": device.device.name,
        "agent": device.agent.name,
        "alive": device.agent.alive,
        "class": spec.device_class,
        "soc": spec.soc,
        "labels": spec.labels,
        "emulated": device.device.emulated,
        "host": device.host,
        "open_shares": device.waiting,
    }
