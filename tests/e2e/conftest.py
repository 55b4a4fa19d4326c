"""A lab for end-to-end tests: a workspace like this one, and its emulated boards."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.lab.emulated.image import build
from harness.lab.emulated.packages import MirrorError
from harness.lab.emulated.recipe import load_board
from harness.transports.adb.server import AdbServer
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parent.parent.parent
HARNESS = [sys.executable, "-m", "harness"]


@dataclass(frozen=True)
class Lab:
    """A workspace, and the command line as a user calls it: a process of its own."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"EDGE_HARNESS_WORKSPACE": str(self.root)}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*HARNESS, *map(str, arguments)],
            env=self.environment,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """Call a command; return what it printed."""
        process = self.start(*arguments)
        out, err = process.communicate()
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        return out

    def campaign(self, content: str, name: str = "small") -> Path:
        path = self.root / "campaigns" / f"{name}.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    def show(self, run_id: str | None = None) -> dict:
        return json.loads(self("results", "show", *([run_id] if run_id else []), "--json"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Return a copy of this repository's workspace."""
    root = tmp_path_factory.mktemp("lab")
    for folder in ("devices", "models", "campaigns"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    (root / "reports").mkdir()
    return Lab(root)


@pytest.fixture(scope="session")
def boot(lab):
    """Boot emulated boards of the lab, each once; return its device's name."""
    booted = set()
    faults = {}

    def boot(name):
        if name not in booted:
            if name not in faults:
                faults[name] = _image_fault(lab, name)
            if faults[name]:
                pytest.skip(f"{name} cannot be built now: {faults[name]}")
            lab("devices", "up", name)
            booted.add(name)
        return name

    yield boot
    for name in booted:
        lab("devices", "down", name)


def _image_fault(lab, name):
    """Build a board's image; say why not where Debian's mirror is between two states."""
    workspace = Workspace(lab.root)
    try:
        build(load_board(workspace, name).image, workspace.boards, print)
    except MirrorError as error:
        return error.message


@pytest.fixture(scope="session")
def board(boot):
    return boot("qemu-arm64")


@pytest.fixture(scope="session")
def adb_server():
    """Return an adb server of the tests' own, which the first command over adb starts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ADB_SERVER_SOCKET", raising=False)
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        yield AdbServer(port=port)
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True)
