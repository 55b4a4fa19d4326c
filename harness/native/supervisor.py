"""The supervisor's program for a device, compiled from source on first use."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from harness.models import environments
from harness.models.once import make_once
from harness.models.toolchain import run
from harness.native import abi as abis
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.devices.inventory import ABI

__all__ = ["supervisor"]

NAME = "edge-supervisor"

# The sources use C's library alone, so that C++'s is not compiled for each target.
_FLAGS = (
    "-std=c++17 -Os -s -static -nostdlib++ -fno-exceptions -fno-rtti -fno-threadsafe-statics "
    "-Wall -Wextra -Werror"
)


def supervisor(abi: ABI, progress: Callable[[str], None]) -> Path:
    """Return the supervisor's program for an ABI.

    It lies in the user's cache under the hash of its sources, flags and compiler.

    Raises
    ------
    ToolchainError
        The compiler could not be installed, or refused the sources.
    """
    known = abis.get(abi)
    # Static with musl: such a program needs nothing of a device but its kernel, so that Android
    # is no different.
    target = known.zig_target("musl")
    flags = ["-target", target, *known.flags, *_FLAGS.split()]
    compiler = environments.get("zig")
    with as_file(files("harness.runner") / "native" / "supervisor") as folder:
        sources = sorted(path for path in folder.iterdir() if path.suffix in {".cc", ".h"})
        recipe = hashlib.sha256(f"{compiler.digest} {flags}".encode())
        for path in sources:
            recipe.update(f"\0{path.name}\0".encode() + path.read_bytes())
        home = cache_dir() / "native" / f"{NAME}-{target}-{recipe.hexdigest()[:12]}"
        program = home / NAME
        if program.exists():
            return program
        python = environments.python("zig", progress)

        def compile_into(partial: Path) -> None:
            progress(f"compiling {NAME} for {abi} (the first for an ABI takes half a minute)")
            zig_cache = cache_dir() / "native" / "zig"
            where = [f"ZIG_{scope}_CACHE_DIR={zig_cache}" for scope in ("GLOBAL", "LOCAL")]
            units = [str(path) for path in sources if path.suffix == ".cc"]
            command = [str(python), "-m", "ziglang", "c++", *flags, *units]
            run(
                ["env", *where, *command, "-o", str(partial / NAME)],
                name=f"{NAME} for {abi}",
                folder=partial,
            )

        make_once(
            home,
            compile_into,
            sound=lambda folder: (folder / NAME).exists(),
            progress=progress,
        )
    return program
