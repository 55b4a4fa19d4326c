"""Which device it is, by what it tells: a serial number first, then a machine id."""

from __future__ import annotations

import pytest

from harness.analysis.comparisons import Verdict
from harness.analysis.instance import Instance
from tests.analysis.conftest import FACTS, make_run
from tests.analysis.test_comparisons import CASE, STEADY, only


def of(serial=None, machine_id=None):
    return Instance.of({"serial": serial, "machine_id": machine_id})


@pytest.mark.parametrize(
    "placeholder",
    [
        None,
        "",
        "0",
        "0000000000000000",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff",
        "0123456789ABCDEF",
        " Default string ",
        "To be filled by O.E.M.",
        "Not Specified",
        "unknown",
    ],
)
def test_placeholders_are_no_serial_number(placeholder):
    assert of(placeholder, "m").key(of("10000000aaaaaaaa", "m")) == "machine_id"
    assert of(placeholder).key(of("10000000aaaaaaaa")) is None
    assert of(placeholder, "m").name == "m"


def test_a_serial_number_that_both_tell_decides():
    """Boards of one image have the same machine id; one that was set up anew has another."""
    assert of("a", "m").key(of("b", "m")) == "serial"
    assert of("a", "m").key(of("a", "n")) == "serial"
    assert of("a", "m").key(of(None, "n")) == "machine_id"


@pytest.mark.parametrize(
    ("now", "then", "says"),
    [
        (
            {"serial": "1000b"},
            {"serial": "1000a"},
            "is another device: serial number 1000a → 1000b",
        ),
        ({"serial": "1000b"}, {"serial": "1000b", "machine_id": "b"}, None),
        ({"serial": "0123456789ABCDEF"}, {"serial": "1000a"}, None),
        ({"serial": "b", "machine_id": ""}, {"machine_id": ""}, "reports no serial number"),
    ],
)
def test_the_gate_tells_boards_of_one_image_apart(now, then, says):
    sides = [make_run({CASE: STEADY}, facts=FACTS | facts) for facts in (now, then)]
    found = only(*sides)
    if says is None:
        assert found.verdict is Verdict.UNCHANGED
        return
    ((kind, reason),) = found.refusals
    assert kind == "device"
    assert says in str(reason)
    assert only(*sides, changes=["device"]).verdict is Verdict.UNCHANGED
