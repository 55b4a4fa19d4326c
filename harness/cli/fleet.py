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
    from rich.table import Table

    from harness import __version__
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
    table = Table("Agent", "Machine", "Version", "State", box=None)
    for each in agents:
        differs = "" if each.harness == __version__ else f" (here {__version__})"
        state = "at work" if each.alive else f"last heard of {each.seen:%Y-%m-%d %H:%M}"
        table.add_row(*map(visible, (each.name, each.machine, each.harness + differs, state)))
    console().print(table)
    console().print()
    table = Table("Device", "Agent", "Class", "SoC", "Labels", "Open shares", box=None)
    for name, device in sorted(devices.items()):
        spec = device.device.spec
        labels = ", ".join(f"{label}: {value}" for label, value in spec.labels.items())
        table.add_row(
            *map(visible, (
                name + (" (emulated)" if device.device.emulated else ""), device.agent.name,
                spec.device_class or "", spec.soc or "", labels, str(device.waiting),
            ))
        )  # fmt: skip
    console().print(table)


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
