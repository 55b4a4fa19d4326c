"""Who has which device: the part of ``harness devices`` that asks several at once."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.options import complete_names
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.lab.inventory import Device
    from harness.lab.leases import Holding
    from harness.workspace import Workspace

__all__ = ["break_lease", "in_json", "in_words", "leases_of"]

_PATIENCE_S = 5.0


def leases_of(
    workspace: Workspace, devices: Iterable[Device]
) -> dict[str, list[Holding] | HarnessError | None]:
    """Ask all devices at once who has them; what did not answer in five seconds has none."""
    answers: dict[str, list[Holding] | HarnessError | None] = {}

    def ask(device: Device) -> None:
        from harness.lab.connect import connect
        from harness.lab.leases import holdings

        try:
            with connect(workspace, device) as transport:
                answers[device.name] = holdings(transport)
        except HarnessError as error:
            answers[device.name] = error

    # Daemons: one that hangs in a connection must not hold the command.
    threads = [threading.Thread(target=ask, args=(device,), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {device.name: answers.get(device.name) for device in devices}


def in_words(answer: list[Holding] | HarnessError | None) -> str:
    """Return who has a device, in a few words."""
    from harness.core.text import visible

    match answer:
        case None:
            return "no answer"
        case HarnessError():
            return "not reached"
        case []:
            return "free"
    words = []
    for each in answer:
        verb = f"for {each.seconds} s" if each.kind == "holds" else "waits"
        words.append(f"{visible(each.holder)}: {verb}")
    return "; ".join(words)


def in_json(answer: list[Holding] | HarnessError | None) -> dict[str, Any]:
    """Return the same for a script."""
    match answer:
        case None:
            return {"reached": False, "leases": None}
        case HarnessError():
            return {"reached": False, "why": answer.message, "leases": None}
    return {"reached": True, "leases": [asdict(each) for each in answer]}


@click.command(
    name="break-lease",
    epilog="""\b
Example:
  harness devices break-lease rk3588 --reason "the fan is dead, taking it offline"
""",
)
@click.argument("name", metavar="DEVICE", shell_complete=complete_names("devices"))
@click.option("--reason", required=True, help="Reason, shown to whoever had the device.")
@click.pass_context
def break_lease(ctx: click.Context, name: str, reason: str) -> None:
    """Take a device from the campaign using it.

    A launch in progress completes; the next one is refused, with the reason.
    """
    from harness.cli.terminal import steps
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device
    from harness.lab.leases import break_lease as take_away
    from harness.lab.supervisor import DeviceSupervisor
    from harness.native.supervisor import supervisor

    workspace = workspace_of(ctx)
    device = load_device(workspace, name)
    with steps() as shown, connect(workspace, device) as transport:
        shown.update(f"reaching {name}")
        program = supervisor(device.spec.abi, shown.update)
        take_away(DeviceSupervisor(transport, device.workdir, program), reason)
    click.echo(f"{name} is free", err=True)
