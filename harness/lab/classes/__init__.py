"""Device classes: what is known of kinds of hardware, one YAML file a class.

General ones are in this folder; those of chips whose NPU an engine uses, in ``classes/`` of the
engine's. What runs on a processor alone comes from the engines themselves.

A class says which backends an engine has on such a device, what each needs there, and where that
is known from. It is knowledge only: what a device really has, probing tells
(:mod:`harness.lab.probe`), and :mod:`harness.lab.verdicts` holds one against the other.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from harness.core.errors import SpecificationError
from harness.core.yamlfile import Spec, load, names, nearest
from harness.engines import ENGINES
from harness.workspace import Name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BackendClass",
    "DeviceClass",
    "DriverCheck",
    "LibraryCheck",
    "class_names",
    "detect",
    "library_names",
    "load_class",
    "mentions",
]

_FOLDER = Path(__file__).parent


class DriverCheck(Spec):
    """A driver that a backend needs on the device.

    Attributes
    ----------
    name, title
        As probing names it, and as people do.
    versions
        The versions that are known to work, each with all that begins with it; none: any.
    at_least
        Instead: the oldest version that works.
    node
        Whether it is opened through a device node.
    find_out
        How to see its version on the device.
    remedy
        What to do where it is missing or of another version.
    source
        Where the versions are known from.
    others
        Drivers that take its place, to what that means.
    """

    name: str
    title: str
    versions: tuple[str, ...] = ()
    at_least: str | None = None
    node: bool = True
    find_out: str
    remedy: str
    source: str
    others: dict[str, str] = Field(default_factory=dict)


class LibraryCheck(Spec):
    """A shared library that a backend needs, on the device or shipped with the runner.

    Attributes
    ----------
    remedy
        Where it comes from.
    """

    name: str
    at_least: str | None = None
    remedy: str


class BackendClass(Spec):
    """A compute unit of such devices, as one engine uses it.

    Attributes
    ----------
    socs
        Patterns of the chips that have it; none: all of the class.
    excluded
        Patterns of chips of the class that do not, to the reason.
    root
        Whether only root can use it.
    options, variables
        What its runner is given, unless a device's file says otherwise: as in
        :class:`harness.lab.inventory.BackendSpec`.
    caution
        What else to know before its figures are believed.
    measured
        Whether the harness's authors have measured on such hardware.
    """

    socs: tuple[str, ...] = ()
    excluded: dict[str, str] = Field(default_factory=dict)
    root: bool = False
    driver: DriverCheck | None = None
    libraries: tuple[LibraryCheck, ...] = ()
    options: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)
    caution: str | None = None
    measured: bool = False


class DeviceClass(Spec):
    """The content of a class's file.

    Attributes
    ----------
    socs
        Patterns of the chips it covers; none: it is for devices that no other class covers.
    clocks
        What is worth recording to the pattern of its name in ``/sys/class/devfreq``.
    cpu
        What the processor needs of such a device.
    engines
        Engine to backend to what that needs; the processor aside.
    """

    title: str
    socs: tuple[str, ...] = ()
    abis: tuple[str, ...]
    clocks: dict[str, str] = Field(default_factory=dict)
    cpu: BackendClass = BackendClass()
    engines: dict[Name, dict[str, BackendClass]] = Field(default_factory=dict)


def class_names() -> list[str]:
    """Return the names of all classes."""
    return sorted(_files())


def _files() -> dict[str, Path]:
    folders = [_FOLDER, *(engine.folder / "classes" for engine in ENGINES)]
    return {name: folder / f"{name}.yaml" for folder in folders for name in names(folder)}


@cache
def load_class(name: str) -> DeviceClass:
    """Return a class by name, with the engines that run on such devices' processors.

    Raises
    ------
    SpecificationError
        No such name.
    """
    known = _files()
    if name not in known:
        raise SpecificationError(f"unknown device class '{name}'", hint=nearest(name, known))
    found = load(known[name], DeviceClass)
    engines: dict[str, dict[str, BackendClass]] = {}
    for engine in ENGINES:
        # Boards for an NPU often have no Python: there it takes a native runner.
        suits = engine.native or not found.socs
        backends = dict(found.engines.get(engine.name, {}))
        if suits and set(engine.cpu_abis) & set(found.abis):
            backends = {"cpu": found.cpu, **backends}
        if backends:
            engines[engine.name] = backends
    return found.model_copy(update={"engines": engines})


def library_names() -> list[str]:
    """Return all libraries that backends of any class need, for probing to look for."""
    return sorted(
        {
            library.name
            for name in class_names()
            for backends in load_class(name).engines.values()
            for backend in backends.values()
            for library in backend.libraries
        }
    )


def detect(abi: str | None, told: Iterable[str | None]) -> str | None:
    """Return the class that a device is of, or none.

    Parameters
    ----------
    told
        What it says of its chip and board: compatible names, SoC, model.
    """
    fitting = [name for name in class_names() if abi in load_class(name).abis]
    told = tuple(told)
    for name in fitting:
        if mentions(load_class(name).socs, told):
            return name
    general = (name for name in fitting if not load_class(name).socs)
    return next(general, None)


def mentions(patterns: Iterable[str], told: Iterable[str | None]) -> bool:
    """Return whether one of the texts has a word that is one of the patterns."""
    text = " ".join(filter(None, told)).lower()
    return any(re.search(rf"(?<![a-z0-9])(?:{each})(?![a-z0-9])", text) for each in patterns)
