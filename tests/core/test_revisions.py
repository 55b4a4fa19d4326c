"""Commits of a real repository: what lies between two."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from harness.core.revisions import between, commits, full_name, revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a function that commits a file and returns the revision; it has a branch, too."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def git(*arguments):
        user = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *user, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(message):
        (tmp_path / "file").write_text(message)
        git("add", "file")
        git("commit", "--quiet", "-m", message)
        return revision(tmp_path)

    git("init", "--quiet", "-b", "main")
    commit.folder, commit.git = tmp_path, git
    return commit


def test_commits_between_two(repository):
    first, second, third = (repository(name) for name in ("one", "two", "three"))
    found = between(repository.folder, first, third)
    assert (found.range, found.count, found.note) == (f"{first}..{third}", 2, "")
    assert [line.split(maxsplit=1)[1] for line in found.commits] == ["three", "two"]
    assert second.startswith(found.commits[1].split()[0][:7])
    same = between(repository.folder, first, first)
    assert (same.range, same.count) == ("", 0)
    assert "none is to blame" in same.note


def test_a_dirty_tree_is_told(repository):
    first, _ = repository("one"), repository("two")
    (repository.folder / "file").write_text("changed")
    dirty = revision(repository.folder)
    assert dirty.endswith("+")
    found = between(repository.folder, first, dirty)
    assert found.count == 1
    assert f"files differed from {dirty}" in found.note
    found = between(repository.folder, dirty.rstrip("+"), dirty)
    assert found.count == 0
    assert "may be in no commit" in found.note


def test_a_revision_named_by_a_tag(repository):
    first = repository("one")
    repository.git("tag", "-a", "v1", "-m", "v1")
    named = repository("two")
    assert named.startswith("v1-1-g")
    assert between(repository.folder, first, named).count == 1


def test_branches(repository):
    base = repository("base")
    repository.git("checkout", "--quiet", "-b", "side")
    side = repository("side")
    repository.git("checkout", "--quiet", "main")
    main = repository("main")
    found = between(repository.folder, side, main)
    assert found.count == 1
    assert f"{side} is no ancestor of {main}" in found.note
    places = commits(repository.folder)
    assert places[full_name(repository.folder, base)] == 0
    assert len(places) == 3


@pytest.mark.parametrize(
    "hostile",
    ["--output=x", "-h", "$(touch x)", "main..side", "a b", "", "x" * 300, "HEAD@{1}", "\u0661"],
)
def test_what_is_no_revision_is_not_tried(repository, hostile):
    first = repository("one")
    found = between(repository.folder, first, hostile)
    assert (found.count, found.range) == (None, "")
    assert "no commit" in found.note
    assert full_name(repository.folder, hostile) is None
    assert sorted(path.name for path in repository.folder.iterdir()) == [".git", "file"]


def test_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision(tmp_path) is None
    assert commits(tmp_path) == {}
    assert "not on record" in between(tmp_path, None, "abc").note
    assert "no commit of this repository" in between(tmp_path, "abc", "abd").note


def test_without_git(repository, monkeypatch):
    first = repository("one")
    monkeypatch.setenv("PATH", "/nowhere")
    assert revision(repository.folder) is None
    assert between(repository.folder, first, first).count is None
