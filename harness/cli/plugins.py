"""``harness plugins``: engines, transports and quantities, ours and others', and the kit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_engine, complete_names, matching
from harness.core.errors import ExitCode, SpecificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem

    from harness.conformance import Check
    from harness.core.registry import Registry
    from harness.workspace import Workspace

__all__ = ["plugins"]


@click.group(
    epilog="""\b
Examples:
  harness plugins list
  harness plugins check tinynp --model my_model --python ~/venv/bin/python
"""
)
def plugins() -> None:
    """List plugins and check your own."""


def _registries() -> Mapping[str, Registry[Any]]:
    from harness.engines import ENGINES
    from harness.quantities import QUANTITIES
    from harness.transports import TRANSPORTS

    return {"engine": ENGINES, "transport": TRANSPORTS, "quantity": QUANTITIES}


@plugins.command(name="list", epilog="\b\nExample:\n  harness plugins list --json")
@as_json
@click.pass_context
def list_plugins(ctx: click.Context, *, as_json: bool) -> None:
    """List plugins, and why any cannot be used.

    Exits with 2 if one cannot be used.
    """
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.core.text import visible

    found = [
        (kind, name, registry.origins[name])
        for kind, registry in _registries().items()
        for name in registry.plugins
    ]
    faults = [
        (kind, fault) for kind, registry in _registries().items() for fault in registry.faults
    ]
    if as_json:
        rows = [
            {"kind": kind, "name": name, "package": origin.package, "version": origin.version}
            for kind, name, origin in found
        ]
        bad = [
            {
                "kind": kind,
                "name": fault.name,
                "package": fault.origin.package,
                "version": fault.origin.version,
                "reason": fault.reason,
            }
            for kind, fault in faults
        ]
        click.echo(json.dumps({"plugins": rows, "unusable": bad}, indent=2))
    else:
        table = Grid(Column("Kind"), Column("Name"), Column("Package", 2), Column("Version", 1))
        for kind, name, origin in found:
            table.add(kind, name, visible(origin.package), visible(origin.version))
        table.print(console())
        for kind, fault in faults:
            line = f"! {kind} {fault.name} of {fault.origin.package}: {fault.reason}"
            console().print(visible(line), markup=False, highlight=False, soft_wrap=True)
    if faults:
        ctx.exit(int(ExitCode.SPECIFICATION))


def _complete_checked(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from harness.transports import TRANSPORTS

    found = complete_engine(ctx, param, incomplete)
    return [*found, *matching(list(TRANSPORTS.plugins), incomplete)]


@plugins.command(
    epilog="""\b
Examples:
  harness plugins check onnxruntime --model mobilenet_v1_025_96
  harness plugins check ssh --device rk3588
"""
)
@click.argument("name", metavar="ENGINE|TRANSPORT", shell_complete=_complete_checked)
@click.option(
    "--model",
    "model_name",
    shell_complete=complete_names("models"),
    help="Model to build (default: the first that the engine can run).",
)
@click.option(
    "--python", help="Interpreter that has the engine (default: that of its environment)."
)
@click.option(
    "--device",
    shell_complete=complete_names("devices"),
    help="Device to reach (default: the first with that transport).",
)
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    name: str,
    model_name: str | None,
    python: str | None,
    device: str | None,
    *,
    as_json: bool,
) -> None:
    """Run the conformance kit on an engine or a transport.

    For an engine, it builds a model and starts the engine's runner here: with a right job, whose
    outputs are checked, with wrong jobs, and interrupted. For a transport, it runs commands on a
    device and moves files there and back. Exits with 1 if something fails.
    """
    from harness.cli.terminal import steps
    from harness.core.text import visible
    from harness.transports import TRANSPORTS

    workspace = workspace_of(ctx)
    with steps() as shown:
        if name in TRANSPORTS or name in {fault.name for fault in TRANSPORTS.faults}:
            if model_name or python:
                raise click.UsageError("--model and --python are for engines")
            said, tried = _transport(workspace, name, device, shown.update)
        else:
            if device:
                raise click.UsageError("--device is for transports")
            said, tried = _engine(workspace, name, model_name, python, shown.update)
    failed = [each for each in tried if each.fault]
    if as_json:
        rows = [
            {"what": each.what, "passed": not each.fault, "fault": each.fault} for each in tried
        ]
        click.echo(json.dumps({**said, "checks": rows}, indent=2))
    else:
        for each in tried:
            line = f"FAILED  {each.what}: {each.fault}" if each.fault else f"ok      {each.what}"
            click.echo(visible(line))
        *_, by = said.values()
        click.echo(f"\n{len(tried) - len(failed)} of {len(tried)} checks passed ({by})")
    if failed:
        ctx.exit(int(ExitCode.REGRESSION))


def _engine(
    workspace: Workspace,
    name: str,
    model_name: str | None,
    python: str | None,
    progress: Callable[[str], None],
) -> tuple[dict[str, str], list[Check]]:
    from harness import engines
    from harness.conformance.engines import check_engine, fitting
    from harness.models.manifest import load_model, load_models

    engine = engines.get(name)
    if model_name:
        model = load_model(workspace, model_name)
    else:
        model = fitting(engine, load_models(workspace))
    tried = list(check_engine(engine, model, python=python, progress=progress))
    return {"engine": name, "model": model.name}, tried


def _transport(
    workspace: Workspace, name: str, device: str | None, progress: Callable[[str], None]
) -> tuple[dict[str, str], list[Check]]:
    from harness import transports
    from harness.conformance.transports import check_transport
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device, load_devices

    plugin = transports.get(name)
    if device:
        found = load_device(workspace, device)
    else:
        its = (each for each in load_devices(workspace).values() if each.spec.transport == name)
        reached = next(its, None)
        if reached is None:
            raise SpecificationError(
                f"no device in this workspace is reached by {name}",
                hint=f"write devices/NAME.yaml with 'transport: {name}'",
            )
        found = reached
    if found.spec.transport != name:
        raise SpecificationError(f"{found.name} is reached by {found.spec.transport}, not {name}")
    with connect(workspace, found) as transport:
        tried = list(check_transport(plugin, transport, progress=progress))
    return {"transport": name, "device": found.name}, tried
