"""A new device's inventory file, written from what probing told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.errors import SpecificationError
from harness.core.pages import page
from harness.core.yamlfile import dump
from harness.engines import ENGINES
from harness.lab.classes import detect
from harness.lab.inventory import DeviceSpec, EngineSpec

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.probe import Facts
    from harness.transports.plugin import LinkSpec, TransportPlugin
    from harness.workspace import Workspace

__all__ = ["path_of_new", "register"]


def path_of_new(workspace: Workspace, name: str) -> Path:
    """Return where a new device's file is to be.

    Raises
    ------
    SpecificationError
        There is one of that name.
    """
    path = workspace.devices / f"{name}.yaml"
    if path.exists():
        raise SpecificationError(
            f"{path}: device '{name}' already exists", hint="choose another --name"
        )
    return path


def register(
    path: Path,
    transport: TransportPlugin,
    link: LinkSpec,
    facts: Facts,
    *,
    workdir: str | None = None,
) -> DeviceSpec:
    """Write the file of a device: its class, the engines that were found, and what we bring.

    Raises
    ------
    SpecificationError
        Nothing can be built for the device, or its file cannot be written.
    """
    if facts.abi is None:
        raise SpecificationError(
            f"{link.where}: programs for it cannot be built: {facts.architecture or 'unknown'} is "
            "not one of the supported ABIs, or its shell's ELF header could not be read",
            hint=f"if it is one, write {path} by hand: see {page('devices')}",
        )
    engines = {
        engine: EngineSpec(python=python.path)
        for python in facts.pythons
        for engine in python.engines
    }
    # These need nothing of the device: what is left of a lab that does not work is the lab.
    engines |= {engine.name: EngineSpec() for engine in ENGINES if engine.brought}
    content: dict[str, Any] = {
        "description": facts.model or "",
        "transport": transport.name,
        **link.model_dump(),
        "workdir": workdir,
        "abi": facts.abi,
        "soc": facts.soc,
        "class": detect(facts.abi, facts.says_of_itself),
        "engines": engines,
    }
    spec = DeviceSpec.model_validate(content)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(dump(spec))
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error
    return spec
