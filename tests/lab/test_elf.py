"""What an ELF file needs."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.lab import elf


def test_a_program_says_what_it_needs(elf_double, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(
        elf_double(
            "arm64",
            needed=["libgomp.so.1", "libc.so.6"],
            glibc=["GLIBC_2.9", "GLIBC_2.28", "GLIBC_2.17", "GLIBC_PRIVATE"],
            loader="/lib/ld-linux-aarch64.so.1",
        )
    )
    found = elf.read(path)
    assert found.abi == "arm64-linux"
    assert found.needed == ("libgomp.so.1", "libc.so.6")
    assert found.loader == "/lib/ld-linux-aarch64.so.1"
    assert found.glibc == (2, 28)  # not 2.9, which is higher only as text


@pytest.mark.parametrize(
    ("described", "abi"),
    [
        ({"machine": "arm", "flags": 0x5000400}, "armv7hf-linux"),
        ({"machine": "arm", "flags": 0x5000200}, None),  # soft float
        ({"machine": "arm", "loader": "/system/bin/linker"}, "android-armv7"),
        ({"machine": "arm64", "needed": ["libc.so", "liblog.so"]}, "android-arm64"),
        ({"machine": "x86_64"}, "x86_64-linux"),
        ({"machine": "riscv"}, None),
    ],
)
def test_what_a_file_is_built_for(elf_double, tmp_path, described, abi):
    path = tmp_path / "program"
    path.write_bytes(elf_double(**described))
    assert elf.read(path).abi == abi


def test_packed_relocations_need_a_newer_glibc(elf_double, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf_double(glibc=["GLIBC_2.17", "GLIBC_ABI_DT_RELR"]))
    assert elf.read(path).glibc == (2, 36)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF"])
def test_what_is_no_elf_file(tmp_path, content):
    path = tmp_path / "program"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match="not a valid ELF file"):
        elf.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=4))
def test_a_damaged_file_is_an_error_or_read(elf_double, tmp_path, place, damage):
    content = elf_double("arm64", ["libc.so.6"], ["GLIBC_2.17"], "/lib/ld.so")
    at = place % len(content)
    path = tmp_path / "program"
    path.write_bytes(
        content[:at] + damage + content[at + len(damage) :] if damage else content[:at]
    )
    with suppress(SpecificationError):
        elf.read(path)


def test_a_list_of_versions_without_an_end_is_an_error(elf_double, tmp_path):
    content = elf_double("arm64", ["libc.so.6"], ["GLIBC_2.17"], "/lib/ld.so")
    head = re.search(rb"\x01\0\x01\0.{4}\x10\0{7}", content, re.DOTALL)  # it has one entry
    path = tmp_path / "program"
    path.write_bytes(content[: head.start() + 2] + b"\xff\xff" + content[head.start() + 4 :])
    with pytest.raises(SpecificationError, match="without an end"):
        elf.read(path)
