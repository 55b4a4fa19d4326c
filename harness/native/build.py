"""Building a native runner from the sources in ``harness/runner/native``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.yamlfile import nearest
from harness.engines import ENGINES
from harness.lab.elf import read
from harness.models import environments
from harness.models.toolchain import ToolchainError, run
from harness.native import abi as abis
from harness.native import compilers
from harness.native.program import SOURCES, Recipe
from harness.native.sdk import find as find_sdk

if TYPE_CHECKING:
    from pathlib import Path

    from harness.engines.base import Native, Sdk
    from harness.native.abi import Abi
    from harness.native.compilers import Compiler
    from harness.native.program import Progress, Tools
    from harness.native.sdk import Found

__all__ = ["build", "recipe", "with_native_runner"]

_DIGEST_LENGTH = 12


def build(
    engine: str,
    abi: str,
    *,
    sdk: Path | None = None,
    toolchain: Path | None = None,
    ndk: Path | None = None,
    progress: Progress,
) -> Path:
    """Return the runner of an engine for an ABI, which is built if it is not there.

    Parameters
    ----------
    sdk, toolchain, ndk
        As for :func:`recipe`.

    Returns
    -------
    Path
        Of the file ``edge-runner-<engine>``.

    Raises
    ------
    SpecificationError
        As for :func:`recipe`.
    ToolchainError
        The tools could not be installed, or the compilation failed.
    """
    return recipe(engine, abi, sdk=sdk, toolchain=toolchain, ndk=ndk).obtain(progress)


def recipe(
    engine: str,
    abi: str,
    *,
    sdk: Path | None = None,
    toolchain: Path | None = None,
    ndk: Path | None = None,
) -> Recipe:
    """Return how the runner of an engine is made for an ABI.

    Parameters
    ----------
    sdk
        The folder of the SDK that the user brings, for an engine that is built against one.
    toolchain, ndk
        For such an engine one of them: the board's C++ compiler (or a CMake toolchain file), or
        an Android NDK.

    Raises
    ------
    SpecificationError
        There is no such engine or ABI, an argument is missing or too much, or the SDK or
        compiler is not there or for another ABI.
    """
    native = ENGINES.get(engine).native if engine in ENGINES else None
    if native is None:
        raise SpecificationError(
            f"there is no native runner of '{engine}'", hint=nearest(engine, with_native_runner())
        )
    target = abis.get(abi)
    definitions = {"EDGE_ENGINE": engine, "EDGE_TARGET": abi}
    if native.sdk:
        found, compiler = _against_sdk(engine, native.sdk, target, sdk, toolchain, ndk)
        definitions["EDGE_SDK_INCLUDE"] = str(found.include)
        definitions["EDGE_SDK_LIBRARY"] = str(found.library)
        inputs = {path.name: sha256_of(path) for path in found.files}
    else:
        compiler = _of_zig(engine, native, target, (sdk, toolchain, ndk))
        inputs = {}

    def compile_into(folder: Path, tools: Tools, progress: Progress) -> None:
        _compile(target, compiler, definitions, folder, tools, progress)

    digest = _digest(engine, abi, compiler.identity, inputs)
    return Recipe(
        f"edge-runner-{engine}", f"{engine}-{abi}-{digest[:_DIGEST_LENGTH]}", compile_into
    )


def with_native_runner(*, sdk: bool = False) -> list[str]:
    """Return the names of the engines that have a native runner.

    Parameters
    ----------
    sdk
        Only those that are built against an SDK of the user's.
    """
    having = ((engine.name, engine.native) for engine in ENGINES)
    return [name for name, native in having if native and (native.sdk or not sdk)]


def _against_sdk(
    engine: str, sdk: Sdk, abi: Abi, folder: Path | None, toolchain: Path | None, ndk: Path | None
) -> tuple[Found, Compiler]:
    if folder is None:
        raise SpecificationError(
            f"the runner of {engine} is built against a {sdk.title}",
            hint="unpack the release for your board and name its folder: --sdk DIR",
        )
    found = find_sdk(folder, sdk, abi)
    if ndk is not None and toolchain is None:
        return found, compilers.ndk(ndk, abi, shared_stl=found.shared_stl)
    if toolchain is not None and ndk is None:
        return found, compilers.toolchain(toolchain, abi)
    raise SpecificationError(
        f"give one compiler: the API of {engine} is C++, and a runner must be compiled like its "
        "library",
        hint="--ndk DIR for Android, otherwise --toolchain with the board's g++",
    )


def _of_zig(engine: str, native: Native, abi: Abi, unwanted: tuple[Path | None, ...]) -> Compiler:
    if any(path is not None for path in unwanted):
        raise SpecificationError(
            f"--sdk, --toolchain and --ndk are for {', '.join(with_native_runner(sdk=True))}: "
            f"{engine} is built by zig",
            hint="leave them out",
        )
    if abi.android and not native.static:
        static = [each.name for each in ENGINES if each.native and each.native.static]
        raise SpecificationError(
            f"there is no native runner of {engine} for {abi.name}",
            hint=f"for Android there are those of {', '.join(static)} and, with an SDK, of "
            f"{', '.join(with_native_runner(sdk=True))}",
        )
    return compilers.zig(abi, static=native.static)


def _digest(engine: str, abi: str, compiler: str, inputs: dict[str, str]) -> str:
    sources = {
        str(path.relative_to(SOURCES)): sha256_of(path)
        for part in ("CMakeLists.txt", "core/*", f"engines/{engine.replace('-', '_')}*")
        for path in sorted(SOURCES.glob(part))
    }
    for header in sorted((SOURCES / "third_party" / engine).glob("*.h")):
        sources[header.name] = sha256_of(header)
    recipe = {
        "engine": engine,
        "abi": abi,
        "compiler": compiler,
        "tools": environments.get("native").digest,
        "sources": sources,
        "sdk": inputs,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _compile(
    abi: Abi,
    compiler: Compiler,
    definitions: dict[str, str],
    folder: Path,
    tools: Tools,
    progress: Progress,
) -> None:
    native = tools("native")
    (json_headers,) = native.glob("lib/python*/site-packages/nlohmann_json/include")
    cmake = str(native / "bin" / "cmake")
    scratch = folder / "build"
    everything = {
        "CMAKE_MAKE_PROGRAM": str(native / "bin" / "ninja"),
        "NLOHMANN_JSON": str(json_headers),
        **definitions,
        **compiler.definitions(tools),
    }
    variables = [f"{key}={value}" for key, value in compiler.environment.items()]
    engine = definitions["EDGE_ENGINE"]
    step = f"runner {engine} for {abi.name}"
    progress(f"{step}: compiling (zig's first time for an ABI takes minutes)")
    run(
        [
            *(cmake, "-E", "env", *variables, cmake, "-G", "Ninja"),
            *("-S", str(SOURCES), "-B", str(scratch)),
            *(f"-D{key}={value}" for key, value in everything.items()),
        ],
        name=step,
        folder=folder,
    )
    jobs = str(max(1, (os.cpu_count() or 1) - 1))
    run(
        [*(cmake, "-E", "env", *variables, cmake, "--build", str(scratch), "--parallel", jobs)],
        name=step,
        folder=folder,
    )
    name = f"edge-runner-{engine}"
    made = read(scratch / name)
    if made.abi is None or abis.get(made.abi).machine != abi.machine:
        raise ToolchainError(
            f"{step}: the compiler made a program for {made.abi or made.machine}",
            hint="give the compiler for this ABI, or name the compiler's own with --abi",
        )
    shutil.copy2(scratch / name, folder / name)
    shutil.rmtree(scratch)
