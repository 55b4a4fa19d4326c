"""Compilers, as arguments for CMake.

zig needs nothing installed and builds for an old glibc, or statically for any Linux, Android
included: it serves where a runner shares no C++ with a library. An engine's API may be C++, so that
a runner for it has to be compiled like its library: by the board's gcc, or by the NDK's clang.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.models import environments
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.native.abi import Abi
    from harness.native.program import Tools

__all__ = ["Compiler", "ndk", "toolchain", "zig", "zig_cache", "zig_program"]

# Of the boards' C libraries the oldest that is supported: RV1109's and Ubuntu 18.04's.
GLIBC = "2.27"
ANDROID_PLATFORM = "android-21"


@dataclass(frozen=True)
class Compiler:
    """A compiler.

    Attributes
    ----------
    identity
        Changes when what it compiles may change.
    definitions
        Of CMake, name to value; the compiler may be one of the tools.
    environment
        Variables while it runs.
    """

    identity: str
    definitions: Callable[[Tools], dict[str, str]]
    environment: dict[str, str]


def zig(abi: Abi, *, static: bool) -> Compiler:
    """Return zig for an ABI, from its toolchain environment.

    Parameters
    ----------
    static
        Link musl in, which runs on any Linux of that machine but cannot load libraries;
        otherwise link with an old glibc.
    """
    target = abi.zig_target("musl" if static else f"gnu.{GLIBC}")

    def definitions(tools: Tools) -> dict[str, str]:
        command = [str(zig_program(tools)), "c++", "-target", target, *abi.flags]
        return {
            "CMAKE_CXX_COMPILER": ";".join(command),
            "CMAKE_SYSTEM_NAME": "Linux",
            "CMAKE_SYSTEM_PROCESSOR": abi.processor,
        }

    identity = ["zig", environments.get("zig").digest, target, *abi.flags]
    return Compiler(" ".join(identity), definitions, {"ZIG_GLOBAL_CACHE_DIR": str(zig_cache())})


def zig_program(tools: Tools) -> Path:
    """Return zig itself."""
    (program,) = tools("zig").glob("lib/python*/site-packages/ziglang/zig")
    return program


def zig_cache() -> Path:
    """Return where zig keeps what it compiles once for each target: C and C++ libraries."""
    return cache_dir() / "native" / "zig"


def toolchain(file: Path, abi: Abi) -> Compiler:
    """Return a vendor's compiler.

    Parameters
    ----------
    file
        Its ``g++``, or a CMake toolchain file (``*.cmake``).

    Raises
    ------
    SpecificationError
        It is not there, cannot be run, or compiles for another machine.
    """
    if file.suffix == ".cmake":
        if not file.is_file():
            raise SpecificationError(f"{file}: no such toolchain file")
        path = str(file.resolve())
        return Compiler(f"{path} {sha256_of(file)}", lambda _: {"CMAKE_TOOLCHAIN_FILE": path}, {})
    found = shutil.which(file)
    if found is None:
        raise SpecificationError(
            f"{file} is not an executable compiler",
            hint="use the vendor's C++ compiler, such as bin/aarch64-linux-gnu-g++, or a CMake "
            "toolchain file (*.cmake)",
        )
    # Not resolved: many toolchains tell from its name what a link is to do.
    program = str(Path(found).absolute())
    makes = _ask(program, "-dumpmachine")
    if not makes.startswith(abi.machine.removeprefix("EM_").lower()):
        raise SpecificationError(
            f"{file} compiles for {makes}, not for {abi.name}",
            hint="use the compiler for the board, such as bin/aarch64-linux-gnu-g++",
        )
    definitions = {
        "CMAKE_CXX_COMPILER": program,
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": abi.processor,
    }
    return Compiler(f"{program} {_ask(program, '--version')}", lambda _: definitions, {})


def ndk(folder: Path, abi: Abi, *, shared_stl: bool) -> Compiler:
    """Return the clang of an Android NDK.

    Parameters
    ----------
    shared_stl
        Use ``libc++_shared.so``; what a runner is linked with must use the same.

    Raises
    ------
    SpecificationError
        The folder is no NDK, or the ABI none of Android's.
    """
    if abi.android is None:
        raise SpecificationError(
            f"--ndk builds for android-arm64 and android-armv7, not for {abi.name}",
            hint="use the board's own compiler: --toolchain FILE",
        )
    file = folder / "build" / "cmake" / "android.toolchain.cmake"
    properties = folder / "source.properties"
    for path in (file, properties):
        if not path.is_file():
            raise SpecificationError(f"{folder} is not an Android NDK: it lacks {path.name}")
    definitions = {
        "CMAKE_TOOLCHAIN_FILE": str(file.resolve()),
        "ANDROID_ABI": abi.android,
        "ANDROID_PLATFORM": ANDROID_PLATFORM,
        "ANDROID_STL": "c++_shared" if shared_stl else "c++_static",
    }
    return Compiler(f"ndk {sha256_of(properties)} {shared_stl}", lambda _: definitions, {})


def _ask(program: str, flag: str) -> str:
    """Return the first line of what a compiler says to a flag."""
    try:
        done = subprocess.run(
            [program, flag],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SpecificationError(
            f"{program} {flag} fails: {error}",
            hint="use a C++ compiler that runs on this machine",
        ) from error
    return done.stdout.decode(errors="replace").partition("\n")[0]
