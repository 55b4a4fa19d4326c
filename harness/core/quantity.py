"""The declaration of a quantity: all that tables, charts, verdicts, budgets and exports know of it.

A quantity is declared once: by a module of ``harness.quantities`` or by an entry point of the group
``edge_harness.quantities``. Nothing else names it, unless it is laid out in a way of its own.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from harness.core import text
from harness.core.records import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.core.records import Launch

__all__ = ["BYTES", "MILLISECONDS", "Better", "Column", "Quantity", "Summary", "Unit"]


class Better(StrEnum):
    """Which way a quantity improves."""

    LESS = "less"
    MORE = "more"


class Summary(StrEnum):
    """What a case's value is of its launches' figures."""

    INTERVAL = "interval"
    """The geometric mean, with a 95 % interval over launches."""
    MEDIAN = "median"
    HIGHEST = "highest"


@dataclass(frozen=True)
class Unit:
    """A unit, as it is stored and as it is shown.

    Attributes
    ----------
    name
        In the names of columns: ``ms``, ``bytes``, ``per_s``; empty for a plain number.
    shown
        To people: ``ms``, ``MB``, ``1/s``.
    per
        How many of the stored unit make one of the shown.
    kind
        Whether it is a time: then a contrast is a speed-up, not a change in percent.
    whole
        Whether a launch's figure is a whole number.
    """

    name: str
    shown: str
    per: float = 1.0
    kind: Literal["time", "other"] = "other"
    whole: bool = False

    def text(self, value: float | None, *, resolution: float = 0.0) -> str:
        """Return a value with its unit; ``unknown`` without one.

        Parameters
        ----------
        value, resolution
            In the stored unit; see :func:`harness.core.text.figure`.
        """
        if value is None:
            return text.UNKNOWN
        return text.figure(value / self.per, self.shown, resolution=resolution / self.per)


MILLISECONDS: Final = Unit("ms", "ms", kind="time")
BYTES: Final = Unit("bytes", "MB", per=1e6, whole=True)


@dataclass(frozen=True)
class Column:
    """A further column of exported launches, which says how a figure was taken.

    Attributes
    ----------
    kind
        ``int`` or ``str``.
    of
        Its value for a launch; none where it is not known.
    """

    name: str
    kind: type
    of: Callable[[Launch], str | int | None]


@cache
def _complain(sentence: str) -> None:
    """Say something once."""
    logging.getLogger(__name__).warning("%s", sentence)


def _no_state(launch: Launch) -> str:
    del launch
    return ""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that is measured of a case.

    Attributes
    ----------
    name
        Of lower-case letters, digits and ``_``, unique among quantities. A part's is that of the
        whole, a dot and its own: ``first_load.init``.
    title
        In running text and verdicts, in English: ``peak memory``.
    label
        As the heading of a column.
    unit
        Of all values.
    of
        A launch's figure; none where the launch does not tell it.
    role
        Of the launches that tell it.
    state
        The state in which a launch was made, in words; figures of different states are never
        mixed. Empty where there is but one.
    source
        Who or what took the figure; cases whose launches name several are not compared.
    summary
        What a case's value is.
    better
        Which way it improves.
    margin
        What change counts, as a fraction (0.03 is 3 %); none: it is not compared.
    decisive
        Whether a case is inconclusive where this quantity is.
    tracked
        Whether ``harness history`` and the site follow it over runs.
    expect
        Its key in a campaign's ``expect``, whose limit is in the unit as shown; at most where less
        is better, else at least. Empty: nothing can be expected of it.
    higher, lower
        What a rise and a fall are called: ``slower``, ``faster``.
    section
        Where it is shown: in a section of its own, or among the others in ``more``.
    place
        The order of columns, lowest first.
    states
        Of a quantity with states, those that have a column in exported cases, with what stands for
        them in its name.
    columns
        Further columns of exported launches.
    parts
        What it is the sum of, as far as that is known.
    complete
        Of some launches of one state, those whose figures may be taken together; by default all.
    """

    name: str
    title: str
    label: str
    unit: Unit
    of: Callable[[Launch], float | None]
    api_version: int = 0
    role: Role = Role.MEASURE
    state: Callable[[Launch], str] = _no_state
    source: Callable[[Launch], str] = _no_state
    summary: Summary = Summary.INTERVAL
    better: Better = Better.LESS
    margin: float | None = None
    decisive: bool = True
    tracked: bool = False
    expect: str = ""
    higher: str = "higher"
    lower: str = "lower"
    section: Literal["latency", "first-load", "memory", "traffic", "more"] = "more"
    place: int = 1000
    states: dict[str, str] = field(default_factory=dict)
    columns: Sequence[Column] = ()
    parts: Sequence[Quantity] = ()
    complete: Callable[[Sequence[Launch]], Sequence[Launch]] = tuple

    @property
    def key(self) -> str:
        """Its name; a part's own, without that of the whole."""
        return self.name.rpartition(".")[2]

    @property
    def whole(self) -> str:
        """The name of what it is a part of; else empty."""
        return self.name.rpartition(".")[0]

    @property
    def column(self) -> str:
        """Its name in exported launches, JSON and pytest: ``peak_memory_bytes``."""
        return self.column_of("")

    def column_of(self, what: str) -> str:
        """Return a column's name, with what it is of the quantity before the unit."""
        return "_".join(filter(None, (self.key, what, self.unit.name)))

    @property
    def words(self) -> tuple[str, ...]:
        """What is translated of it."""
        return (self.title, self.label, self.higher, self.lower)

    def figure(self, launch: Launch) -> float | None:
        """Return a launch's figure; none where it does not tell it, or not as a finite number."""
        try:
            found = self.of(launch)
            if found is None or math.isfinite(found):
                return found
            fault = f"it gives {found!r}"
        except Exception as error:  # noqa: BLE001 - whatever somebody else's function may raise
            fault = f"{type(error).__name__}: {error}"
        _complain(f"quantity '{self.name}' is unknown where it cannot be taken ({fault})")
        return None

    def figures(self, launches: Iterable[Launch]) -> dict[str, list[float]]:
        """Return the launches' figures by state, in the launches' order; unknown ones left out."""
        groups: dict[str, list[Launch]] = {}
        for launch in launches:
            if self.figure(launch) is not None:
                groups.setdefault(self.state(launch), []).append(launch)
        return {
            state: [
                figure for each in self.complete(group) if (figure := self.figure(each)) is not None
            ]
            for state, group in sorted(groups.items())
        }

    def text(self, value: float | None, *, resolution: float = 0.0) -> str:
        """Return a value with its unit; see :meth:`Unit.text`."""
        return self.unit.text(value, resolution=resolution)

    def interval(self, low: float, high: float) -> str:
        """Return an interval, without the unit."""
        return text.interval(low / self.unit.per, high / self.unit.per)

    def is_worse(self, ratio: float) -> bool:
        """Return whether it got worse, where its new value is a ratio of the old one."""
        return ratio > 1 if self.better is Better.LESS else ratio < 1

    def change(self, ratio: float) -> str:
        """Return what such a change is called."""
        return self.higher if ratio > 1 else self.lower

    def fault(self) -> str | None:
        """Return what is wrong with the declaration."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", self.key):
            return f"its name {self.name!r} is not lower-case letters, digits and '_'"
        if self.expect in ("only", "speedup", "drift", "placement"):
            return f"'{self.expect}' of a campaign's 'expect' is no quantity's"
        if self.margin is not None and not 0 < self.margin < 1:
            return f"its margin {self.margin!r} is not between 0 and 1"
        if self.tracked and self.summary is not Summary.INTERVAL:
            return f"what is tracked needs an interval, and its summary is {self.summary!r}"
        return next((fault for part in self.parts if (fault := part.fault())), None)
