"""A plugin is one folder: its name stands in no code outside it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import harness
from harness.engines import ENGINES
from harness.transports import TRANSPORTS

PACKAGE = Path(harness.__file__).parent

# Not code: a vendor's header, translations, and the workspace that `harness init` writes. And what
# benchmark tools of others print, which is read of files that people publish: no engine is run.
NOT_CODE = (
    "engines/onnxruntime/include",
    "report/locale",
    "results/tables.py",
    "scaffold/template",
)

# A word of plain English, too: the harness's own yardstick, and what quantization does.
ENGLISH = {"calibration"}

CODE = {".py", ".sh", ".cc", ".cpp", ".h", ".html", ".js", ".yaml"}

NAMES = sorted({engine.name for engine in ENGINES} - ENGLISH)


def longer(name):
    """Find other engines' names that begin with an engine's: they are not its own."""
    others = [other for other in NAMES if other != name and other.startswith(name)]
    return [spellings(other) for other in others]


def spellings(name):
    words = name.split("-")
    title = ENGINES.get(name).title
    found = {name, "_".join(words), "".join(words), "".join(map(str.capitalize, words)), title}
    return re.compile("|".join(rf"(?<![A-Za-z]){re.escape(each)}(?![a-z])" for each in found))


def code_of(path):
    """Yield the words of a file's code, each with its line: no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        for number, line in enumerate(text.splitlines(), 1):
            yield number, line.partition("#")[0].partition("//")[0]
        return
    tree = ast.parse(text)
    ignored = set()
    for node in ast.walk(tree):
        # Docstrings, of attributes too; and the examples of a command's help.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            ignored.add(node.value)
        if isinstance(node, ast.keyword) and node.arg == "epilog":
            ignored.add(node.value)
    for node in ast.walk(tree):
        if node in ignored:
            continue
        for field in ("value", "id", "attr", "name", "arg", "module", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield getattr(node, "lineno", 0), value


def files_outside(folder):
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        skipped = "__pycache__" in path.parts or path.is_relative_to(folder)
        if path.suffix in CODE and not skipped and not name.startswith(NOT_CODE):
            yield path


# What an emulated board is made of: Debian's SSH server and adbd, and the ports they listen on.
BOARDS = ("lab/emulated/", "cli/boards.py")

# The words for what is on this machine; and the device of that name in a new workspace.
PLAIN = {"local": r"^local$|LocalTransport|transports\.local"}
NAMED_SO = {"local": ("cli/bench.py", "scaffold/bench.py")}


def of_transport(name):
    words = PLAIN.get(name, rf"(?<![a-z]){name}(?![a-z])|{name.capitalize()}[A-Z]")
    return re.compile(words)


@pytest.mark.parametrize("name", TRANSPORTS.plugins)
def test_no_code_names_a_transport_outside_its_folder(name):
    wanted = of_transport(name)
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.strip()[:100]}"
        for path in files_outside(PACKAGE / "transports" / name)
        if not path.relative_to(PACKAGE).as_posix().startswith((*BOARDS, *NAMED_SO.get(name, ())))
        for line, text in code_of(path)
        if wanted.search(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", TRANSPORTS.plugins)
def test_the_search_finds_a_transport_in_its_own_folder(name):
    paths = (PACKAGE / "transports" / name).glob("*.py")
    assert any(of_transport(name).search(text) for path in paths for _, text in code_of(path))


@pytest.mark.parametrize("name", NAMES)
def test_no_code_names_an_engine_outside_its_folder(name):
    wanted, others = spellings(name), longer(name)

    def named(text):
        for other in others:
            text = other.sub("", text)
        return wanted.search(text)

    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.strip()[:100]}"
        for path in files_outside(ENGINES.get(name).folder)
        for line, text in code_of(path)
        if named(text)
    ]
    assert not found, "\n".join(found)


def test_the_search_finds_what_it_should(tmp_path):
    """A positive control: identifiers, strings, imports, attributes; no docstring or comment."""
    path = tmp_path / "some.py"
    path.write_text(
        '"""On paddle-lite."""\n# paddle-lite\nfrom a import paddle_lite\n'
        'x.PaddleLite = "paddle-lite"\n'
        'f("no paddle-lite here")\n'
    )
    wanted = spellings("paddle-lite")
    assert [line for line, text in code_of(path) if wanted.search(text)] == [3, 4, 4, 5]
