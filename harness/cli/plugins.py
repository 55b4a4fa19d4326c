"""``harness plugins``: engines and quantities, ours and others', and the conformance kit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_engine, complete_names
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.registry import Registry

__all__ = ["plugins"]


@click.group(
    epilog="""\b
Examples:
  harness plugins list
  harness plugins check tinynp --model my_model --python ~/venv/bin/python
"""
)
def plugins() -> None:
    """List plugins, and check one of your own."""


def _registries() -> Mapping[str, Registry[Any]]:
    from harness.engines import ENGINES
    from harness.quantities import QUANTITIES

    return {"engine": ENGINES, "quantity": QUANTITIES}


@plugins.command(name="list", epilog="\b\nExample:\n  harness plugins list --json")
@as_json
@click.pass_context
def list_plugins(ctx: click.Context, *, as_json: bool) -> None:
    """List plugins with their packages, and those that cannot be used, with the reason.

    The exit code is 2 if one cannot be used.
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


@plugins.command(
    epilog="""\b
Example:
  harness plugins check onnxruntime --model mobilenet_v1_025_96
"""
)
@click.argument("name", metavar="ENGINE", shell_complete=complete_engine)
@click.option(
    "--model",
    "model_name",
    shell_complete=complete_names("models"),
    help="Model to build (default: the first that the engine takes).",
)
@click.option(
    "--python", help="Interpreter that has the engine (default: that of its environment)."
)
@as_json
@click.pass_context
def check(
    ctx: click.Context, name: str, model_name: str | None, python: str | None, *, as_json: bool
) -> None:
    """Run the conformance kit on an engine: it builds a model for it and starts its runner here.

    A right job, its outputs, wrong jobs and an interrupted one. Exits with 1 if something fails.
    """
    from harness import engines
    from harness.cli.terminal import steps
    from harness.conformance import check_engine, fitting
    from harness.core.text import visible
    from harness.models.manifest import load_model, load_models

    engine, workspace = engines.get(name), workspace_of(ctx)
    if model_name:
        model = load_model(workspace, model_name)
    else:
        model = fitting(engine, load_models(workspace))
    with steps() as shown:
        tried = list(check_engine(engine, model, python=python, progress=shown.update))
    failed = [each for each in tried if each.fault]
    if as_json:
        rows = [
            {"what": each.what, "passed": not each.fault, "fault": each.fault} for each in tried
        ]
        click.echo(json.dumps({"engine": name, "model": model.name, "checks": rows}, indent=2))
    else:
        for each in tried:
            said = f"FAILED  {each.what}: {each.fault}" if each.fault else f"ok      {each.what}"
            click.echo(visible(said))
        click.echo(f"\n{len(tried) - len(failed)} of {len(tried)} checks passed ({model.name})")
    if failed:
        ctx.exit(int(ExitCode.REGRESSION))
