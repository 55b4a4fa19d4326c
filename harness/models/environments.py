"""Toolchain environments: locked, made with uv on first use, shared by all workspaces.

Each has a file of what is asked for and its lock beside it: under ``locks/``, or in the folder of
the engine that it comes with. An engine that runs on this machine, too, runs in one of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from harness.core.errors import SpecificationError
from harness.core.yamlfile import nearest
from harness.engines import ENGINES
from harness.engines.base import OWN_PYTHON, Environment
from harness.models import interpreters
from harness.models.once import make_once
from harness.models.toolchain import run

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Environment", "environments", "get", "python"]

_LOCKS = Path(__file__).parent / "locks"

_SHARED = {
    environment.name: environment
    for environment in (
        Environment(
            "paddle", "export, opt, conversion; Paddle's engines here", "3.10", 200, _LOCKS
        ),
        Environment("paddle3", "what Paddle 3 writes (PIR), to ONNX", "3.10", 245, _LOCKS),
        Environment("rapidocr", "trained PP-OCRv4 models", OWN_PYTHON, 15, _LOCKS),
        Environment(
            "onnx", "ONNX models: inspected, prepared for converters", OWN_PYTHON, 75, _LOCKS
        ),
        Environment("x2paddle", "ONNX to Paddle", "3.10", 180, _LOCKS),
        Environment("browser", "steering a browser here", OWN_PYTHON, 65, _LOCKS),
        Environment("native", "building native runners", OWN_PYTHON, 35, _LOCKS),
        Environment("zig", "the compiler of what runs on devices", OWN_PYTHON, 95, _LOCKS),
    )
}


def environments() -> dict[str, Environment]:
    """Return all environments by name: those of the shared toolchain, then those of engines."""
    return _SHARED | {each.name: each for engine in ENGINES for each in engine.environments}


def get(name: str) -> Environment:
    """Return an environment by name, made or not.

    Raises
    ------
    SpecificationError
        No such name.
    """
    if name in _SHARED:  # without a look at the engines: a wheel is built where none can load
        return _SHARED[name]
    known = environments()
    if name not in known:
        raise SpecificationError(
            f"unknown toolchain environment '{name}'", hint=nearest(name, known)
        )
    return known[name]


def python(name: str, progress: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment, which is made if it is not there.

    Raises
    ------
    SpecificationError
        There is no environment of that name.
    ToolchainError
        Its Python was not found, or its packages could not be installed.
    """
    environment = get(name)
    if not environment.ready:
        make_once(
            environment.folder,
            lambda folder: _install(environment, folder, progress),
            sound=_works,
            progress=progress,
        )
    return environment.interpreter


def _install(environment: Environment, folder: Path, progress: Callable[[str], None]) -> None:
    base = interpreters.obtain(environment.version, progress)
    progress(
        f"environment {environment.name}: Python {environment.version}, "
        f"up to {environment.download_mb} MB to download"
    )
    step = f"environment {environment.name}"
    # Relocatable: it is renamed into its place once it is whole.
    create = [uv.find_uv_bin(), "venv", "--relocatable", "--python", str(base)]
    run([*create, str(folder)], name=step, folder=folder.parent)
    lock = folder / "lock.txt"
    lock.write_text(environment.lock, encoding="utf-8")
    # Compiled now, since the first launch of an engine would otherwise pay for it.
    sync = [uv.find_uv_bin(), "pip", "sync", "--require-hashes", "--compile-bytecode"]
    run([*sync, "--python", str(folder / "bin" / "python"), str(lock)], name=step, folder=folder)


def _works(folder: Path) -> bool:
    return os.access(folder / "bin" / "python", os.X_OK)
