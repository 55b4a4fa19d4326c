"""``harness devices provision``: engines put onto a board."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_names

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["provision"]


def _complete_package(
    ctx: click.Context, param: click.Parameter, start: str
) -> list[CompletionItem]:
    del ctx, param
    from click.shell_completion import CompletionItem

    from harness.engines import ENGINES

    return [
        CompletionItem(each.name)
        for each in ENGINES
        if each.packages and each.name.startswith(start)
    ]


@click.command(
    epilog="""\b
Examples:
  harness devices provision rk3588 onnxruntime mnn
  harness devices provision rk3588 litert --python /opt/python3.12/bin/python3
  harness devices provision rk3588 --remove mnn
"""
)
@click.argument("name", metavar="DEVICE", shell_complete=complete_names("devices"))
@click.argument(
    "engines", metavar="ENGINE...", nargs=-1, required=True, shell_complete=_complete_package
)
@click.option("--python", metavar="PATH", help="Interpreter on the device; by default its python3.")
@click.option("--remove", "removing", is_flag=True, help="Remove engines that were put there.")
@as_json
@click.pass_context
def provision(
    ctx: click.Context,
    name: str,
    engines: tuple[str, ...],
    *,
    python: str | None,
    removing: bool,
    as_json: bool,
) -> None:
    """Put engines onto a board and name them in its file.

    Wheels that fit its Python and C library are downloaded here and sent to the board, which needs
    neither pip nor a network. They go into a folder of the harness's own and are checked by loading
    the engine there. Nothing else on the board is changed.
    """
    from harness import engines as known
    from harness.cli.terminal import steps
    from harness.core.errors import SpecificationError
    from harness.core.text import megabytes
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device
    from harness.lab.provision import provision as put
    from harness.lab.provision import remove

    workspace = workspace_of(ctx)
    device = load_device(workspace, name)
    chosen = [known.get(each) for each in engines]
    if device.spec.is_this_machine:
        raise SpecificationError(
            f"{name} is this machine, whose engines are set up on first use",
            hint="harness run, or harness bench MODEL",
        )
    rows = []
    with steps() as shown, connect(workspace, device) as transport:
        for engine in chosen:
            if removing:
                shown.update(f"removing {engine.name} from {name}")
                folder = remove(workspace, device, transport, engine.name)
                rows.append({"engine": engine.name, "removed": folder})
                if not as_json:
                    click.echo(f"removed {engine.name}: {folder}")
            else:
                done = put(workspace, device, transport, engine, shown.update, python=python)
                rows.append(asdict(done))
                if not as_json:
                    other = f" (tested with {done.here})" if done.here else ""
                    click.echo(
                        f"{engine.name} {done.version}{other}: {done.python}, "
                        f"{megabytes(done.size)}"
                    )
            device = load_device(workspace, name)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not removing:
        click.echo(f"next: harness bench MODEL --device {name}", err=True)
