"""Inference engines: the project's own, and those of installed packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.registry import Registry
from harness.engines.base import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.base import Format, ModelFile, Tool

__all__ = ["ENGINES", "Engine", "formats", "get", "model_files", "tools", "which_checks"]

_SHARED_FORMATS = frozenset({"pdmodel", "onnx"})


def _fault(engine: Engine) -> str | None:
    """Say what is wrong with the declaration of an engine."""
    if not engine.folder.is_dir():
        return f"its folder {engine.folder} is not there"
    if not engine.precisions:
        return "it computes in no precision"
    if engine.format not in _SHARED_FORMATS | {each.name for each in engine.formats}:
        return f"it loads '{engine.format}', which is none of its formats"
    if engine.in_python and not engine.device_module.is_file():
        return f"it has no {engine.device_module}"
    for environment in engine.environments:
        for suffix in ("in", "txt"):
            path = environment.locks / f"{environment.name}.{suffix}"
            if not path.is_file():
                return f"its environment '{environment.name}' has no {path}"
    return None


ENGINES: Registry[Engine] = Registry(
    Engine,
    "engine",
    package="harness.engines",
    group="edge_harness.engines",
    check=_fault,
)

get = ENGINES.get


def formats() -> Iterator[tuple[Format, Engine]]:
    """Give the formats that come with engines, each with its engine."""
    return ((each, engine) for engine in ENGINES for each in engine.formats)


def model_files() -> dict[str, tuple[ModelFile, Engine]]:
    """Return the kinds of model files that engines read, by name, each with its engine."""
    return {each.name: (each, engine) for engine in ENGINES for each in engine.model_files}


def tools() -> dict[str, tuple[Tool, Engine]]:
    """Return the foreign programs that measure engines, by name, each with its engine."""
    return {tool.name: (tool, engine) for engine in ENGINES for tool in engine.tools}


def which_checks(artifact_format: str, target: str) -> Engine | None:
    """Return the engine that runs such an artifact on this machine, if there is one."""
    found = (
        engine for engine in ENGINES if engine.format == artifact_format and target in engine.checks
    )
    return next(found, None)
