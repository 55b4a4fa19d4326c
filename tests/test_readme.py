"""The README in both languages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))


def blocks(path):
    """Commands and files of fenced blocks, without comments."""
    found = re.findall(r"^```\w+\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [re.sub(r"\s*#.*", "", block).strip() for block in found]


def links(path):
    return re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))


def test_both_name_the_same_commands():
    assert blocks(ENGLISH)
    assert blocks(ENGLISH) == blocks(CHINESE)
    code = re.compile(r"`(harness [^`]+|make [^`]+)`", re.DOTALL)
    inline = [
        {" ".join(found.split()) for found in code.findall(path.read_text("utf-8"))}
        for path in (ENGLISH, CHINESE)
    ]
    assert inline[0] <= inline[1]


def test_both_lead_to_the_same_pages_and_to_each_other():
    theirs = set(links(CHINESE)) - {"README.md"}
    assert set(links(ENGLISH)) - {"README.zh-CN.md"} == theirs
    assert "README.zh-CN.md" in links(ENGLISH)
    assert "README.md" in links(CHINESE)


@pytest.mark.parametrize("path", [ENGLISH, CHINESE])
def test_every_page_that_is_linked_is_there(path):
    local = [link.partition("#")[0] for link in links(path) if "://" not in link]
    # The sample is made by `make sample`, on a quiet machine.
    missing = [name for name in local if not (ROOT / name).exists()]
    assert set(missing) <= {"reports/sample.html"}
