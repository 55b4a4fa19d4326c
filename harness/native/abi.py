"""ABIs, and what compilers call them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.errors import SpecificationError

__all__ = ["ABIS", "Abi", "get"]


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

    def zig_target(self, libc: str) -> str:
        """Return zig's name of the target with a C library: ``musl``, or ``gnu`` and a version."""
        begin, end = self.zig
        name, dot, version = libc.partition(".")
        return f"{begin}-{name}{end}{dot}{version}"


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


def get(name: str) -> Abi:
    """Return an ABI by name.

    Raises
    ------
    SpecificationError
        No such name.
    """
    if name not in ABIS:
        raise SpecificationError(f"unknown ABI '{name}'", hint=f"valid: {', '.join(ABIS)}")
    return ABIS[name]
