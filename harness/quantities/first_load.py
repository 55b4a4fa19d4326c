"""The first load, from the start of the process to the first result, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import MILLISECONDS, Column, Quantity, Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import FirstLoad, Launch


def _state(launch: Launch) -> str:
    return launch.first_load.state if launch.first_load else ""


def _column(name: str) -> Column:
    def of(launch: Launch) -> str | None:
        return getattr(launch.first_load, name, None)

    return Column(name, str, of)


def _complete(launches: Sequence[Launch]) -> Sequence[Launch]:
    """Leave out launches that did not know when their process began, where another did."""
    loads: list[tuple[Launch, FirstLoad]] = [
        (each, each.first_load) for each in launches if each.first_load
    ]
    return [each for each, load in loads if load.process_ms is not None] or launches


def _part(name: str, label: str, place: int) -> Quantity:
    def of(launch: Launch) -> float | None:
        return getattr(launch.first_load, f"{name}_ms", None)

    return Quantity(
        name=f"first_load.{name}",
        api_version=1,
        title=f"first load: {name}",
        label=label,
        unit=MILLISECONDS,
        of=of,
        state=_state,
        summary=Summary.MEDIAN,
        margin=0.2,
        decisive=False,
        section="first-load",
        place=place,
    )


PLUGIN = Quantity(
    name="first_load",
    api_version=1,
    title="first load",
    label="First load",
    unit=MILLISECONDS,
    of=lambda launch: launch.first_load.total_ms if launch.first_load else None,
    state=_state,
    complete=_complete,
    summary=Summary.MEDIAN,
    margin=0.1,
    decisive=False,
    expect="first_load_ms",
    section="first-load",
    place=36,
    states={"cold": "cold", "cold, libraries cold": "libraries_cold", "warm": "warm"},
    columns=(_column("page_cache"), _column("libraries")),
    parts=(
        _part("process", "Process", 31),
        _part("import", "Import", 32),
        _part("read", "Read", 33),
        _part("init", "Initialise", 34),
        _part("first", "First inference", 35),
    ),
)
