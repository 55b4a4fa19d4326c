"""Finding the workspace, and names that are safe in it."""

from __future__ import annotations

import pytest

from harness.core.errors import SpecificationError
from harness.workspace import Workspace, cache_dir, check_name


def test_found_from_a_folder_within(workspace, monkeypatch):
    monkeypatch.delenv("EDGE_HARNESS_WORKSPACE")
    inner = workspace.root / "reports" / "deep"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert Workspace.find() == workspace


def test_none_around(tmp_path, cli):
    said = cli("--workspace", tmp_path, "results", "list")
    assert said.code == 2
    assert "is a workspace" in said.err
    assert "--workspace" in said.err


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "edge-harness"


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "-x", "a b", "a;b", "x" * 65, "a\n"])
def test_unsafe_names(name):
    with pytest.raises(SpecificationError):
        check_name(name, "board")
