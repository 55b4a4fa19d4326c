"""Fixtures for emulated boards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.workspace import Workspace

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def make_lab(tmp_path_factory):
    """Make workspaces that have this repository's boards."""

    def make() -> Workspace:
        root = tmp_path_factory.mktemp("lab")
        (root / "campaigns").mkdir()
        shutil.copytree(REPOSITORY / "devices", root / "devices")
        return Workspace(root)

    return make


@pytest.fixture
def lab(make_lab) -> Workspace:
    return make_lab()
