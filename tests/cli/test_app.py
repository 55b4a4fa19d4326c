"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.app import harness


def test_help_lists_every_command_with_examples(cli):
    said = cli("--help")
    assert said.code == 0
    assert "harness run campaigns/demo.yaml" in said.out
    for name in harness.list_commands(None):
        assert f"  {name} " in said.out


def _commands(group, path=()):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield (*path, name), command
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in _commands(harness)], ids=" ".join)
def test_every_command_has_a_summary_and_an_example(cli, path):
    said = cli(*path, "--help")
    assert said.code == 0
    assert len(said.out.splitlines()[2].strip()) > 10
    assert f"  harness {path[0]}" in said.out


def test_an_unknown_command_offers_the_nearest(cli):
    said = cli("device")
    assert said.code == 2
    assert "did you mean 'devices'?" in said.err


def test_an_unknown_option_is_a_usage_error(cli):
    assert cli("plan", "--fast").code == 2


def test_help_imports_nothing_heavy():
    heavy = "{'numpy', 'paramiko', 'pydantic', 'rich', 'scipy', 'sqlalchemy', 'vl_convert'}"
    script = (
        "import sys\nfrom harness.cli.app import main\nsys.argv = ['harness', '--help']\n"
        f"try:\n    main()\nexcept SystemExit:\n    sys.exit(str({heavy} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


def test_completion_offers_commands():
    done = subprocess.run(
        [Path(sys.executable).with_name("harness")],
        env={"_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": "harness re", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {line.split(",")[1] for line in done.stdout.splitlines()} == {"report", "results"}
