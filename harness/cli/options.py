"""Options and completions that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

__all__ = [
    "Duration",
    "as_json",
    "changes_option",
    "complete_baseline",
    "complete_campaign",
    "complete_case",
    "complete_compared",
    "complete_engine",
    "complete_imported",
    "complete_names",
    "complete_run",
    "complete_tool",
    "in_language",
    "matching",
    "only_option",
    "seed_option",
    "strict_option",
    "wait_option",
]

in_language = click.option(
    "--lang",
    type=click.Choice(["en", "zh-CN"]),  # harness.report.language.LANGUAGES
    default="en",
    show_default=True,
    help="Language of the output.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


changes_option = click.option(
    "--change",
    "changes",
    multiple=True,
    type=click.Choice(["clocks", "device", "engine", "kernel"]),
    help="Difference to accept as the change under test (otherwise refused).",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 4 instead of warning about what is inconclusive."
)


class Duration(click.ParamType[float]):
    """Seconds, or a number with ``s``, ``m``, ``h`` or ``d``; the value is in seconds."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See :meth:`click.ParamType.convert`."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd]?)", str(value), re.ASCII)
        if not found:
            self.fail(f"'{value}' is not a duration such as 90s, 30m or 2h", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


only_option = click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Only cases whose model, device, engine, backend, precision or scenario matches; all "
    "patterns must match.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, (1 << 31) - 1), help="Seed of the launch order."
)
wait_option = click.option(
    "--wait",
    "wait_s",
    type=Duration(),
    default="0",
    metavar="DURATION",
    help="Wait this long for devices that others have, such as 30m (default: not at all).",
)


def complete_names(folder: str) -> Completer:
    """Return a completion over the files of one of the workspace's folders.

    Parameters
    ----------
    folder
        The name of a :class:`harness.workspace.Workspace` property: ``devices``, ``models`` ...
    """

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from harness.core.yamlfile import names
        from harness.workspace import Workspace

        del ctx, param
        return matching(names(getattr(Workspace.find(), folder)), incomplete)

    return complete


def complete_engine(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the engines."""
    from harness.engines import ENGINES

    del ctx, param
    return matching(list(ENGINES.plugins), incomplete)


def complete_tool(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the programs that can be registered as runners."""
    from harness.engines import tools
    from harness.lab.runners import EDGE_RUNNER

    del ctx, param
    return matching([EDGE_RUNNER, *tools()], incomplete)


def complete_campaign(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the campaign files below the current folder."""
    del ctx, param
    return matching([str(path) for path in sorted(Path().glob("campaigns/*.yaml"))], incomplete)


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the ids of the stored runs."""
    from harness.workspace import Workspace

    del ctx, param
    with Workspace.find().store() as store:
        return matching([summary.id for summary in store.summaries()], incomplete)


def complete_case(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the ids of cases that were measured, with what they are; and their names."""
    from click.shell_completion import CompletionItem

    from harness.workspace import Workspace

    del ctx, param
    with Workspace.find().store() as store:
        cases = {case.id: case for _, _, case in store.measured()}
    names = sorted({name for case in cases.values() for name in (case.model, case.device)})
    return [
        *matching(names, incomplete),
        *(
            CompletionItem(case.id, help=case.label)
            for case in cases.values()
            if case.id.startswith(incomplete)
        ),
    ]


def complete_imported(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the names of the imported tables."""
    from harness.workspace import Workspace

    del ctx, param
    with Workspace.find().store() as store:
        return matching([table.id for table in store.imported()], incomplete)


def complete_compared(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer baselines and runs."""
    return [
        *complete_baseline(ctx, param, incomplete),
        *complete_run(ctx, param, incomplete),
    ]


def complete_baseline(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the names of the workspace's baselines."""
    from harness.workspace import Workspace

    del ctx, param
    stored = sorted(path.stem for path in Workspace.find().baselines.glob("*.json"))
    return matching(stored, incomplete)


def matching(names: list[str], incomplete: str) -> list[CompletionItem]:
    """Return the names that begin so, as completions."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
