"""Tables that fit the terminal: columns drop by rank, texts wrap, and nothing is cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.text import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

__all__ = ["Column", "Grid", "wide_option"]

_WIDE: Final = "harness.wide"
_GAP: Final = 2
_PROSE: Final = 72
"""The most that a text column takes where there is room for more, in characters."""


def _remember(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    del parameter
    ctx.meta[_WIDE] = bool(value)


wide_option = click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Show all columns and details, however wide the terminal is.",
)


def is_wide() -> bool:
    """Tell whether the command was given ``--wide``."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_WIDE))


@dataclass(frozen=True)
class Column:
    """A column of a :class:`Grid`.

    Attributes
    ----------
    rank
        Of columns that do not fit, the one with the highest rank is dropped first; rank 0 stays.
    right
        Whether it is aligned right: figures are.
    wrap
        The fewest characters it can be wrapped to; 0 for text that stays in one line.
    """

    title: str
    rank: int = 0
    right: bool = False
    wrap: int = 0


class Grid:
    """A table for a terminal of any width.

    Where not even the columns of rank 0 fit, each row becomes a short list. Where the output is no
    terminal, or under ``--wide``, all columns are printed.

    Parameters
    ----------
    columns
        From left to right.
    """

    def __init__(self, *columns: Column) -> None:
        self.columns = columns
        self.rows: list[list[Text]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row; strings are markup, so foreign text has to be escaped."""
        made = [cell if isinstance(cell, Text) else Text.from_markup(cell) for cell in cells]
        if len(made) != len(self.columns):
            raise ValueError(f"{len(made)} cells for {len(self.columns)} columns")
        self.rows.append(made)

    def print(self, out: Console) -> None:
        """Print it, unless it has no row."""
        if not self.rows:
            return
        natural = [
            max(cell_len(line) for text in (column.title, *cells) for line in _lines(text))
            for column, cells in zip(self.columns, zip(*self.rows, strict=True), strict=True)
        ]
        least = [
            min(width, max(column.wrap, cell_len(column.title))) if column.wrap else width
            for column, width in zip(self.columns, natural, strict=True)
        ]
        shown = list(range(len(self.columns)))
        if is_wide() or not out.is_terminal:
            width = max(out.width, _total(_comfortable(self.columns, natural), shown))
        else:
            width = out.width
            shown = [place for place in shown if not self._is_bare(place)]
            while _total(least, shown) > width:
                last = max(shown, key=lambda place: (self.columns[place].rank, place))
                if not self.columns[last].rank:
                    break
                shown.remove(last)
        if _total(least, shown) > width:
            self._print_stacked(out)
            return
        widths = _spread(self.columns, natural, least, shown, width)
        table = Table(
            box=None,
            padding=(0, _GAP, 0, 0),
            pad_edge=False,
            header_style="bold",
            width=_total(widths, shown),
        )
        for place in shown:
            column = self.columns[place]
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                width=widths[place],
                no_wrap=not column.wrap,
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(row[place] for place in shown))
        out.print(table, crop=False)
        if dropped := [c.title for n, c in enumerate(self.columns) if n not in shown and c.title]:
            out.print(Text(f"not shown: {', '.join(dropped)} (--wide)", style="dim"))

    def _is_bare(self, place: int) -> bool:
        """Tell whether a column that may be dropped has nothing to tell."""
        cells = {row[place].plain for row in self.rows}
        return self.columns[place].rank > 0 and cells <= {"", UNKNOWN}

    def _print_stacked(self, out: Console) -> None:
        for row in self.rows:
            head, *rest = zip(self.columns, row, strict=True)
            out.print(Text.assemble((head[1].plain, "bold")), overflow="fold")
            for column, cell in rest:
                if cell.plain.strip():
                    title = f"{column.title}: " if column.title else ""
                    out.print(Padding(Text(title) + cell, (0, 0, 0, 2)), overflow="fold")


def _lines(text: str | Text) -> Sequence[str]:
    return (text if isinstance(text, str) else text.plain).splitlines() or [""]


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[place] for place in shown) + _GAP * max(0, len(shown) - 1)


def _comfortable(columns: Sequence[Column], natural: Sequence[int]) -> list[int]:
    """Return widths at which only long prose wraps."""
    return [
        min(width, max(_PROSE, column.wrap)) if column.wrap else width
        for column, width in zip(columns, natural, strict=True)
    ]


def _spread(
    columns: Sequence[Column],
    natural: Sequence[int],
    least: Sequence[int],
    shown: Sequence[int],
    width: int,
) -> list[int]:
    """Return widths that share out the room that is left among what can wrap, narrowest first."""
    widths = list(least)
    room = width - _total(least, shown)
    wanting = sorted(
        (place for place in shown if columns[place].wrap),
        key=lambda place: natural[place] - least[place],
    )
    for number, place in enumerate(wanting):
        more = min(natural[place] - least[place], room // (len(wanting) - number))
        widths[place] += more
        room -= more
    return widths
