"""``harness chips``: cards of chips, and what was measured beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import stored
from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_names, in_language
from harness.core.errors import SpecificationError
from harness.core.pages import page

if TYPE_CHECKING:
    from harness.core.records import Run
    from harness.lab.chips import Card

__all__ = ["chips"]


@click.group(
    epilog="""\b
Examples:
  harness chips list
  harness chips show rk3588                         each figure with source and date
  harness chips compare rk3588 a311d -o chips.html  with what was measured on them
"""
)
def chips() -> None:
    """List, show and compare chips; every figure has its source."""


@chips.command(name="list", epilog="\b\nExample:\n  harness chips list --json")
@as_json
@click.pass_context
def list_chips(ctx: click.Context, *, as_json: bool) -> None:
    """List the chips that have a card."""
    from rich.markup import escape

    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.core.text import UNKNOWN, visible
    from harness.lab.chips import load_cards

    cards = load_cards(workspace_of(ctx))
    if as_json:
        shown = {name: _as_json(card) for name, card in cards.items()}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    if not cards:
        raise SpecificationError(
            f"no chip has a card in {workspace_of(ctx).chips}",
            hint=f"to write one: {page('chips')}",
        )
    table = Grid(
        Column("Name"),
        Column("Chip", wrap=16),
        Column("Class", 3),
        Column("TOPS", wrap=16),
        Column("Process", 2),
        Column("Known", 1),
    )
    for name, card in cards.items():
        tops = ", ".join(f"{known.value:g} {what}" for what, known in card.tops.items())
        table.add(
            name,
            escape(visible(card.title)),
            card.device_class or UNKNOWN,
            tops or UNKNOWN,
            f"{card.process_nm.value:g} nm" if card.process_nm else UNKNOWN,
            f"{sum(1 for _ in card.stated())} figures",
        )
    table.print(console())


@chips.command(epilog="\b\nExample:\n  harness chips show a311d")
@click.argument("chip", shell_complete=complete_names("chips"))
@as_json
@click.pass_context
def show(ctx: click.Context, chip: str, *, as_json: bool) -> None:
    """Show a chip: each figure with its source and date."""
    from rich.markup import escape

    from harness.cli.terminal import console
    from harness.core.text import visible
    from harness.lab.chips import COUNTS, load_card

    card = load_card(workspace_of(ctx), chip)
    if as_json:
        click.echo(json.dumps(_as_json(card), indent=2, ensure_ascii=False))
        return
    out = console()
    out.print(f"[bold]{escape(visible(card.title))}[/]")
    known = dict(card.stated())
    for count in COUNTS:
        names = [name for name in known if name.partition(".")[0] == count]
        if not names:
            out.print(f"  {count}: [dim]unknown[/]")
        for name in names:
            stated = known[name]
            note = f" ({stated.note})" if stated.note else ""
            out.print(
                f"  {name}: {escape(visible(f'{stated.value}{note}'))} [dim]{stated.source}[/]"
            )
    for key, source in card.sources.items():
        said = f"{key}: {source.title}, {source.address}, read {source.read}"
        out.print(f"  [dim]{escape(visible(said))}[/]", soft_wrap=True)


@chips.command(
    epilog="""\b
Examples:
  harness chips compare
  harness chips compare rk3588 rk3568 --run demo -o chips.html --lang zh-CN
"""
)
@click.argument("names", nargs=-1, metavar="[CHIP]...", shell_complete=complete_names("chips"))
@click.option("--run", "runs", multiple=True, help="Runs to include; by default all.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default reports/chips.html.",
)
@in_language
@click.pass_context
def compare(
    ctx: click.Context,
    names: tuple[str, ...],
    runs: tuple[str, ...],
    output: Path | None,
    lang: str,
) -> None:
    """Compare chips, and what was measured on them, on one page.

    Achieved operations per second are two per multiply-accumulate over the latency, compared with
    the stated peak at the same precision. Emulated boards are left out.
    """
    from harness.cli.terminal import steps
    from harness.lab.chips import load_card, load_cards
    from harness.report.chips import render_chips

    workspace = workspace_of(ctx)
    cards = {name: load_card(workspace, name) for name in names} if names else load_cards(workspace)
    if not cards:
        raise SpecificationError(
            f"no chip has a card in {workspace.chips}",
            hint=f"to write one: {page('chips')}",
        )
    found: list[Run] = []
    with workspace_of(ctx).store() as store, steps() as progress:
        chosen = [store.latest(campaign=run) or run for run in runs]
        for run_id in chosen or [summary.id for summary in store.summaries()]:
            progress.update(f"reading {run_id}")
            found.append(stored(store, run_id))
    html = render_chips(cards, found, lang=lang)
    path = output or workspace.reports / "chips.html"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SpecificationError(
            f"{path}: {error.strerror}", hint="name a file in an existing folder: -o FILE"
        ) from None
    click.echo(path)


def _as_json(card: Card) -> dict[str, object]:
    return card.model_dump(mode="json", by_alias=True, exclude_none=True)
