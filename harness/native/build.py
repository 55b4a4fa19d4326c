"""Building an engine's native runner: the sources in ``harness/runner/native``, and its own."""

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
from harness.models import environments, reasons
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

__all__ = ["build", "recipe"]

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
        One of them where that SDK has a library to link with: the board's C++ compiler (or a
        CMake toolchain file), or an Android NDK.

    Raises
    ------
    SpecificationError
        There is no such engine or ABI, an argument is missing or too much, or the SDK or
        compiler is not there or for another ABI.
    """
    native = ENGINES.get(engine).native if engine in ENGINES else None
    if native is None:
        having = [each.name for each in ENGINES if each.native]
        raise SpecificationError(f"'{engine}' has no native runner", hint=nearest(engine, having))
    home = ENGINES.get(engine).folder
    target = abis.get(abi)
    found = _find_sdk(engine, native.sdk, target, sdk)
    compiler = (
        _given(engine, target, found, toolchain, ndk)
        if found and found.library
        else _zig(engine, native, target, sdk, (toolchain, ndk))
    )
    definitions = {
        "EDGE_ENGINE": engine,
        "EDGE_ENGINE_FOLDER": str(home),
        "EDGE_TARGET": abi,
    }
    if found:
        definitions["EDGE_SDK_INCLUDE"] = str(found.include)
    if found and found.library:
        definitions["EDGE_SDK_LIBRARY"] = str(found.library)

    def compile_into(folder: Path, tools: Tools, progress: Progress) -> None:
        _compile(target, compiler, definitions, folder, tools, progress)

    digest = _digest(engine, abi, compiler.identity, home, found.files if found else ())
    return Recipe(
        f"edge-runner-{engine}", f"{engine}-{abi}-{digest[:_DIGEST_LENGTH]}", compile_into
    )


def _find_sdk(engine: str, sdk: Sdk | None, abi: Abi, folder: Path | None) -> Found | None:
    if sdk is None:
        return None
    if folder is None:
        raise SpecificationError(
            f"the runner of {engine} is built against the {sdk.title}",
            hint="unpack the release for your board and name its folder: --sdk DIR",
        )
    return find_sdk(folder, sdk, abi)


def _given(engine: str, abi: Abi, sdk: Found, toolchain: Path | None, ndk: Path | None) -> Compiler:
    if ndk is not None and toolchain is None:
        return compilers.ndk(ndk, abi, shared_stl=sdk.shared_stl)
    if toolchain is not None and ndk is None:
        return compilers.toolchain(toolchain, abi)
    raise SpecificationError(
        f"name a compiler: the API of {engine} is C++, and a runner must be compiled like its "
        "library",
        hint="--ndk DIR for Android, otherwise --toolchain with the board's g++",
    )


def _zig(
    engine: str, native: Native, abi: Abi, sdk: Path | None, given: tuple[Path | None, ...]
) -> Compiler:
    unwanted = [None if native.sdk else sdk, *given]
    if any(path is not None for path in unwanted):
        needs = "no compiler" if native.sdk else "no compiler and no SDK"
        raise SpecificationError(
            f"{engine} is built with zig and takes {needs}",
            hint="leave out --toolchain and --ndk" + ("" if native.sdk else ", and --sdk"),
        )
    if abi.android and not native.static:
        fit = [
            each.name
            for each in ENGINES
            if each.native and (each.native.static or (each.native.sdk and each.native.sdk.library))
        ]
        raise SpecificationError(
            f"{engine} has no native runner for {abi.name}",
            hint=f"Android has those of {', '.join(fit)}",
        )
    return compilers.zig(abi, static=native.static)


def _digest(engine: str, abi: str, compiler: str, home: Path, sdk: tuple[Path, ...]) -> str:
    core = [path for part in ("CMakeLists.txt", "base/*", "core/*") for path in SOURCES.glob(part)]
    own = [home / "runner.cc", *(home / "include").glob("*.h")]
    recipe = {
        "engine": engine,
        "abi": abi,
        "compiler": compiler,
        "tools": environments.get("native").digest,
        "sources": {str(path.relative_to(SOURCES)): sha256_of(path) for path in core},
        "own": {path.name: sha256_of(path) for path in own},
        "sdk": {path.name: sha256_of(path) for path in sdk},
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
        raise ToolchainError(reasons.OTHER_ABI(step=step, abi=made.abi or made.machine))
    shutil.copy2(scratch / name, folder / name)
    shutil.rmtree(scratch)
