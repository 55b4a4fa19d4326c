"""Declarations of quantities: what is wrong with them, and what launches tell."""

from __future__ import annotations

import pytest

from harness.core.quantity import BYTES, MILLISECONDS, Better, Quantity, Summary, Unit
from tests.analysis.conftest import make_case, make_run


def made(**more):
    declared = {"name": "thing", "title": "thing", "label": "Thing", "unit": MILLISECONDS}
    return Quantity(**declared | {"of": lambda launch: launch.figure_ns} | more)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "Thing"}, "lower-case letters"),
        ({"name": "a-thing"}, "lower-case letters"),
        ({"margin": 3}, "its margin 3 is not between 0 and 1"),
        ({"expect": "speedup"}, "is no quantity's"),
        ({"tracked": True, "summary": Summary.MEDIAN}, "what is tracked needs an interval"),
        ({"parts": [made(name="thing.A")]}, "lower-case letters"),
    ],
)
def test_what_is_wrong_with_a_declaration(wrong, said):
    assert made().fault() is None
    assert said in made(**wrong).fault()


def test_names_of_columns_end_with_the_unit():
    part = made(name="thing.part")
    assert (part.key, part.whole, part.column) == ("part", "thing", "part_ms")
    assert made(unit=Unit("", "")).column == "thing"
    assert made(unit=BYTES).column_of("low") == "thing_low_bytes"


def test_values_in_the_unit_that_is_shown():
    assert made(unit=BYTES).text(12_345_678) == "12.3 MB"
    assert made(unit=Unit("per_s", "1/s")).text(20) == "20.0 1/s"
    assert made(unit=Unit("", "")).text(0.5) == "0.500"
    assert made().text(None) == "unknown"
    assert made(unit=BYTES).interval(1e6, 2e6) == "1.00 – 2.00"


def test_which_way_is_worse():
    less, more = made(), made(better=Better.MORE)
    assert [each.is_worse(1.1) for each in (less, more)] == [True, False]
    assert [each.is_worse(0.9) for each in (less, more)] == [False, True]


@pytest.mark.parametrize(
    ("name", "rubbish"),
    [("raises", lambda _: 1 / 0), ("nan", lambda _: float("nan")), ("words", lambda _: "fast")],
)
def test_what_cannot_be_taken_is_unknown_and_said_once(name, rubbish, caplog):
    launches = make_run({make_case(): [1.0, 2.0]}).launches
    quantity = made(name=name, of=rubbish)
    assert quantity.figures(launches) == {}
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"quantity '{name}' is unknown where it cannot be taken (")
