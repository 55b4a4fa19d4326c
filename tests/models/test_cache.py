"""The cache: what may go, what goes first, and what is left alone."""

from __future__ import annotations

import json
import os
import time

import pytest
from filelock import FileLock

from harness.core.errors import SpecificationError
from harness.models import cache as cached
from harness.models import environments
from harness.models.build import build, find
from harness.models.manifest import Manifest, Model

DAY = 86_400


def spinning(spin_us):
    manifest = {
        "title": "No network",
        "licence": "Apache-2.0",
        "source": {"kind": "calibration", "spin_us": spin_us},
        "inputs": [{"name": "x", "shape": [1, 4]}],
    }
    return Model(name="spin", manifest=Manifest.model_validate(manifest))


@pytest.fixture
def lay(cache):
    """Build an artifact of an age, and of a size where one is given."""

    def laying(spin_us, days, size_bytes=0):
        artifact = build(spinning(spin_us), "calibration", progress=print)
        if size_bytes:
            (artifact.folder / "more").write_bytes(bytes(size_bytes))
        used = time.time() - days * DAY
        os.utime(artifact.folder, (used, used))
        return artifact

    return laying


def environment_of(cache, name, days):
    folder = cache / "environments" / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_bytes(bytes(1000))
    used = time.time() - days * DAY
    os.utime(folder, (used, used))
    return folder


def there(spin_us):
    return find(spinning(spin_us), "calibration") is not None


def test_what_nobody_used_lately_goes_and_the_rest_stays(lay, cli):
    lay(1, days=40)
    lay(2, days=20)
    said = cli("models", "clean", "--dry-run")
    assert (said.code, there(1)) == (0, True)
    assert "would free" in said.out
    said = cli("models", "clean", "--json")
    answer = json.loads(said.out)
    assert [row["kind"] for row in answer["gone"]] == ["artifact"]
    assert answer["freed_bytes"] == answer["gone"][0]["size_bytes"] > 0
    assert (there(1), there(2)) == (False, True)
    assert "freed" in cli("models", "clean", "--older-than", "10").out
    assert not there(2)
    assert "freed 0 kB" in cli("models", "clean").out


def test_a_use_makes_it_young(lay):
    lay(1, days=40)
    build(spinning(1), "calibration", progress=print)
    assert cached.stale(30) == []


def test_environments_in_use_stay_unless_all_is_to_go(cache, cli):
    name = environments.get("paddle").folder.name
    current = environment_of(cache, name, days=400)
    old = environment_of(cache, "paddle-py3.10-000000000000", days=40)
    young = environment_of(cache, "paddle-py3.10-111111111111", days=1)
    cli("models", "clean")
    assert [folder.exists() for folder in (current, old, young)] == [True, False, True]
    cli("models", "clean", "--all")
    assert [folder.exists() for folder in (current, old, young)] == [False, False, False]


def test_what_a_killed_build_left_goes_at_any_age(cache, lay):
    artifact = lay(1, days=0)
    left = artifact.folder.with_name(f".{artifact.record.id}.abc123.partial")
    left.mkdir()
    (left / "model.json").write_bytes(bytes(500))
    with FileLock(artifact.folder.parent / f".{artifact.record.id}.lock"):
        assert cached.stale(30) == []  # somebody is making it
    [entry] = cached.stale(30)
    assert (entry.kind, entry.size_bytes) == ("leftover", 500)
    assert cached.clean([entry]) == [entry]
    assert (left.exists(), there(1)) == (False, True)


def test_what_is_being_made_is_left_alone_and_said(lay, cli):
    artifact = lay(1, days=40)
    with FileLock(artifact.folder.parent / f".{artifact.record.id}.lock"):
        said = cli("models", "clean")
    assert "1 kept" in said.out
    assert there(1)


def test_links_to_other_folders_are_not_followed(cache, lay, tmp_path):
    lay(1, days=0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (cache / "artifacts" / "link").symlink_to(elsewhere)
    assert all(entry.folder.name != "link" for entry in cached.stale(0, everything=True))


def test_the_cache_is_bounded_and_what_was_used_least_lately_goes_first(lay, monkeypatch):
    for number, days in ((1, 9), (2, 8), (3, 0.5)):
        lay(number, days, size_bytes=1_000_000)
    monkeypatch.setenv(cached.LIMIT_VARIABLE, "0.0022")
    steps = []
    build(spinning(4), "calibration", progress=steps.append)
    assert [there(number) for number in (1, 2, 3, 4)] == [False, True, True, True]
    assert any("the cache is full: 1 least recently used" in step for step in steps)
    monkeypatch.setenv(cached.LIMIT_VARIABLE, "0")
    cached.bound(cached.limit_bytes())
    # A campaign may be about to push what was used within a day.
    assert [there(number) for number in (1, 2, 3, 4)] == [False, False, True, True]


@pytest.mark.parametrize("text", ["much", "inf", "nan"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(cached.LIMIT_VARIABLE, text)
    with pytest.raises(SpecificationError, match="not a number of gigabytes"):
        cached.limit_bytes()
