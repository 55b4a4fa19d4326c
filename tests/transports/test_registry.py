"""Transports of other packages: a bad one is named with its package, and the others work on."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from harness import transports
from harness.core.errors import LabError, SpecificationError
from harness.core.registry import Registry
from harness.lab import connect as connecting
from harness.lab import inventory
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.transports.plugin import TransportPlugin

GROUP = "edge_harness_tests.transports"

MODULE = """
from harness.transports.plugin import LinkSpec, TransportPlugin

class Link(LinkSpec):
    where_to: str

class Ours(TransportPlugin):
    name = "ours"
    api_version = 1
    title = "ours"
    link = Link

    def open(self, name, link, known_hosts):
        raise RuntimeError(f"no way to {link.where_to}")

PLUGIN = Ours()
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Do what pip does with a package of one module, and look for transports anew."""
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "ours-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nours = ours_transport:PLUGIN\n")
    before = set(sys.modules)

    def write(text):
        (tmp_path / "ours_transport.py").write_text(dedent(text))
        found = Registry(
            TransportPlugin,
            "transport",
            package="harness.transports",
            group=GROUP,
            check=transports._fault,
        )
        for module in (transports, inventory):
            monkeypatch.setattr(module, "TRANSPORTS", found)
        monkeypatch.setattr(connecting.transports, "get", found.get)
        return found

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "where_to: str",
            "workdir: str",
            "its field 'workdir' is one that every device's file has",
        ),
        ("link = Link", "link = dict", "its 'link' is <class 'dict'>, not a subclass of"),
        (
            "title = ",
            "example = 'theirs://x'\n    title = ",
            "its example 'theirs://x' does not beg",
        ),
        ("api_version = 1", "api_version = 7", "it is for version 7 of the plugin API"),
        ('name = "ours"', 'name = "ssh"', "the package edge-harness has transport 'ssh' already"),
        ('name = "ours"', "name = None", "its name None is not a word"),
        ("PLUGIN = Ours()", "PLUGIN = 3", "it is a int, not a harness.transports.plugin.Transp"),
        ("PLUGIN = Ours()", "PLUGIN = Theirs()", "it does not import (NameError"),
        ("def open(", "def close(", "it does not import (TypeError"),
    ],
)
def test_a_bad_declaration_is_named_and_the_others_work(install, workspace, before, after, said):
    assert before in MODULE
    found = install(MODULE.replace(before, after))
    (fault,) = found.faults
    assert (fault.name, fault.origin.package) == ("ours", "ours")
    assert fault.reason.startswith(said)
    assert set(found.plugins) == {"adb", "local", "ssh"}
    path = workspace.devices / "here.yaml"
    path.write_text("transport: local\nabi: x86_64-linux\n")
    with connect(workspace, load_device(workspace, "here")) as transport:
        assert transport.run(["echo", "works"]).text == "works\n"
    path.write_text("transport: ours\nabi: x86_64-linux\n")
    with pytest.raises(SpecificationError, match="that of the package ours cannot be used: "):
        load_device(workspace, "here")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("api_version", "api_version", "RuntimeError: no way to x"),
        ("raise RuntimeError(", "return (", "it opened a str, which is no transport"),
    ],
)
def test_one_that_answers_rubbish_is_named(install, workspace, before, after, said):
    install(MODULE.replace(before, after))
    path = workspace.devices / "here.yaml"
    path.write_text("transport: ours\nwhere_to: x\nabi: x86_64-linux\n")
    with pytest.raises(LabError, match=f"here: transport 'ours' of the package ours: {said}"):
        connect(workspace, load_device(workspace, "here"))
