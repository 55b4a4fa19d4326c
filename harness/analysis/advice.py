"""Whether an NPU is worth it for a model on a device: rules of the field, and what was measured.

Each rule looks at one thing and says for which side it speaks, how much that counts and on what it
rests. What was measured decides; where nothing was, the rules' weights are added up, and the advice
says that it is an estimate. The thresholds are the field's rules of thumb, named below: none of
them is a law, and a measurement overrules all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from harness.analysis.cases import State, case_results
from harness.analysis.comparison import ratio
from harness.core.records import Estimator, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.analysis.comparison import Ratio
    from harness.analysis.summary import Range
    from harness.core.reason import Reason
    from harness.core.records import Case, Drift, Partition, Run

__all__ = [
    "Advice",
    "AdvisedSide",
    "Argument",
    "Basis",
    "Leaning",
    "Load",
    "Needs",
    "Rule",
    "Subject",
    "Weight",
    "Worth",
    "advise",
    "break_even",
    "judge",
    "subjects",
]

SHORT_CPU_MS: Final = 10.0
"""Below this on the CPU, handing over to an NPU's driver takes a share that it seldom wins back."""
COVERED, HALF_COVERED = 0.95, 0.80
"""Shares of the multiply-accumulates on the NPU: from the first on nothing is lost to the CPU."""
FEW_SUBGRAPHS: Final = 3
"""Each border between NPU and CPU is a copy and a change of layout; so many are bearable."""
NEAR_COSINE, NEAR_TOP1 = 0.99, 0.98
"""Below either, quantization changed answers; from there on it is usually harmless."""
FREED: Final = 0.5
"""A share of CPU time that is worth having for other work."""
MARGIN: Final = 1.03
"""A speed-up below this is none."""
OFTEN: Final = 1000
"""Inferences a start after which a load has paid for nearly every use."""

# What has a size that depends on values: no NPU compiler here takes it.
_BY_VALUE: Final = frozenset(
    {
        "bipartite_match",
        "generate_proposals",
        "masked_select",
        "matrix_nms",
        "multiclass_nms",
        "multiclass_nms2",
        "multiclass_nms3",
        "nonmaxsuppression",
        "nonzero",
        "unique",
        "where_index",
        "while",
    }
)


class Leaning(StrEnum):
    """For which side a rule speaks."""

    NPU = "npu"
    CPU = "cpu"
    NEITHER = "neither"
    UNKNOWN = "unknown"


class Weight(IntEnum):
    """How much a rule counts where nothing was measured; a decisive one overrules the rest."""

    NONE = 0
    SOME = 1
    STRONG = 2
    DECISIVE = 4


class Basis(StrEnum):
    """What a finding, or an advice, rests on."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    ASKED = "asked"


class Rule(StrEnum):
    """What is looked at."""

    LATENCY = "latency"
    OUTPUTS = "outputs"
    SHORT = "short-on-cpu"
    SHAPES = "shapes"
    COVERAGE = "coverage"
    SUBGRAPHS = "subgraphs"
    PRECISION = "precision"
    FIRST_LOAD = "first-load"
    BUSY_CPU = "busy-cpu"
    POWER = "power"


class Worth(StrEnum):
    """Whether the NPU is worth it."""

    PAYS = "pays"
    PAYS_IF = "pays-if"
    PAYS_NOT = "pays-not"
    UNDECIDED = "undecided"
    LIKELY = "likely"
    UNLIKELY = "unlikely"


@dataclass(frozen=True)
class Needs:
    """What a use asks for, as far as it is known.

    Attributes
    ----------
    first_load_ms
        The first result has to be there so soon after the start.
    inferences
        How many are made a start.
    low_power, busy_cpu
        Whether energy is short, and whether the processors have other work to do.
    """

    first_load_ms: float | None = None
    inferences: int | None = None
    low_power: bool = False
    busy_cpu: bool = False


@dataclass(frozen=True)
class Load:
    """First loads, in milliseconds, the median over launches: without a model cache, and with."""

    plain_ms: float | None = None
    cached_ms: float | None = None

    @property
    def best_ms(self) -> float | None:
        """The shorter of those that are known."""
        return min((x for x in (self.plain_ms, self.cached_ms) if x is not None), default=None)


@dataclass(frozen=True)
class AdvisedSide:
    """A model on one compute unit of a device.

    Attributes
    ----------
    setting
        Engine, precision, threads: what it ran with, in words.
    figures_ms
        The latency of every launch that counts; none where it was not measured.
    cpu_ms
        CPU time per inference, the median over launches; none where it is not known.
    state
        What came of the case; none where none was planned.
    """

    setting: str = ""
    engine: str = ""
    precision: str = "fp32"
    estimators: frozenset[Estimator] = frozenset()
    figures_ms: Sequence[float] = ()
    checked: bool = False
    load: Load = field(default_factory=Load)
    cpu_ms: float | None = None
    state: State | None = None
    reason: Reason | None = None
    case_id: str = ""


@dataclass(frozen=True)
class Subject:
    """A model on a device with an NPU: what the rules look at.

    Attributes
    ----------
    npu
        The backend's name.
    workload
        Batch and input shapes, where they are not the model's own.
    simulated
        What stood in for the NPU, where there was none.
    busy
        The same on both sides, with processors kept busy by something else.
    """

    model: str
    device: str
    npu: str
    workload: str = ""
    emulated: bool = False
    simulated: str | None = None
    on_cpu: AdvisedSide = field(default_factory=AdvisedSide)
    on_npu: AdvisedSide = field(default_factory=AdvisedSide)
    busy: tuple[AdvisedSide, AdvisedSide] | None = None
    partition: Partition | None = None
    drift: Drift | None = None

    @property
    def stand_in(self) -> bool:
        """Whether the device or its NPU is none of hardware: its times say nothing."""
        return self.emulated or self.simulated is not None

    @property
    def ran(self) -> bool:
        """Whether both sides have a latency, be it a simulator's."""
        return bool(self.on_cpu.figures_ms and self.on_npu.figures_ms)

    @property
    def measured(self) -> bool:
        """Whether both sides have latencies that may be compared."""
        return (
            not self.stand_in
            and _comparable(self.on_cpu, self.on_npu)
            and self.on_cpu.checked
            and self.on_npu.checked
        )

    @property
    def speed_up(self) -> Ratio | None:
        """CPU over NPU latency, above 1 where the NPU is faster; only of what was measured."""
        if not self.measured:
            return None
        return ratio(self.on_cpu.figures_ms, self.on_npu.figures_ms)


@dataclass(frozen=True)
class Argument:
    """What one rule found.

    Attributes
    ----------
    facts
        The numbers and names that it looked at, for whoever puts it into words.
    """

    rule: Rule
    leaning: Leaning
    weight: Weight
    basis: Basis
    facts: Mapping[str, float | str] = field(default_factory=dict)
    reason: Reason | None = None


@dataclass(frozen=True)
class Advice:
    """Whether the NPU is worth it, and why.

    Attributes
    ----------
    basis
        ``MEASURED`` or ``ESTIMATED``.
    tuning
        The rules by which the model takes tuning of its own to profit from the NPU.
    """

    subject: Subject
    verdict: Worth
    basis: Basis
    findings: Sequence[Argument]
    tuning: Sequence[Rule]


def break_even(npu: AdvisedSide, cpu: AdvisedSide, *, cached: bool = False) -> float | None:
    r"""Return after how many inferences the NPU has made up for its longer load.

    With loads :math:`L` (up to the first result) and steady latencies :math:`t`, the smallest
    :math:`n \ge 0` with :math:`L_{npu} + n t_{npu} \le L_{cpu} + n t_{cpu}`.

    Returns
    -------
    float or None
        0 where the NPU is ready first and no slower; infinite where it never makes up; none
        where something is not known.
    """
    load = npu.load.cached_ms if cached else npu.load.plain_ms
    base = cpu.load.plain_ms if cpu.load.plain_ms is not None else cpu.load.cached_ms
    if load is None or base is None or not npu.figures_ms or not cpu.figures_ms:
        return None
    gain = _center(cpu.figures_ms) - _center(npu.figures_ms)
    behind = load - base
    if behind <= 0:
        return 0.0 if gain >= 0 else math.inf
    return math.ceil(behind / gain) if gain > 0 else math.inf


def advise(run: Run, needs: Needs | None = None) -> list[Advice]:
    """Advise on every model and NPU of a run."""
    emulated = {device.name for device in run.devices if device.emulated}
    return [judge(subject, needs or Needs()) for subject in subjects(case_results(run), emulated)]


def subjects(results: Sequence[CaseResult], emulated: Iterable[str] = ()) -> list[Subject]:
    """Put the cases of each model and NPU, by precision, beside those of the CPU.

    On either side it is the fastest of those that were measured: an NPU that only beats a badly
    used CPU does not pay.

    Parameters
    ----------
    emulated
        The names of devices whose times say nothing.
    """
    apart: dict[tuple[object, ...], list[CaseResult]] = {}
    for result in results:
        case = result.record.case
        if case.scenario != "single":  # of one caller; what several get is told apart
            continue
        apart.setdefault((case.model, case.device, case.batch, case.shapes), []).append(result)
    hidden = set(emulated)
    return [
        _subject(group, npu, precision, emulated=group[0].record.case.device in hidden)
        for group in apart.values()
        for npu, precision in dict.fromkeys(
            (result.record.case.backend, result.record.case.precision)
            for result in group
            if result.record.case.backend.startswith("npu:")
        )
    ]


def judge(subject: Subject, needs: Needs) -> Advice:
    """Apply every rule to a subject, and say what comes of them together."""
    findings = [
        found
        for found in (
            _latency(subject),
            _outputs(subject),
            _short(subject),
            _shapes(subject),
            _coverage(subject),
            _subgraphs(subject),
            _precision(subject),
            _first_load(subject, needs),
            _busy_cpu(subject, needs),
            _power(subject, needs),
        )
        if found is not None
    ]
    verdict, basis = _together(subject, findings)
    tunable = (Rule.SHAPES, Rule.COVERAGE, Rule.SUBGRAPHS, Rule.PRECISION)
    tuning = [f.rule for f in findings if f.rule in tunable and f.leaning is Leaning.CPU]
    return Advice(subject, verdict, basis, findings, tuning)


def _together(subject: Subject, findings: Sequence[Argument]) -> tuple[Worth, Basis]:
    latency = next(f for f in findings if f.rule is Rule.LATENCY)
    if latency.basis is Basis.MEASURED:
        return _by_measurement(latency, findings), Basis.MEASURED
    if subject.on_npu.state is State.WRONG and not subject.stand_in:
        return Worth.PAYS_NOT, Basis.MEASURED
    return _by_weight(findings), Basis.ESTIMATED


def _by_measurement(latency: Argument, findings: Sequence[Argument]) -> Worth:
    conditions = {Rule.FIRST_LOAD, Rule.PRECISION, Rule.BUSY_CPU}
    limited = any(
        f.rule in conditions and f.leaning is Leaning.CPU and f.weight >= Weight.STRONG
        for f in findings
    )
    frees = any(f.rule is Rule.BUSY_CPU and f.leaning is Leaning.NPU for f in findings)
    match latency.leaning:
        case Leaning.CPU:
            return Worth.PAYS_NOT
        case Leaning.NPU:
            return Worth.PAYS_IF if limited else Worth.PAYS
        case Leaning.NEITHER if frees and not limited:
            return Worth.PAYS_IF
        case Leaning.NEITHER:
            return Worth.PAYS_NOT
        case _:
            return Worth.UNDECIDED


def _by_weight(findings: Sequence[Argument]) -> Worth:
    if any(f.leaning is Leaning.CPU and f.weight is Weight.DECISIVE for f in findings):
        return Worth.UNLIKELY
    signs = {Leaning.NPU: 1, Leaning.CPU: -1}
    total = sum(signs.get(f.leaning, 0) * f.weight for f in findings)
    if abs(total) < Weight.STRONG:
        return Worth.UNDECIDED
    return Worth.LIKELY if total > 0 else Worth.UNLIKELY


def _latency(subject: Subject) -> Argument:
    found = subject.speed_up
    if found is None:
        why = (
            "emulated"
            if subject.emulated
            else "simulated"
            if subject.simulated
            else "no-cpu"
            if not subject.on_cpu.figures_ms
            else "no-npu"
            if not subject.on_npu.figures_ms
            else "not-comparable"
        )
        return Argument(
            Rule.LATENCY,
            Leaning.UNKNOWN,
            Weight.NONE,
            Basis.ESTIMATED,
            {"why": why},
            subject.on_npu.reason,
        )
    facts = {"speed_up": found.center, "launches": min(found.n, found.n_baseline)}
    if found.low is None or found.high is None:
        return Argument(Rule.LATENCY, Leaning.UNKNOWN, Weight.DECISIVE, Basis.MEASURED, facts)
    facts |= {"low": found.low, "high": found.high}
    leaning = Leaning.UNKNOWN
    if found.low > 1 and found.center > MARGIN:
        leaning = Leaning.NPU
    elif found.high < 1 and found.center < 1 / MARGIN:
        leaning = Leaning.CPU
    elif found.low >= 1 / MARGIN and found.high <= MARGIN:
        leaning = Leaning.NEITHER
    return Argument(Rule.LATENCY, leaning, Weight.DECISIVE, Basis.MEASURED, facts)


def _outputs(subject: Subject) -> Argument | None:
    if subject.on_npu.state is State.WRONG:
        why = subject.on_npu.reason
        return Argument(Rule.OUTPUTS, Leaning.CPU, Weight.DECISIVE, Basis.MEASURED, {}, why)
    return None


def _short(subject: Subject) -> Argument | None:
    if not subject.on_cpu.figures_ms or subject.emulated:
        return None
    cpu_ms = _center(subject.on_cpu.figures_ms)
    short = cpu_ms < SHORT_CPU_MS
    return Argument(
        Rule.SHORT,
        Leaning.CPU if short else Leaning.NPU,
        _estimate(subject, Weight.STRONG if short else Weight.SOME),
        Basis.MEASURED,
        {"cpu_ms": cpu_ms, "limit_ms": SHORT_CPU_MS},
    )


def _shapes(subject: Subject) -> Argument | None:
    if subject.partition is None:
        return None
    by_value = sorted(op for op in subject.partition.cpu_ops if op.lower() in _BY_VALUE)
    inputs = subject.partition.dynamic_inputs
    facts: dict[str, float | str] = {"inputs": ", ".join(inputs), "ops": ", ".join(by_value)}
    if inputs:  # each new shape is compiled again, or refused
        weight = _estimate(subject, Weight.DECISIVE)
        return Argument(Rule.SHAPES, Leaning.CPU, weight, Basis.ESTIMATED, facts)
    if by_value:
        weight = _estimate(subject, Weight.SOME)
        return Argument(Rule.SHAPES, Leaning.CPU, weight, Basis.ESTIMATED, facts)
    return Argument(Rule.SHAPES, Leaning.NEITHER, Weight.SOME, Basis.ESTIMATED, facts)


def _coverage(subject: Subject) -> Argument | None:
    found = subject.partition
    if found is None:
        return None
    on_npu = sum(sum(subgraph.values()) for subgraph in found.subgraphs)
    ops = on_npu + sum(found.cpu_ops.values())
    if found.macs and found.npu_macs is not None:
        share, of = found.npu_macs / found.macs, "macs"
    elif ops:
        share, of = on_npu / ops, "ops"
    else:
        return None
    left = sorted(found.cpu_ops, key=lambda op: -found.cpu_ops[op])[:5]
    facts: dict[str, float | str] = {"share": share, "of": of, "left": ", ".join(left)}
    if share >= COVERED:
        leaning, weight = Leaning.NPU, Weight.SOME
    elif share >= HALF_COVERED:
        leaning, weight = Leaning.NEITHER, Weight.SOME
    else:
        leaning, weight = Leaning.CPU, Weight.DECISIVE if share == 0 else Weight.STRONG
    return Argument(Rule.COVERAGE, leaning, _estimate(subject, weight), Basis.ESTIMATED, facts)


def _subgraphs(subject: Subject) -> Argument | None:
    if subject.partition is None or not subject.partition.subgraphs:
        return None
    number = len(subject.partition.subgraphs)
    if number == 1:
        leaning, weight = Leaning.NPU, Weight.SOME
    elif number <= FEW_SUBGRAPHS:
        leaning, weight = Leaning.NEITHER, Weight.SOME
    else:
        leaning, weight = Leaning.CPU, Weight.STRONG
    facts: dict[str, float | str] = {"number": number, "few": FEW_SUBGRAPHS}
    return Argument(Rule.SUBGRAPHS, leaning, _estimate(subject, weight), Basis.ESTIMATED, facts)


def _precision(subject: Subject) -> Argument:
    precision = subject.on_npu.precision
    facts: dict[str, float | str] = {"precision": precision, "cpu": subject.on_cpu.precision}
    if precision != "int8":
        return Argument(Rule.PRECISION, Leaning.NEITHER, Weight.SOME, Basis.ESTIMATED, facts)
    drift = subject.drift
    if drift is None:
        return Argument(Rule.PRECISION, Leaning.UNKNOWN, Weight.SOME, Basis.ESTIMATED, facts)
    if drift.fault:
        return Argument(
            Rule.PRECISION, Leaning.CPU, Weight.DECISIVE, Basis.MEASURED, facts, drift.fault
        )
    facts |= {"cosine": drift.cosine} if drift.cosine is not None else {}
    facts |= {"top1": drift.top1} if drift.top1 is not None else {}
    if drift.cosine is None and drift.top1 is None:
        return Argument(Rule.PRECISION, Leaning.UNKNOWN, Weight.SOME, Basis.MEASURED, facts)
    near = (drift.cosine is None or drift.cosine >= NEAR_COSINE) and (
        drift.top1 is None or drift.top1 >= NEAR_TOP1
    )
    leaning, weight = (Leaning.NPU, Weight.SOME) if near else (Leaning.CPU, Weight.STRONG)
    return Argument(Rule.PRECISION, leaning, weight, Basis.MEASURED, facts)


def _first_load(subject: Subject, needs: Needs) -> Argument | None:
    load = subject.on_npu.load
    if load.best_ms is None or subject.stand_in:
        return None
    facts: dict[str, float | str] = {}
    facts |= {"plain_ms": load.plain_ms} if load.plain_ms is not None else {}
    facts |= {"cached_ms": load.cached_ms} if load.cached_ms is not None else {}
    for name, cached in (("even_plain", False), ("even_cached", True)):
        count = break_even(subject.on_npu, subject.on_cpu, cached=cached)
        facts |= {name: count} if count is not None else {}
    leaning, weight = Leaning.NEITHER, Weight.SOME
    evens = [float(facts[name]) for name in ("even_plain", "even_cached") if name in facts]
    if needs.first_load_ms is not None:
        facts |= {"need_ms": needs.first_load_ms}
        if load.best_ms > needs.first_load_ms:
            leaning, weight = Leaning.CPU, Weight.DECISIVE
    elif not evens:
        leaning, weight = Leaning.UNKNOWN, Weight.NONE
    elif needs.inferences is not None:
        facts |= {"inferences": needs.inferences}
        late = min(evens) > needs.inferences
        leaning, weight = (Leaning.CPU, Weight.STRONG) if late else (Leaning.NPU, Weight.SOME)
    elif min(evens) > OFTEN:
        leaning = Leaning.CPU
    return Argument(Rule.FIRST_LOAD, leaning, weight, Basis.MEASURED, facts)


def _busy_cpu(subject: Subject, needs: Needs) -> Argument | None:
    if subject.stand_in:
        return None
    weight = Weight.STRONG if needs.busy_cpu else Weight.SOME
    if subject.busy and _comparable(*subject.busy):
        cpu, npu = subject.busy
        gain = ratio(cpu.figures_ms, npu.figures_ms)
        facts: dict[str, float | str] = {"speed_up": gain.center}
        if gain.low is not None and gain.high is not None:
            facts |= {"low": gain.low, "high": gain.high}
            leaning = (
                Leaning.NPU if gain.low > 1 else Leaning.CPU if gain.high < 1 else Leaning.NEITHER
            )
            return Argument(Rule.BUSY_CPU, leaning, weight, Basis.MEASURED, facts)
    cpu_ms, npu_ms = subject.on_cpu.cpu_ms, subject.on_npu.cpu_ms
    if cpu_ms is None or npu_ms is None or not cpu_ms:
        return None
    freed = 1 - npu_ms / cpu_ms
    facts = {"freed": freed, "cpu_ms": cpu_ms, "npu_ms": npu_ms}
    if freed >= FREED:
        return Argument(Rule.BUSY_CPU, Leaning.NPU, weight, Basis.MEASURED, facts)
    leaning = Leaning.CPU if freed < 0 else Leaning.NEITHER
    return Argument(Rule.BUSY_CPU, leaning, Weight.SOME, Basis.MEASURED, facts)


def _power(subject: Subject, needs: Needs) -> Argument | None:
    """Say what low power asks for: energy is not measured, so it never leans by itself alone."""
    if not needs.low_power:
        return None
    cpu_ms, npu_ms = subject.on_cpu.cpu_ms, subject.on_npu.cpu_ms
    if subject.stand_in or cpu_ms is None or npu_ms is None or not cpu_ms:
        return Argument(Rule.POWER, Leaning.UNKNOWN, Weight.SOME, Basis.ASKED)
    freed = 1 - npu_ms / cpu_ms
    leaning = Leaning.NPU if freed >= FREED else Leaning.CPU if freed < 0 else Leaning.NEITHER
    return Argument(Rule.POWER, leaning, Weight.SOME, Basis.ESTIMATED, {"freed": freed})


def _estimate(subject: Subject, weight: Weight) -> Weight:
    """Return an estimate's weight: none where the latency itself was measured."""
    return Weight.NONE if subject.measured else weight


def _comparable(one: AdvisedSide, other: AdvisedSide) -> bool:
    return (
        bool(one.figures_ms and other.figures_ms)
        and one.estimators == other.estimators
        and len(one.estimators) == 1
    )


def _center(figures: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, figures)) / len(figures))


def _subject(group: Sequence[CaseResult], npu: str, precision: str, *, emulated: bool) -> Subject:
    on_npu = [
        result
        for result in group
        if (result.record.case.backend, result.record.case.precision) == (npu, precision)
    ]
    on_cpu = [result for result in group if result.record.case.backend == "cpu"]
    calm_npu, busy_npu = _by_load(on_npu)
    calm_cpu, busy_cpu = _by_load(on_cpu)
    built = [result.record.artifact for result in on_npu if result.record.artifact]
    chosen = _fastest(calm_npu) or _fastest(busy_npu)
    own = chosen.record.artifact if chosen else None
    first = group[0].record.case
    return Subject(
        model=first.model,
        device=first.device,
        npu=npu,
        workload=_workload(first),
        emulated=emulated,
        simulated=chosen.simulated if chosen else None,
        on_cpu=_side(_fastest(calm_cpu), calm_cpu),
        on_npu=_side(_fastest(calm_npu), calm_npu),
        busy=_busy(busy_cpu, busy_npu),
        partition=_first(
            own.partition if own else None, (artifact.partition for artifact in built)
        ),
        drift=own.drift if own else None,
    )


def _workload(case: Case) -> str:
    parts = [f"batch {case.batch}"] if case.batch != 1 else []
    parts += [f"{name} {shape_text(shape)}" for name, shape in case.shapes or ()]
    return " · ".join(parts)


def _first(own: Partition | None, others: Iterable[Partition | None]) -> Partition | None:
    return own or next((other for other in others if other), None)


def _by_load(results: Sequence[CaseResult]) -> tuple[list[CaseResult], list[CaseResult]]:
    calm = [result for result in results if not result.record.case.busy_cpus]
    return calm, [result for result in results if result.record.case.busy_cpus]


def _busy(
    on_cpu: Sequence[CaseResult], on_npu: Sequence[CaseResult]
) -> tuple[AdvisedSide, AdvisedSide] | None:
    shared = {result.record.case.busy_cpus for result in on_cpu} & {
        result.record.case.busy_cpus for result in on_npu
    }
    if not shared:
        return None
    most = max(shared)
    sides = [
        [result for result in results if result.record.case.busy_cpus == most]
        for results in (on_cpu, on_npu)
    ]
    cpu, npu = (_side(_fastest(results), results) for results in sides)
    return cpu, npu


def _fastest(results: Sequence[CaseResult]) -> CaseResult | None:
    """Return the fastest of those measured, checked ones first; else whatever there is."""
    measured = [result for result in results if result.latency_ms]
    if not measured:
        return results[0] if results else None
    return min(
        measured,
        key=lambda result: (
            not result.checked,
            result.latency_ms.center if result.latency_ms else math.inf,
        ),
    )


def _side(chosen: CaseResult | None, all_of_it: Sequence[CaseResult]) -> AdvisedSide:
    if chosen is None:
        return AdvisedSide()
    case = chosen.record.case
    cpu_ms = sorted(chosen.cpu_ms)
    return AdvisedSide(
        setting=case.setting,
        engine=case.engine,
        precision=case.precision,
        estimators=frozenset(launch.estimator for launch in chosen.counted),
        figures_ms=tuple(chosen.figures_ms),
        checked=chosen.checked,
        load=_load(chosen, all_of_it),
        cpu_ms=cpu_ms[len(cpu_ms) // 2] if cpu_ms else None,
        state=chosen.state,
        reason=chosen.reason,
        case_id=case.id,
    )


def _load(chosen: CaseResult, all_of_it: Sequence[CaseResult]) -> Load:
    """Return first loads of the same engine and precision, those with a model cache apart."""
    case = chosen.record.case
    alike = [
        result
        for result in all_of_it
        if (result.record.case.engine, result.record.case.precision)
        == (case.engine, case.precision)
    ]
    kept = [result for result in alike if result.record.case.model_cache == "kept"]
    plain = [result for result in alike if result.record.case.model_cache == "none"]
    if chosen in plain:
        plain = [chosen]
    if chosen in kept:
        kept = [chosen]
    # What fills a model cache has none yet: it is a load without one, too.
    unfilled = _total(result.filling_ms for result in kept)
    without = _total(result.first_loads_ms for result in plain)
    return Load(
        plain_ms=without if without is not None else unfilled,
        cached_ms=_total(result.first_loads_ms for result in kept),
    )


def _total(loads: Iterable[Mapping[str, Mapping[str, Range]]]) -> float | None:
    """Return the median total: from a cold page cache, where there is one."""
    for by_state in loads:
        for state in sorted(by_state, key=lambda state: not state.startswith("cold")):
            total = by_state[state].get("total")
            if total is not None:
                return total.median
    return None
