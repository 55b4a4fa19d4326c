"""Devices by what they are: their class, their SoC, and labels that their files give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.core.errors import SpecificationError
from harness.core.text import count
from harness.core.yamlfile import Spec
from harness.workspace import Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.lab.inventory import DeviceSpec

__all__ = ["NobodyHasError", "Wanted", "choose"]


class Wanted(Spec):
    """Devices that a campaign asks for by what they are.

    Attributes
    ----------
    soc
        As devices' files have it.
    labels
        Of devices' files; all have to be there.
    count
        How many.
    """

    device_class: Name | None = Field(default=None, alias="class")
    soc: str | None = None
    labels: dict[Name, str] = Field(default_factory=dict)
    count: Annotated[int, Field(ge=1, le=1000)] = 1

    def __str__(self) -> str:
        asked = {"class": self.device_class, "soc": self.soc, **self.labels}
        return "{" + ", ".join(f"{name}: {value}" for name, value in asked.items() if value) + "}"

    def lacks(self, device: DeviceSpec) -> Iterator[str]:
        """Yield what of this a device is not."""
        if self.device_class not in (None, device.device_class):
            yield f"class {device.device_class or 'unknown'}"
        if self.soc not in (None, device.soc):
            yield f"soc {device.soc or 'unknown'}"
        for name, value in self.labels.items():
            if device.labels.get(name) != value:
                yield f"{name} {device.labels.get(name, 'unknown')}"


class NobodyHasError(SpecificationError):
    """Too few devices are what a campaign asks for."""


def choose(asked: Sequence[str | Wanted], known: Mapping[str, DeviceSpec]) -> list[str]:
    """Return the names of devices that are asked for by name or by what they are.

    Each is taken once; what is asked for by name, first.

    Raises
    ------
    NobodyHasError
        Too few devices fit.
    """
    taken = [each for each in asked if isinstance(each, str)]
    for each in asked:
        if isinstance(each, str):
            continue
        fitting = [name for name in known if name not in taken and not any(each.lacks(known[name]))]
        if len(fitting) < each.count:
            raise NobodyHasError(
                f"{count(each.count, 'device')} with {each} asked for, and there are "
                f"{len(fitting)}",
                hint=_nearest(each, {name: known[name] for name in known if name not in taken}),
            )
        taken += fitting[: each.count]
    return taken


def _nearest(asked: Wanted, known: Mapping[str, DeviceSpec]) -> str:
    others = sorted((len(lacking), name, lacking) for name in known
                    if (lacking := list(asked.lacks(known[name]))))  # fmt: skip
    if not others:
        return "there is no other device"
    _, name, lacking = others[0]
    return f"the nearest is {name}: {', '.join(lacking)}"
