"""Conditions in a device's file."""

from __future__ import annotations

import pytest

from harness.core.errors import SpecificationError
from harness.lab.inventory import DeviceSpec, load_device

DEVICE = """\
transport: local
abi: x86_64-linux
conditions:
  governor: performance
  max_temperature_c: 50
  zones: [soc-thermal, thermal_zone1]
  max_background_load: 0.1
  min_battery_percent: 30
"""


@pytest.fixture
def write(workspace):
    def _write(text=DEVICE):
        (workspace.devices / "board.yaml").write_text(text)
        return load_device(workspace, "board").spec.conditions

    return _write


def test_what_it_asks_of_the_supervisor(write):
    conditions = write()
    assert conditions.options() == [
        "--governor", "performance", "--cool", "50", "300", "--zone", "soc-thermal",
        "--zone", "thermal_zone1", "--quiet", "0.1", "30", "--battery", "30",
    ]  # fmt: skip
    assert conditions.wait_s == 330
    assert str(conditions) == (
        "governor performance; at most 50 °C in soc-thermal, thermal_zone1 within 300 s; "
        "other work at most 10 % of the processors within 30 s; battery at least 30 %"
    )


def test_by_default_nothing_is_asked():
    conditions = DeviceSpec(transport="local", abi="x86_64-linux").conditions
    assert conditions.options() == []
    assert conditions.wait_s == 0
    assert str(conditions) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("performance", "'../x; reboot'", "board.yaml:4: conditions.governor"),
        ("governor:", "governer:", "did you mean 'governor'?"),
        ("max_temperature_c: 50", "max_temperature_c: 5000", "less than or equal to 200"),
        ("max_temperature_c: 50", "cool_within_s: 50", "'zones' is for 'max_temperature_c'"),
        ("0.1", "10", "less than 1"),
    ],
)
def test_faults(write, old, new, said):
    with pytest.raises(SpecificationError) as caught:
        write(DEVICE.replace(old, new))
    assert said in caught.value.message


def test_clocks_are_held_by_name_in_mhz_or_at_their_highest(write):
    conditions = write(
        "transport: local\nabi: x86_64-linux\nconditions:\n"
        "  clocks: {dmc: max, '*.npu': 1000, fb000000.gpu: 850.5}\n"
    )
    assert conditions.options() == [
        "--clock", "dmc", "max", "--clock", "*.npu", "1000000000",
        "--clock", "fb000000.gpu", "850500000",
    ]  # fmt: skip
    assert str(conditions) == (
        "clock dmc at its highest; clock *.npu 1000 MHz; clock fb000000.gpu 850.5 MHz"
    )


@pytest.mark.parametrize(
    "clocks", ["{dmc: 0}", "{dmc: -1}", "{dmc: fast}", "{../dmc: max}", "{'a b': max}", "{'': 1}"]
)
def test_what_is_no_clock_is_refused(write, clocks):
    with pytest.raises(SpecificationError):
        write(f"transport: local\nabi: x86_64-linux\nconditions:\n  clocks: {clocks}\n")
