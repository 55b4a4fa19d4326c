"""Options and completions that several commands share."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

__all__ = ["as_json", "complete_campaign", "complete_names", "complete_run"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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
        from harness.workspace import Workspace
        from harness.yamlfile import names

        del ctx, param
        return _items(names(getattr(Workspace.find(), folder)), incomplete)

    return complete


def complete_campaign(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the campaign files below the current folder."""
    del ctx, param
    return _items([str(path) for path in sorted(Path().glob("campaigns/*.yaml"))], incomplete)


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the ids of the stored runs."""
    from harness.results.store import Store
    from harness.workspace import Workspace

    del ctx, param
    with closing(Store(Workspace.find().database)) as store:
        return _items([summary.id for summary in store.summaries()], incomplete)


def _items(names: list[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
