"""ABIs as ELF files have them, and what compilers call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from harness.errors import SpecificationError
from harness.yamlfile import nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ABIS", "Abi", "Elf", "get", "read"]


@dataclass(frozen=True)
class Abi:
    """One ABI of the inventory.

    Attributes
    ----------
    machine
        In an ELF file's header.
    processor
        As CMake calls it.
    zig
        The first and last part of zig's target, around the C library.
    android
        As the NDK calls it; none for Linux.
    flags
        What zig is told beside the target.
    """

    name: str
    machine: str
    processor: str
    zig: tuple[str, str]
    android: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def libc(self) -> str:
        """The name by which a program finds its C library: glibc's or Android's."""
        return "libc.so" if self.android else "libc.so.6"


_V7 = ("-mcpu=generic+v7a",)  # what such boards have; said, and not left to zig's default

ABIS = {
    abi.name: abi
    for abi in (
        Abi("x86_64-linux", "EM_X86_64", "x86_64", ("x86_64-linux", "")),
        Abi("arm64-linux", "EM_AARCH64", "aarch64", ("aarch64-linux", "")),
        Abi("armv7hf-linux", "EM_ARM", "armv7", ("arm-linux", "eabihf"), flags=_V7),
        Abi("android-arm64", "EM_AARCH64", "aarch64", ("aarch64-linux", ""), "arm64-v8a"),
        Abi("android-armv7", "EM_ARM", "armv7", ("arm-linux", "eabihf"), "armeabi-v7a", _V7),
    )
}


@dataclass(frozen=True)
class Elf:
    """What matters here of an ELF file: its machine and the libraries that it needs."""

    machine: str
    needed: frozenset[str]


def get(name: str) -> Abi:
    """Return an ABI by name.

    Raises
    ------
    SpecificationError
        There is none of that name.
    """
    if name not in ABIS:
        raise SpecificationError(f"unknown ABI '{name}'", hint=nearest(name, ABIS))
    return ABIS[name]


def read(path: Path) -> Elf:
    """Read an ELF file.

    Raises
    ------
    SpecificationError
        It cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            needed = {
                tag.needed  # type: ignore[attr-defined]  # set at run time, by the kind of tag
                for section in elf.iter_sections()
                if isinstance(section, DynamicSection)
                for tag in section.iter_tags("DT_NEEDED")
            }
            return Elf(elf["e_machine"], frozenset(needed))
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error
    except (ELFError, ValueError, UnicodeError) as error:
        raise SpecificationError(f"{path} is no ELF file, or a broken one: {error}") from error
