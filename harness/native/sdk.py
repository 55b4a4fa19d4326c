"""Paddle Lite SDKs that users bring: headers and the library of the C++ light API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.lab.elf import read
from harness.native.abi import get

if TYPE_CHECKING:
    from pathlib import Path

    from harness.native.abi import Abi

__all__ = ["Sdk", "find"]

HEADERS = ("paddle_api.h", "paddle_place.h")
LIBRARY = "libpaddle_light_api_shared.so"
_HINT = (
    f"needed, in the folder or in cxx/ there: {', '.join(f'include/{h}' for h in HEADERS)}, "
    f"lib/{LIBRARY}"
)


@dataclass(frozen=True)
class Sdk:
    """Where in an SDK things lie.

    Attributes
    ----------
    include
        The folder with ``paddle_api.h``.
    library
        ``libpaddle_light_api_shared.so``.
    shared_stl
        Whether the library was linked with the NDK's ``libc++_shared.so``.
    """

    include: Path
    library: Path
    shared_stl: bool

    @property
    def files(self) -> list[Path]:
        """What a runner is compiled from and linked with."""
        return [*(self.include / header for header in HEADERS), self.library]


def find(folder: Path, abi: Abi) -> Sdk:
    """Find headers and library in an SDK, and check that they are for an ABI.

    Paddle Lite's releases have both below ``cxx/``, its demos' copies directly below.

    Raises
    ------
    SpecificationError
        The folder is none, a file is missing, or the library is for another ABI.
    """
    if not folder.is_dir():
        raise SpecificationError(f"{folder}: no such folder", hint=_HINT)
    root = next((r for r in (folder / "cxx", folder) if (r / "include").is_dir()), folder)
    wanted = [*(root / "include" / header for header in HEADERS), root / "lib" / LIBRARY]
    for path in wanted:
        if not path.is_file():
            raise SpecificationError(
                f"{folder} is no Paddle Lite SDK that can be used: it has no "
                f"{path.relative_to(folder)}",
                hint=_HINT,
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
    return Sdk(root.resolve() / "include", library, "libc++_shared.so" in elf.needed)
