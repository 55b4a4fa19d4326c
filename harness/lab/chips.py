"""Chip cards: ``devices/chips/*.yaml``, what others say of a chip, and where they say it.

A figure is in a card only with the source that it was read in. What no source was read for is
not there, and unknown.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from harness.core.yamlfile import Spec, load, named, names
from harness.workspace import Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.workspace import Workspace

__all__ = ["COUNTS", "Card", "Source", "Stated", "card_for", "load_card", "load_cards"]

COUNTS: Final = (
    "domain",
    "process_nm",
    "supply",
    "tops",
    "clock",
    "memory",
    "codec",
    "isp",
    "power_w",
    "price_usd",
)
"""The keys of a card, in the order in which they are shown."""

Number = Annotated[float, Field(gt=0, lt=1e6)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Computed = Literal["int4", "int8", "int16", "fp16", "unstated"]
"""What TOPS are of; ``unstated`` where the source does not say."""


class Source(Spec):
    """Where something was read.

    Attributes
    ----------
    read
        The day on which it was read, be it in a stored copy.
    """

    title: Text
    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s<>\"]{4,300}$")]
    read: date


class Stated(Spec):
    """A figure or words, and the key of the source that has it."""

    source: str
    note: str = ""


class StatedNumber(Stated):
    """A figure that a source states."""

    value: Number


class StatedText(Stated):
    """Words that a source has."""

    value: Text


class Card(Spec):
    """The content of a chip's file.

    Attributes
    ----------
    socs
        Patterns of the names by which a device tells that it has this chip.
    device_class
        Of the devices that it is in.
    domain
        What it is made for.
    process_nm, supply
        Of its making, in nanometres; and voltages.
    tops
        Peak of its NPU in 10¹² operations per second, by precision, as the source states it;
        vendors seldom say whether dense.
    clock, memory, codec, isp
        Of its processors, of what it can use, of video and of cameras.
    power_w, price_usd
        Of the chip in watts and US dollars.
    """

    title: Text
    socs: Annotated[list[str], Field(min_length=1)]
    device_class: Name | None = Field(default=None, alias="class")
    sources: dict[str, Source] = Field(default_factory=dict)
    domain: StatedText | None = None
    process_nm: StatedNumber | None = None
    supply: StatedText | None = None
    tops: dict[Computed, StatedNumber] = Field(default_factory=dict)
    clock: StatedText | None = None
    memory: StatedText | None = None
    codec: StatedText | None = None
    isp: StatedText | None = None
    power_w: StatedNumber | None = None
    price_usd: StatedNumber | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Card:
        used = {stated.source for _, stated in self.stated()}
        if missing := sorted(used - set(self.sources)):
            raise ValueError(f"no source '{missing[0]}' in 'sources'")
        if idle := sorted(set(self.sources) - used):
            raise ValueError(f"nothing is from the source '{idle[0]}'")
        return self

    def stated(self) -> Iterator[tuple[str, StatedNumber | StatedText]]:
        """Yield what is known, by its key; TOPS as ``tops.int8``."""
        for name in COUNTS:
            if name == "tops":
                for precision, known in self.tops.items():
                    yield f"tops.{precision}", known
            elif (found := getattr(self, name)) is not None:
                yield name, found

    def peak_tops(self, precision: str) -> float | None:
        """Return the peak at a precision, in 10¹² operations per second; none where not stated."""
        found = next((known for name, known in self.tops.items() if name == precision), None)
        return found.value if found else None


def load_cards(workspace: Workspace) -> dict[str, Card]:
    """Return all cards by name.

    Raises
    ------
    SpecificationError
        A card is wrong.
    """
    folder = workspace.chips
    return {name: load(folder / f"{name}.yaml", Card) for name in names(folder)}


def load_card(workspace: Workspace, name: str) -> Card:
    """Return one card.

    Raises
    ------
    SpecificationError
        No such name, or it is wrong.
    """
    return load(named(workspace.chips, name, "chip"), Card)


def card_for(soc: str | None, cards: Mapping[str, Card]) -> tuple[str, Card] | None:
    """Return the card of the chip that a device says it has, by its longest name; or none."""
    told = (soc or "").lower()
    found = [
        (len(match[0]), name)
        for name, card in cards.items()
        for pattern in card.socs
        if (match := re.search(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", told))
    ]
    if not found:
        return None
    _, name = max(found)
    return name, cards[name]
