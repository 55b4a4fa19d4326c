"""Reasons: codes with facts, and the words made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.core import reason
from harness.core.errors import LabError
from harness.core.reason import CODES, ENGLISH, TEXT, Code, Reason, code, find, plain
from harness.core.records import Launch, Throttling

SLOW = Code("test.slow", "{device} took {seconds:.1f} s[: {said}]", hint="replace {device}")
WITHIN = Code("test.within", "not reached: {why}")


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    for each in (SLOW, WITHIN):
        monkeypatch.setitem(CODES, each.name, each)


def test_words_are_filled_with_facts_and_what_is_missing_is_left_out():
    assert str(SLOW(device="a", seconds=1.26)) == "a took 1.3 s"
    assert str(SLOW(device="a", seconds=2, said="{x}")) == "a took 2.0 s: {x}"


def test_a_reason_within_a_reason_is_said_in_its_place_and_gives_its_hint():
    outer = WITHIN(why=SLOW(device="a", seconds=1))
    assert str(outer) == "not reached: a took 1.0 s"
    assert ENGLISH.hint(outer) == "replace a"
    assert outer.holds(SLOW)
    assert not outer.holds(TEXT)


def test_several_are_told_one_after_the_other():
    assert str(WITHIN(why=[plain("one"), plain("two")])) == "not reached: one; two"
    assert str(WITHIN(why=["one", "two"])) == "not reached: one, two"


@pytest.mark.parametrize("facts", [{"device": "a"}, {"device": "a", "seconds": 1, "other": 2}])
def test_facts_have_to_be_those_that_are_declared(facts):
    with pytest.raises(TypeError, match=r"test\.slow"):
        SLOW(**facts)


def test_a_code_is_declared_once():
    with pytest.raises(ValueError, match="twice"):
        code("text", "again")


@pytest.mark.parametrize("stored", ['{"code":"no.such"}', '{"code":"test.slow","facts":{}}'])
def test_what_is_not_known_here_is_shown_by_its_code(stored):
    """Of a plugin that is not installed, or of a newer version."""
    read = Reason.model_validate_json(stored)
    assert str(read) == read.code
    assert ENGLISH.hint(Reason(code="no.such", facts={"device": "a"})) == ""


@pytest.mark.parametrize("stored", ['{"code":1}', '{"code":"a","facts":{"b":{}}}', '{"c":"a"}'])
def test_what_is_no_reason_is_not_read(stored):
    with pytest.raises(ValidationError):
        Reason.model_validate_json(stored)


@given(st.floats() | st.integers(-(2**53), 2**53) | st.text(max_size=50))
def test_facts_survive_being_stored(fact):
    made = WITHIN(why=fact)
    assert Reason.model_validate_json(made.model_dump_json()) == made
    json.dumps(made.model_dump(mode="json"), allow_nan=False)


def test_numbers_of_numpy_are_numbers():
    assert SLOW(device="a", seconds=np.float64(1.5)).facts["seconds"] == 1.5
    assert type(WITHIN(why=np.int64(3)).facts["why"]) is int


def test_facts_never_reach_into_what_they_are():
    assert str(plain("{text.__class__} {0}")) == "{text.__class__} {0}"


def test_a_deep_reason_is_cut_off():
    made = plain("end")
    for _ in range(50):
        made = WITHIN(why=made)
    assert str(made).endswith("…")


def test_a_sentence_of_an_earlier_version_is_a_reason():
    seen = Throttling.model_validate_json('{"watched":[],"seen":["the clock fell"]}').seen
    assert list(map(str, seen)) == ["the clock fell"]
    field = Launch.__pydantic_fields__["reason"]
    assert field.default is None


def test_an_error_carries_its_reason_with_words_and_hint():
    error = LabError(SLOW(device="a", seconds=1))
    assert (error.message, error.hint, error.reason.code) == (
        "a took 1.0 s",
        "replace a",
        SLOW.name,
    )
    other = LabError("odd", hint="look")
    assert (other.reason.code, ENGLISH.hint(other.reason)) == ("text", "look")


def test_codes_of_parts_that_are_not_loaded_are_found():
    assert find("launch.crashed") is not None
    assert reason.load_all() is None
