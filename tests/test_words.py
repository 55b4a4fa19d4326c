"""Habits of wording that do not come back: "How we write", as far as a list can tell."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

import click
import pytest

from harness.cli.app import harness
from harness.core.reason import CODES, load_all
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

BANNED = {
    r"\banew\b": "again",
    r"\bg(?:o|oes|one) on with\b": "continue with, resume",
    r"\bnone of ours\b": "unknown",
    r"\bis meant to be\b": "should be",
    r"\bwhich there is not\b|\bthat there is not\b": "that does not exist",
    r"\btime and again\b": "repeatedly",
    r"\bof its own making\b": "of its own",
    r"\b(?:lie|lies) (?:in|under|beside|there|at)\b": "is",
    r"\b(?:stand|stands) (?:in|under|there|at) (?!for\b)": "is",
    r"\bhow to mend\b": "how to fix",
    r"\bsays? (?:it|that) with --": "pass --",
    r"\bleaves? nothing behind\b": "cleans up",
    r"\bwhich no such \w+ is\b": "exceeds the limit",
    r"\bare no numbers\b|\bis no (?:number|duration)\b": "is not a number",
}
OF_ENGINES = ("stages", "device.py")  # artifacts' identities cover these files


def faults(text: str) -> list[str]:
    flat = " ".join(text.split())
    return [f"{found[0]!r}: {better}" for pattern, better in BANNED.items()
            for found in re.finditer(pattern, flat, re.IGNORECASE)]  # fmt: skip


def prose(source: str) -> Iterator[str]:
    """Yield the docstrings, messages and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def helps(command: click.Command, above: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield each command's name and help at 80 columns."""
    context = click.Context(command, above, command.name, max_content_width=80, terminal_width=80)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from helps(command.get_command(context, name), context)


@pytest.mark.parametrize(
    "text",
    ["The image is built anew.", "run X is not gone on\nwith", "column X is none of ours",
     "Its files lie in a folder.", "larger than 1 MiB, which no such file is",
     "a figure stands in a card", "'x' is no number"],
)  # fmt: skip
def test_the_list_finds_what_it_is_for(text):
    assert faults(text)


def test_plain_sentences_pass():
    assert not faults("A simulator stands in for the NPU; the interval lies inside the margin.")


def test_modules_use_plain_words():
    found = []
    for folder in ("harness", "drill"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if not set(OF_ENGINES) & set(path.parts):
                said = prose(path.read_text(encoding="utf-8"))
                found += [f"{path.relative_to(REPOSITORY)}: {each}" for text in said
                          for each in faults(text)]  # fmt: skip
    assert not found


def test_pages_use_plain_words():
    pages = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    pages += (path for path in (REPOSITORY / "docs").rglob("*.md") if "_build" not in path.parts)
    assert len(pages) > 30
    found = [f"{page.name}: {each}" for page in pages for each in faults(page.read_text("utf-8"))]
    assert not found


def test_reasons_and_hints_use_plain_words_and_name_no_page_that_a_wheel_lacks():
    load_all()
    said = {name: f"{code.words} {code.hint}" for name, code in CODES.items()}
    assert not {name: faults(text) for name, text in said.items() if faults(text)}
    assert not [name for name, text in said.items() if re.search(r"\bdocs/|campaigns/\w", text)]


def test_helps_use_plain_words_and_no_summary_is_cut():
    found = dict(helps(harness))
    assert len(found) > 40
    assert not {name: faults(text) for name, text in found.items() if faults(text)}
    assert not [
        name
        for name, text in found.items()
        if re.search(r"^  \w[\w-]* .*\.\.\.$", text, re.MULTILINE)
    ]
    assert not [name for name, text in found.items() if " docs/" in text]
