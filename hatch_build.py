"""Adds to a wheel the documentation's pages, and the programs for devices, for each ABI.

They are data: the wheel is the same for every machine that the harness itself runs on. An editable
install carries none; what it needs is compiled on first use, by the same code.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ABIS = ("x86_64-linux", "arm64-linux", "armv7hf-linux")

# Toolchain environments, and a package that is in each.
ENVIRONMENTS = {"zig": "ziglang", "native": "cmake"}

# Of what the harness depends on, all that its own code for compiling needs.
LIBRARIES = {
    "filelock",
    "flatbuffers",
    "numpy",
    "platformdirs",
    "pydantic",
    "pyelftools",
    "ruamel-yaml",
    "uv",
}


class Carried(BuildHookInterface):
    """Adds pages and programs to a wheel."""

    def dependencies(self) -> list[str]:
        """Return what a build installs: the tools in the very versions of the locks."""
        own = [d for d in self.metadata.core.dependencies if d.partition(">")[0] in LIBRARIES]
        return [*own, *(f"{name}=={version}" for name, version in self._locked())]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages; compile the programs, unless the user's cache has them."""
        if version == "editable":
            return
        for page in Path(self.root, "docs").rglob("*.md"):
            if "_build" not in page.parts:
                target = Path("harness", page.relative_to(self.root))
                build_data["force_include"][str(page)] = str(target)
        for name, locked in self._locked():
            if (found := Distribution.from_name(name).version) != locked:
                sys.exit(f"{name} {found} is installed, a wheel is built with {locked}")
        sys.path.insert(0, self.root)
        from harness.engines import ENGINES  # noqa: PLC0415 - of this tree
        from harness.native import build, program, supervisor  # noqa: PLC0415

        runners = [engine.name for engine in ENGINES if engine.brought]
        folder = program.CARRIED.relative_to(self.root)
        for abi in ABIS:
            recipes = [supervisor.recipe(abi), *(build.recipe(runner, abi) for runner in runners)]
            for recipe in recipes:
                made = recipe.obtain(self.app.display_info, _folder)
                target = folder / recipe.folder / recipe.program
                build_data["force_include"][str(made)] = str(target)

    def _locked(self) -> list[tuple[str, str]]:
        locks = Path(self.root, "harness", "models", "locks")
        return [
            pin
            for name in ENVIRONMENTS
            for pin in re.findall(
                r"^([\w.-]+)==([\w.]+)", (locks / f"{name}.txt").read_text(), re.MULTILINE
            )
        ]


def _folder(environment: str) -> Path:
    """Return where the tools of a toolchain environment are.

    The environment itself, if this user has it: zig keeps what it compiles (C and C++ libraries,
    which takes minutes) by its own path, and that of a build is another each time. Else the prefix
    that the build's dependencies were installed below.
    """
    from harness.models import environments  # noqa: PLC0415 - of this tree

    if environments.get(environment).ready:
        return environments.get(environment).folder
    packages = Distribution.from_name(ENVIRONMENTS[environment]).locate_file("")
    return Path(str(packages)).resolve().parents[2]
