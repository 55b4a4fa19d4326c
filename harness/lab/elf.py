"""What an ELF file needs of the device that it is to run on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from elftools.elf.elffile import ELFFile

    from harness.lab.inventory import ABI

__all__ = ["Elf", "Version", "read"]

Version = tuple[int, ...]

_EF_ARM_ABI_FLOAT_HARD = 0x400
# glibc's marker for packed relocations, which its loader understands from this version on.
_RELR = ("GLIBC_ABI_DT_RELR", (2, 36))


_MOST = 10_000  # of any parts of a file


@dataclass(frozen=True)
class Elf:
    """A program or a shared library.

    Attributes
    ----------
    abi
        What it is built for; none where that is nothing the harness runs on.
    machine
        The processor in words, for people.
    needed
        The libraries that it is linked to, in its order.
    loader
        The dynamic loader that it asks for; libraries and static programs have none.
    glibc
        The highest version of glibc whose symbols it uses; none where it uses none.
    """

    abi: ABI | None
    machine: str
    needed: tuple[str, ...] = ()
    loader: str | None = None
    glibc: Version | None = None


def read(path: Path) -> Elf:
    """Read an ELF file.

    Raises
    ------
    SpecificationError
        It cannot be read, or is no sound ELF file.
    """
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - slow, and rarely needed

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error
    try:
        return _read(ELFFile(BytesIO(content)))
    except Exception as error:  # pyelftools raises whatever a damaged file leads it to
        raise SpecificationError(
            f"{path}: not a valid ELF file ({str(error)[:100] or type(error).__name__})",
            hint="name the program itself, not an archive, a script, or a truncated download",
        ) from error


def _read(elf: ELFFile) -> Elf:
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415 - as above
    from elftools.elf.segments import InterpSegment  # noqa: PLC0415 - as above

    if max(elf.num_segments(), elf.num_sections()) > _MOST:
        raise ValueError("segments or sections without an end")
    needed: list[str] = []
    loader: str | None = None
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            loader = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            tags = segment.iter_tags("DT_NEEDED")
            needed += [tag.needed for tag in tags]  # type: ignore[attr-defined]
    android = (loader or "").startswith("/system/") or bool({"libc.so", "liblog.so"} & set(needed))
    return Elf(
        abi=_abi(elf, android=android),
        machine=f"{elf.get_machine_arch()}, {elf.elfclass} bits",
        needed=tuple(needed),
        loader=loader,
        glibc=max(_glibc(elf), default=None),
    )


def _abi(elf: ELFFile, *, android: bool) -> ABI | None:
    match elf["e_machine"], elf.elfclass:
        case "EM_AARCH64", 64:
            return "android-arm64" if android else "arm64-linux"
        case "EM_X86_64", 64:
            return None if android else "x86_64-linux"
        case "EM_ARM", 32 if android:
            return "android-armv7"
        case "EM_ARM", 32 if elf["e_flags"] & _EF_ARM_ABI_FLOAT_HARD:
            return "armv7hf-linux"
        case _:
            return None


def _glibc(elf: ELFFile) -> Iterator[Version]:
    from elftools.elf.gnuversions import GNUVerNeedSection  # noqa: PLC0415 - as above

    def names() -> Iterator[str]:
        for section in elf.iter_sections():
            if isinstance(section, GNUVerNeedSection):
                for library, versions in section.iter_versions():
                    yield library.name or ""
                    yield from (version.name or "" for version in versions)

    for number, name in enumerate(names()):
        if number > _MOST:  # a damaged list leads back to itself
            raise ValueError("symbol versions without an end")
        if name == _RELR[0]:
            yield _RELR[1]
        elif match := re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", name):
            yield tuple(map(int, match[1].split(".")))
