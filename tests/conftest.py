"""Fixtures for all tests."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli.app import main
from harness.native.supervisor import supervisor as build_supervisor
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Said:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """An empty workspace, which commands work in."""
    for folder in ("devices", "models", "campaigns", "reports"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Call the command line in this process, its error handling included."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return call


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory) -> Path:
    """The device's supervisor for this machine, by the compiler here if there is one."""
    compiler = shutil.which("c++")
    if compiler is None:
        return build_supervisor(f"{platform.machine()}-linux", print)
    program = tmp_path_factory.mktemp("supervisor") / "edge-supervisor"
    sources = (REPOSITORY / "harness/runner/native/supervisor").glob("*.cc")
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
    subprocess.run([compiler, *flags, *sources, "-o", program], check=True)
    return program
