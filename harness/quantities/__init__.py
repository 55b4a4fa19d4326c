"""The quantities: the project's own, a module each, and those of installed packages."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from harness.core.quantity import Quantity
from harness.core.registry import OWN_PACKAGE, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["QUANTITIES", "own", "quantities", "quantity"]


def _fault(declared: Quantity) -> str | None:
    return declared.fault()


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
