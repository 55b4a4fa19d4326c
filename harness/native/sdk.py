"""SDKs that users bring: headers and the library of an engine's C++ API."""

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
    """Where in an SDK things lie.

    Attributes
    ----------
    include
        The folder with the headers.
    headers
        Their names.
    library
        The engine's.
    shared_stl
        Whether the library was linked with the NDK's ``libc++_shared.so``.
    """

    include: Path
    headers: tuple[str, ...]
    library: Path
    shared_stl: bool

    @property
    def files(self) -> list[Path]:
        """What a runner is compiled from and linked with."""
        return [*(self.include / header for header in self.headers), self.library]


def find(folder: Path, sdk: Sdk, abi: Abi) -> Found:
    """Find headers and library in an SDK, and check that they are for an ABI.

    Raises
    ------
    SpecificationError
        The folder is none, a file is missing, or the library is for another ABI.
    """
    headers = ", ".join(f"include/{header}" for header in sdk.headers)
    hint = f"needed, in the folder or in {sdk.within}/ there: {headers}, lib/{sdk.library}"
    if not folder.is_dir():
        raise SpecificationError(f"{folder}: no such folder", hint=hint)
    root = next((r for r in (folder / sdk.within, folder) if (r / "include").is_dir()), folder)
    wanted = [*(root / "include" / header for header in sdk.headers), root / "lib" / sdk.library]
    for path in wanted:
        if not path.is_file():
            raise SpecificationError(
                f"{folder} is no {sdk.title} that can be used: it has no "
                f"{path.relative_to(folder)}",
                hint=hint,
            )
    library = wanted[-1].resolve()
    elf = read(library)
    # A library that needs none says nothing of its system.
    same = elf.abi == abi.name if elf.needed else elf.abi and get(elf.abi).machine == abi.machine
    if not same:
        raise SpecificationError(
            f"{library} is for {elf.abi or elf.machine}, not for {abi.name}",
            hint="bring the SDK for this ABI, or name the SDK's own with --abi",
        )
    include = root.resolve() / "include"
    return Found(include, sdk.headers, library, "libc++_shared.so" in elf.needed)
