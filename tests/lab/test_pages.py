"""The pages of the device classes: each command, device file and campaign on them is a real one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from harness.campaign.spec import Campaign
from harness.cli.app import harness as command
from harness.core.yamlfile import load
from harness.lab.classes import class_names, load_class
from harness.lab.inventory import DeviceSpec

REPOSITORY = Path(__file__).parents[2]
PAGES = REPOSITORY / "docs" / "devices"
EXAMPLES = REPOSITORY / "devices" / "examples"
STAMP = "> **Never run on this hardware by us.**"


def blocks(name, language):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(name):
    for block in blocks(name, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "harness":
                yield words[1:]


def test_each_class_has_a_page_and_an_example():
    assert {path.stem for path in PAGES.glob("*.md")} - {"index"} == set(class_names())
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(class_names())


@pytest.mark.parametrize("name", class_names())
def test_every_command_on_a_page_exists_with_its_options(name):
    parsed = list(commands(name))
    assert {" ".join(words[:2]) for words in parsed} >= {"devices add", "devices probe"}
    assert {words[0] for words in parsed} >= {"run", "report"}
    for words in parsed:
        found, rest = command, words
        with click.Context(command, info_name="harness") as context:
            while isinstance(found, click.Group):
                step, found, rest = found.resolve_command(context, rest)
                assert found, words
            # Parses arguments and options, their choices too; runs nothing.
            found.make_context(step, list(rest), parent=context)


@pytest.mark.parametrize("name", class_names())
def test_the_example_is_a_device_of_the_class_and_stands_on_its_page(name):
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    spec = load(EXAMPLES / f"{name}.yaml", DeviceSpec)
    assert spec.device_class == name
    assert spec.abi in load_class(name).abis
    assert any(text in block for block in blocks(name, "yaml"))


@pytest.mark.parametrize("name", class_names())
def test_the_campaigns_on_a_page_measure_backends_that_the_class_has(name, tmp_path):
    found = [block for block in blocks(name, "yaml") if "matrix:" in block]
    assert found
    for block in found:
        (tmp_path / "campaign.yaml").write_text(block, encoding="utf-8")
        for part in load(tmp_path / "campaign.yaml", Campaign).matrix:
            known = load_class(name).engines
            assert set(part.engines) <= set(known)
            assert all(set(part.backends) <= set(known[engine]) for engine in part.engines)


@pytest.mark.parametrize("name", class_names())
def test_what_was_never_run_is_stamped(name):
    known = load_class(name).engines.values()
    measured = {backend.measured for backends in known for backend in backends.values()}
    assert len(measured) == 1
    top = (PAGES / f"{name}.md").read_text(encoding="utf-8").split("\n## ")[0]
    assert (STAMP in top) == (measured == {False})
