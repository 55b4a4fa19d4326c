"""The supervisor's program for a device."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from harness.models import environments
from harness.models.toolchain import run
from harness.native import abi as abis
from harness.native.compilers import zig_cache, zig_program
from harness.native.program import SOURCES, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.inventory import ABI
    from harness.native.program import Progress, Tools

__all__ = ["recipe", "supervisor"]

NAME = "edge-supervisor"

# The sources use C's library alone, so that C++'s is not compiled for each target.
_FLAGS = (
    "-std=c++17 -Os -s -static -nostdlib++ -fno-exceptions -fno-rtti -fno-threadsafe-statics "
    "-Wall -Wextra -Werror"
)


def supervisor(abi: ABI, progress: Progress) -> Path:
    """Return the supervisor's program for an ABI; it is compiled if it is not there.

    Raises
    ------
    ToolchainError
        The compiler could not be installed, or refused the sources.
    """
    return recipe(abi).obtain(progress)


def recipe(abi: ABI) -> Recipe:
    """Return how the supervisor is made for an ABI."""
    known = abis.get(abi)
    # Static with musl: such a program needs nothing of a device but its kernel, so that Android
    # is no different.
    target = known.zig_target("musl")
    flags = ["-target", target, *known.flags, *_FLAGS.split()]
    parts = ("base", "device", "supervisor")
    sources = [path for part in parts for path in sorted((SOURCES / part).iterdir())]
    content = hashlib.sha256(f"{environments.get('zig').digest} {flags}".encode())
    for path in sources:
        content.update(f"\0{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())

    def compile_into(folder: Path, tools: Tools, progress: Progress) -> None:
        progress(f"compiling {NAME} for {abi} (the first for an ABI takes half a minute)")
        where = [f"ZIG_{scope}_CACHE_DIR={zig_cache()}" for scope in ("GLOBAL", "LOCAL")]
        units = [str(path) for path in sources if path.suffix == ".cc"]
        command = [
            str(zig_program(tools)),
            "c++",
            *flags,
            f"-I{SOURCES}",
            *units,
            "-o",
            str(folder / NAME),
        ]
        run(["env", *where, *command], name=f"{NAME} for {abi}", folder=folder)

    return Recipe(NAME, f"{NAME}-{target}-{content.hexdigest()[:12]}", compile_into)
