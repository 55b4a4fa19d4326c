"""ELF doubles: files with the headers that the loader reads, and at most a handful of code."""

from __future__ import annotations

import struct

import pytest

MACHINES = {"x86_64": (62, 64), "arm64": (183, 64), "arm": (40, 32), "riscv": (243, 64)}
BASE = 0x400000


def elf(machine="x86_64", needed=(), glibc=(), loader=None, flags=0, code=b""):
    """Return an ELF double.

    Parameters
    ----------
    glibc
        Names of symbol versions of libc.so.6 that it asks for.
    code
        What it runs from its first byte on; an x86_64 one without a loader can be started.
    """
    number, bits = MACHINES[machine]
    word = "Q" if bits == 64 else "I"
    strings = b"\0"

    def string(text):
        nonlocal strings
        at = len(strings)
        strings += text.encode() + b"\0"
        return at

    dynamic = [(1, string(name)) for name in needed]
    versions = [string(name) for name in glibc]
    libc = string("libc.so.6")
    verneed = struct.pack("<HHIII", 1, len(versions), libc, 16, 0) + b"".join(
        struct.pack("<IHHII", 0, 0, 2, name, 16 if name != versions[-1] else 0) for name in versions
    )
    section_names = b"\0.dynstr\0.gnu.version_r\0.shstrtab\0"
    ehsize, phsize, shsize = (64, 56, 64) if bits == 64 else (52, 32, 40)
    kinds = [1] + [3] * bool(loader) + [2] * bool(needed)
    at = {"strings": ehsize + phsize * len(kinds)}
    dynamic += [(5, BASE + at["strings"]), (10, len(strings)), (0, 0)]
    parts = {
        "strings": strings,
        "verneed": verneed,
        "names": section_names,
        "dynamic": b"".join(struct.pack(f"<2{word}", *entry) for entry in dynamic),
        "loader": (loader or "").encode() + b"\0",
        "code": code,
    }
    offset = at["strings"]
    for name, content in parts.items():
        at[name] = offset
        offset += len(content)
    total = offset

    def program_header(kind):
        start, size = {
            1: (0, total),
            2: (at["dynamic"], len(parts["dynamic"])),
            3: (at["loader"], len(parts["loader"])),
        }[kind]
        place, align = BASE + start, 0x1000 if kind == 1 else 1
        if bits == 64:
            return struct.pack("<IIQQQQQQ", kind, 5, start, place, place, size, size, align)
        return struct.pack("<IIIIIIII", kind, start, place, place, size, size, 5, align)

    def section(name, kind, where, link=0, info=0):
        size = len(parts[where]) if where else 0
        start = at[where] if where else 0
        values = (name, kind, 0, BASE + start, start, size, link, info, 1, 0)
        return struct.pack("<IIQQQQIIQQ" if bits == 64 else "<10I", *values)

    sections = [section(0, 0, None), section(1, 3, "strings")]
    sections += [section(9, 0x6FFFFFFE, "verneed", 1, 1)] if versions else []
    sections += [section(24, 3, "names")]
    header = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    header += struct.pack(
        f"<HHI3{word}IHHHHHH", 2, number, 1, BASE + at["code"], ehsize, total, flags, ehsize,
        phsize, len(kinds), shsize, len(sections), len(sections) - 1,
    )  # fmt: skip
    return b"".join([header, *map(program_header, kinds), *parts.values(), *sections])


def printing(text, status=0):
    """Return an x86_64 program that prints a text and exits: a double of any tool."""
    content = text.encode()
    code = b"".join(
        [
            b"\xb8\1\0\0\0\xbf\1\0\0\0",  # write, to stdout
            b"\x48\x8d\x35" + struct.pack("<i", 19),  # what follows the code
            b"\xba" + struct.pack("<I", len(content)) + b"\x0f\x05",
            b"\xb8\x3c\0\0\0\xbf" + struct.pack("<I", status) + b"\x0f\x05",  # exit
        ]
    )
    return elf(code=code + content)


@pytest.fixture
def elf_double():
    return elf


@pytest.fixture
def printing_double():
    return printing
