"""The view model: what a report says of a run, before any of it is drawn or marked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.analysis import summary
from harness.analysis.cases import NS_PER_MS, CaseResult, State, case_results
from harness.results.schema import Status
from harness.text import interval, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.analysis.summary import Range
    from harness.results.schema import ArtifactRecord, DeviceRecord, Launch, Run

__all__ = ["CaseView", "DeviceView", "EngineView", "LoadView", "ModelView", "ReportView"]

LOG_PER_LAUNCH: Final = 4_000
LOG_PER_REPORT: Final = 400_000

# The same engine has the same colour in every report.
_ENGINES = ("paddle-lite", "paddle-inference", "onnxruntime", "rknn")
_COLOURS = 6


@dataclass(frozen=True)
class CaseView(CaseResult):
    """A case as a report shows it.

    Attributes
    ----------
    colour
        The number of its engine's colour.
    """

    device: DeviceRecord
    colour: int

    @property
    def id(self) -> str:
        """The case's identity, the same in every run."""
        return self.record.case.id

    @property
    def model(self) -> str:
        """Its model's name."""
        return self.record.case.model

    @property
    def label(self) -> str:
        """What tells it from the other cases of its model and device."""
        return self.record.case.setting

    @property
    def latency(self) -> str:
        """The latency in words, or that there is none."""
        if self.latency_ms is None:
            return f"no latency: {self.state}"
        low, high = self.ends_ms or (0.0, 0.0)
        return milliseconds(self.latency_ms.center, resolution=(high - low) / 2)

    @property
    def ends_ms(self) -> tuple[float, float] | None:
        """The ends of the latency's interval; none of a single launch."""
        known = self.latency_ms
        if known is None or known.low is None or known.high is None:
            return None
        return known.low, known.high

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

    @property
    def spread_within(self) -> float | None:
        """The spread of a launch's samples: of the launches' spreads, the middle one."""
        sampled = [launch.samples_ns for launch in self.counted if launch.samples_ns]
        return median(map(summary.sample_spread, sampled)) if sampled else None

    @property
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

    @cached_property
    def loads(self) -> list[LoadView]:
        """Its first loads, one for each state of the caches: these are never mixed."""
        loads = [launch.first_load for launch in self.counted if launch.first_load]
        fills = [launch.first_load for launch in self.fills if launch.first_load]
        return [
            *(
                LoadView(self, state, parts, [x.total_ms for x in loads if x.state == state])
                for state, parts in self.first_loads_ms.items()
            ),
            *(
                LoadView(
                    self,
                    f"{state}, filling the model cache",
                    parts,
                    [x.total_ms for x in fills if x.state == state],
                )
                for state, parts in self.filling_ms.items()
            ),
        ]

    @property
    def sampled(self) -> list[Launch]:
        """The measuring launches that went to their end."""
        return [launch for launch in self.measuring if launch.status is not Status.FAILED]

    @property
    def traces(self) -> list[Launch]:
        """The launches whose samples are shown over time, the invalid ones among them."""
        if self.state is State.WRONG:
            return []
        return [launch for launch in self.sampled if launch.samples_ns]

    @property
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
    """

    case: CaseView
    state: str
    parts: dict[str, Range]
    totals_ms: list[float]


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


@dataclass(frozen=True)
class DeviceView(_Cases):
    """A device and what ran on it."""

    record: DeviceRecord
    cases: Sequence[CaseView]

    @property
    def models(self) -> list[ModelView]:
        """Its cases by model."""
        names = dict.fromkeys(case.model for case in self.cases)
        return [
            ModelView(name, self.record, [case for case in self.cases if case.model == name])
            for name in names
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
    """A whole report; real devices come first."""

    run: Run
    devices: Sequence[DeviceView]
    cases: Sequence[CaseView]

    @classmethod
    def of(cls, run: Run) -> ReportView:
        """Sort a run's records by device."""
        records = {device.name: device for device in run.devices}
        colours = _colours(record.case.engine for record in run.cases)
        cases = [
            CaseView(
                result.record,
                result.launches,
                device=records[result.record.case.device],
                colour=colours[result.record.case.engine],
            )
            for result in case_results(run)
        ]
        devices = [
            DeviceView(device, [case for case in cases if case.device is device])
            for device in sorted(run.devices, key=lambda device: device.emulated)
        ]
        return cls(run, devices, [case for device in devices for case in device.cases])

    @property
    def states(self) -> Counter[State]:
        """How many cases came to what."""
        return Counter(case.state for case in self.cases)

    @property
    def statuses(self) -> Counter[Status]:
        """How many launches ended how."""
        return Counter(launch.status for launch in self.run.launches)

    @property
    def engines(self) -> list[EngineView]:
        """Every engine that introduced itself, each version once on a device."""
        found: dict[str, EngineView] = {}
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
                    found.setdefault(repr(engine), engine)
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

    @property
    def has_paddle_lite(self) -> bool:
        """Whether what can be run of ``.nb`` files matters to this run."""
        return any(case.record.case.engine == "paddle-lite" for case in self.cases)

    @property
    def trouble(self) -> list[CaseView]:
        """The cases without a latency, or with a launch that failed or was invalid."""
        return [case for case in self.cases if case.reason or case.bad]

    @cached_property
    def _log_limit(self) -> int:
        bad = sum(len(case.bad) for case in self.cases)
        return min(LOG_PER_LAUNCH, LOG_PER_REPORT // max(bad, 1))

    def log_tail(self, launch: Launch) -> str:
        """Return the end of a launch's log; the more of them are shown, the shorter."""
        return launch.log[-self._log_limit :].strip()

    @property
    def artifacts(self) -> list[tuple[ArtifactRecord, list[CaseView]]]:
        """Each artifact once, with the cases that it was built for."""
        users: dict[str, tuple[ArtifactRecord, list[CaseView]]] = {}
        for case in self.cases:
            if artifact := case.record.artifact:
                users.setdefault(artifact.id, (artifact, []))[1].append(case)
        return list(users.values())

    @property
    def order(self) -> list[tuple[Launch, CaseView]]:
        """All launches in the order in which they were made."""
        pairs = [(launch, case) for case in self.cases for launch in case.launches]
        return sorted(pairs, key=lambda pair: pair[0].started)


def _colours(engines: Iterable[str]) -> dict[str, int]:
    known = dict.fromkeys((*_ENGINES, *engines))
    return {name: number % _COLOURS for number, name in enumerate(known)}
