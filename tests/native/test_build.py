"""Builds that cannot be done are refused by name; nothing is compiled here."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.runner_build import build as build_command
from harness.core.errors import SpecificationError
from harness.engines import ENGINES
from harness.lab.elf import Elf
from harness.models.toolchain import ToolchainError
from harness.native import abi
from harness.native.build import build as build_runner
from harness.native.sdk import find

LIBRARY = "cxx/lib/libpaddle_light_api_shared.so"
X86_64, AARCH64, ARM = 62, 183, 40


def quiet(_):
    pass


def build(engine, target, **given):
    return build_runner(engine, target, **given, progress=quiet)


def elf(machine):
    """Return an ELF header, without sections, for a machine."""
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return identity + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 0, 0, 64, 0, 0, 64, 0, 0)


@pytest.fixture
def sdk(tmp_path):
    root = tmp_path / "sdk"
    (root / "cxx" / "include").mkdir(parents=True)
    (root / "cxx" / "lib").mkdir()
    for header in ("paddle_api.h", "paddle_place.h"):
        (root / "cxx" / "include" / header).touch()
    (root / LIBRARY).write_bytes(elf(AARCH64))
    return root


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (LIBRARY, f"it lacks {LIBRARY}"),
        ("cxx/include/paddle_api.h", "it lacks cxx/include/paddle_api.h"),
        ("cxx/include", "it lacks include/paddle_api.h"),
    ],
)
def test_an_sdk_without_a_file(sdk, missing, said):
    path = sdk / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SpecificationError, match="not a usable Paddle Lite SDK") as caught:
        build("paddle-lite", "arm64-linux", sdk=sdk, toolchain=Path("g++"))
    assert said in caught.value.message
    assert "in cxx/include or include, and libpaddle_light_api" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (elf(X86_64), "is for x86_64-linux, not for arm64-linux"),
        (elf(ARM), "is for ARM, 64 bits, not for arm64-linux"),
        (b"version https://git-lfs", "not a valid ELF file"),
        (b"", "not a valid ELF file"),
        (elf(AARCH64)[:40], "not a valid ELF file"),
    ],
)
def test_an_sdk_of_another_abi_or_none(sdk, content, said):
    (sdk / LIBRARY).write_bytes(content)
    with pytest.raises(SpecificationError) as caught:
        build("paddle-lite", "arm64-linux", sdk=sdk, toolchain=Path("g++"))
    assert said in caught.value.message


def test_an_sdk_for_android_is_not_for_linux(sdk, monkeypatch):
    seen = Elf("android-arm64", "AArch64, 64 bits", ("libc.so", "liblog.so"))
    monkeypatch.setattr("harness.native.sdk.read", lambda _: seen)
    with pytest.raises(SpecificationError, match="is for android-arm64, not for arm64-linux"):
        build("paddle-lite", "arm64-linux", sdk=sdk, toolchain=Path("g++"))


@pytest.mark.parametrize(
    ("engine", "target", "arguments", "said"),
    [
        ("calibration", "riscv64-linux", {}, "unknown ABI 'riscv64-linux'"),
        ("tensorflow", "arm64-linux", {}, "'tensorflow' has no native runner"),
        ("mnn", "arm64-linux", {}, "'mnn' has no native runner"),
        ("calibration", "arm64-linux", {"toolchain": Path("g++")}, "and takes no compiler and no"),
        (
            "onnxruntime",
            "arm64-linux",
            {"sdk": Path("/sdk")},
            "built with zig and takes no compiler",
        ),
        ("rknn", "arm64-linux", {}, "built against the RKNN SDK"),
        ("onnxruntime", "android-arm64", {}, "onnxruntime has no native runner for android"),
        ("paddle-lite", "arm64-linux", {}, "built against the Paddle Lite SDK"),
        ("paddle-lite", "arm64-linux", {"sdk": Path("/nowhere")}, "/nowhere: no such folder"),
    ],
)
def test_what_cannot_be_built(engine, target, arguments, said):
    with pytest.raises(SpecificationError) as caught:
        build(engine, target, **arguments)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("compilers", "said"),
    [
        ({}, "name a compiler"),
        ({"toolchain": Path("g++"), "ndk": Path("/ndk")}, "name a compiler"),
        ({"toolchain": Path("/nowhere/g++")}, "not an executable compiler"),
        ({"toolchain": Path("/nowhere/vendor.cmake")}, "no such toolchain file"),
        ({"toolchain": Path("false")}, "-dumpmachine fails"),
        ({"ndk": Path("/nowhere")}, "for android-arm64 and android-armv7, not for arm64-linux"),
    ],
)
def test_compilers_that_are_none(sdk, compilers, said):
    with pytest.raises(SpecificationError) as caught:
        build("paddle-lite", "arm64-linux", sdk=sdk, **compilers)
    assert said in caught.value.message


def test_a_compiler_for_another_machine(sdk, tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho x86_64-linux-gnu\n")
    compiler.chmod(0o755)
    with pytest.raises(SpecificationError, match="compiles for x86_64-linux-gnu, not for arm64"):
        build("paddle-lite", "arm64-linux", sdk=sdk, toolchain=compiler)


def test_an_ndk_that_is_none(sdk, tmp_path):
    with pytest.raises(SpecificationError, match=r"it lacks android\.toolchain\.cmake"):
        build("paddle-lite", "android-arm64", sdk=sdk, ndk=tmp_path)


@pytest.mark.e2e
def test_headers_that_are_not_paddle_lites_fail_the_compilation(sdk, tmp_path, monkeypatch):
    """With the machine's own compiler: what it says first is in the message."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")
    wanted = {"x86_64": ("x86_64-linux", X86_64), "aarch64": ("arm64-linux", AARCH64)}
    target, machine = wanted[os.uname().machine]
    (sdk / LIBRARY).write_bytes(elf(machine))
    with pytest.raises(ToolchainError, match="error:") as caught:
        build("paddle-lite", target, sdk=sdk, toolchain=Path(compiler))
    assert "full log" in caught.value.hint


@pytest.mark.parametrize(
    "place",
    [
        "",
        "include",
        "librknn_api/include",
        "runtime/Linux/librknn_api/include",
        "rknpu2/runtime/Linux/librknn_api/include",
    ],
)
def test_rockchips_header_is_found_where_its_sdk_has_it(tmp_path, place):
    sdk = ENGINES.get("rknn").native.sdk
    (tmp_path / "include").mkdir()
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "rknn_api.h").touch()
    found = find(tmp_path, sdk, abi.get("arm64-linux"))
    assert (found.include, found.library) == ((tmp_path / place).resolve(), None)


def test_an_sdk_without_rockchips_header(tmp_path):
    with pytest.raises(SpecificationError, match=r"RKNN SDK: it lacks rknn_api\.h") as caught:
        build("rknn", "arm64-linux", sdk=tmp_path)
    assert "rknn_api.h in . or include or" in caught.value.hint


def test_the_command_names_what_it_built(monkeypatch, tmp_path):
    made = tmp_path / "edge-runner-calibration"
    made.write_bytes(b"program")

    def built(engine, target, **_):
        assert (engine, target) == ("calibration", "arm64-linux")
        return made

    monkeypatch.setattr("harness.native.build.build", built)
    copy = tmp_path / "copy"
    arguments = ["calibration", "--abi", "arm64-linux", "--json", "-o", str(copy)]
    done = CliRunner().invoke(build_command, arguments, catch_exceptions=False)
    assert json.loads(done.stdout)["path"] == str(copy)
    assert copy.read_bytes() == b"program"
