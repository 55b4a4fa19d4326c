"""Expectations: met, missed, and what cannot be told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.analysis.cases import case_results
from harness.analysis.expectations import Met, check_expectations, fits
from harness.core.contract import Part
from harness.core.records import ArtifactRecord, Drift, Expectation, Partition, Profile, Role
from tests.analysis.conftest import load, make_case, make_run

STEADY = [10.0, 10.1, 9.9, 10.05, 9.95]
CPU = make_case()
NPU = make_case("rknn", backend="npu:rk3588", precision="int8")


def outcomes(figures, *expected, artifact=None):
    run = make_run(figures)
    cases = [
        record.model_copy(update={"artifact": artifact}) if artifact else record
        for record in run.cases
    ]
    run = run.model_copy(update={"expectations": list(expected), "cases": cases})
    return check_expectations(run, case_results(run))


@pytest.mark.parametrize(("limit", "met"), [(11, Met.YES), (10.01, Met.UNTOLD), (9, Met.NO)])
def test_a_latency(limit, met):
    (found,) = outcomes({CPU: STEADY}, Expectation(latency_ms=limit))
    assert found.met is met
    assert found.low < 10 < found.high


def test_one_launch_tells_nothing():
    (found,) = outcomes({CPU: [1.0]}, Expectation(latency_ms=11))
    assert (found.met, str(found.reason)) == (Met.UNTOLD, "one launch has no interval")


def test_a_case_that_failed_is_not_missed_but_untold():
    failed = {"figure_ms": STEADY, "status": ["failed"] * 5}
    for expected in (Expectation(latency_ms=1), Expectation(first_load_ms=1)):
        (found,) = outcomes({CPU: failed}, expected)
        assert found.met is Met.UNTOLD
        assert "no launch succeeded" in str(found.reason)


def test_first_load_and_memory():
    figures = {
        "figure_ms": STEADY,
        "first_load": [load(100 + n) for n in range(5)],
        "vmhwm_bytes": [20_000_000] * 5,
    }
    found = outcomes({CPU: figures}, Expectation(first_load_ms=120, memory_mb=19.9))
    assert [(each.quantity, each.met) for each in found] == [
        ("first load (cold)", Met.YES),
        ("peak memory", Met.NO),
    ]
    (same,) = outcomes({CPU: figures}, Expectation(memory_mb=20))
    assert (same.met, same.low, same.high) == (Met.YES, pytest.approx(20), pytest.approx(20))


@pytest.mark.parametrize(("limit", "met"), [(3.5, Met.YES), (4, Met.UNTOLD), (5, Met.NO)])
def test_a_speedup_is_over_the_fastest_on_the_processors(limit, met):
    slow, other = make_case(threads=2), make_case(model="other")
    figures = {
        CPU: STEADY,
        slow: [20 * each for each in STEADY],
        other: [each / 10 for each in STEADY],
        NPU: [each / 4 for each in STEADY],
    }
    (found,) = outcomes(figures, Expectation(speedup=limit, only=["m"]))
    assert (found.met, str(found.reason)) == (met, "over onnxruntime")
    assert found.value == pytest.approx(4)


def test_a_speedup_without_a_case_on_the_processors():
    (found,) = outcomes({NPU: STEADY}, Expectation(speedup=2))
    assert found.met is Met.UNTOLD
    assert "processors" in str(found.reason)


@pytest.mark.parametrize(
    ("drift", "met"),
    [
        (Drift(computed_by="s", inputs=8, relative_error=0.02), Met.YES),
        (Drift(computed_by="s", inputs=8, relative_error=0.2), Met.NO),
        (Drift(computed_by="s", inputs=8, fault="NaN in 3 of 8 outputs"), Met.NO),
        (None, Met.UNTOLD),
    ],
)
def test_drift_is_of_int8_alone(drift, met):
    artifact = ArtifactRecord(
        id="a", format="rknn", target="rk3588", files={}, size_bytes=1, drift=drift
    )
    (found,) = outcomes({CPU: STEADY, NPU: STEADY}, Expectation(drift=0.05), artifact=artifact)
    assert found.result.record.case == NPU
    assert found.met is met


def test_patterns():
    assert fits(NPU, [])
    assert fits(NPU, ["npu:*", "m"])
    assert not fits(CPU, ["npu:*"])
    assert len(outcomes({CPU: STEADY, NPU: STEADY}, Expectation(latency_ms=1, only=["rknn"]))) == 1


def placed(*on_cpu, limit=0.95, operators=None, **more):
    """Return what comes of an expected placement, where the processor ran some parts."""
    parts = [Part(name="graph", unit="NPU", operators=9), *on_cpu]
    figures = {
        "figure_ms": [10.0, 12.0],
        "role": [Role.MEASURE, Role.PROFILE],
        "profile": [None, Profile(parts=parts)],
    } | more
    plan = Partition(tool="t", operators=operators or {})
    artifact = ArtifactRecord(
        id="a", format="qnn", target="any", files={}, size_bytes=1, partition=plan
    )
    (found,) = outcomes({NPU: figures}, Expectation(placement=limit), artifact=artifact)
    return found


def test_a_placement_is_met_where_the_accelerator_ran_its_share():
    hardmax = Part(name="h", op="Hardmax", unit="CPU")
    found = placed(hardmax)
    assert (found.quantity, found.met, found.value) == ("placement", Met.YES, 100.0)


def test_a_placement_below_is_missed():
    conv = Part(name="c", op="Conv", unit="CPU")
    found = placed(conv, operators={"c": 60, "d": 940})
    assert (found.met, found.value, found.limit) == (Met.NO, pytest.approx(94.0), 95.0)


def test_a_launch_that_fell_back_misses_its_placement_though_it_is_invalid():
    conv = Part(name="c", op="Conv", unit="CPU")
    found = placed(profile=[None, Profile(parts=[conv])], status=["invalid", "invalid"])
    assert (found.met, found.value) == (Met.NO, 0.0)


def test_a_placement_is_untold_without_a_profile_or_a_count():
    found = placed(profile=[None, None])
    assert (found.met, str(found.reason)) == (Met.UNTOLD, "no launch was profiled")
    found = placed(Part(name="c", op="Conv", unit="CPU"))
    assert found.met is Met.UNTOLD
    assert "not those that were counted" in str(found.reason)


def test_nothing_is_placed_on_a_processor():
    assert outcomes({CPU: STEADY}, Expectation(placement=0.95)) == []


@pytest.mark.parametrize("written", ["95%", 0.95])
def test_a_placement_is_written_as_a_share_or_in_percent(written):
    assert Expectation(placement=written).placement == pytest.approx(0.95)


@pytest.mark.parametrize("written", ["0%", "101%", "most", 95, -1])
def test_what_is_no_share_is_refused(written):
    with pytest.raises(ValidationError):
        Expectation(placement=written)


def test_a_simulator_has_no_speedup():
    figures = {CPU: STEADY, NPU: {"figure_ms": STEADY, "simulated": ["a simulator"] * 5}}
    (found,) = outcomes(figures, Expectation(speedup=2))
    assert (found.met, found.value) == (Met.UNTOLD, None)
    assert "a simulator stood in" in str(found.reason)
