"""Asking a device what it is, and what follows for its backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab.inventory import Device
    from harness.lab.probe import Facts
    from harness.lab.verdicts import Usability
    from harness.transports.base import Transport
    from harness.workspace import Workspace

__all__ = ["Probed", "ask_device", "interpreters"]


@dataclass(frozen=True)
class Probed:
    """What a device told, and what follows for its backends."""

    facts: Facts
    device_class: str | None
    verdicts: list[Usability]


def ask_device(workspace: Workspace, device: Device, transport: Transport) -> Probed:
    """Ask a device what it is.

    Raises
    ------
    TransportError
        It cannot be asked.
    """
    from harness.lab.probe import probe
    from harness.lab.units import ask
    from harness.lab.verdicts import of_device

    spec = device.spec
    pythons = [python for python in interpreters(device).values() if python]
    facts = probe(transport, pythons, spec.library_folders)
    facts = facts.model_copy(update={"units": ask(transport, _of_accelerators(device))})
    return Probed(facts, *of_device(workspace, spec, facts))


def _of_accelerators(device: Device) -> dict[tuple[str, str], str]:
    """Return engine and backend to the interpreter that measures it, but for processors."""
    from harness.models.environments import get

    found: dict[tuple[str, str], str] = {}
    for engine, spec in device.spec.engines.items():
        for backend, settings in spec.backends.items():
            if backend == "cpu" or spec.runner or spec.built_in:
                continue
            name = settings.environment or spec.environment
            python = settings.python or spec.python
            if not settings.python and name:
                python = str(get(name).interpreter) if get(name).ready else None
            if python:
                found[engine, backend] = str(python)
    return found


def interpreters(device: Device) -> dict[str, str | None]:
    """Return the interpreter of each engine that has one; none where it was not made yet."""
    from harness.models.environments import get

    found: dict[str, str | None] = {}
    for engine, spec in device.spec.engines.items():
        if spec.runner or spec.built_in:
            continue
        found[engine] = spec.python
        if spec.environment:
            environment = get(spec.environment)
            found[engine] = str(environment.interpreter) if environment.ready else None
    return found
