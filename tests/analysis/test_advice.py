import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.advice import (
    AdvisedSide,
    Basis,
    Leaning,
    Load,
    Needs,
    Rule,
    Subject,
    Weight,
    Worth,
    advise,
    break_even,
    judge,
)
from harness.analysis.cases import State
from harness.core.records import Drift, Estimator, Partition
from tests.report.conftest import lab_run

PUBLISHED = Path(__file__).parents[1] / "data" / "published" / "published-npu.csv"
MEDIAN = frozenset({Estimator.MEDIAN})


def side(*figures, load_ms=None, cached_ms=None, cpu_ms=None, precision="fp32", checked=True):
    return AdvisedSide(
        setting="an engine",
        engine="an-engine",
        precision=precision,
        estimators=MEDIAN if figures else frozenset(),
        figures_ms=figures,
        checked=checked,
        load=Load(load_ms, cached_ms),
        cpu_ms=cpu_ms,
        state=State.MEASURED if figures else State.FAILED,
    )


def around(center):
    return tuple(center * factor for factor in (0.99, 1.0, 1.01, 1.0, 1.0))


def subject(cpu=None, npu=None, **fields):
    made = {"model": "net", "device": "board", "npu": "npu:x"}
    return Subject(**made, on_cpu=cpu or side(), on_npu=npu or side(), **fields)


def partition(*subgraphs, cpu_ops=None, share=None, inputs=()):
    return Partition(
        tool="made up",
        subgraphs=[{"conv2d": n} for n in subgraphs],
        cpu_ops=cpu_ops or {},
        macs=None if share is None else 1000,
        npu_macs=None if share is None else round(1000 * share),
        dynamic_inputs=list(inputs),
    )


def drift(cosine=0.999, top1=1.0, fault=""):
    return Drift(computed_by="made up", inputs=32, cosine=cosine, top1=top1, fault=fault)


def found(rule, made, needs=None):
    """Return what one rule found, or none."""
    findings = {finding.rule: finding for finding in judge(made, needs or Needs()).findings}
    return findings.get(rule)


@pytest.mark.parametrize(
    ("cpu", "npu", "leaning", "verdict"),
    [
        (40.0, 4.0, Leaning.NPU, Worth.PAYS),
        (4.0, 40.0, Leaning.CPU, Worth.PAYS_NOT),
        (4.0, 4.0, Leaning.NEITHER, Worth.PAYS_NOT),
        (4.08, 4.0, Leaning.UNKNOWN, Worth.UNDECIDED),  # faster by less than the margin
    ],
)
def test_a_measured_latency_decides(cpu, npu, leaning, verdict):
    advice = judge(subject(side(*around(cpu)), side(*around(npu))), Needs())
    assert advice.findings[0].leaning is leaning
    assert (advice.verdict, advice.basis) == (verdict, Basis.MEASURED)


def test_a_measurement_overrules_every_estimate():
    bad = partition(1, 1, 1, 1, 1, cpu_ops={"while": 30}, share=0.1, inputs=["x"])
    made = subject(side(*around(3.0)), side(*around(1.0)), partition=bad)
    advice = judge(made, Needs())
    assert (advice.verdict, advice.basis) == (Worth.PAYS, Basis.MEASURED)
    assert {Rule.SHAPES, Rule.COVERAGE, Rule.SUBGRAPHS} == set(advice.tuning)
    against = [each for each in advice.findings if each.leaning is Leaning.CPU]
    assert {each.weight for each in against} == {Weight.NONE}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (subject(side(*around(40.0)), side(*around(4.0)), emulated=True), "emulated"),
        (subject(side(*around(40.0)), side(*around(4.0)), simulated="a simulator"), "simulated"),
        (subject(side(), side(*around(4.0))), "no-cpu"),
        (subject(side(*around(40.0)), side()), "no-npu"),
        (subject(side(*around(40.0)), side(*around(4.0), checked=False)), "not-comparable"),
        (
            subject(
                side(*around(40.0)),
                replace(side(*around(4.0)), estimators=frozenset({Estimator.MEAN})),
            ),
            "not-comparable",
        ),
    ],
)
def test_what_cannot_be_compared_is_an_estimate_and_says_why(made, why):
    advice = judge(made, Needs())
    assert advice.basis is Basis.ESTIMATED
    assert advice.findings[0].facts["why"] == why
    assert made.speed_up is None


def test_one_launch_a_side_decides_nothing():
    advice = judge(subject(side(40.0), side(4.0)), Needs())
    assert (advice.verdict, advice.basis) == (Worth.UNDECIDED, Basis.MEASURED)


def test_wrong_outputs_end_it():
    wrong = replace(side(), state=State.WRONG, reason="output 0 is off by 0.9")
    advice = judge(subject(side(*around(40.0)), wrong), Needs())
    assert (advice.verdict, advice.basis) == (Worth.PAYS_NOT, Basis.MEASURED)
    assert found(Rule.OUTPUTS, subject(side(*around(40.0)), wrong)).leaning is Leaning.CPU
    assert found(Rule.OUTPUTS, subject(side(*around(40.0)), side(*around(4.0)))) is None


@pytest.mark.parametrize(("cpu", "leaning"), [(3.0, Leaning.CPU), (30.0, Leaning.NPU)])
def test_short_on_the_cpu(cpu, leaning):
    finding = found(Rule.SHORT, subject(side(*around(cpu))))
    assert finding.leaning is leaning
    assert finding.weight is (Weight.STRONG if leaning is Leaning.CPU else Weight.SOME)


@pytest.mark.parametrize(
    ("made", "leaning", "weight"),
    [
        (partition(27), Leaning.NEITHER, Weight.SOME),
        (partition(27, inputs=["im_shape"]), Leaning.CPU, Weight.DECISIVE),
        (partition(27, cpu_ops={"multiclass_nms3": 1}), Leaning.CPU, Weight.SOME),
        (partition(27, cpu_ops={"NonZero": 1}), Leaning.CPU, Weight.SOME),
    ],
)
def test_shapes_that_vary(made, leaning, weight):
    finding = found(Rule.SHAPES, subject(partition=made))
    assert (finding.leaning, finding.weight) == (leaning, weight)
    assert found(Rule.SHAPES, subject()) is None


@pytest.mark.parametrize(
    ("made", "leaning", "weight"),
    [
        (partition(27, share=0.99), Leaning.NPU, Weight.SOME),
        (partition(27, share=0.9), Leaning.NEITHER, Weight.SOME),
        (partition(27, share=0.5), Leaning.CPU, Weight.STRONG),
        (partition(cpu_ops={"conv2d": 27}, share=0.0), Leaning.CPU, Weight.DECISIVE),
        (partition(99, cpu_ops={"softmax": 1}), Leaning.NPU, Weight.SOME),  # by ops
        (partition(4, cpu_ops={"gelu": 6}), Leaning.CPU, Weight.STRONG),
    ],
)
def test_operators_on_the_npu(made, leaning, weight):
    finding = found(Rule.COVERAGE, subject(partition=made))
    assert (finding.leaning, finding.weight) == (leaning, weight)


def test_a_partition_that_tells_nothing_finds_nothing():
    assert found(Rule.COVERAGE, subject(partition=partition())) is None
    assert found(Rule.SUBGRAPHS, subject(partition=partition())) is None


@pytest.mark.parametrize(
    ("number", "leaning"), [(1, Leaning.NPU), (3, Leaning.NEITHER), (4, Leaning.CPU)]
)
def test_number_of_subgraphs(number, leaning):
    made = subject(partition=partition(*[5] * number))
    assert found(Rule.SUBGRAPHS, made).leaning is leaning


@pytest.mark.parametrize(
    ("precision", "known", "leaning", "weight"),
    [
        ("fp16", None, Leaning.NEITHER, Weight.SOME),
        ("int8", None, Leaning.UNKNOWN, Weight.SOME),
        ("int8", drift(), Leaning.NPU, Weight.SOME),
        ("int8", drift(cosine=0.9), Leaning.CPU, Weight.STRONG),
        ("int8", drift(top1=0.9), Leaning.CPU, Weight.STRONG),
        ("int8", drift(cosine=None, top1=None), Leaning.UNKNOWN, Weight.SOME),
        ("int8", drift(fault="NaN"), Leaning.CPU, Weight.DECISIVE),
    ],
)
def test_precision(precision, known, leaning, weight):
    finding = found(Rule.PRECISION, subject(npu=side(precision=precision), drift=known))
    assert (finding.leaning, finding.weight) == (leaning, weight)


def test_a_fast_npu_whose_answers_drift_pays_on_a_condition():
    fast = side(*around(4.0), precision="int8")
    advice = judge(subject(side(*around(40.0)), fast, drift=drift(cosine=0.9)), Needs())
    assert advice.verdict is Worth.PAYS_IF
    assert advice.tuning == [Rule.PRECISION]


@pytest.mark.parametrize(
    ("needs", "leaning", "verdict"),
    [
        (Needs(), Leaning.NEITHER, Worth.PAYS),
        (Needs(first_load_ms=2000), Leaning.NEITHER, Worth.PAYS),
        (Needs(first_load_ms=100), Leaning.CPU, Worth.PAYS_IF),
        (Needs(inferences=100), Leaning.NPU, Worth.PAYS),
        (Needs(inferences=5), Leaning.CPU, Worth.PAYS_IF),
    ],
)
def test_first_load_against_the_need(needs, leaning, verdict):
    made = subject(
        side(*around(40.0), load_ms=100), side(*around(4.0), load_ms=1500, cached_ms=500)
    )
    assert found(Rule.FIRST_LOAD, made, needs).leaning is leaning
    assert judge(made, needs).verdict is verdict


def test_a_model_cache_can_be_what_meets_the_need():
    npu = side(*around(4.0), load_ms=1500)
    cached = side(*around(4.0), load_ms=1500, cached_ms=400)
    needs = Needs(first_load_ms=500)
    assert found(Rule.FIRST_LOAD, subject(side(*around(40.0)), npu), needs).leaning is Leaning.CPU
    kept = found(Rule.FIRST_LOAD, subject(side(*around(40.0)), cached), needs)
    assert kept.leaning is Leaning.NEITHER


def test_a_load_that_takes_thousands_of_inferences_speaks_for_the_cpu():
    made = subject(side(*around(4.2), load_ms=100), side(*around(4.0), load_ms=1500))
    assert found(Rule.FIRST_LOAD, made).leaning is Leaning.CPU


@pytest.mark.parametrize(
    ("cpu_ms", "npu_ms", "leaning"),
    [(38.0, 0.5, Leaning.NPU), (38.0, 30.0, Leaning.NEITHER), (10.0, 12.0, Leaning.CPU)],
)
def test_cpu_time_freed(cpu_ms, npu_ms, leaning):
    made = subject(side(*around(4.0), cpu_ms=cpu_ms), side(*around(4.0), cpu_ms=npu_ms))
    assert found(Rule.BUSY_CPU, made).leaning is leaning
    assert found(Rule.BUSY_CPU, subject(side(*around(4.0)), side(*around(4.0)))) is None


def test_an_npu_as_fast_as_the_cpu_pays_where_it_frees_it():
    made = subject(side(*around(4.0), cpu_ms=16.0), side(*around(4.0), cpu_ms=0.3))
    assert judge(made, Needs(busy_cpu=True)).verdict is Worth.PAYS_IF


@pytest.mark.parametrize(
    ("cpu", "npu", "leaning"),
    [(80.0, 5.0, Leaning.NPU), (5.0, 80.0, Leaning.CPU), (5.0, 5.0, Leaning.NEITHER)],
)
def test_what_was_measured_with_busy_processors_goes_before_cpu_time(cpu, npu, leaning):
    made = subject(
        side(*around(4.0), cpu_ms=1.0),
        side(*around(4.0), cpu_ms=1.0),
        busy=(side(*around(cpu)), side(*around(npu))),
    )
    assert found(Rule.BUSY_CPU, made, Needs(busy_cpu=True)).leaning is leaning


@pytest.mark.parametrize(
    ("cpu_ms", "npu_ms", "leaning"),
    [
        (None, None, Leaning.UNKNOWN),
        (40.0, 1.0, Leaning.NPU),
        (40.0, 39.0, Leaning.NEITHER),
        (1.0, 40.0, Leaning.CPU),
    ],
)
def test_low_power_is_only_looked_at_where_it_is_asked_for(cpu_ms, npu_ms, leaning):
    made = subject(side(*around(40.0), cpu_ms=cpu_ms), side(*around(4.0), cpu_ms=npu_ms))
    assert found(Rule.POWER, made) is None
    assert found(Rule.POWER, made, Needs(low_power=True)).leaning is leaning


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (subject(side(*around(60.0)), partition=partition(27, share=1.0)), Worth.LIKELY),
        (subject(side(*around(2.0))), Worth.UNLIKELY),
        (subject(side(*around(60.0)), partition=partition(9, inputs=["x"])), Worth.UNLIKELY),
        (subject(), Worth.UNDECIDED),
    ],
)
def test_without_a_measurement_the_weights_are_added_up(made, verdict):
    advice = judge(made, Needs())
    assert (advice.verdict, advice.basis) == (verdict, Basis.ESTIMATED)


@pytest.mark.parametrize(
    ("npu", "cpu", "expected"),
    [
        ((4.0, 1500.0), (40.0, 100.0), 39),  # 1400 / 36
        ((4.0, 90.0), (40.0, 100.0), 0),
        ((40.0, 1500.0), (4.0, 100.0), math.inf),
        ((40.0, 90.0), (4.0, 100.0), math.inf),
        ((4.0, None), (40.0, 100.0), None),
    ],
)
def test_break_even(npu, cpu, expected):
    one, other = (side(latency, load_ms=load) for latency, load in (npu, cpu))
    assert break_even(one, other) == expected


times = st.floats(0.1, 1e4)


@given(times, times, times, times)
def test_from_the_break_even_on_the_npu_is_ahead(npu, cpu, npu_load, cpu_load):
    count = break_even(side(npu, load_ms=npu_load), side(cpu, load_ms=cpu_load))
    if math.isfinite(count):
        assert npu_load + count * npu <= cpu_load + count * cpu + 1e-6 * (npu_load + count * npu)
        if count:
            assert npu_load + (count - 1) * npu > cpu_load + (count - 1) * cpu - 1e-6 * npu_load


def test_a_run_s_cases_are_put_side_by_side():
    advices = {
        (each.subject.model, each.subject.on_npu.precision): each for each in advise(lab_run())
    }
    assert len(advices) == 6
    one = advices["mobilenet_v1", "fp16"].subject
    assert one.on_cpu.setting == "paddle-lite · 4 threads"  # the fastest, not the slowest
    assert one.on_npu.load.plain_ms == pytest.approx(1544)
    assert one.on_npu.load.cached_ms == pytest.approx(304)
    assert advices["mobilenet_v1", "fp16"].verdict is Worth.PAYS
    assert advices["mobilenet_v1", "int8"].verdict is Worth.PAYS_IF  # its answers drift
    assert advices["ssd_mobilenet_v1", "fp16"].verdict is Worth.PAYS_NOT
    assert Rule.SHAPES in advices["ssd_mobilenet_v1", "fp16"].tuning


def test_no_other_workload_is_compared_with():
    run = lab_run()
    cases = [
        record.model_copy(update={"case": record.case.model_copy(update={"batch": 8})})
        if record.case.backend == "cpu"
        else record
        for record in run.cases
    ]
    for advice in advise(run.model_copy(update={"cases": cases, "launches": []})):
        assert advice.subject.on_cpu.state is None


def test_published_tables_are_consistent_with_the_rules():
    """All of them are wins: more they cannot show, and one figure a side is no interval."""
    for row in csv.DictReader(PUBLISHED.read_text().splitlines()):
        made = subject(side(float(row["cpu_ms"])), side(float(row["npu_ms"])))
        assert made.speed_up.center > 1
        assert found(Rule.SHORT, made).leaning is Leaning.NPU
        assert judge(made, Needs()).verdict is Worth.UNDECIDED
        unmeasured = subject(side(float(row["cpu_ms"])), partition=partition(27, share=1.0))
        assert judge(unmeasured, Needs()).verdict is Worth.LIKELY
