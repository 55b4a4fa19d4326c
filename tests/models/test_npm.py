"""Packages of npm: fetched once, whole, by hash."""

from __future__ import annotations

import json
import shutil

import pytest

from harness import engines
from harness.engines.base import Npm
from harness.models import npm
from harness.models.toolchain import ToolchainError

ENGINE = engines.get("onnxruntime-web")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path):
    """A package of npm's of a few lines."""
    folder = tmp_path / "locked"
    folder.mkdir()

    def locked(integrity):
        (folder / "package.json").write_text(
            json.dumps({"name": "test", "dependencies": {"guid-typescript": "1.0.9"}})
        )
        lock = {
            "name": "test",
            "lockfileVersion": 3,
            "packages": {
                "": {"name": "test", "dependencies": {"guid-typescript": "1.0.9"}},
                "node_modules/guid-typescript": {"version": "1.0.9", "integrity": integrity},
            },
        }
        (folder / "package-lock.json").write_text(json.dumps(lock))
        return Npm(folder, "guid-typescript", {"guid.js": "guid-typescript/dist/guid.js"})

    return locked


def integrity_of(name):
    lock = json.loads(ENGINE.npm.lock)
    return lock["packages"][f"node_modules/{name}"]["integrity"]


@pytest.mark.e2e
def test_a_package_is_fetched_once(cache, package):
    packages = package(integrity_of("guid-typescript"))
    said: list[str] = []
    modules = npm.fetch(packages, said.append)
    assert (modules / "guid-typescript" / "dist" / "guid.js").is_file()
    assert npm.fetch(packages, said.append) == modules
    assert said == ["guid-typescript 1.0.9: downloading with npm"]


@pytest.mark.e2e
def test_a_package_of_another_hash_is_refused_and_nothing_of_it_stays(cache, package):
    with pytest.raises(ToolchainError, match="Integrity checksum failed"):
        npm.fetch(package(integrity_of("long")), print)
    assert not list((cache / "edge-harness" / "npm").glob("[!.]*"))


def test_a_machine_without_npm(cache, package, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ToolchainError, match="no npm here"):
        npm.fetch(package("sha512-x"), print)


def test_an_engine_without_packages_needs_no_npm(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = npm.device_files(engines.get("onnxruntime"), print)
    assert sorted(found) == ["edge_engine.py", "edge_runner.py"]
