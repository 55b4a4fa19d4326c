"""``harness runners``: programs that measure, built here or brought by the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.grid import wide_option
from harness.cli.options import as_json, complete_engine, complete_names, complete_tool
from harness.cli.runner_build import build
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.runners import RegisteredRunner

__all__ = ["runners"]


ABIS = ["arm64-linux", "armv7hf-linux", "x86_64-linux", "android-arm64", "android-armv7"]


@click.group(
    epilog="""\b
Examples:
  harness runners build onnxruntime --abi arm64-linux -o edge-runner
  harness runners add edge-runner ./edge-runner --engine onnxruntime --abi arm64-linux \\
      --lib libonnxruntime.so.1.31.1
  harness runners add benchmark_bin ./benchmark_bin --engine paddle-lite --abi arm64-linux
  harness runners check benchmark_bin-arm64-linux rk3588
  harness runners list
"""
)
def runners() -> None:
    """Build and register native runners and engines' own benchmark programs."""


runners.add_command(build)


@runners.command(
    epilog="""\b
Example:
  harness runners add benchmark_bin ./benchmark_bin --engine paddle-lite --abi arm64-linux \\
      --lib libgomp.so.1 --lib libstdc++.so.6

\b
A device then names it in its file:
  engines:
    paddle-lite: { runner: benchmark_bin-arm64-linux }
"""
)
@click.argument("tool", shell_complete=complete_tool)
@click.argument("program", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--engine", required=True, shell_complete=complete_engine, help="Engine that it measures."
)
@click.option("--abi", type=click.Choice(ABIS), required=True, help="ABI that it is built for.")
@click.option(
    "--lib",
    "libraries",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Shared library to push with it; repeatable.",
)
@click.option("--name", help="Name; by default TOOL-ABI or TOOL-ENGINE-ABI.")
@click.pass_context
def add(
    ctx: click.Context,
    tool: str,
    program: Path,
    *,
    engine: str,
    abi: str,
    libraries: tuple[Path, ...],
    name: str | None,
) -> None:
    """Register a runner by copying its ELF file into the workspace.

    TOOL is edge-runner for files from 'harness runners build', else the name of an engine's own
    program (benchmark_bin).
    """
    from harness.lab.runners import add as register

    spec = {"tool": tool, "engine": engine, "abi": abi}
    workspace = workspace_of(ctx)
    usual = [tool, engine, abi] if tool == "edge-runner" else [tool, abi]
    runner = register(workspace, name or "-".join(usual), spec, program, list(libraries))
    click.echo(workspace.runners / f"{runner.name}.yaml")
    for line in _needs_in_words(runner):
        click.echo(line, err=True)
    click.echo(
        f"next: in a device's file, engines: {{{engine}: {{runner: {runner.name}}}}}; then "
        f"harness runners check {runner.name} DEVICE",
        err=True,
    )


@runners.command(
    name="list",
    epilog="""\b
Examples:
  harness runners list
  harness runners list --json | jq -r '.[].name'
""",
)
@wide_option
@as_json
@click.pass_context
def list_runners(ctx: click.Context, *, as_json: bool) -> None:
    """List the workspace's runners."""
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.lab.runners import load_runners

    found = load_runners(workspace_of(ctx)).values()
    if as_json:
        click.echo(json.dumps([_as_json(runner) for runner in found], indent=2))
        return
    table = Grid(
        Column("Runner"),
        Column("Tool", 2),
        Column("Engine"),
        Column("ABI", 1),
        Column("Libraries", 3, wrap=20),
    )
    for runner in found:
        spec = runner.spec
        libraries = ", ".join(spec.libraries) or "nothing"
        table.add(runner.name, spec.tool, spec.engine, spec.abi, libraries)
    table.print(console())


@runners.command(
    epilog="""\b
Example:
  harness runners show benchmark_bin-arm64-linux
"""
)
@click.argument("name", metavar="RUNNER", shell_complete=complete_names("runners"))
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Show a foreign runner and what it needs of a device."""
    from harness.lab.runners import load_runner

    workspace = workspace_of(ctx)
    runner = load_runner(workspace, name)
    if as_json:
        click.echo(json.dumps(_as_json(runner), indent=2))
        return
    path = workspace.runners / f"{name}.yaml"
    click.echo(f"# {path}")
    for line in _needs_in_words(runner):
        click.echo(f"# {line}")
    click.echo(path.read_text(encoding="utf-8").rstrip())


@runners.command(
    epilog="""\b
Example:
  harness runners check benchmark_bin-arm64-linux rk3588
"""
)
@click.argument("name", metavar="RUNNER", shell_complete=complete_names("runners"))
@click.argument("device_name", metavar="DEVICE", shell_complete=complete_names("devices"))
@as_json
@click.pass_context
def check(ctx: click.Context, name: str, device_name: str, *, as_json: bool) -> None:
    """Check whether a runner fits a device, without running it.

    Compares the processor, glibc and libraries that it needs with the device's. Exits with 2 if
    something does not fit.
    """
    from harness.cli.terminal import steps
    from harness.core.text import UNKNOWN, visible
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device
    from harness.lab.probe import probe
    from harness.lab.runners import faults, load_runner, missing_libraries

    workspace = workspace_of(ctx)
    runner, device = load_runner(workspace, name), load_device(workspace, device_name)
    with steps() as shown, connect(workspace, device) as transport:
        shown.update(f"probing {device_name}")
        facts = probe(transport)
        missing = missing_libraries(transport, runner, device.spec.library_folders)
    found = faults(runner, facts, missing)
    libc = " ".join(filter(None, (facts.libc, facts.libc_version))) or UNKNOWN
    if as_json:
        content = {
            **_as_json(runner),
            "device": device_name,
            "device_abi": facts.abi,
            "device_libc": libc,
            "missing_libraries": missing,
            "faults": found,
        }
        click.echo(json.dumps(content, indent=2))
    else:
        for line in _needs_in_words(runner):
            click.echo(line)
        click.echo(f"{device_name} is {facts.abi or UNKNOWN}, libc {libc}")
        for fault in found:
            click.secho(visible(f"! {fault}"), fg="red")
        if not found:
            click.echo(f"{name} fits {device_name}")
    if found:
        ctx.exit(int(ExitCode.SPECIFICATION))


def _needs_in_words(runner: RegisteredRunner) -> Iterator[str]:
    from harness.core.text import visible
    from harness.lab.runners import version_text

    spec = runner.spec
    version = f", with {spec.engine} {spec.engine_version}" if spec.engine_version else ""
    glibc = f", glibc {version_text(runner.glibc)} or newer" if runner.glibc else ""
    libraries = ", ".join(runner.needed) or "no library"
    yield visible(f"{runner.name} is {spec.abi}{version}; it needs {libraries}{glibc}")
    if runner.loads:
        yield f"no {runner.loads} is shipped with it (--lib): it loads the device's own"


def _as_json(runner: RegisteredRunner) -> dict[str, Any]:
    from harness.lab.runners import version_text

    return {
        "name": runner.name,
        **runner.spec.model_dump(mode="json"),
        "needed": list(runner.needed),
        "glibc": version_text(runner.glibc) if runner.glibc else None,
    }
