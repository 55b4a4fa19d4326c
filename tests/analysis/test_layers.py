"""What a profile says of where a case's time goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.cases import case_results
from harness.analysis.layers import layer_changes, profile_of
from harness.core.contract import Layer, Part
from harness.core.records import ArtifactRecord, Case, Partition, Profile, Role
from tests.analysis.conftest import make_run

CASE = Case(model="m", device="d", engine="e", backend="npu:x")
PROFILE = Profile(
    parts=[
        Part(name="quantize", op="QuantizeLinear", unit="CPU"),
        Part(name="graph", unit="NPU", operators=7),
    ],
    layers=[
        Layer(name="quantize", op="QuantizeLinear", unit="CPU", us=25.0),
        Layer(name="graph", op="", unit="NPU", us=75.0),
        Layer(name="conv", op="", unit="NPU", cycles=900),
        Layer(name="pool", op="", unit="NPU", cycles=100),
    ],
    inferences=10,
    unattributed_us=3.0,
)


def profiled(profile=PROFILE, figure_ms=12.0):
    run = make_run(
        {
            CASE: {
                "figure_ms": [10.0, 10.0, figure_ms],
                "role": [Role.MEASURE, Role.MEASURE, Role.PROFILE],
                "profile": [None, None, profile],
            }
        }
    )
    (result,) = case_results(run)
    return result


def test_the_heaviest_come_first_and_each_measure_stands_apart():
    found = profile_of(profiled())
    assert [(layer.name, layer.measure, layer.share) for layer in found.layers] == [
        ("graph", "us", 0.75),
        ("quantize", "us", 0.25),
        ("conv", "cycles", 0.9),
        ("pool", "cycles", 0.1),
    ]
    assert found.unattributed_us == 3.0


def test_operators_are_counted_by_the_unit_that_ran_them():
    assert profile_of(profiled()).placement == {"NPU": 7, "CPU": 1}


def test_what_profiling_costs_is_known():
    assert profile_of(profiled()).overhead == pytest.approx(1.2)


def test_a_profile_counts_for_no_latency():
    result = profiled(figure_ms=1000.0)
    assert result.latency_ms.center == pytest.approx(10.0)
    assert result.latency_ms.n == 2


def test_without_a_profile_there_is_nothing():
    run = make_run({CASE: [10.0, 10.0]})
    (result,) = case_results(run)
    assert profile_of(result) is None
    assert profile_of(profiled(profile=None)) is None


def test_layers_without_any_time_have_no_share():
    empty = Profile(layers=[Layer(name="a", op="b", unit="c")])
    assert profile_of(profiled(profile=empty)).layers == []


def on_the_processor(*parts, operators=None):
    """Return the share of an accelerator that ran a subgraph, beside parts on the processor."""
    parts = [Part(name="graph", unit="NPU", operators=9), *parts]
    plan = Partition(tool="t", operators=operators or {})
    artifact = ArtifactRecord(
        id="0" * 64, format="f", target="any", files={}, size_bytes=1, provenance={},
        partition=plan,
    )  # fmt: skip
    result = profiled(profile=Profile(parts=parts))
    record = result.record.model_copy(update={"artifact": artifact})
    return profile_of(replace(result, record=record)).accelerated


CONV = Part(name="conv", op="Conv", unit="CPUExecutionProvider")
HARDMAX = Part(name="hardmax", op="Hardmax", unit="CPUExecutionProvider")


def test_what_does_not_multiply_takes_nothing_from_the_accelerator():
    assert on_the_processor(HARDMAX) == 1.0


def test_what_multiplies_on_the_processor_is_taken_off():
    counted = {"conv": 250, "other": 750}
    assert on_the_processor(CONV, HARDMAX, operators=counted) == pytest.approx(0.75)


def test_the_share_is_unknown_where_what_is_left_was_not_counted():
    assert on_the_processor(CONV) is None
    assert on_the_processor(CONV, operators={"other": 750}) is None
    whole = Part(name="rest", unit="CPU", operators=3)  # nobody says what is in it
    assert on_the_processor(whole, operators={"other": 750}) is None


def test_all_on_the_processor_is_a_share_of_nothing():
    result = profiled(profile=Profile(parts=[CONV, HARDMAX]))
    assert profile_of(result).accelerated == 0.0
    assert profile_of(result).subgraphs == 0


def test_subgraphs_are_counted():
    assert profile_of(profiled()).subgraphs == 1


def test_what_became_slower_comes_first_and_what_left_the_npu_is_named():
    conv = Part(name="conv", op="Conv", unit="CPU")
    layers = [
        Layer(name="quantize", op="QuantizeLinear", unit="CPU", us=20.0),
        Layer(name="graph", op="", unit="NPU", us=60.0),
        Layer(name="conv", op="Conv", unit="CPU", us=500.0),
        Layer(name="pool", op="", unit="NPU", cycles=150),
    ]
    now = Profile(parts=[*PROFILE.parts, conv], layers=layers)
    found = layer_changes(*(profile_of(profiled(profile=each)) for each in (now, PROFILE)))
    assert [(each.name, each.change, each.measure) for each in found.layers] == [
        ("conv", 500.0, "us"),
        ("graph", -15.0, "us"),
        ("quantize", -5.0, "us"),
        ("conv", -900.0, "cycles"),
        ("pool", 50.0, "cycles"),
    ]
    assert (found.left, found.returned) == (["conv"], [])
    back = layer_changes(*(profile_of(profiled(profile=each)) for each in (PROFILE, now)))
    assert (back.left, back.returned) == ([], ["conv"])


def test_a_profile_against_itself_changes_nothing():
    profile = profile_of(profiled())
    found = layer_changes(profile, profile)
    assert {each.change for each in found.layers} == {0}
    assert (found.left, found.returned) == ([], [])
