"""Numbers and foreign text as a reader sees them."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "UNKNOWN",
    "count",
    "difference",
    "figure",
    "interval",
    "megabytes",
    "milliseconds",
    "percent",
    "processors",
    "share_of",
    "taken",
    "times",
    "version_of",
    "visible",
]

UNKNOWN: Final = "unknown"

_REPLACEMENT = "\ufffd"
# Cc: controls; Cf: joins, bidirectional overrides; Cs: lone surrogates, which UTF-8 cannot hold;
# Zl, Zp: separators. All can hide text, turn it round, or break the file.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """Return text with every invisible character but line feed and tab made visible as U+FFFD."""
    # Printable is narrower than visible; the space between thousands is the common exception.
    if text.isprintable() or text.replace("\u202f", "").isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(
        _REPLACEMENT if unicodedata.category(char) in _HIDDEN and char not in "\n\t" else char
        for char in text
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 launch``, ``2 launches``."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"


def processors(numbers: Iterable[int]) -> str:
    """Return processors by the kernel's numbers: ``CPU 0–3, 6``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return f"CPU {', '.join('–'.join(map(str, each)) for each in ranges)}" if ranges else "CPU ?"


def milliseconds(value: float | None, *, resolution: float = 0.0) -> str:
    """Return a time with its unit, in three significant digits.

    Parameters
    ----------
    value
        Milliseconds.
    resolution
        How well it is known, in milliseconds; a value known better gets up to two digits more.
    """
    return UNKNOWN if value is None else figure(value, "ms", resolution=resolution)


def figure(value: float, unit: str, *, resolution: float = 0.0) -> str:
    """Return a value with its unit, in three significant digits.

    Parameters
    ----------
    resolution
        How well it is known, in the same unit; a value known better gets up to two digits more.
    """
    return f"{_digits(value, resolution)} {unit}".rstrip()


def interval(low: float, high: float) -> str:
    """Return an interval, in digits that tell its ends apart; without a unit."""
    resolution = (high - low) / 2
    return f"{_digits(low, resolution)} – {_digits(high, resolution)}"


def megabytes(value: float | None) -> str:
    """Return bytes in MB (10⁶ bytes), in three significant digits."""
    return UNKNOWN if value is None else figure(value / 1e6, "MB")


def taken(value: float | None) -> str:
    """Return how many bytes were taken, in MB; *freed* where there were more before."""
    if value is None or value >= 0:
        return megabytes(value)
    return f"{megabytes(-value)} freed"


def times(ratio: float) -> str:
    """Return a ratio in three significant digits: ``2.31×``."""
    if not math.isfinite(ratio):
        return "∞"
    return f"{_digits(ratio)}\N{MULTIPLICATION SIGN}"


def difference(ratio: float, decimals: int = 1) -> str:
    """Return a ratio as a change in percent: ``+5.1 %``; one that rounds to none has no sign."""
    if not math.isfinite(ratio):
        return "+∞"
    shown = f"{100 * (ratio - 1):+.{decimals}f}"
    shown = shown[1:] if float(shown) == 0 else shown.replace("-", "\N{MINUS SIGN}")
    return f"{shown} %"


def percent(value: float | None) -> str:
    """Return a fraction in percent, in two significant digits."""
    if value is None:
        return UNKNOWN
    return "0 %" if value == 0 else f"{_fixed(100 * value, 2)} %"


def share_of(part: float) -> str:
    """Return a part of a whole in percent, to a tenth: 99.9 % is not all."""
    return f"{100 * part:.1f}".removesuffix(".0") + " %"


def _digits(value: float, resolution: float = 0.0) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 3
    if 0 < resolution < abs(value):
        digits = min(5, max(3, _magnitude(value) - _magnitude(resolution) + 1))
    return _fixed(value, digits)


def _fixed(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - _magnitude(value))
    return f"{value:,.{decimals}f}".replace(",", "\u202f")


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def version_of(text: str) -> tuple[int, ...]:
    """Return a version as it is compared: its numbers."""
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
