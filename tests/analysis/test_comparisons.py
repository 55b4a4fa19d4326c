"""Cases compared: verdicts, what must not be compared, several quantities, many cases."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.cases import case_results
from harness.analysis.comparable import Side
from harness.analysis.comparison import Verdict, adjusted, chance, judge, ratio, suspected
from harness.analysis.comparisons import (
    alarms_expected,
    compare,
    compare_runs,
    compare_sides,
    figures,
    settle,
)
from harness.core.contract import EnvironmentEvent, InputSpec
from tests.analysis.conftest import FACTS, load, make_case, make_run

CASE = make_case()
STEADY = [10.0, 10.02, 9.98, 10.01, 9.99]


def scaled(factor):
    return [factor * value for value in STEADY]


def only(candidate, baseline, **more):
    (found,) = compare_runs(candidate, baseline, **more)
    return found


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.05, Verdict.REGRESSED),
        (1.0, Verdict.UNCHANGED),
        (1.01, Verdict.UNCHANGED),
        (1.029, Verdict.INCONCLUSIVE),
        (0.9, Verdict.IMPROVED),
    ],
)
def test_the_four_verdicts(factor, verdict):
    assert judge(ratio(scaled(factor), STEADY)) is verdict


@pytest.mark.parametrize("factor", [0.9, 0.98, 1.02, 1.05])
def test_a_suspicion_is_not_decided_on_stored_launches(factor):
    found = only(make_run({CASE: scaled(factor)}), make_run({CASE: STEADY}))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.of("latency").note == "suspected"
    assert found.undecided


def both_sides(candidate, baseline, name="check", **more):
    """Return a run of fresh launches of either side."""
    then = CASE.model_copy(update={"side": "baseline"})
    return make_run({CASE: candidate, then: baseline}, name=name, **more)


def test_fresh_launches_decide_and_their_size_is_what_is_said():
    stored = only(make_run({CASE: scaled(1.2)}), make_run({CASE: STEADY}))
    fresh = compare_sides(both_sides(scaled(1.05), STEADY))
    assert settle(stored, fresh[CASE.id]).verdict is Verdict.REGRESSED
    decided = settle(stored, fresh[CASE.id])
    assert decided.of("latency").ratio.center == pytest.approx(1.05)
    assert decided.of("latency").fresh
    assert decided.confirmed_by == "check"
    assert not decided.undecided
    innocent = settle(stored, compare_sides(both_sides(STEADY, STEADY))[CASE.id])
    assert innocent.verdict is Verdict.UNCHANGED


def test_what_cannot_be_confirmed_stays_inconclusive():
    stored = only(make_run({CASE: scaled(1.2)}), make_run({CASE: STEADY}))
    found = settle(stored, None, "its artifact was not kept")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert str(found.unconfirmable) == "its artifact was not kept"
    newer = {"figure_ms": STEADY, "engine_version": ["2.0"] * 5}
    fresh = compare_sides(both_sides(newer, newer))
    found = settle(stored, fresh[CASE.id])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "it was 1.0, and is 2.0" in str(found.unconfirmable)


def test_launches_on_another_device_are_decided_on_fresh_ones_alone():
    stored = only(
        make_run({CASE: STEADY}), make_run({CASE: STEADY}, facts=FACTS | {"machine_id": "b"})
    )
    assert stored.undecided
    assert settle(stored, None, "why").verdict is Verdict.INVALID
    found = settle(stored, compare_sides(both_sides(STEADY, STEADY))[CASE.id])
    assert found.verdict is Verdict.UNCHANGED
    other_input = only(
        make_run({CASE: STEADY}, inputs=[InputSpec(name="x", shape=(2,))]),
        make_run({CASE: STEADY}),
    )
    assert not other_input.undecided


def test_noise_is_inconclusive_and_one_launch_too():
    noisy = [10, 12, 9, 13, 8]
    found = only(make_run({CASE: noisy}), make_run({CASE: STEADY}))
    assert found.verdict is Verdict.INCONCLUSIVE
    found = only(make_run({CASE: [20.0]}), make_run({CASE: STEADY}))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.of("latency").note == "too few launches for an interval"


def test_suspicion_begins_at_half_the_margin():
    found = only(make_run({CASE: scaled(1.02)}), make_run({CASE: STEADY}))
    assert found.of("latency").suspected
    found = only(make_run({CASE: scaled(1.01)}), make_run({CASE: STEADY}))
    assert not found.of("latency").suspected


figures_of_launches = st.lists(st.floats(0.9, 1.2), min_size=2, max_size=8)


@given(figures_of_launches, figures_of_launches)
def test_swapped_sides_swap_the_verdict(candidate, baseline):
    swapped = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    one, other = ratio(candidate, baseline), ratio(baseline, candidate)
    assert judge(other) is swapped.get(judge(one), judge(one))
    assert suspected(one) == suspected(other)


@given(figures_of_launches, figures_of_launches, st.floats(1, 2))
def test_a_slower_candidate_is_never_judged_better(candidate, baseline, factor):
    order = [Verdict.IMPROVED, Verdict.UNCHANGED, Verdict.INCONCLUSIVE, Verdict.REGRESSED]
    one = judge(ratio(candidate, baseline))
    slower = judge(ratio([factor * value for value in candidate], baseline))
    if one is Verdict.REGRESSED:
        assert slower is one
    if slower is Verdict.IMPROVED:
        assert one is slower
    assert {one, slower} <= set(order)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holms_procedure(p_values):
    found = adjusted(p_values)
    assert all(a >= p for a, p in zip(found, p_values, strict=True))
    assert all(a <= min(1, len(p_values) * p) + 1e-12 for a, p in zip(found, p_values, strict=True))
    assert [a for _, a in sorted(zip(p_values, found, strict=True))] == sorted(found)


def test_holm_by_hand():
    assert adjusted([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_the_chance_of_a_false_alarm():
    tight, wide = ratio(STEADY, STEADY), ratio([10, 11, 9, 12, 8], STEADY)
    assert chance(tight) < 1e-6
    assert chance(wide) == pytest.approx(0.025)
    assert chance(ratio([1.0] * 5, [1.0] * 5)) == pytest.approx(1 / 252)
    assert chance(ratio([1.0], [1.0])) is None
    found = [only(make_run({CASE: STEADY}), make_run({CASE: STEADY}))] * 3
    assert alarms_expected(found) == pytest.approx(3 * chance(ratio(STEADY, STEADY)))


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"facts": FACTS | {"machine_id": "b"}}, "device", "another device: machine id b → aaaa"),
        ({"facts": {}}, "device", "reports no serial number or machine id"),
        ({"facts": FACTS | {"kernel": "5.10.1"}}, "kernel", "kernel: 5.10.1 #1 → 6.1.0 #1"),
        (
            {"facts": FACTS | {"cpus": [{"governor": "powersave", "core": "A53"}]}},
            "clocks",
            "clocks: A53 powersave",
        ),
        ({"inputs": [InputSpec(name="x", shape=(1, 4))]}, "input", "inputs of m differ"),
        ({"sustained_s": 60}, "protocol", "launches of 60"),
    ],
)
def test_what_is_no_regression(changed, kind, words):
    facts = FACTS | {"cpus": [{"governor": "performance", "core": "A53"}]}
    now = make_run({CASE: STEADY}, facts=facts if kind == "clocks" else FACTS)
    found = only(now, make_run({CASE: STEADY}, **changed))
    ((refused, reason),) = found.refusals
    assert refused == kind
    assert words in str(reason)
    assert found.verdict is Verdict.INVALID
    assert not found.findings
    if kind in ("device", "kernel", "clocks"):
        assert only(now, make_run({CASE: STEADY}, **changed), changes=[kind]).findings


def test_engines_and_estimators_must_be_the_same():
    now = make_run({CASE: STEADY})
    newer = make_run({CASE: {"figure_ms": STEADY, "engine_version": ["1.1"] * 5}})
    assert refusals(only(newer, now)) == [("engine", "engine: 1.0 → 1.1")]
    declared = only(newer, now, changes=["engine"])
    assert declared.verdict is Verdict.UNCHANGED
    assert declared.differences == ["engine: 1.0 → 1.1"]
    means = make_run({CASE: {"figure_ms": STEADY, "estimator": ["mean"] * 5}})
    ((kind, reason),) = refusals(only(means, now))
    assert (kind, reason) == (
        "estimator", "a launch's figure is its median on one side, its mean on the other",
    )  # fmt: skip


def test_a_case_without_launches_is_invalid():
    gone = make_run({CASE: {"figure_ms": STEADY, "status": ["failed"] * 5}})
    found = only(gone, make_run({CASE: STEADY}))
    assert found.verdict is Verdict.INVALID
    assert "no launch succeeded" in refusals(found)[0][1]


def test_a_contrast_of_two_backends():
    npu = make_case("rknn", backend="npu:rk3588")
    run = make_run({CASE: STEADY, npu: scaled(0.25)})
    cpu_side, npu_side = (Side(run, result) for result in case_results(run))
    found = compare(npu_side, cpu_side, contrast=True)
    speedup = found.of("latency").ratio.inverse
    assert speedup.low < 4 < speedup.high
    assert found.verdict is None
    assert found.differences == [
        "engine: onnxruntime → rknn",
        "backend: cpu → npu:rk3588",
        "the memory's clock is unknown in run",
    ]


def refusals(found):
    return [(kind, str(reason)) for kind, reason in found.refusals]


def test_what_is_no_contrast():
    other = make_case(model="other")
    run = make_run({CASE: STEADY, other: STEADY})
    one, two = (Side(run, result) for result in case_results(run))
    refused = refusals(compare(two, one, contrast=True))
    assert refused[0] == ("model", "other and m are different models")
    emulated = make_run({make_case(device="e"): STEADY}, emulated=True)
    (side,) = (Side(emulated, result) for result in case_results(emulated))
    assert compare(side, one, contrast=True).refusals[0][0] == "emulated"
    simulated = make_run(
        {make_case(backend="npu:x"): {"figure_ms": STEADY, "simulated": ["it"] * 5}}
    )
    (side,) = (Side(simulated, result) for result in case_results(simulated))
    assert compare(side, one, contrast=True).refusals[0][0] == "simulated"
    unchecked = make_run({make_case("paddle-lite"): {"figure_ms": STEADY, "outputs": [None] * 5}})
    (side,) = (Side(unchecked, result) for result in case_results(unchecked))
    ((kind, reason),) = refusals(compare(side, one, contrast=True))
    assert kind == "outputs"
    assert "were not checked" in reason


def test_first_loads_and_memory_have_margins_of_their_own():
    def run(loads, memory):
        return make_run(
            {
                CASE: {
                    "figure_ms": STEADY,
                    "first_load": loads,
                    "vmhwm_bytes": memory,
                    "vmhwm_source": ["runner"] * 5,
                }
            }
        )

    loads = [load(100.0 + n) for n in range(5)]
    slower = [load(150.0 + n, init_ms=75.0) for n in range(5)]
    then = run(loads, [20_000_000] * 5)
    sides = (Side(each, case_results(each)[0]) for each in (run(slower, [21_000_000] * 5), then))
    found = compare(*sides, paired=True)
    assert found.of("latency").verdict is Verdict.UNCHANGED
    assert found.of("first load").verdict is Verdict.REGRESSED
    assert found.of("first load: init").verdict is Verdict.REGRESSED
    assert found.of("first load: read").verdict is Verdict.UNCHANGED
    memory = found.of("peak memory")
    assert memory.verdict is Verdict.REGRESSED
    assert memory.ratio.low == memory.ratio.high == pytest.approx(1.05)
    assert memory.note == "the same in every launch of a side"
    assert found.verdict is Verdict.REGRESSED
    assert only(run(loads, [20_000_000] * 5), then).of("peak memory").verdict is Verdict.UNCHANGED


def test_a_small_part_counts_by_what_it_is_of_the_total():
    quick = [load(100.0 + n / 10, read_ms=1.0) for n in range(5)]
    doubled = [load(101.0 + n / 10, read_ms=2.0) for n in range(5)]
    found = only(
        make_run({CASE: {"figure_ms": STEADY, "first_load": doubled}}),
        make_run({CASE: {"figure_ms": STEADY, "first_load": quick}}),
    )
    read = found.of("first load: read")
    assert read.ratio.center == pytest.approx(2)
    assert read.margin == pytest.approx(5, rel=0.01)
    assert read.verdict is Verdict.UNCHANGED


def test_pairs_are_matched_by_block():
    drift = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    noise = [1.0001, 0.9999, 1.0, 1.0001, 0.9999, 1.0]
    then = make_run({CASE: [10 * d for d in drift]})
    now = make_run({CASE: [10.5 * d * each for d, each in zip(drift, noise, strict=True)]})
    lost = now.launches[2].model_copy(update={"status": "failed", "figure_ns": None})
    now = now.model_copy(update={"launches": [*now.launches[:2], lost, *now.launches[3:]]})
    sides = (Side(run, case_results(run)[0]) for run in (now, then))
    latency = compare(*sides, paired=True).of("latency")
    assert (latency.ratio.n, latency.ratio.n_baseline, latency.ratio.method) == (5, 5, "paired")
    assert latency.ratio.low == pytest.approx(1.05, rel=1e-3)
    assert latency.fresh
    assert latency.verdict is Verdict.REGRESSED


def test_a_part_of_the_first_load_decides_nothing_alone():
    first = [load(100.0 + n) for n in range(5)]
    # The first inference alone, by 84 %, of a total that stays: other parts took less.
    other = [load(100.0 + n, import_ms=50.0 - 8.4, init_ms=25.0) for n in range(5)]
    runs = [make_run({CASE: {"figure_ms": STEADY, "first_load": each}}) for each in (other, first)]
    stored = only(*runs)
    assert stored.of("first load: first").suspected
    assert not stored.undecided
    found = compare(*(Side(run, case_results(run)[0]) for run in runs), paired=True)
    assert found.of("first load: first").verdict is Verdict.REGRESSED
    assert found.of("first load").verdict is Verdict.UNCHANGED
    assert found.verdict is Verdict.UNCHANGED


def test_p_values_are_adjusted_over_all_cases():
    cases = [make_case(threads=n) for n in (1, 2, 3)]
    now = make_run({cases[0]: scaled(1.01), cases[1]: scaled(1.001), cases[2]: STEADY})
    found = compare_runs(now, make_run(dict.fromkeys(cases, STEADY)))
    raw = [each.of("latency").ratio.p for each in found]
    assert [each.of("latency").adjusted_p for each in found] == pytest.approx(adjusted(raw))


def test_figures_that_are_zero_or_unknown_are_left_out():
    run = make_run({CASE: {"figure_ms": STEADY, "first_load": [load(read_ms=0.0)] * 5}})
    (result,) = case_results(run)
    assert ("first load: read", "cold") not in figures(result)
    assert ("peak memory", "") not in figures(result)
    assert all(math.isfinite(value) for values in figures(result).values() for value in values)


NPU = CASE.model_copy(update={"backend": "npu:x"})


def clocked(case=NPU, name="run", **more):
    """Return a run whose launches read clocks while they ran."""
    reading = EnvironmentEvent(phase="during", **more)
    return make_run(
        {case: {"figure_ms": STEADY, "environment": [[reading]] * len(STEADY)}}, name=name
    )


def test_a_case_on_an_npu_with_another_memory_clock_is_not_judged():
    fast = clocked(npu_khz={"a.npu": 1_000_000}, clocks_khz={"dmc": 2_112_000})
    slow = clocked(npu_khz={"a.npu": 1_000_000}, clocks_khz={"dmc": 1_056_000})
    found = only(slow, fast)
    assert found.verdict is Verdict.INVALID
    assert "memory while measuring: dmc 2112 MHz → dmc 1056 MHz" in refusals(found)[0][1]
    assert only(slow, slow).verdict is Verdict.UNCHANGED
    assert only(slow, fast, changes=["clocks"]).verdict is Verdict.UNCHANGED


def test_a_comparison_on_an_npu_says_where_the_memory_clock_is_unknown():
    known, unknown = clocked(clocks_khz={"dmc": 1}), clocked(npu_khz={"a.npu": 1})
    found = only(unknown, known)
    assert found.verdict is Verdict.UNCHANGED
    assert any("the memory's clock is unknown in run" in said for said in found.differences)
    assert not any("memory" in said for said in only(known, known).differences)


def test_on_a_processor_these_clocks_decide_nothing():
    fast, slow = (clocked(CASE, clocks_khz={"dmc": khz}) for khz in (2_112_000, 1_056_000))
    found = only(slow, fast)
    assert found.verdict is Verdict.UNCHANGED
    assert found.differences == []
