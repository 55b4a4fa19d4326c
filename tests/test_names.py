"""Names mean one thing: what readers meet most is one class each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import harness

ONCE = {
    "Change",
    "Conditions",
    "Environment",
    "Expectation",
    "Finding",
    "Side",
    "Verdict",
}


def test_a_name_is_one_class():
    package = Path(harness.__file__).parent
    found = Counter(
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {name: found[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
