"""SDKs that users bring: headers, and the library where an engine's API is C++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.lab.elf import read
from harness.native.abi import get

if TYPE_CHECKING:
    from pathlib import Path

    from harness.engines.base import Sdk
    from harness.native.abi import Abi

__all__ = ["Found", "find"]


@dataclass(frozen=True)
class Found:
    """Where in an SDK things are.

    Attributes
    ----------
    include
        The folder with the headers.
    library
        What a runner is linked with; none where it loads that while it runs.
    shared_stl
        Whether the library was linked with the NDK's ``libc++_shared.so``.
    files
        All that a runner is compiled from and linked with.
    """

    include: Path
    library: Path | None
    shared_stl: bool
    files: tuple[Path, ...]


def find(folder: Path, sdk: Sdk, abi: Abi) -> Found:
    """Find headers and library in an SDK, and check that they are for an ABI.

    Raises
    ------
    SpecificationError
        The folder is none, a file is missing, or the library is for another ABI.
    """
    hint = f"needed: {', '.join(sdk.headers)} in {' or '.join(sdk.folders)}"
    if sdk.library:
        hint += f", and {sdk.library} in lib beside it"
    if not folder.is_dir():
        raise SpecificationError(f"{folder}: no such folder", hint=hint)
    candidates = [folder / place for place in sdk.folders]
    whole = (place for place in candidates if (place / sdk.headers[0]).is_file())
    there = (place for place in candidates if place.is_dir())
    include = next(whole, next(there, candidates[-1]))
    files = [include / header for header in sdk.headers]
    if sdk.library:
        files.append(include.parent / "lib" / sdk.library)
    for path in files:
        if not path.is_file():
            raise SpecificationError(
                f"{folder} is not a usable {sdk.title}: it lacks {path.relative_to(folder)}",
                hint=hint,
            )
    if not sdk.library:
        return Found(include.resolve(), None, shared_stl=False, files=tuple(files))
    library = files.pop().resolve()
    elf = read(library)
    # A library that needs none says nothing of its system.
    same = elf.abi == abi.name if elf.needed else elf.abi and get(elf.abi).machine == abi.machine
    if not same:
        raise SpecificationError(
            f"{library} is for {elf.abi or elf.machine}, not for {abi.name}",
            hint="use the SDK for this ABI, or pass the SDK's own with --abi",
        )
    shared_stl = "libc++_shared.so" in elf.needed
    return Found(include.resolve(), library, shared_stl, (*files, library))
