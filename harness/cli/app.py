"""The command ``harness``: its groups, loaded only when one is called."""

from __future__ import annotations

import importlib
import sys
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from harness.core.errors import ExitCode, HarnessError
from harness.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.workspace import Workspace

__all__ = ["main"]

_COMMANDS = {
    # name: (module of harness.cli, summary)
    "bench": ("bench", "Measure one model file in every engine that can run it."),
    "run": ("run", "Run a campaign, or resume a run."),
    "plan": ("run", "Show a campaign's cases and expected time."),
    "submit": ("submit", "Send a campaign to the labs of a fleet."),
    "jobs": ("submit", "List, show, cancel and retry what was submitted."),
    "fleet": ("fleet", "Show the agents, devices and queue of a fleet."),
    "agent": ("agent", "Measure what a fleet's centre has for this lab's devices."),
    "store": ("store", "Make a PostgreSQL database the centre of a fleet."),
    "report": ("report", "Render a run as one HTML file."),
    "check": ("check", "Measure and compare with a baseline: the gate for CI."),
    "compare": ("compare", "Compare runs, baselines, devices, engines, backends or commits."),
    "baseline": ("baseline", "Manage the baselines that runs are compared with."),
    "advise": ("advise", "Advise whether the NPU is worth using, model by model."),
    "chips": ("chips", "Compare chips and what was measured on them."),
    "results": ("results", "List and show stored runs, launches and logs."),
    "history": ("history", "Show results over time, with changes and suspect commits."),
    "site": ("site", "Build a static site of all runs: trends, health, reports."),
    "audit": ("audit", "Find implausible figures in results, yours or others'."),
    "export": ("export", "Export results as JSON Lines, CSV or Parquet."),
    "import": ("imports", "Import a published table of latencies."),
    "devices": ("devices", "Manage devices and emulated boards."),
    "models": ("models", "Manage models: add, build, inspect."),
    "runners": ("runners", "Manage native and foreign runners."),
    "plugins": ("plugins", "List plugins and check your own."),
    "init": ("init", "Create a workspace."),
    "schema": ("schema", "Print the JSON Schema of a file type, for editors."),
    "doctor": ("doctor", "Check the installation and say how to fix it."),
}

_EPILOG = """\b
Examples:
  harness bench mobilenet.onnx          first figures, no YAML needed
  harness doctor                        what is missing and how to fix it
  harness devices up qemu-arm64         start the emulated ARM board
  harness plan campaigns/demo.yaml      what would run and how long it takes
  harness run campaigns/demo.yaml       measure
  harness report -o demo.html           render the newest run
  harness baseline set good             keep the newest run as a baseline
  harness check --baseline good         measure again and compare

\b
Shell completion (bash; zsh and fish likewise):
  eval "$(_HARNESS_COMPLETE=bash_source harness)"

\b
Exit codes: 0 fine · 1 regression or failed expectation · 2 usage or
specification error · 3 the lab failed (device, link, toolchain) · 4 results
invalid or not comparable · 130 interrupted, resumable
"""


class _LazyGroup(click.Group):
    """Lists commands without importing them, so that ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(
            module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            from harness.core.yamlfile import nearest

            ctx.fail(f"no command '{args[0]}'; {nearest(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Workspace; by default the one around the current folder.",
)
@click.version_option(package_name="edge-harness", prog_name="harness")
@click.pass_context
def harness(ctx: click.Context, workspace: Path | None) -> None:
    """Benchmark models on edge devices: latency, first load and memory, CPU against NPU."""

    def find() -> Workspace:
        from harness.workspace import Workspace

        return Workspace.find(workspace)

    ctx.obj = find


def workspace_of(ctx: click.Context) -> Workspace:
    """Return the workspace that a command is to work in.

    Raises
    ------
    SpecificationError
        There is none.
    """
    find: Callable[[], Workspace] = ctx.obj
    return find()


def main() -> NoReturn:
    """Run the command line; a user's mistake ends in a message, never in a traceback."""
    try:
        code = harness.main(standalone_mode=False)
    except HarnessError as error:
        _complain(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = ExitCode.SPECIFICATION
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = ExitCode.FINE
    sys.exit(int(code or 0))


def _complain(error: HarnessError) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(visible(error.message), err=True)  # it may quote a device
    if error.hint:
        click.secho("  try: ", fg="cyan", nl=False, err=True)
        click.echo(visible(error.hint), err=True)
