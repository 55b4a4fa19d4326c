"""Plugins: found by folder and by entry point; a bad one is named, and the others work on."""

import sys
from dataclasses import dataclass
from textwrap import dedent

import pytest

from harness.core.errors import SpecificationError
from harness.core.registry import API_VERSION, Registry

GROUP = "edge_harness_tests.things"


@dataclass(frozen=True)
class Thing:
    name: str
    api_version: int
    says: str = "ok"


GOOD = "from test_registry_base import Thing\nPLUGIN = Thing({name!r}, 1)\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on sys.path, in which the tests put packages."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "test_registry_base", sys.modules[__name__])
    before = set(sys.modules)
    write(tmp_path / "own" / "__init__.py", "")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


def install(place, package, module, text, entry=None):
    """Do what pip does: a module, and a dist-info folder that declares an entry point."""
    write(place / f"{module}.py", text)
    info = place / f"{package.replace('-', '_')}-2.5.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n")
    write(info / "entry_points.txt", f"[{GROUP}]\n{entry or f'{module} = {module}:PLUGIN'}\n")


def registry(**more):
    return Registry(Thing, "thing", package="own", group=GROUP, **more)


def only_fault(things):
    (fault,) = things.faults
    return fault


def test_finds_its_own_by_folder_and_others_by_entry_point(place):
    write(place / "own" / "two_words" / "__init__.py", GOOD.format(name="two-words"))
    write(place / "own" / "helper.py", "raise RuntimeError('not a plugin')")
    install(place, "acme-things", "acme", GOOD.format(name="acme"))
    things = registry()
    assert list(things.plugins) == ["two-words", "acme"]
    assert things.get("acme").says == "ok"
    assert things.origins["two-words"].package == "edge-harness"
    assert (things.origins["acme"].package, things.origins["acme"].version) == (
        "acme-things",
        "2.5",
    )
    assert "acme" in things
    assert "helper" not in things
    assert [thing.name for thing in things] == ["two-words", "acme"]
    assert things.faults == ()


def test_finds_its_own_in_modules_but_for_the_base_and_private_ones(place):
    write(place / "own" / "one.py", GOOD.format(name="one"))
    for name in ("base", "_helper"):
        write(place / "own" / f"{name}.py", "raise RuntimeError('not a plugin')")
    things = registry(modules=True)
    assert list(things.plugins) == ["one"]
    assert things.faults == ()


def test_imports_nothing_before_it_is_asked(place):
    write(place / "own" / "one" / "__init__.py", GOOD.format(name="one"))
    install(place, "acme-things", "acme", GOOD.format(name="acme"))
    things = registry()
    assert not {"own.one", "acme"} & set(sys.modules)
    things.get("one")
    assert {"own.one", "acme"} <= set(sys.modules)


BAD = {
    "does not import": ("import no_such_module\n", "does not import (ModuleNotFoundError"),
    "ends the process": ("import sys\nsys.exit(3)\n", "does not import (SystemExit: 3)"),
    "is no Python": ("def (:\n", "does not import (SyntaxError"),
    "has no such attribute": ("OTHER = 1\n", "does not import (AttributeError"),
    "is something else": ("PLUGIN = {'name': 'bad'}\n", "it is a dict, not a"),
    "is for another version": (
        "from test_registry_base import Thing\nPLUGIN = Thing('bad', 99)\n",
        f"version 99 of the plugin API, and this is {API_VERSION}",
    ),
    "has no name": (
        "from test_registry_base import Thing\nPLUGIN = Thing(None, 1)\n",
        "its name None is not a word",
    ),
    "has a name for a shell": (
        "from test_registry_base import Thing\nPLUGIN = Thing('a; rm -rf /', 1)\n",
        "is not a word",
    ),
    "raises when it is asked": (
        """\
        from test_registry_base import Thing
        class Rude(Thing):
            @property
            def name(self): raise OSError("no")
            @name.setter
            def name(self, value): pass
        PLUGIN = Rude.__new__(Rude)
        object.__setattr__(PLUGIN, "api_version", 1)
        """,
        "its declaration cannot be read (OSError: no)",
    ),
    "fails the check of its kind": (
        "from test_registry_base import Thing\nPLUGIN = Thing('bad', 1, says='rubbish')\n",
        "it says rubbish",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_plugin_is_named_with_its_package_and_the_others_work(place, kind):
    text, reason = BAD[kind]
    write(place / "own" / "one" / "__init__.py", GOOD.format(name="one"))
    install(place, "bad-things", "bad", text)
    install(place, "good-things", "good", GOOD.format(name="good"))
    things = registry(check=lambda thing: None if thing.says == "ok" else f"it says {thing.says}")
    assert list(things.plugins) == ["one", "good"]
    fault = only_fault(things)
    assert (fault.name, fault.origin.package) == ("bad", "bad-things")
    assert reason in fault.reason
    with pytest.raises(SpecificationError, match="'bad' of the package bad-things cannot be used"):
        things.get("bad")


def test_an_entry_point_that_is_no_reference(place):
    install(place, "bad-things", "bad", "", entry="bad = this is no reference")
    fault = only_fault(registry())
    assert fault.origin.package == "bad-things"
    assert "does not import" in fault.reason


def test_a_package_without_metadata(place):
    install(place, "bad-things", "bad", "PLUGIN = 1\n")
    (place / "bad_things-2.5.dist-info" / "METADATA").write_text("")
    fault = only_fault(registry())
    assert (fault.name, fault.origin.package) == ("bad", "unknown")


def test_an_entry_point_of_another_name(place):
    install(place, "bad-things", "bad", GOOD.format(name="same"), entry="other = bad:PLUGIN")
    fault = only_fault(registry())
    assert fault.reason == "its entry point has another name than the plugin, 'same'"


def test_a_name_that_is_taken(place):
    write(place / "own" / "one" / "__init__.py", GOOD.format(name="one"))
    install(place, "b-things", "second", GOOD.format(name="same"), entry="same = second:PLUGIN")
    install(place, "a-things", "first", GOOD.format(name="same"), entry="same = first:PLUGIN")
    install(place, "c-things", "third", GOOD.format(name="one"))
    things = registry()
    assert list(things.plugins) == ["one", "same"]
    assert things.origins["same"].package == "a-things"
    assert [(fault.origin.package, fault.reason) for fault in things.faults] == [
        ("b-things", "the package a-things has thing 'same' already"),
        ("c-things", "the package edge-harness has thing 'one' already"),
    ]


def test_an_unknown_name_offers_the_nearest(place):
    install(place, "acme-things", "acme", GOOD.format(name="acme"))
    with pytest.raises(SpecificationError, match="unknown thing 'acne'") as caught:
        registry().get("acne")
    assert caught.value.hint == "did you mean 'acme'?"
