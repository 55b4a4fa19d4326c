"""Images of emulated boards: their identity, and builds that fail."""

from __future__ import annotations

import os
import threading
import time
from contextlib import nullcontext
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from harness.core.errors import LabError, SpecificationError
from harness.lab.emulated import image, packages
from harness.lab.emulated.recipe import load_board
from harness.workspace import cache_dir


@pytest.fixture
def spec(lab):
    return load_board(lab, "qemu-arm64").image


@pytest.fixture
def requirements(lab, spec):
    return lab.boards / spec.python.requirements


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_dir() / "boards"


@pytest.fixture
def fake_apt(tmp_path, monkeypatch):
    """Put a double of apt-get before the real one, and Debian's keys where there are none."""

    def make(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        (tmp_path / "keyring").touch()
        monkeypatch.setattr(packages, "KEYRING", tmp_path / "keyring")

    return make


def test_the_hash_follows_what_is_in_the_image(lab, spec, requirements):
    before = image.recipe_hash(spec, lab.boards)
    added = spec.model_copy(update={"packages": [*spec.packages, "strace"]})
    elsewhere = spec.model_copy(update={"mirror": "http://mirror.example/debian"})
    assert image.recipe_hash(added, lab.boards) != before
    assert image.recipe_hash(elsewhere, lab.boards) == before
    requirements.write_text(requirements.read_text() + "# changed\n")
    assert image.recipe_hash(spec, lab.boards) != before


def test_missing_requirements_are_named(lab, spec, requirements):
    requirements.unlink()
    with pytest.raises(SpecificationError, match=r"qemu-arm64\.requirements\.txt: No such file"):
        image.build(spec, lab.boards, print)


def test_a_host_without_a_debian_source_needs_a_mirror(lab, spec, empty_cache, fake_apt):
    fake_apt(
        "echo \"'http://archive.example/ubuntu/dists/noble/main/binary-amd64/Packages.xz' x 0\""
    )
    with pytest.raises(LabError, match="no source of Debian:") as caught:
        image.build(spec, lab.boards, print)
    assert "mirror:" in caught.value.hint


def test_a_failed_build_leaves_nothing_and_says_why(lab, spec, empty_cache, fake_apt):
    (empty_cache / ".building" / "left-by-a-killed-build").mkdir(parents=True)
    fake_apt("echo 'E: the network is down' >&2; exit 100")
    with pytest.raises(LabError, match=r"(?s)apt-get failed.*E: the network is down"):
        image.build(spec, lab.boards, print)
    assert [path.name for path in empty_cache.iterdir()] == [".lock"]


def test_a_mirror_that_is_being_updated_is_asked_again_and_told_from_a_network_that_is_down(
    lab, spec, empty_cache, fake_apt, tmp_path
):
    fake_apt(
        # As apt 2.6 ended with a mirror whose lists were of another day than its release file.
        "if [ $2 = --print-uris ]; then\n"
        "echo \"'http://m.example/dists/sid/main/binary-amd64/P' x 0\"; exit\nfi\n"
        f"cat {tmp_path}/apt/sources.list >> {tmp_path}/asked\n"
        "cat >&2 <<'END'\n"
        "E: Failed to fetch http://m.example/P.xz  File has unexpected size (2 != 1). "
        "Mirror sync in progress? [IP: 192.0.2.1 80]\n"
        "   Hashes of expected file:\n    - Filesize:1 [weak]\n"
        "    - SHA256:d9a4\n    - MD5Sum:e210 [weak]\n"
        "   Release file created at: Sat, 21 Nov 2026 09:15:44 +0000\n"
        "E: Some index files failed to download.\nEND\nexit 100"
    )
    pauses, told = [], []
    apt = packages.Apt(tmp_path / "apt", spec)
    with pytest.raises(
        packages.MirrorError, match=r"m\.example: the package lists of .* for arm64"
    ):
        apt.update(told.append, pause=pauses.append)
    asked = [line.split()[3] for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [*["trixie", "bookworm"] * 3, "stable", "oldstable"]
    assert len(pauses) == 2
    assert len(told) == 3


@pytest.mark.parametrize(
    ("codenames", "taken"), [("trixie bookworm", True), ("forky trixie", False)]
)
def test_a_release_is_taken_by_its_second_name_where_that_is_still_the_same(
    lab, spec, fake_apt, tmp_path, codenames, taken
):
    fake_apt(
        "if [ $2 = --print-uris ]; then\n"
        "echo \"'http://m.example/dists/sid/main/binary-amd64/P' x 0\"; exit\nfi\n"
        f"if [ $1 = indextargets ]; then printf '%s\\n' {codenames}; exit; fi\n"
        f"if grep -q trixie {tmp_path}/apt/sources.list; then\n"
        "echo '   Release file created at: Sat, 21 Nov 2026 09:15:44 +0000' >&2; exit 100\nfi"
    )
    apt = packages.Apt(tmp_path / "apt", spec)
    with nullcontext() if taken else pytest.raises(packages.MirrorError):
        apt.update(print, pause=lambda _: None)


def test_a_build_removes_what_was_long_unused(lab, spec, empty_cache, monkeypatch):
    def build_double(target, *_):
        target.mkdir()
        (target / "image.json").write_text('{"id": "0"}')

    def age(folder, days):
        os.utime(folder, times=(time.time() - days * 86400,) * 2)

    empty_cache.mkdir(parents=True)
    for name, days in (("unused", 15), ("used", 13)):
        build_double(empty_cache / name)
        age(empty_cache / name, days)
    monkeypatch.setattr(image, "_build", build_double)
    built = image.build(spec, lab.boards, print).folder
    assert {path.name for path in empty_cache.glob("*/")} == {"used", built.name}
    age(built, 15)
    image.build(spec, lab.boards, print)  # is a use
    image.build(load_board(lab, "qemu-armv7").image, lab.boards, print)
    assert built.is_dir()


def test_no_archive_keys_no_packages(lab, spec, empty_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(LabError, match="no archive keys") as caught:
        image.build(spec, lab.boards, print)
    assert caught.value.hint == "sudo apt-get install -y debian-archive-keyring"


@pytest.mark.e2e
def test_an_unsigned_archive_is_refused(tmp_path, spec):
    archive = tmp_path / "archive"
    for suite in spec.suites:
        folder = archive / "dists" / suite
        (folder / "main/binary-arm64").mkdir(parents=True)
        (folder / "main/binary-arm64/Packages").touch()
        (folder / "Release").write_text(f"Suite: {suite}\nCodename: {suite}\n")
    handler = partial(SimpleHTTPRequestHandler, directory=archive)
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            mirror = f"http://127.0.0.1:{server.server_port}"
            unsigned = spec.model_copy(update={"mirror": mirror})
            with pytest.raises(LabError, match="is not signed"):
                packages.Apt(tmp_path / "apt", unsigned).update(print)
        finally:
            server.shutdown()
