"""Tables and plots of docs/detection.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import vl_convert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLOURS: Final = ["#0072B2", "#999999", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def draw(spec: dict, path: Path) -> None:
    # Room on the left: who looks at it may have wider letters than those it is laid out with.
    head = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "padding": {"left": 70, "top": 5, "right": 10, "bottom": 5},
    }
    svg = vl_convert.vegalite_to_svg({**head, **spec})
    path.write_text(svg, encoding="utf-8")
