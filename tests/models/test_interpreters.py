from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from harness.models import interpreters
from harness.models.toolchain import ToolchainError

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "3.10" if sys.version_info[:2] != (3, 10) else "3.9"


@pytest.fixture
def machine(tmp_path, monkeypatch, cache):
    """A machine without Python: empty PATH, no pyenv, nothing of uv's, no network."""
    for name in ("bin", "home", "pyenv", "uv"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return tmp_path


def python_double(path: Path, version: str = VERSION) -> Path:
    """A stand-in for an interpreter: a script that answers the question asked of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version} {path}\n")
    path.chmod(0o755)
    return path


def failing_shim(path: Path) -> None:
    """As pyenv's, for a version that is installed but not chosen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    path.chmod(0o755)


def test_the_own_interpreter_is_taken_where_it_fits(machine):
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(interpreters.find(own)) == sys.executable


def test_it_is_found_on_the_path_behind_a_shim_that_fails(machine, monkeypatch):
    failing_shim(machine / "shims" / f"python{VERSION}")
    monkeypatch.setenv("PATH", f"{machine / 'shims'}:{machine / 'bin'}")
    path = python_double(machine / "bin" / f"python{VERSION}")
    assert interpreters.find(VERSION) == path


def test_the_newest_of_pyenvs_versions_is_taken(machine):
    failing_shim(machine / "bin" / f"python{VERSION}")
    for patch in (2, 13, 9):
        python_double(
            machine / "pyenv" / "versions" / f"{VERSION}.{patch}" / "bin" / f"python{VERSION}"
        )
    found = interpreters.find(VERSION)
    assert found.is_relative_to(machine / "pyenv" / "versions" / f"{VERSION}.13")


def test_pyenv_is_found_in_the_home_folder_too(machine, monkeypatch):
    monkeypatch.delenv("PYENV_ROOT")
    path = python_double(
        machine / "home" / ".pyenv" / "versions" / f"{VERSION}.1" / "bin" / f"python{VERSION}"
    )
    assert interpreters.find(VERSION) == path


def test_another_version_under_the_name_is_not_taken(machine):
    python_double(machine / "bin" / f"python{VERSION}", version="3.12")
    with pytest.raises(ToolchainError, match=f"Python {VERSION} was found neither on PATH"):
        interpreters.find(VERSION)


def test_without_any_the_error_says_how_to_get_one(machine, steps):
    with pytest.raises(ToolchainError) as caught:
        interpreters.obtain(VERSION, steps.append)
    assert "uv could not download it" in caught.value.message
    assert f"-m uv python install {VERSION}" in caught.value.hint
    assert f"pyenv install {VERSION}" in caught.value.hint
    assert "downloading" in steps[0]
