"""What is pushed for the Python runner: itself, an engine's part, and files of npm's packages.

Packages of npm are locked with their hashes and fetched once, by npm, into the cache.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Final

from harness.engines.base import ENGINE_MODULE
from harness.models.once import make_once
from harness.models.recipes import resource
from harness.models.toolchain import ToolchainError, run
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.engines.base import Engine, Npm

__all__ = ["SCRIPT", "device_files", "fetch"]

SCRIPT: Final = "edge_runner.py"
"""The Python runner's name on a device."""


def device_files(engine: Engine, progress: Callable[[str], None]) -> dict[str, Path]:
    """Return what is in a launch's folder for an engine in the Python runner, by name.

    Raises
    ------
    ToolchainError
        Its packages of npm cannot be fetched.
    """
    found = {
        SCRIPT: resource("runner", "python", SCRIPT),
        ENGINE_MODULE: engine.device_module,
        **{path.name: path for path in engine.beside},
    }
    if engine.npm:
        modules = fetch(engine.npm, progress)
        found |= {name: modules / path for name, path in engine.npm.files.items()}
    return found


def fetch(packages: Npm, progress: Callable[[str], None]) -> Path:
    """Return the folder ``node_modules`` of locked packages, fetched unless they are there.

    Raises
    ------
    ToolchainError
        There is no npm, a package cannot be had, or its hash is not the lock's.
    """
    digest = hashlib.sha256(packages.lock).hexdigest()[:12]
    folder = cache_dir() / "npm" / f"{packages.package.replace('/', '-').lstrip('@')}-{digest}"
    modules = folder / "node_modules"
    if not _whole(folder, packages):
        make_once(
            folder,
            lambda partial: _install(packages, partial, progress),
            sound=lambda found: _whole(found, packages),
            progress=progress,
        )
    return modules


def _whole(folder: Path, packages: Npm) -> bool:
    return all((folder / "node_modules" / path).is_file() for path in packages.files.values())


def _install(packages: Npm, folder: Path, progress: Callable[[str], None]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainError(
            f"{packages.package} is a package of npm, and there is no npm here",
            hint="apt-get install npm, or https://nodejs.org",
        )
    progress(f"{packages.package} {packages.version}: downloading with npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(packages.folder / name, folder / name)
    # No script of a package runs: only their files are wanted.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--logs-max=0"]
    run(command, name=f"npm {packages.package}", folder=folder)
