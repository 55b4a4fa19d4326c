"""Where a program is taken from: the wheel, the cache, or the compiler."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.native import program
from harness.native.program import Recipe

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Make a recipe, and remember when it is compiled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(program, "CARRIED", tmp_path / "carried")
    calls = []

    def compile_into(folder, tools, progress):
        calls.append(tools("zig"))
        (folder / "program").write_text("compiled")

    return Recipe("program", "program-abi-123", compile_into), calls


def carry(name):
    (program.CARRIED / name).mkdir(parents=True)
    (program.CARRIED / name / "program").write_text("carried")


def obtain(recipe):
    return recipe.obtain(print, lambda name: Path(f"/tools/{name}")).read_text()


def test_what_the_wheel_carries_is_taken(compiled, tmp_path):
    recipe, calls = compiled
    carry("program-abi-123")
    assert obtain(recipe) == "carried"
    assert calls == []
    assert not (tmp_path / "cache").exists()


def test_what_was_made_of_other_sources_is_not_and_each_is_compiled_once(compiled):
    recipe, calls = compiled
    carry("program-abi-456")
    assert obtain(recipe) == obtain(recipe) == "compiled"
    assert calls == [Path("/tools/zig")]


def test_an_editable_install_compiles_nothing():
    spec = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build_data = {"force_include": {}}
    hook = module.Carried(str(REPOSITORY), {}, None, None, "", "wheel")
    hook.initialize("editable", build_data)
    assert build_data == {"force_include": {}}
