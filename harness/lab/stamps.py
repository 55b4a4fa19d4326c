"""Which backends of a class were never measured on its hardware, and carry a stamp that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.classes import detect, load_class

if TYPE_CHECKING:
    from harness.core.records import DeviceRecord
    from harness.workspace import Workspace

__all__ = ["STAMP", "Stamp", "stamps"]

STAMP = "never run on this hardware by us"


@dataclass(frozen=True)
class Stamp:
    """Whether a backend of a class has run on its hardware.

    Attributes
    ----------
    run
        The newest run in the workspace's results with a launch that went well there.
    text
        The stamp; none where such a run is, or the harness's authors had one.
    """

    engine: str
    backend: str
    run: str | None
    text: str | None


def stamps(workspace: Workspace, name: str) -> list[Stamp]:
    """Return the stamp of each backend of a class. Emulated boards prove nothing.

    Raises
    ------
    SpecificationError
        There is no such class.
    ResultsError
        The results database cannot be read.
    """
    runs = _runs(workspace, name)
    return [
        Stamp(
            engine,
            backend,
            runs.get((engine, backend)),
            None if known.measured or (engine, backend) in runs else STAMP,
        )
        for engine, backends in load_class(name).engines.items()
        for backend, known in backends.items()
    ]


def _runs(workspace: Workspace, name: str) -> dict[tuple[str, str], str]:
    if not workspace.has_results():
        return {}
    with workspace.store() as store:
        found: dict[tuple[str, str], str] = {}
        for run, device, case in store.measured():
            if not device.emulated and _class_of(device) == name:
                found.setdefault((case.engine, case.backend), run)
        return found


def _class_of(device: DeviceRecord) -> str | None:
    facts = device.facts
    told = (facts.get("soc"), facts.get("model"), *facts.get("compatible", ()))
    return device.device_class or detect(facts.get("abi"), told)
