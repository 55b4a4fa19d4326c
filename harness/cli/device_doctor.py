"""``harness devices doctor``: what is wrong with a device, and what to do."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_names
from harness.core.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.lab.doctor import Check, Leftovers, RunState
    from harness.lab.health import Health
    from harness.lab.inventory import Device
    from harness.transports.base import Transport
    from harness.workspace import Workspace

__all__ = ["doctor", "health_as_json", "stored_health"]

_MARKS = {
    "ok": ("ok     ", "green"),
    "warning": ("warning", "yellow"),
    "unknown": ("unknown", "yellow"),
    "failed": ("failed ", "red"),
}


def stored_health(workspace: Workspace) -> dict[str, Health]:
    """Return how each device fared, by the workspace's results."""
    from harness.lab.health import health

    if not workspace.has_results():
        return {}
    with workspace.store() as store:
        return health(store)


def health_as_json(known: Health | None) -> dict[str, Any] | None:
    """Return how a device fared, for a script."""
    if known is None:
        return None
    return {
        "last_seen": known.last_seen.isoformat() if known.last_seen else None,
        "runs": [
            {
                "run": each.run or None,
                "at": each.at.isoformat(),
                "launches": dict(each.launches),
                "failures": dict(each.failures),
                "events": dict(each.events),
            }
            for each in known.runs
        ],
    }


@click.command(
    epilog="""\b
Examples:
  harness devices doctor rk3588
  harness devices doctor rk3588 --json
  harness devices doctor rk3588 --clean      also remove files of dead launches

\b
Exit status: 0 nothing failed, perhaps warnings · 2 its file or host key is
wrong · 3 something failed
"""
)
@click.argument("name", metavar="DEVICE", shell_complete=complete_names("devices"))
@click.option("--clean", is_flag=True, help="Remove files of dead launches that no run can resume.")
@as_json
@click.pass_context
def doctor(ctx: click.Context, name: str, *, clean: bool, as_json: bool) -> None:
    """Diagnose a device and say how to fix it.

    Checks link, host key, clock, work folder, supervisor, lease, engines and history. Changes
    nothing on the device, unless --clean is given.
    """
    from harness.cli.terminal import steps
    from harness.lab.inventory import load_device

    workspace = workspace_of(ctx)
    device = load_device(workspace, name)
    known = stored_health(workspace).get(name)
    with steps() as shown:
        checks, code = _examine(workspace, device, known, shown.update, clean=clean)
    if as_json:
        content = {
            "name": name,
            "checks": [asdict(check) for check in checks],
            "health": health_as_json(known),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        _print(checks, known)
    ctx.exit(int(code))


def _examine(
    workspace: Workspace,
    device: Device,
    known: Health | None,
    progress: Callable[[str], None],
    *,
    clean: bool,
) -> tuple[list[Check], ExitCode]:
    from harness.lab.connect import connect
    from harness.lab.doctor import Check, of_health

    checks: list[Check] = list(_by_its_file(device))
    code = ExitCode.FINE
    try:
        progress(f"connecting to {device.name}")
        with connect(workspace, device) as transport:
            for check in _on_device(workspace, device, transport, progress, clean=clean):
                checks.append(check)  # noqa: PERF402 - what was found before an error stays
    except HarnessError as error:
        at = "connection" if len(checks) <= 1 + bool(device.spec.power_cycle) else "device"
        checks.append(Check(at, "failed", error.message, error.hint or _WHAT_TO_DO))
        code = error.exit_code
    checks.append(of_health(known))
    if code is ExitCode.FINE and any(check.state == "failed" for check in checks):
        code = ExitCode.LAB
    return checks, code


_WHAT_TO_DO = "is it on, and is its address right? look at its console, or power-cycle it"


def _by_its_file(device: Device) -> Iterator[Check]:
    from harness.lab.doctor import Check

    way = device.spec.link.where or device.spec.board or "this machine"
    yield Check("file", "ok", f"devices/{device.name}.yaml: {device.spec.transport} {way}")
    if spec := device.spec.power_cycle:
        program = spec.command[0]
        if program == "harness" or shutil.which(program):
            yield Check("power cycle", "ok", " ".join(spec.command))
        else:
            yield Check(
                "power cycle",
                "warning",
                f"no program '{program}' in PATH",
                f"install it, or correct power_cycle in devices/{device.name}.yaml",
            )


def _on_device(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    progress: Callable[[str], None],
    *,
    clean: bool,
) -> Iterator[Check]:
    from harness.cli.probing import ask_device
    from harness.lab import doctor as look
    from harness.lab.supervisor import DeviceSupervisor
    from harness.native.supervisor import supervisor

    yield look.connection(transport)
    yield from _host_key(workspace, device)
    progress(f"checking {device.name}")
    checks, launches = look.device_state(transport, device)
    yield from checks
    on_device = DeviceSupervisor(transport, device.workdir, supervisor(device.spec.abi, progress))
    checks, living = look.supervisor_state(transport, on_device, launches)
    yield from checks
    check, left = look.leftovers(launches, living, _run_state(workspace), device.name)
    yield _cleaned(on_device, check, left) if clean and left.removable else check
    progress(f"asking {device.name} about its engines")
    probed = ask_device(workspace, device, transport)
    if probed.facts.abi and probed.facts.abi != device.spec.abi:
        yield look.Check(
            "ABI",
            "failed",
            f"it is {probed.facts.abi}, and its file says {device.spec.abi}",
            f"correct 'abi' in devices/{device.name}.yaml, or its address",
        )
    yield from look.of_verdicts(probed.verdicts, device)


def _host_key(workspace: Workspace, device: Device) -> Iterator[Check]:
    """Tell which key is on record: the one that the device has just shown, or it is not reached."""
    from harness.lab.connect import identity
    from harness.lab.doctor import Check

    if proves := identity(workspace, device):
        own = "the emulated board's own"
        yield Check("host key", "ok", own if device.spec.board else ", ".join(proves.recorded()))


def _run_state(workspace: Workspace) -> Callable[[str], RunState]:
    from harness.campaign.locks import is_running

    with workspace.store() as store:
        finished = {each.id: each.finished is not None for each in store.summaries()}

    def state(run: str) -> RunState:
        if run not in finished:
            return "unknown"
        if is_running(workspace, run):
            return "running"
        return "finished" if finished[run] else "interrupted"

    return state


def _cleaned(supervisor: Any, check: Check, left: Leftovers) -> Check:  # noqa: ANN401
    from harness.lab.doctor import Check
    from harness.lab.supervisor import said
    from harness.transports.base import TransferError

    answer = supervisor.call(
        ["forget", *(f"{supervisor.launches}/{name}" for name in left.removable)]
    )
    if answer.returncode != 0:
        raise TransferError(f"leftovers could not be removed: {said(answer)}")
    removed = f"{len(left.removable)} removed"
    if left.collectable:
        return Check("leftovers", "warning", f"{removed}; {check.found}", check.todo)
    return Check("leftovers", "ok", removed)


def _print(checks: list[Check], known: Health | None) -> None:
    from harness.core.text import visible

    width = max(len(check.name) for check in checks)
    for check in checks:
        word, colour = _MARKS[check.state]
        mark = click.style(word, fg=colour)
        click.echo(f"{mark}  {check.name:<{width}}  {visible(check.found)}")
        if check.todo:
            click.echo(f"{'':9}{'':<{width}}  try: {visible(check.todo)}")
    for run in known.runs[:5] if known else []:
        fared = {**run.launches, **run.failures, **run.events}
        words = ", ".join(f"{number} {kind}" for kind, number in fared.items())
        click.echo(
            f"{'':9}{run.at.astimezone():%Y-%m-%d %H:%M}  {run.run or '(before a run)'}: {words}"
        )
