"""The audit: each rule finds what it is for, and is silent where all is in order."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.audit import RULES, Severity, audit_run, audit_table
from harness.analysis.audit.claims import SAMPLES_FOR
from harness.analysis.audit.repeats import CHANCE
from harness.analysis.cases import case_results
from harness.analysis.summary import percentiles
from harness.core.records import (
    Case,
    FirstLoad,
    OutputCheck,
    Status,
    Throttling,
)
from harness.core.supervision import ConditionsEvent, Exit
from harness.results.imported import Cell, ImportedFigure, ImportedTable
from harness.results.imports import Citation, read_table
from tests.analysis.conftest import FACTS

MODELS = {"tiny": 1.0, "small": 3.1, "middle": 11.0, "large": 43.0}
DEVICES = {"board-a": 1.0, "board-b": 1.37, "board-c": 2.9}
BACKENDS = {"cpu": 10.0, "npu": 0.9}


def table(rows, columns=("cpu", "npu"), **more):
    """Return an imported table: (model, device) to the texts of its columns."""
    figures = [
        ImportedFigure(
            cell=Cell(line=line, column=column, position=place, text=text),
            model=model, device=device, engine="e", backend=column, latency_ms=float(text), **more,
        )
        for line, ((model, device), texts) in enumerate(rows.items(), 2)
        for place, (column, text) in enumerate(zip(columns, texts, strict=True), 2)
        if text
    ]  # fmt: skip
    return ImportedTable(
        id="t", source="s", licence="unknown", imported=datetime.now(UTC), harness_version="0",
        file="t.csv", sha256="", figures=figures,
    )  # fmt: skip


def clean(seed=0, digits=6, interaction=0.15):
    """Return rows as they are measured: each model, device and backend its own factor, and noise.

    The interaction is what a model and a device have between them (as a standard deviation of the
    logarithm): how well its layers suit the chip.
    """
    rng = random.Random(seed)
    return {
        (model, device): [
            f"{m * d * b * rng.lognormvariate(0, interaction):.{digits}g}"
            for b in BACKENDS.values()
        ]
        for model, m in MODELS.items()
        for device, d in DEVICES.items()
    }


def rules(findings):
    return {finding.rule for finding in findings}


def found(findings, rule):
    return [finding for finding in findings if finding.rule == rule]


def audited(rows, columns=("cpu", "npu"), **more):
    return audit_table(table(rows, columns), **more)


# -- repetitions ------------------------------------------------------------------------------


def test_a_figure_copied_to_another_model():
    rows = clean()
    rows["large", "board-b"][0] = rows["small", "board-a"][0]
    (finding,) = found(audited(rows), "repeated-figure")
    assert finding.severity is Severity.ERROR
    assert [(str(one.where), one.value) for one in finding.evidence] == [
        ("line 5, column cpu", rows["small", "board-a"][0]),
        ("line 12, column cpu", rows["small", "board-a"][0]),
    ]
    assert "2 models; 2 devices" in finding.sentence


@pytest.mark.parametrize("digits", [2, 3])
def test_equal_figures_of_few_digits_are_a_coincidence(digits):
    rows = clean(digits=digits)
    rows["large", "board-b"][0] = rows["small", "board-a"][0]
    assert "repeated-figure" not in rules(audited(rows))


def test_a_model_with_the_figures_of_another():
    rows = clean()
    for device in DEVICES:
        rows["middle", device] = rows["small", device]
    (finding,) = found(audited(rows), "identical-rows")
    assert "small and middle: all 6 figures" in finding.sentence
    assert len(finding.evidence) == 12
    assert "repeated-figure" not in rules(audited(rows))


def test_rows_of_three_digits_are_too_much_alike_only_together():
    rows = clean(digits=4)
    for device in DEVICES:
        rows["middle", device] = rows["small", device]
    assert rules(audited(rows)) == {"identical-rows"}


def test_a_row_that_is_another_shifted_by_a_column():
    names = [f"board-{n}" for n in range(6)]
    rng = random.Random(1)
    rows = {(model, name): [f"{rng.uniform(5, 90):.6f}"] for model in MODELS for name in names}
    for this, following in pairwise(names):
        rows["large", following] = rows["small", this]
    findings = audit_table(table(rows, columns=("cpu",)))
    (finding,) = found(findings, "shifted-columns")
    assert "5 figures of model small appear again at large, 1 column further on" in finding.sentence


def test_figures_that_are_others_times_a_constant():
    rows = clean()
    for device in DEVICES:
        rows["large", device] = [f"{2.5 * float(text):.7g}" for text in rows["small", device]]
    (finding,) = found(audited(rows), "scaled-rows")
    assert "all 6 figures of large are 2.5 times those of small" in finding.sentence


def test_one_thing_with_two_figures():
    rows = clean()
    both = table(rows)
    other = both.figures[0].model_copy(
        update={"latency_ms": 99.0, "cell": Cell(line=99, column="cpu", position=2, text="99.0")}
    )
    twice = both.model_copy(update={"figures": [*both.figures, other]})
    (finding,) = found(audit_table(twice), "contradiction")
    assert [str(one.where) for one in finding.evidence] == [
        "line 2, column cpu",
        "line 99, column cpu",
    ]
    again = both.model_copy(update={"figures": [*both.figures, both.figures[0]]})
    assert "contradiction" not in rules(audit_table(again))


def test_clean_tables_raise_alarms_as_rarely_as_the_rules_say():
    """Whatever their digits, where a model may suit a chip by a third better.

    Where all models suit all chips alike to within 1 %, rows of three digits are multiples of each
    other, and ``scaled-rows`` says so: in 29 of 400 tables below 0.5 %, in none of 400 above 1 %.
    """
    alarmed, tables = 0, 400
    for seed in range(tables):
        rng = random.Random(seed)
        digits = rng.randint(2, 9)
        findings = audited(clean(seed, digits, rng.uniform(0.02, 0.3)))
        alarmed += not rules(findings) <= ({"needless-digits"} if digits > 5 else set())
    assert alarmed <= CHANCE * tables


def test_clean_tables_of_boards_of_one_kind_hardly_ever_raise_an_alarm():
    """Twelve boards that differ by 1 %: the coincidences that the rules reckon with."""
    alarmed = 0
    for seed in range(150):
        rng = random.Random(seed)
        rows = {
            (model, f"board-{n}"): [
                f"{m * b * rng.lognormvariate(0, 0.01):.5g}" for b in BACKENDS.values()
            ]
            for model, m in MODELS.items()
            for n in range(12)
        }
        alarmed += bool(audited(rows))
    assert alarmed <= 150 * 0.05


# -- orders -----------------------------------------------------------------------------------


def test_two_backends_swapped_in_one_row():
    rows = clean()
    rows["small", "board-b"].reverse()
    (finding,) = found(audited(rows), "swapped-columns")
    assert finding.sentence.startswith("small on board-b: e/cpu is ")
    assert {str(one.where) for one in finding.evidence} == {
        "line 6, column cpu",
        "line 6, column npu",
    }


def test_a_model_that_merely_does_not_profit_is_not_swapped():
    rows = clean()
    cpu, _ = rows["small", "board-b"]
    rows["small", "board-b"] = [cpu, f"{1.3 * float(cpu):.6g}"]
    assert "swapped-columns" not in rules(audited(rows))


def test_backends_that_take_turns_in_being_faster_are_not_swapped():
    rows = clean()
    for device in DEVICES:
        rows["small", device].reverse()
    assert "swapped-columns" not in rules(audited(rows))


@pytest.mark.parametrize(("slip", "seen"), [(10, True), (0.1, True), (1.5, False)])
def test_a_slipped_decimal_point(slip, seen):
    rows = clean(interaction=0.1)
    cpu, npu = rows["middle", "board-c"]
    rows["middle", "board-c"] = [f"{slip * float(cpu):.6g}", npu]
    findings = found(audited(rows), "out-of-line")
    assert bool(findings) is seen
    if seen:
        assert str(findings[0].evidence[0].where) == "line 10, column cpu"
        expected = float(findings[0].evidence[1].value.split()[0])
        assert expected == pytest.approx(float(cpu), rel=1.5)


def test_a_table_with_holes_is_fine():
    rows = clean()
    rows["tiny", "board-a"][0] = rows["large", "board-c"][1] = ""
    assert rules(audited(rows)) <= {"needless-digits"}


def test_a_speed_up_beyond_reason():
    rows = {("m", "d"): ["1500", "1.2"], ("m2", "d"): ["1500", "2.2"]}
    (finding,) = found(audited(rows), "implausible-speed-up")
    assert "1,250 times as fast" in finding.sentence


def test_a_bigger_model_that_is_faster():
    macs = {"tiny": 10**8, "small": 3 * 10**8, "middle": 10**9, "large": 4 * 10**9}
    rows = clean()
    assert "bigger-model-faster" not in rules(audited(rows, macs=macs))
    rows["large", "board-a"][0] = "8.1"
    findings = found(audited(rows, macs=macs), "bigger-model-faster")
    by_model = {str(finding.evidence[1].what).split(" · ")[0]: finding for finding in findings}
    assert by_model["tiny"].severity is Severity.WARNING
    assert by_model["middle"].severity is Severity.NOTE
    assert "large computes 4 times as much as middle" in by_model["middle"].sentence
    assert str(by_model["middle"].evidence[2].value) == "4,000,000,000 multiply-accumulates"


@pytest.mark.parametrize(("ms", "severity"), [(3, None), (1, "warning"), (0.2, "error")])
def test_more_operations_per_second_than_the_chip_has(ms, severity):
    """10⁹ multiply-accumulates in 2 ms are 10¹² operations per second."""
    findings = audit_table(
        table({("m", "d"): [str(ms), ""]}), macs={"m": 10**9}, peaks={("d", "cpu", ""): 1e12}
    )
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert not audit_table(table({("m", "d"): [str(ms), ""]}), macs={"m": 10**9})


def threaded(*milliseconds):
    """Return findings of a model with 1, 2, 4, … threads."""
    one = table({("m", "d"): ["1", ""]}).figures[0]
    figures = [
        one.model_copy(
            update={
                "latency_ms": ms, "threads": 2**n,
                "cell": Cell(line=2 + n, column="cpu", position=2, text=f"{ms}"),
            }
        )
        for n, ms in enumerate(milliseconds)
    ]  # fmt: skip
    return rules(
        audit_table(table({("m", "d"): ["1", ""]}).model_copy(update={"figures": figures}))
    )


def test_threads():
    assert threaded(100.0, 52.0, 30.0) == set()
    assert threaded(100.0, 52.0, 70.0) == set()
    assert threaded(100.0, 170.0) == {"threads-slower"}
    assert threaded(100.0, 30.0) == {"implausible-speed-up"}


# -- claims -----------------------------------------------------------------------------------


def claimed(text="10.00", **more):
    return audit_table(table({("m", "d"): [text, ""]}, **more))


def test_claims():
    assert not claimed(low_ms=9.5, high_ms=10.5, launches=5)
    assert rules(claimed(low_ms=10.5, high_ms=11.0)) == {"false-interval"}
    assert rules(claimed(low_ms=9.9, high_ms=10.1, launches=1)) == {"false-interval"}
    assert rules(claimed(low_ms=9.0, high_ms=11.0, launches=9, text="10.0000")) == {
        "needless-digits"
    }
    assert rules(claimed(text="10.3456")) == {"needless-digits"}
    assert not claimed(text="10.346")


@pytest.mark.parametrize(("percentile", "needed"), SAMPLES_FOR.items())
def test_percentiles_take_samples(percentile, needed):
    assert percentile in percentiles(range(needed))
    assert percentile not in percentiles(range(needed - 1))
    assert not claimed(statistic=f"p{percentile}", samples=needed)
    assert rules(claimed(statistic=f"P{percentile}", samples=needed - 1)) == {"few-for-percentile"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from("xyz"),
            st.sampled_from(["cpu", "npu", "npu:v"]),
            st.integers(1, 4),
            st.from_regex(r"[1-9][0-9]{0,4}(\.[0-9]{1,9})?(e[1-5])?", fullmatch=True),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_table_can_be_audited(cells):
    figures = [
        ImportedFigure(
            cell=Cell(line=n + 2, column=backend, position=2, text=text), model=model,
            device=device, backend=backend, threads=threads, latency_ms=min(float(text), 8e7),
            macs=10**9,
        )
        for n, (model, device, backend, threads, text) in enumerate(cells)
    ]  # fmt: skip
    for finding in audit_table(
        table({("m", "d"): ["1", ""]}).model_copy(update={"figures": figures})
    ):
        assert finding.rule in RULES
        assert finding.evidence
        assert "nan" not in finding.sentence


# -- our own ----------------------------------------------------------------------------------

CASE = Case(model="m", device="d", engine="e")
RIGHT = OutputCheck(passed=True, tolerance=1e-3)


def samples(center=1e6, seed=0, n=40):
    rng = random.Random(f"{center} {seed}")
    return [round(center * rng.lognormvariate(0, 0.01)) for _ in range(n)]


def columns(launches=5, **more):
    """Return fields of launches that are in order, a list each; some of them others."""
    taken = [samples(1e6 * (1 + n * 7 % 5 / 100), n) for n in range(launches)]
    fields = {
        "figure_ms": [sorted(each)[20] / 1e6 for each in taken],
        "samples_ns": taken,
        "outputs": [RIGHT] * launches,
        "throttling": [Throttling(watched=["clocks"])] * launches,
        "warmup_reason": ["steady"] * launches,
        "cpu_ms_per_inference": [1.0] * launches,
        "wall_s": [3.0] * launches,
        "first_load": [
            FirstLoad(
                process_ms=1, import_ms=2, read_ms=1 + n / 10, init_ms=3, first_ms=2,
                page_cache="cold",
            )
            for n in range(launches)
        ],
    }  # fmt: skip
    return fields | more


@pytest.fixture
def own(runs):
    def own(case=CASE, **more):
        run = runs({case: columns(**more)}, facts=FACTS | {"memory_total_bytes": 1 << 30})
        return audit_run(run, case_results(run))

    return own


def test_a_run_in_order_raises_nothing(own):
    assert own() == []


def loads(page_caches, reads, first_ms=2.0):
    return [
        FirstLoad(
            process_ms=1, import_ms=1, read_ms=read, init_ms=1, first_ms=first_ms, page_cache=state
        )
        for state, read in zip(page_caches, reads, strict=True)
    ]  # fmt: skip


def ended(other_cpu_s, wall_s=2.0):
    return Exit(
        reason="exited", wall_s=wall_s, status=0, left_behind=0, log_bytes=0,
        other_cpu_s=other_cpu_s,
    )  # fmt: skip


TURNS = ["cold", "warm", "cold", "warm", "cold"]
OTHERS = [
    ("unchecked-outputs", {"outputs": [RIGHT, None, RIGHT, RIGHT, RIGHT]}),
    ("throttled", {"throttling": [Throttling(watched=["t"], seen=["1.2 GHz of 2 GHz"])] * 5}),
    ("throttling-unwatched", {"throttling": [Throttling()] * 5}),
    (
        "unmet-conditions",
        {"conditions": [ConditionsEvent(waited_s=1, unmet=["no governor here"])] * 5},
    ),
    ("not-warm", {"warmup_reason": ["max_seconds"] * 3 + ["steady"] * 2}),
    ("uneven-launches", {"figure_ms": [1.0, 1.001, 1.002, 1.003, 1.2]}),
    ("wide-interval", {"figure_ms": [1.0, 1.2, 1.4, 1.1, 1.3]}),
    ("busy-device", {"exit": [ended(1.0)] * 3 + [ended(0.1)] * 2}),
    ("warm-slower-than-cold", {"first_load": loads(["cold"] * 5, [1.0] * 5, first_ms=0.5)}),
    ("warm-slower-than-cold", {"first_load": loads(TURNS, [1, 2, 1.1, 2.2, 1.2])}),
    ("constant-samples", {"samples_ns": [[1_000_000] * 40] * 5}),
    ("constant-samples", {"figure_ms": [1.0] * 5}),
    ("repeated-samples", {"samples_ns": [samples(seed=n % 4) for n in range(5)]}),
    ("coarse-timer", {"samples_ns": [[1_000_000, 1_000_000, 1_015_000, 1_015_000] * 9] * 5}),
    ("no-cpu-time", {"cpu_ms_per_inference": [0.0] * 5}),
    ("impossible-memory", {"vmhwm_bytes": [20 << 20] * 5, "pss_bytes": [55 << 20] * 5}),
    ("impossible-memory", {"vmhwm_bytes": [1 << 49] * 5}),
    ("more-cpu-time", {"cpu_ms_per_inference": [3.9] * 5}),
    ("more-time-than-passed", {"wall_s": [0.02] * 5}),
    (
        "invalid-launches",
        {
            "status": [Status.OK] * 4 + [Status.INVALID],
            "reason": [""] * 4 + ["throttled: 1.2 GHz"],
        },
    ),
    (
        "wrong-outputs",
        {
            "status": [Status.OK] * 4 + [Status.INVALID],
            "reason": [""] * 4 + ["wrong outputs: off"],
            "outputs": [RIGHT] * 4 + [OutputCheck(passed=False, tolerance=1, reason="off")],
        },
    ),
]


@pytest.mark.parametrize(("rule", "wrong"), OTHERS, ids=lambda value: str(value)[:30])
def test_each_rule_of_launches(own, rule, wrong):
    findings = found(own(**wrong), rule)
    assert len(findings) == 1
    (finding,) = findings
    assert finding.cases == (CASE.id,)
    assert finding.evidence
    assert finding.evidence[0].value


@pytest.mark.parametrize(
    "right",
    [
        {"first_load": loads(TURNS, [2.2, 1.0, 2.0, 1.1, 2.1])},
        {"first_load": loads(TURNS, [2.2, 1.0, 2.0, 2.1, 2.1])},
        {"warmup_reason": ["steady"] * 4 + ["max_seconds"]},
        {"figure_ms": [1.0, 1.05, 1.1, 1.02, 1.08]},
        {"exit": [ended(0.4)] * 5},
        {"exit": [ended(None)] * 5},
        {"exit": [None] * 5},
        {"cpu_ms_per_inference": [0.5] * 5},
        {"cpu_ms_per_inference": [None] * 5},
        {"vmhwm_bytes": [55 << 20] * 5, "pss_bytes": [57 << 20] * 5},
        {"vmhwm_bytes": [None] * 5, "pss_bytes": [55 << 20] * 5},
        {"throttling": [Throttling(watched=["clocks"])] * 5},
        {"wall_s": [None] * 5},
        {"samples_ns": [samples()] + [[] for _ in range(4)]},
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_rule_of_launches_is_silent_where_there_is_nothing(own, right):
    assert own(**right) == []


def test_an_npu_may_leave_the_processor_idle(own):
    npu = CASE.model_copy(update={"backend": "npu:rknn"})
    assert own(npu, cpu_ms_per_inference=[0.0] * 5) == []


def test_what_waits_for_a_clock_may_give_equal_figures(own):
    """Calibration that spins for 2 ms, on a quiet machine: within a launch it differs by 20 ns."""
    spun = [[2_000_093 + n % 5 * 10 + launch for n in range(-2, 38)] for launch in range(5)]
    found_there = own(samples_ns=spun, figure_ms=[2.000113] * 5, cpu_ms_per_inference=[2.0] * 5)
    assert "constant-samples" not in rules(found_there)
    wider = [[2_000_000 + n * 997 + launch for n in range(40)] for launch in range(5)]
    assert "constant-samples" in rules(own(samples_ns=wider, figure_ms=[2.0194415] * 5))


def test_a_clock_whose_ticks_are_long_beside_what_it_times_may_give_equal_figures(own):
    """24 MHz, as on many ARM boards: equal medians of 4 µs are no wonder."""
    ticks = [[round(n * 41.667) for n in (95, 96, 96, 97, 97, 98, 99)] for _ in range(5)]
    findings = own(
        samples_ns=ticks, figure_ms=[97 * 41.667 / 1e6] * 5, cpu_ms_per_inference=[0.004] * 5
    )
    assert "constant-samples" not in rules(findings)


def test_one_launch(own):
    assert rules(own(**columns(1))) == {"one-launch"}


def test_emulated_boards_have_no_sensors(runs):
    run = runs({CASE: columns(throttling=[Throttling()] * 5)}, emulated=True)
    assert audit_run(run, case_results(run)) == []


def test_a_run_whose_cases_have_the_figures_of_each_other(runs):
    """Copied figures are found in ours as in imported tables; the samples tell, too."""
    cases = [Case(model=model, device="d", engine="e") for model in "abc"]
    columns_of = {case: columns() for case in cases[:2]}
    columns_of[cases[2]] = columns(
        figure_ms=[1.5 + n * 7 % 5 / 100 for n in range(5)],
        samples_ns=[samples(1.5e6, n) for n in range(5)],
    )
    run = runs(columns_of)
    findings = audit_run(run, case_results(run))
    assert rules(findings) == {"repeated-figure", "repeated-samples"}
    assert {finding.cases for finding in findings} == {(cases[0].id, cases[1].id)}


def test_findings_come_with_the_gravest_first(own):
    severities = [
        finding.severity
        for finding in own(cpu_ms_per_inference=[0.0] * 5, wall_s=[0.02] * 5, outputs=[None] * 5)
    ]
    assert severities == sorted(severities, key=list(Severity).index)
    assert len(set(severities)) == 2


def test_every_rule_is_explained():
    for name, rule in RULES.items():
        assert name.replace("-", "").isalpha()
        assert rule.title
        assert rule.explanation.endswith(".")


# -- values, digits and units that come again ---------------------------------------------------

NEW = {"repeated-figure", "repeated-digits", "rate-for-latency"}


def test_a_value_that_is_there_three_times_in_a_real_table_is_found():
    """Two of it would be nothing, in four digits among 36 figures; three are."""
    path = Path(__file__).parents[1] / "data" / "published" / "published-npu.csv"
    mapping = {"device": "chip", "latency_ms:cpu": "cpu_ms", "latency_ms:npu": "npu_ms"}
    cited = Citation("s", "unknown")
    real = read_table(path, "t", cited, mapping=mapping, constants={}).table
    assert not NEW & rules(audit_table(real))
    of_npu = [n for n, each in enumerate(real.figures) if each.backend.startswith("npu")]
    places = [n for n in of_npu if real.figures[n].model == "mobilenet_v1"][:1]
    for model in ("resnet50", "ssd_mobilenet_v1_300"):
        places += [n for n in of_npu if real.figures[n].model == model][2:3]
    assert len({(real.figures[n].model, real.figures[n].device) for n in places}) == 3

    def planted(number):
        figures = list(real.figures)
        for n in places[:number]:
            cell = figures[n].cell.model_copy(update={"text": "12.37"})
            figures[n] = figures[n].model_copy(update={"cell": cell, "latency_ms": 12.37})
        return audit_table(real.model_copy(update={"figures": figures}))

    assert not found(planted(2), "repeated-figure")
    (finding,) = found(planted(3), "repeated-figure")
    assert "12.37 appears 3 times" in finding.sentence


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_that_were_changed_in_their_leading_digits_are_found(axis):
    rows = clean(digits=5)
    one, other = [key for key in rows if key[axis] == ("tiny", "board-a")[axis]], []
    for key in one:
        copied = list(key)
        copied[axis] = ("small", "board-b")[axis]
        other.append(tuple(copied))
    for source, target in zip(one, other, strict=True):
        rows[target] = [
            f"{int(float(text)) + 3}.{text.partition('.')[2]}" if "." in text else text
            for text in rows[source]
        ]
    (finding, *_) = found(audited(rows), "repeated-digits")
    assert "end in the same two digits" in finding.sentence


def test_frames_per_second_that_are_taken_for_milliseconds_are_found():
    macs = {f"net-{n}": 10**8 * 2**n for n in range(6)}
    fps = {
        (model, device): [f"{9e10 / size * factor:.1f}"]
        for model, size in macs.items()
        for device, factor in DEVICES.items()
    }
    findings = audited(fps, columns=("npu",), macs=macs)
    assert {each.severity for each in found(findings, "rate-for-latency")} == {Severity.ERROR}
    assert not found(findings, "bigger-model-faster")
    latencies = {key: [f"{1000 / float(text):.4f}"] for key, (text,) in fps.items()}
    assert not NEW & rules(audited(latencies, columns=("npu",), macs=macs))


@given(st.integers(0, 10_000), st.integers(3, 6), st.floats(0.02, 0.3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_clean_tables_raise_none_of_it(seed, digits, interaction):
    rows = clean(seed, digits, interaction)
    macs = {model: int(1e8 * size) for model, size in MODELS.items()}
    assert not NEW & rules(audited(rows, macs=macs))
