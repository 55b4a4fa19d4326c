"""Comparisons in words."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.comparison import Ratio, ratio
from harness.analysis.gate import gate
from harness.report.verdicts import change, junit, markdown, speedup
from tests.analysis.conftest import make_case, make_run

RATIO = ratio([1.05, 1.06, 1.04], [1.0, 1.01, 0.99])
STEADY = [10.0, 10.1, 9.9]


@pytest.mark.parametrize(
    ("center", "low", "high", "said"),
    [
        (1.051, 1.042, 1.06, "+5.1 % [+4.2, +6.0]"),
        (0.95, 0.9, 1.0, "\N{MINUS SIGN}5.0 % [\N{MINUS SIGN}10.0, 0.0]"),
        (1.05, 1.0499, 1.0501, "+5.00 % [+4.99, +5.01]"),
        (1.05, 1.05, 1.05, "+5.000 %"),
        (1.5, None, None, "+50.0 %"),
        (1.0, 0.5, float("inf"), "0.0 % [\N{MINUS SIGN}50.0, +∞]"),
    ],
)
def test_a_change(center, low, high, said):
    assert change(replace(RATIO, center=center, low=low, high=high)) == said


def test_a_speedup():
    assert speedup(replace(RATIO, center=0.25, low=0.24, high=0.26)) == "4.00× [3.85×, 4.17×]"
    assert speedup(Ratio(0.5, None, None, None, 1, 1, "few")) == "2.00×"


@given(st.text(max_size=40), st.text(max_size=40))
def test_hostile_text_breaks_neither_markdown_nor_xml(name, reason):
    case = make_case()
    run = make_run({case: {"figure_ms": STEADY, "status": ["failed"] * 3, "reason": [reason] * 3}})
    found = gate(run, make_run({case: STEADY}), name)
    ET.fromstring(junit(found))
    table = [line for line in markdown(found).splitlines() if line.startswith("| ")]
    assert len(table) == 2
    assert {line.replace("\\|", "").count("|") for line in table} == {3}  # no quantity to show
    assert "<script" not in markdown(gate(run, run, f"<script>{name}"))
