"""The plugins of one kind: the project's own, and those of installed packages.

The project's own are the folders of a package (``harness.engines``); other packages declare
theirs as entry points. Nothing is imported before a plugin is asked for.
"""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from harness.core.errors import SpecificationError
from harness.core.yamlfile import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["API_VERSION", "Fault", "Origin", "Plugin", "Registry"]

API_VERSION = 1
"""Version of the contract between the harness and its plugins."""

OWN_PACKAGE = "edge-harness"

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Plugin(Protocol):
    """What all plugins have in common.

    Attributes
    ----------
    name
        Unique among the plugins of its kind.
    api_version
        The version of the contract that it is written for, as a number of its own: not a
        reference to :data:`API_VERSION`, which changes with the harness.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above

    @property
    def api_version(self) -> int: ...  # noqa: D102 - see above


T = TypeVar("T", bound=Plugin)


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    Attributes
    ----------
    package
        The distribution package that declares it.
    version
        Of that package.
    place
        The module, or the entry point's value.
    """

    package: str
    version: str
    place: str


@dataclass(frozen=True)
class Fault:
    """A plugin that cannot be used.

    Attributes
    ----------
    name
        As it is declared: the entry point's name, or the folder's.
    reason
        A clause: ``it does not import (ImportError: …)``.
    """

    name: str
    origin: Origin
    reason: str


class _UnusableError(Exception):
    """The plugin cannot be used, for the reason given."""


@dataclass(frozen=True)
class _Declared:
    """A plugin that is declared somewhere, not yet loaded."""

    name: str
    origin: Origin
    load: Callable[[], object]


class Registry(Generic[T]):
    """The plugins of one kind.

    Parameters
    ----------
    kind
        Public base class of the plugins.
    what
        One of them in words: ``engine``.
    package
        Where the project's own are: each in a subpackage, or with ``modules`` in a module (those
        named ``base`` or with a leading underscore aside), as its attribute ``PLUGIN``.
    group
        Of the entry points by which other packages declare theirs.
    check
        Says what is wrong with a plugin's declaration, or returns none.
    """

    def __init__(
        self,
        kind: type[T],
        what: str,
        *,
        package: str,
        group: str,
        modules: bool = False,
        check: Callable[[T], str | None] = lambda _: None,
    ) -> None:
        self._kind = kind
        self._what = what
        self._package = package
        self._group = group
        self._modules = modules
        self._check = check

    @property
    def plugins(self) -> Mapping[str, T]:
        """Name to plugin: the project's own first, each group sorted."""
        return self._loaded[0]

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Name of a plugin to where it comes from."""
        return self._loaded[1]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The plugins that cannot be used."""
        return self._loaded[2]

    def __iter__(self) -> Iterator[T]:
        return iter(self.plugins.values())

    def __contains__(self, name: object) -> bool:
        return name in self.plugins

    def get(self, name: str) -> T:
        """Return a plugin by name.

        Raises
        ------
        SpecificationError
            No such name, or it cannot be used.
        """
        if found := self.plugins.get(name):
            return found
        for fault in self.faults:
            if fault.name == name:
                raise SpecificationError(
                    f"{self._what} '{name}' of the package {fault.origin.package} cannot be used: "
                    f"{fault.reason}"
                )
        raise SpecificationError(f"unknown {self._what} '{name}'", hint=nearest(name, self.plugins))

    @cached_property
    def _loaded(self) -> tuple[dict[str, T], dict[str, Origin], tuple[Fault, ...]]:
        plugins: dict[str, T] = {}
        origins: dict[str, Origin] = {}
        faults = []
        for declared in (*self._own(), *self._installed()):
            try:
                plugin = self._usable(declared)
            except _UnusableError as error:
                faults.append(Fault(declared.name, declared.origin, str(error)))
                continue
            if first := origins.get(plugin.name):
                reason = f"the package {first.package} has {self._what} '{plugin.name}' already"
                faults.append(Fault(declared.name, declared.origin, reason))
                continue
            if declared.origin.package != OWN_PACKAGE and declared.name != plugin.name:
                reason = f"its entry point has another name than the plugin, {plugin.name!r}"
                faults.append(Fault(declared.name, declared.origin, reason))
                continue
            plugins[plugin.name] = plugin
            origins[plugin.name] = declared.origin
        return plugins, origins, tuple(faults)

    def _own(self) -> Iterator[_Declared]:
        from harness import __version__  # noqa: PLC0415 - the package imports this one

        package = import_module(self._package)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            plain = module.name != "base" and not module.name.startswith("_")
            if module.ispkg or (self._modules and plain):
                path = f"{self._package}.{module.name}"
                origin = Origin(OWN_PACKAGE, __version__, path)

                def load(path: str = path) -> object:
                    return import_module(path).PLUGIN

                yield _Declared(module.name.replace("_", "-"), origin, load)

    def _installed(self) -> Iterator[_Declared]:
        found = []
        for point in entry_points(group=self._group):
            metadata = point.dist.metadata if point.dist else None
            name, version = (
                metadata[key] if metadata and key in metadata else "unknown"  # a damaged package
                for key in ("Name", "Version")
            )
            found.append(_Declared(point.name, Origin(name, version, point.value), point.load))
        yield from sorted(found, key=lambda each: (each.origin.package, each.name))

    def _usable(self, declared: _Declared) -> T:
        try:
            plugin = declared.load()
        except (Exception, SystemExit) as error:  # whatever somebody else's module may raise
            said = f"{type(error).__name__}: {error}"
            raise _UnusableError(f"it does not import ({said})") from error
        if not isinstance(plugin, self._kind):
            wanted = f"{self._kind.__module__}.{self._kind.__qualname__}"
            raise _UnusableError(f"it is a {type(plugin).__name__}, not a {wanted}")
        try:
            fault = self._declaration_fault(plugin)
        except Exception as error:  # its attributes may be computed
            said = f"{type(error).__name__}: {error}"
            raise _UnusableError(f"its declaration cannot be read ({said})") from error
        if fault:
            raise _UnusableError(fault)
        return plugin

    def _declaration_fault(self, plugin: T) -> str | None:
        version: Any = plugin.api_version  # somebody else's: not what the types promise, maybe
        if version != API_VERSION:
            return f"it is for version {version!r} of the plugin API, and this is {API_VERSION}"
        name: Any = plugin.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return f"its name {name!r} is not a word of lower-case letters, digits, '-', '_', '.'"
        return self._check(plugin)
