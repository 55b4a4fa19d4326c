"""The quantities: the project's own, a module each, and those of installed packages."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from harness.core.quantity import Quantity
from harness.core.registry import OWN_PACKAGE, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["QUANTITIES", "in_section", "own", "quantities", "quantity"]


_taken: dict[tuple[str, str], str] = {}


def _fault(declared: Quantity) -> str | None:
    """Return what is wrong with a declaration, also beside those found before it."""
    if fault := declared.fault():
        return fault
    named = {("title", declared.title), ("column", declared.column)}
    named |= {("key in 'expect'", declared.expect)} if declared.expect else set()
    for what, name in sorted(named):
        if (other := _taken.setdefault((what, name), declared.name)) != declared.name:
            return f"the quantity '{other}' has the {what} '{name}' already"
    return None


QUANTITIES: Final = Registry(
    Quantity,
    "quantity",
    package="harness.quantities",
    group="edge_harness.quantities",
    modules=True,
    check=_fault,
)


@cache
def quantities() -> Sequence[Quantity]:
    """Return all quantities in their order, wholes before parts."""
    wholes = sorted(QUANTITIES, key=lambda each: each.place)
    return (*wholes, *(part for whole in wholes for part in whole.parts))


@cache
def in_section(section: str) -> Sequence[Quantity]:
    """Return the quantities that are shown in a section, in their order."""
    return tuple(each for each in quantities() if each.section == section)


@cache
def quantity(name: str) -> Quantity:
    """Return a quantity, or a part of one, by its name.

    Raises
    ------
    KeyError
        There is none.
    """
    return {each.name: each for each in quantities()}[name]


def own(declared: Quantity) -> bool:
    """Return whether a quantity is the project's own, and not of another package."""
    return QUANTITIES.origins[declared.whole or declared.name].package == OWN_PACKAGE
