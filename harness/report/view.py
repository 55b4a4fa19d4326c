"""The view model: what a report says of a run, before any of it is drawn or marked up."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import prod
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.analysis import summary
from harness.analysis.cases import NS_PER_MS, CaseResult, State, case_results
from harness.analysis.comparison import ratio
from harness.analysis.failures import failure_groups
from harness.analysis.layers import profile_of
from harness.analysis.scaling import carrying_most, scaling
from harness.core.records import Status
from harness.core.text import interval, milliseconds, processors
from harness.engines import ENGINES
from harness.quantities import in_section

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from harness.analysis.advice import Subject
    from harness.analysis.comparison import Ratio
    from harness.analysis.failures import FailureGroup
    from harness.analysis.layers import CaseProfile
    from harness.analysis.scaling import Scaled
    from harness.analysis.summary import Range, Value
    from harness.core.contract import InputSpec
    from harness.core.quantity import Quantity
    from harness.core.records import ArtifactRecord, DeviceRecord, Launch, Run

__all__ = [
    "EXACT",
    "FURTHER",
    "CaseView",
    "Contrast",
    "DeviceView",
    "EngineView",
    "LoadView",
    "ModelView",
    "ReportView",
    "TradeOff",
    "colours_of",
]

FURTHER: Final = in_section("more")
"""The quantities that have no section of their own."""
TRAFFIC: Final = in_section("traffic")
EXACT: Final = 1e-3
"""Errors of outputs below this are rounding, and no reason to choose one case over another."""
LOG_PER_LAUNCH: Final = 4_000
LOG_PER_REPORT: Final = 100_000

_ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal's text

_UNDECLARED = 6  # grey, as others' figures have it


@dataclass(frozen=True)
class CaseView(CaseResult):
    """A case as a report shows it.

    Attributes
    ----------
    colour
        The number of its engine's colour.
    sustained
        Whether its launches went on for long, to see what becomes of latency.
    inputs
        What its model is fed, but for the batch and shapes of the case.
    """

    device: DeviceRecord
    colour: int
    sustained: bool = False
    inputs: Sequence[InputSpec] = ()

    @cached_property
    def id(self) -> str:
        """The case's identity, the same in every run."""
        return self.record.case.id

    @property
    def model(self) -> str:
        """Its model's name."""
        return self.record.case.model

    @cached_property
    def work(self) -> str:
        """Its model, with what of batch, shapes, callers and busy processors is not usual."""
        case = self.record.case
        usual = case.model_copy(update={"busy_cpus": 0}).at_any_shape.by_one_caller
        plain = usual.setting.split(" · ")
        extra = [part for part in case.setting.split(" · ") if part not in plain]
        return " · ".join([case.model, *extra])

    @property
    def elements(self) -> int:
        """How many numbers one inference is fed."""
        shapes = dict(self.record.case.shapes or ())
        return self.record.case.batch * sum(
            prod(shapes.get(spec.name, spec.shape)) for spec in self.inputs
        )

    @cached_property
    def label(self) -> str:
        """What tells it from the other cases of its model and device."""
        return self.record.case.setting

    @cached_property
    def center(self) -> str:
        """The latency with its unit; it has one where ``latency_ms`` is known."""
        low, high = self.ends_ms or (0.0, 0.0)
        known = self.latency_ms.center if self.latency_ms else None
        return milliseconds(known, resolution=(high - low) / 2)

    @property
    def ends_ms(self) -> tuple[float, float] | None:
        """The ends of the latency's interval; none of a single launch."""
        return self.latency_ms.ends if self.latency_ms else None

    @property
    def interval(self) -> str | None:
        """The latency's interval in words, in milliseconds."""
        return interval(*self.ends_ms) if self.ends_ms else None

    @property
    def set_aside_ms(self) -> list[float]:
        """The latency of every launch that does not count; none where outputs were wrong."""
        if self.state is State.WRONG:
            return []
        rest = [launch for launch in self.sampled if launch not in self.counted]
        return [launch.figure_ns / NS_PER_MS for launch in rest if launch.figure_ns]

    @property
    def estimators(self) -> frozenset[str]:
        """What the launches' figures are of their samples."""
        return frozenset(launch.estimator.value for launch in self.counted)

    @property
    def relative_error(self) -> float | None:
        """The largest relative error of its outputs."""
        checks = [launch.outputs for launch in self.counted if launch.outputs]
        errors = [check.relative_error for check in checks if check.relative_error is not None]
        return max(errors, default=None)

    @cached_property
    def spread_within(self) -> float | None:
        """The spread of a launch's samples: of the launches' spreads, the middle one."""
        sampled = [launch.samples_ns for launch in self.counted if launch.samples_ns]
        return median(map(summary.sample_spread, sampled)) if sampled else None

    @cached_property
    def percentiles_ms(self) -> dict[int, float]:
        """The percentiles above the median that every launch has enough samples for.

        Of the launches' percentiles, the middle one.
        """
        found = [summary.percentiles(launch.samples_ns) for launch in self.counted]
        warranted = set.intersection(*map(set, found)) if found else set()
        return {
            p: median(of_launch[p] for of_launch in found) / NS_PER_MS
            for p in sorted(warranted - {50})
        }

    @property
    def error(self) -> float | None:
        """How far its outputs are from fp32: a quantized artifact's drift, else by the check."""
        artifact = self.record.artifact
        if artifact and artifact.drift and artifact.drift.relative_error is not None:
            return artifact.drift.relative_error
        return self.relative_error

    @cached_property
    def loads(self) -> list[LoadView]:
        """Its first loads, one for each state of the caches: these are never mixed."""
        kept = self.record.case.model_cache == "kept"
        return [
            LoadView(
                case=self,
                state=state,
                parts=parts,
                totals_ms=[
                    launch.first_load.total_ms
                    for launch in launches
                    if launch.first_load and launch.first_load.state == state
                ],
                cached=kept and not filling,
                filling=filling,
            )
            for filling, launches, by_state in (
                (False, self.counted, self.first_loads_ms),
                (True, self.fills, self.filling_ms),
            )
            for state, parts in by_state.items()
        ]

    @property
    def sampled(self) -> list[Launch]:
        """The measuring launches that went to their end."""
        return [launch for launch in self.measuring if launch.status is not Status.FAILED]

    @cached_property
    def traces(self) -> list[Launch]:
        """The launches whose samples are shown over time, the invalid ones among them."""
        if self.state is State.WRONG:
            return []
        return [launch for launch in self.sampled if launch.samples_ns]

    @property
    def is_trouble(self) -> bool:
        """Whether it has no latency, or a launch that failed, was invalid or was not made."""
        return bool(self.reason or self.bad or self.record.left_out)

    @cached_property
    def bad(self) -> list[Launch]:
        """Its launches that are not ok."""
        return [launch for launch in self.launches if launch.status is not Status.OK]


@dataclass(frozen=True)
class LoadView:
    """The first loads of a case that began in one state of the caches.

    Attributes
    ----------
    state
        In words.
    parts
        Part, or ``total``, to its range over launches, in milliseconds; a part that no launch
        knew is absent.
    totals_ms
        Of every launch.
    cached, filling
        Whether the model came out of its cache, or was put into it.
    """

    case: CaseView
    state: str
    parts: dict[str, Range]
    totals_ms: list[float]
    cached: bool = False
    filling: bool = False


@dataclass(frozen=True)
class Contrast:
    """A case against another of its model and device.

    Attributes
    ----------
    ratio
        Its latency over the other's, or the other's over its own; none where it is the other, or
        there is none.
    differs
        What differs beside the engine: the case's key, and both values.
    """

    case: CaseView
    ratio: Ratio | None
    differs: list[tuple[str, str, str]]


@dataclass(frozen=True)
class TradeOff:
    """A case by what there is to choose between.

    Attributes
    ----------
    front
        Whether no other is at least as good in everything that is known, and better in something.
    """

    case: CaseView
    latency_ms: float
    memory_bytes: float
    error: float | None
    front: bool


class _Cases:
    """What cases have to show together."""

    cases: Sequence[CaseView]

    @property
    def has_latency(self) -> bool:
        """Whether there is a latency to draw, be it of invalid launches."""
        return any(case.figures_ms or case.set_aside_ms for case in self.cases)

    @property
    def loads(self) -> list[LoadView]:
        """Their first loads."""
        return [load for case in self.cases for load in case.loads]

    @property
    def weighed(self) -> list[CaseView]:
        """Those whose memory is known."""
        return [case for case in self.cases if case.memory_bytes]

    @cached_property
    def further(self) -> list[Quantity]:
        """The quantities that they tell and that have no section of their own."""
        return [each for each in FURTHER if any(case.figures(each) for case in self.cases)]

    def values_of(self, quantity: Quantity) -> list[tuple[CaseView, str, Value]]:
        """Return what a quantity comes to, by case and state."""
        return [
            (case, state, known)
            for case in self.cases
            for state, known in case.values(quantity).items()
        ]

    @property
    def traced(self) -> list[CaseView]:
        """Those whose samples can be shown over time."""
        return [case for case in self.cases if case.traces]


@dataclass(frozen=True)
class ModelView(_Cases):
    """The cases of one model on one device: what one chart shows."""

    name: str
    device: DeviceRecord
    cases: Sequence[CaseView]

    @cached_property
    def comparable(self) -> list[CaseView]:
        """Those that may be set against each other, the fastest first; none of an emulator's."""
        measured = [
            case for case in self.cases if case.latency_ms and case.checked and not case.simulated
        ]
        kinds = {case.estimators for case in measured}
        if self.device.emulated or len(kinds) != 1:
            return []
        return sorted(measured, key=lambda case: median(case.figures_ms))

    @property
    def contrasts(self) -> list[Contrast]:
        """Each comparable case against the fastest."""
        if not self.comparable:
            return []
        best = self.comparable[0]
        return [
            Contrast(
                case,
                None if case is best else ratio(case.figures_ms, best.figures_ms),
                [] if case is best else _differences(case, best),
            )
            for case in self.comparable
        ]

    @property
    def precisions(self) -> list[Contrast]:
        """Each case that is not in fp32 against the one that is, and is else the same."""
        lower = [case for case in self.cases if case.record.case.precision != "fp32"]
        full = {
            case.record.case.id: case
            for case in self.comparable
            if case.record.case.precision == "fp32"
        }
        found = []
        for case in lower:
            other = full.get(case.record.case.model_copy(update={"precision": "fp32"}).id)
            known = case in self.comparable and other is not None
            found.append(
                Contrast(
                    case, ratio(other.figures_ms, case.figures_ms) if known and other else None, []
                )
            )
        return found

    @property
    def trade_offs(self) -> list[TradeOff]:
        """Its cases by latency, memory and error of outputs, the fastest first."""
        known = [
            (case, case.latency_ms.center, float(median(case.memory_bytes)), case.error)
            for case in self.weighed
            if case.latency_ms
        ]
        found = [
            TradeOff(
                case,
                latency,
                memory,
                error,
                front=not any(_better(other[1:], (latency, memory, error)) for other in known),
            )
            for case, latency, memory, error in known
        ]
        return sorted(found, key=lambda row: row.latency_ms)


@dataclass(frozen=True)
class DeviceView(_Cases):
    """A device and what ran on it."""

    record: DeviceRecord
    cases: Sequence[CaseView]

    @cached_property
    def models(self) -> list[ModelView]:
        """Its cases by model and by what they are fed: only such can be set against each other."""
        by_name: dict[str, list[CaseView]] = {}
        for case in self.cases:
            by_name.setdefault(case.work, []).append(case)
        return [ModelView(name, self.record, cases) for name, cases in by_name.items()]

    @cached_property
    def workloads(self) -> list[tuple[str, list[list[CaseView]]]]:
        """Models with cases that differ in batch or shapes only: groups of such, by model."""
        groups: dict[str, dict[str, list[CaseView]]] = {}
        for case in self.cases:
            if case.latency_ms:
                apart = groups.setdefault(case.model, {})
                apart.setdefault(case.record.case.at_any_shape.id, []).append(case)
        found = {
            model: [group for group in apart.values() if len(group) > 1]
            for model, apart in groups.items()
        }
        return [(model, several) for model, several in found.items() if several]

    @cached_property
    def called(self) -> list[tuple[str, list[CaseView]]]:
        """Models with cases of several callers, everything at once or requests at a rate."""
        found: dict[str, list[CaseView]] = {}
        for case in self.cases:
            if case.record.case.scenario != "single" and case.latency_ms:
                found.setdefault(case.model, []).append(case)
        return [*found.items()]

    @cached_property
    def traffic(self) -> list[Quantity]:
        """What these tell."""
        cases = [case for _, several in self.called for case in several]
        return [each for each in TRAFFIC if any(case.figures(each) for case in cases)]

    @cached_property
    def scaled(self) -> list[tuple[str, list[Scaled[CaseView]]]]:
        """Models with closed loops of several numbers of callers; none of an emulator's."""
        found: dict[str, list[Scaled[CaseView]]] = {}
        for row in [] if self.record.emulated else scaling(self.cases):
            found.setdefault(row.result.record.case.model, []).append(row)
        return [(model, rows) for model, rows in found.items() if len(rows) > 1]

    def efficiency(self, case: CaseView) -> float | None:
        """Return how well a case uses its callers, where that can be told."""
        rows = (row for _, rows in self.scaled for row in rows if row.result is case)
        return next((row.efficiency for row in rows), None)

    @property
    def carrying_most(self) -> list[tuple[CaseView, str]]:
        """For each model and bound the case with the highest rate; none of an emulator's."""
        if self.record.emulated:
            return []
        return [(case, f"{rate:.3g}") for case, rate in carrying_most(self.cases)]

    @property
    def summary(self) -> list[str]:
        """It in a few words: SoC, processors, NPU; as far as it told."""
        facts = self.record.facts
        cores = [
            f"{cpus['core']} ({processors(cpus.get('numbers') or ())})"
            for cpus in facts.get("cpus") or ()
            if cpus.get("core")
        ]
        npus = [str(npu["driver"]) for npu in facts.get("npus") or () if npu.get("driver")]
        soc = [str(facts["soc"])] if facts.get("soc") else []
        return [*soc, *cores, *npus]

    @cached_property
    def contrasts(self) -> list[tuple[ModelView, list[Contrast]]]:
        """Models of which more than one case can be set against each other."""
        found = [(model, model.contrasts) for model in self.models]
        return [(model, rows) for model, rows in found if len(rows) > 1]

    @cached_property
    def precisions(self) -> list[tuple[ModelView, list[Contrast]]]:
        """Models with cases that are not in fp32."""
        found = [(model, model.precisions) for model in self.models]
        return [(model, rows) for model, rows in found if rows]

    @cached_property
    def trade_offs(self) -> list[tuple[ModelView, list[TradeOff]]]:
        """Models with more than one case to choose from."""
        found = [(model, model.trade_offs) for model in self.models]
        return [(model, rows) for model, rows in found if len(rows) > 1]

    @property
    def courses(self) -> list[tuple[CaseView, Launch]]:
        """Its launches of a sustained run that have samples."""
        return [
            (case, launch)
            for case in self.cases
            if case.state is State.MEASURED
            for launch in case.counted
            if launch.samples_ns and case.sustained
        ]


@dataclass(frozen=True)
class EngineView:
    """An engine as it introduced itself on a device."""

    name: str
    device: DeviceRecord
    version: str
    runner: str | None
    build: dict[str, str]


@dataclass(frozen=True)
class ReportView(_Cases):
    """A whole report.

    Attributes
    ----------
    devices
        Real ones come first.
    cases
        Those that are shown, by device.
    results
        All, in the run's order.
    """

    run: Run
    devices: Sequence[DeviceView]
    cases: Sequence[CaseView]
    results: Sequence[CaseView]

    @classmethod
    def of(cls, run: Run) -> ReportView:
        """Sort a run's records by device."""
        records = {device.name: device for device in run.devices}
        colours = colours_of(record.case.engine for record in run.cases)
        inputs = {model.name: model.inputs for model in run.models}
        cases = [
            CaseView(
                result.record,
                result.launches,
                device=records[result.record.case.device],
                colour=colours[result.record.case.engine],
                sustained=run.protocol.sustained_s is not None,
                inputs=inputs.get(result.record.case.model, ()),
            )
            for result in case_results(run)
        ]
        return cls(run, *_by_device(run, cases), cases)

    def showing(self, most: int, first: Collection[str] = ()) -> ReportView:
        """Return it with at most so many cases shown, and all in what counts them.

        Parameters
        ----------
        first
            Ids of cases to prefer, besides those that failed; the rest is in the run's order.
        """
        if len(self.results) <= most:
            return self

        def is_plain(case: CaseView) -> bool:
            return case.id not in first and not case.is_trouble

        kept = {case.id for case in sorted(self.results, key=is_plain)[:most]}
        shown = [case for case in self.results if case.id in kept]
        return ReportView(self.run, *_by_device(self.run, shown), self.results)

    @property
    def left_out(self) -> int:
        """How many cases are not shown one by one."""
        return len(self.results) - len(self.cases)

    @property
    def states(self) -> Counter[State]:
        """How many cases came to what."""
        return Counter(case.state for case in self.results)

    @property
    def statuses(self) -> Counter[Status]:
        """How many launches ended how."""
        return Counter(launch.status for launch in self.run.launches)

    @property
    def simulated(self) -> list[str]:
        """What stood in for accelerators that were not there."""
        return sorted({case.simulated for case in self.cases if case.simulated})

    @property
    def emulated(self) -> list[DeviceView]:
        """The devices that are emulated."""
        return [device for device in self.devices if device.record.emulated]

    @property
    def engine_names(self) -> list[str]:
        """The engines of all cases, with those of their backends that are no CPU."""
        kinds = [case.record.case for case in self.results]
        return list(
            dict.fromkeys(
                kind.engine if kind.backend == "cpu" else f"{kind.engine}/{kind.backend}"
                for kind in kinds
            )
        )

    @cached_property
    def causes(self) -> list[FailureGroup]:
        """What went wrong, by cause."""
        return failure_groups(self.run, self.results)

    @property
    def engines(self) -> list[EngineView]:
        """Every engine that introduced itself, each version once on a device."""
        found: dict[tuple[object, ...], EngineView] = {}
        for case in self.cases:
            for launch in case.launches:
                if launch.engine_version is not None:
                    engine = EngineView(
                        name=case.record.case.engine,
                        device=case.device,
                        version=launch.engine_version,
                        runner=launch.runner,
                        build=launch.build,
                    )
                    build = tuple(engine.build.items())
                    key = (engine.name, engine.device.name, engine.version, engine.runner, build)
                    found.setdefault(key, engine)
        return list(found.values())

    @property
    def page_cache(self) -> dict[str, int]:
        """The states in which artifacts were found when reading began, in how many launches."""
        loads = (launch.first_load for case in self.cases for launch in case.counted)
        return Counter(load.page_cache for load in loads if load)

    @property
    def warmups(self) -> dict[str, int]:
        """Why warm-ups ended, in how many launches."""
        reasons = (launch.warmup_reason for case in self.cases for launch in case.counted)
        return Counter(reason for reason in reasons if reason)

    @property
    def keeps_models(self) -> bool:
        """Whether a case has a model cache."""
        return any(case.record.case.model_cache == "kept" for case in self.cases)

    @cached_property
    def trouble(self) -> list[CaseView]:
        """The cases without a latency, or with a launch that failed or was invalid."""
        return [case for case in self.cases if case.is_trouble]

    @cached_property
    def _log_limit(self) -> int:
        bad = sum(len(case.bad) for case in self.cases)
        return min(LOG_PER_LAUNCH, LOG_PER_REPORT // max(bad, 1))

    def log_tail(self, launch: Launch) -> str:
        """Return the end of a launch's log; the more of them are shown, the shorter."""
        return _ANSI.sub("", launch.log[-self._log_limit :]).strip()

    @cached_property
    def artifacts(self) -> list[tuple[ArtifactRecord, list[CaseView]]]:
        """Each artifact once, with the cases that it was built for."""
        users: dict[str, tuple[ArtifactRecord, list[CaseView]]] = {}
        for case in self.cases:
            if artifact := case.record.artifact:
                users.setdefault(artifact.id, (artifact, []))[1].append(case)
        return list(users.values())

    @cached_property
    def partitions(self) -> list[tuple[ArtifactRecord, list[CaseView]]]:
        """The artifacts of which something is told: what runs where, or what is left to vary."""
        return [
            (artifact, users)
            for artifact, users in self.artifacts
            if (told := artifact.partition)
            and (told.kernels or told.subgraphs or told.cpu_ops or told.npu_macs is not None)
        ]

    @cached_property
    def profiles(self) -> list[tuple[CaseView, CaseProfile]]:
        """The cases whose engine profiled a launch, with what it reported."""
        return [(case, profile) for case in self.cases if (profile := profile_of(case))]

    def profile_on(self, subject: Subject) -> CaseProfile | None:
        """Return what ran where on a subject's NPU: by the case that speaks for it, or one like it.

        Like it is one that differs in its model cache or the like: engine, NPU and precision are
        the same.
        """
        own = next((case for case in self.cases if case.id == subject.on_npu.case_id), None)
        if own is None:
            return None
        alike = [
            (case.id != own.id, profile)
            for case, profile in self.profiles
            if case.work == own.work and case.device is own.device and _same_build(case, own)
        ]
        return min(alike, key=lambda pair: pair[0])[1] if alike else None

    @property
    def order(self) -> list[tuple[Launch, CaseView]]:
        """All launches in the order in which they were made."""
        pairs = [(launch, case) for case in self.cases for launch in case.launches]
        return sorted(pairs, key=lambda pair: pair[0].started)


def _by_device(
    run: Run, cases: Sequence[CaseView]
) -> tuple[Sequence[DeviceView], Sequence[CaseView]]:
    """Sort cases by device, real ones first."""
    devices = [
        DeviceView(device, [case for case in cases if case.device is device])
        for device in sorted(run.devices, key=lambda device: device.emulated)
    ]
    return devices, [case for device in devices for case in device.cases]


def _same_build(one: CaseView, other: CaseView) -> bool:
    """Return whether two cases run the same build of a model on the same unit."""
    return all(
        getattr(one.record.case, name) == getattr(other.record.case, name)
        for name in ("engine", "backend", "precision")
    )


def _differences(one: CaseView, other: CaseView) -> list[tuple[str, str, str]]:
    """Return what differs between two cases beside the engine."""
    cases = (one.record.case, other.record.case)
    found = []
    for name in type(cases[0]).model_fields:
        values = [getattr(case, name) for case in cases]
        if name not in {"engine", "model", "device"} and values[0] != values[1]:
            found.append((name, str(values[0]), str(values[1])))
    return found


def _better(
    one: tuple[float, float, float | None], other: tuple[float, float, float | None]
) -> bool:
    """Return whether one is at least as good in everything and better in something."""
    drifts = [error if error is None else max(error, EXACT) for error in (one[2], other[2])]
    sides = zip((*one[:2], drifts[0]), (*other[:2], drifts[1]), strict=True)
    pairs = [(a, b) for a, b in sides if a is not None and b is not None]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def colours_of(engines: Iterable[str]) -> dict[str, int]:
    """Return the number of each engine's colour; an engine that declares one has it everywhere."""
    own = {engine.name: engine.colour for engine in ENGINES if engine.colour is not None}
    return own | {name: _UNDECLARED for name in engines if name not in own}
