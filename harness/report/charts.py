"""The charts of a report: which figures of the view model are drawn, and how."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from harness.analysis.cases import NS_PER_MS
from harness.analysis.sustained import since_sampling_s
from harness.core.quantity import BYTES
from harness.core.records import Status
from harness.core.text import times
from harness.quantities import first_load
from harness.report import svg
from harness.report.view import EXACT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from harness.analysis.advice import Advice
    from harness.analysis.scaling import Scaled
    from harness.core.quantity import Quantity
    from harness.core.records import ArtifactRecord, DeviceRecord, Launch
    from harness.report.language import Language
    from harness.report.view import CaseView, DeviceView, ModelView, TradeOff
    from harness.report.words import Words
    from harness.results.imported import ImportedFigure

__all__ = ["Charts", "over_time", "thin"]

_PARTS: Final = first_load.PLUGIN.parts
"""In the order in which they happen, and of the colours ``p0`` and on."""
_SUSTAINED_POINTS = 200
_OTHERS = 6
"""The number of the colour of figures that are not ours: grey."""


@dataclass(frozen=True)
class MemoryColumns:
    """Of what a memory pass can tell: what it told of any case of a device, and what of none."""

    head: list[tuple[str, str]]
    unknown: list[str]
    kept: list[int]
    told: Mapping[str, Sequence[str | None]]

    def cells(self, case: CaseView) -> list[str | None]:
        """Return a case's values in the columns that are shown."""
        return [self.told[case.id][index] for index in self.kept]


class Charts:
    """Charts with their words in one language."""

    def __init__(self, language: Language, words: Words) -> None:
        self._language = language
        self._words = words
        self._ = language.gettext

    def latency(self, model: ModelView) -> Markup:
        """Draw the interval and the launches of every case."""
        rows = [
            svg.Strip(
                label=self._label(case),
                value=self._value(case),
                colour=case.colour,
                center=case.latency_ms.center if case.latency_ms else None,
                interval=case.ends_ms,
                dots=case.figures_ms,
                crosses=case.set_aside_ms,
            )
            for case in model.cases
        ]
        axis = self._("latency, ms")
        return svg.strips(rows, axis=axis, description=self._say(self._("Latency"), model, rows))

    def first_load(self, model: ModelView) -> Markup:
        """Draw first loads by part, and the total of every launch."""
        rows = [
            svg.Strip(
                label=f"{self._label(load.case)} · {self._words.caches(load)}",
                value=self._language.milliseconds(load.parts["total"].median),
                colour=load.case.colour,
                parts=[
                    load.parts[part.key].median if part.key in load.parts else 0.0
                    for part in _PARTS
                ],
                dots=load.totals_ms,
            )
            for load in model.loads
        ]
        axis = self._("first load, ms")
        said = self._say(self._("First load"), model, rows)
        return svg.strips(rows, axis=axis, description=said)

    def memory(self, model: ModelView) -> Markup:
        """Draw the peak memory of every case that has a valid one."""
        rows = [
            svg.Strip(
                label=self._label(case),
                value=self._language.megabytes(median(case.memory_bytes)),
                colour=case.colour,
                parts=[median(case.memory_bytes) / BYTES.per],
                dots=[size / BYTES.per for size in case.memory_bytes],
            )
            for case in model.weighed
        ]
        axis = self._("peak memory (VmHWM), MB")
        said = self._say(self._("Peak memory"), model, rows)
        return svg.strips(rows, axis=axis, description=said)

    def quantity(self, quantity: Quantity, model: ModelView) -> Markup:
        """Draw a quantity of every case that tells it: its value, and every launch."""
        per = quantity.unit.per
        rows = []
        for case, state, known in model.values_of(quantity):
            value, ends = quantity.text(known.value), known.ends
            drawn: dict[str, Any] = {"parts": [known.value / per]}
            if ends:
                value += f" ({quantity.interval(*ends)})"
                drawn = {"center": known.value / per, "interval": [end / per for end in ends]}
            rows.append(
                svg.Strip(
                    label=" · ".join(
                        filter(None, (self._label(case), self._language.known(state)))
                    ),
                    value=value,
                    colour=case.colour,
                    dots=[figure / per for figure in known.figures],
                    **drawn,
                )
            )
        title = self._language.known(quantity.title)
        axis = ", ".join(filter(None, (title, quantity.unit.shown)))
        return svg.strips(rows, axis=axis, description=self._say(title, model, rows))

    def memory_columns(self, device: DeviceView) -> MemoryColumns:
        """Return what memory passes told on a device, by columns."""
        _, language = self._, self._language
        names = [
            _("PSS peak"),
            _("Device: more in use"),
            "CMA",
            "dma-buf",
            _("NPU driver"),
            _("Runtime's own"),
        ]
        told: dict[str, list[str | None]] = {}
        for case in device.weighed:
            more = case.device_memory
            drivers = more.driver_bytes if more else {}
            known = (
                case.pss_bytes,
                more.available_bytes if more else None,
                more.cma_bytes if more else None,
                more.dma_buf_bytes if more else None,
            )
            told[case.id] = [
                None if known[0] is None else language.megabytes(known[0]),
                *(None if size is None else language.taken(size) for size in known[1:]),
                language.listed(*(f"{name} {language.taken(n)}" for name, n in drivers.items()))
                or None,
                None if case.runtime_bytes is None else language.megabytes(case.runtime_bytes),
            ]
        kept = [n for n in range(len(names)) if any(row[n] is not None for row in told.values())]
        return MemoryColumns(
            head=[("n", names[n]) for n in kept],
            unknown=[name for n, name in enumerate(names) if n not in kept],
            kept=kept,
            told=told,
        )

    def has_speed_up(self, advices: Sequence[Advice]) -> bool:
        """Return whether there is a measured speed-up to draw."""
        return any(advice.subject.speed_up for advice in advices)

    def speed_up(self, advices: Sequence[Advice]) -> Markup:
        """Draw how many times as fast the NPU is, of every model and device that it is known of."""
        rows = []
        for advice in advices:
            subject = advice.subject
            found = subject.speed_up
            if found is None:
                continue
            ends = found.ends
            rows.append(
                svg.Strip(
                    label=f"{subject.model} · {subject.device}",
                    value=times(found.center)
                    + (f" ({times(ends[0])} – {times(ends[1])})" if ends else ""),
                    colour=3,
                    center=found.center,
                    interval=ends,
                )
            )
        axis = self._("CPU latency over NPU latency")
        said = "; ".join(f"{row.label}: {row.value}" for row in rows)
        return svg.strips(rows, axis=axis, mark=1.0, description=f"{axis}. {said}")

    def trade_off(self, model: ModelView, rows: Sequence[TradeOff]) -> Markup:
        """Draw cases by latency and memory, those to choose from filled, with errors that count."""
        points = [
            svg.Point(
                label=str(number),
                note=f" ({row.error:.2g})" if row.error is not None and row.error >= EXACT else "",
                colour=row.case.colour,
                x=row.latency_ms,
                y=row.memory_bytes / BYTES.per,
                front=row.front,
            )
            for number, row in enumerate(rows, 1)
        ]
        title = self._("Latency and memory of %(model)s") % {"model": model.name}
        said = self._("%(n)s rows; the figures are in the table below") % {"n": len(rows)}
        return svg.scatter(
            points,
            x=self._("latency, ms"),
            y=self._("peak memory, MB"),
            description=f"{title}{self._emulated(model)}. {said}",
        )

    def partition(
        self, artifacts: Sequence[tuple[ArtifactRecord, list[CaseView]]]
    ) -> Markup | None:
        """Draw how NPU and CPU share the multiply-accumulates; none where that is not known."""
        rows = []
        for artifact, users in artifacts:
            on_npu = _on_npu(artifact)
            if on_npu is not None:
                rows.append(
                    svg.Strip(
                        label=f"{users[0].model} · {artifact.target}",
                        value=f"{self._('NPU')} {self._language.share(on_npu)}",
                        colour=users[0].colour,
                        parts=[100 * on_npu, 100 * (1 - on_npu)],
                    )
                )
        axis = self._("share of the multiply-accumulates in percent")
        said = "; ".join(f"{row.label}: {row.value}" for row in rows)
        return svg.strips(rows, axis=axis, description=f"{axis}. {said}") if rows else None

    def over_fp32(self, device: DeviceView) -> Markup | None:
        """Draw how many times as fast the lower precisions are; none where there is no ratio."""
        rows = []
        for model, contrasts in device.precisions:
            for row in contrasts:
                found = row.ratio
                if found is not None and not device.record.emulated:
                    rows.append(
                        svg.Strip(
                            label=f"{model.name} · {self._label(row.case)}",
                            value=times(found.center),
                            colour=row.case.colour,
                            center=found.center,
                            interval=found.ends,
                        )
                    )
        axis = self._("fp32 latency over that of the lower precision")
        said = "; ".join(f"{row.label}: {row.value}" for row in rows)
        description = f"{axis}. {said}"
        return svg.strips(rows, axis=axis, mark=1.0, description=description) if rows else None

    def drift(self, device: DeviceView) -> Markup | None:
        """Draw the relative errors of artifacts in lower precisions; none where none is known."""
        rows = []
        for model, contrasts in device.precisions:
            for row in contrasts:
                artifact = row.case.record.artifact
                drift = artifact.drift if artifact else None
                if drift and drift.relative_error is not None:
                    rows.append(
                        svg.Strip(
                            label=f"{model.name} · {self._label(row.case)}",
                            value=f"{drift.relative_error:.2g}",
                            colour=row.case.colour,
                            parts=[drift.relative_error],
                        )
                    )
        axis = self._("relative error of the outputs against fp32")
        said = "; ".join(f"{row.label}: {row.value}" for row in rows)
        return svg.strips(rows, axis=axis, description=f"{axis}. {said}") if rows else None

    def beside(
        self, model: str, figures: Sequence[ImportedFigure], cases: Sequence[CaseView]
    ) -> Markup:
        """Draw what others published of a model, in grey, and beneath it what was measured here."""
        rows = [
            svg.Strip(
                label=" · ".join(filter(None, (figure.device, figure.backend, figure.precision))),
                value=self._language.milliseconds(figure.latency_ms),
                colour=_OTHERS,
                parts=[figure.latency_ms],
            )
            for figure in figures
        ]
        rows += [
            svg.Strip(
                label=f"{case.device.name} · {self._label(case)}",
                value=case.center,
                colour=case.colour,
                center=case.latency_ms.center,
                interval=case.ends_ms,
                dots=case.figures_ms,
            )
            for case in cases
            if case.latency_ms
        ]
        axis = self._("latency, ms")
        said = self._("Published and measured latencies of %(model)s") % {"model": model}
        number = self._("%(n)s rows; the figures are in the table below") % {"n": len(rows)}
        return svg.strips(rows, axis=axis, description=f"{said}. {number}")

    def sustained(self, case: CaseView, launch: Launch) -> Markup:
        """Draw a long launch over its time, and beneath it temperatures and clocks."""
        stands_for = (launch.inferences or len(launch.samples_ns)) / len(launch.samples_ns)
        ended_s = [ns / 1e9 * stands_for for ns in accumulate(launch.samples_ns)]
        kept = thin(launch.samples_ns, _SUSTAINED_POINTS)
        samples = [(ended_s[n], launch.samples_ns[n] / NS_PER_MS, None, None) for n in kept]
        panels = [
            svg.Panel(self._("latency, ms"), [svg.Series("", case.colour, samples)], dots=True)
        ]
        readings = [
            (max(0.0, at), reading)
            for reading in launch.environment
            if reading.phase == "during" and (at := since_sampling_s(launch, reading)) is not None
        ]
        hottest = [
            (at, max(reading.temperatures_c.values()), None, None)
            for at, reading in readings
            if reading.temperatures_c
        ]
        clocks = [
            (at, max(reading.frequencies_khz.values()) / 1e3, None, None)
            for at, reading in readings
            if reading.frequencies_khz
        ]
        npu = [
            (at, max(reading.npu_khz.values()) / 1e3, None, None)
            for at, reading in readings
            if reading.npu_khz
        ]
        for title, colour, points in (
            (self._("hottest sensor, °C"), 1, hottest),
            (self._("fastest CPU clock, MHz"), 5, clocks),
            (self._("NPU clock, MHz"), 3, npu),
        ):
            if points:
                panels.append(svg.Panel(title, [svg.Series("", colour, _thinned(points))]))
        said = self._("Latency, temperature and clock over time of %(case)s, launch %(n)s") % {
            "case": f"{case.model} · {case.device.name} · {self._label(case)}",
            "n": launch.slot + 1,
        }
        return svg.lines(panels, axis=self._("seconds of sampling"), description=said)

    def workloads(
        self, model: str, device: DeviceRecord, groups: Sequence[Sequence[CaseView]]
    ) -> Markup:
        """Draw latency over what an inference is fed, a line for each setting."""
        series = [
            svg.Series(
                self._label(group[0]),
                group[0].colour,
                [
                    (
                        float(case.elements),
                        case.latency_ms.center,
                        case.ends_ms[0] if case.ends_ms else None,
                        case.ends_ms[1] if case.ends_ms else None,
                    )
                    for case in sorted(group, key=lambda case: case.elements)
                    if case.latency_ms
                ],
            )
            for group in groups
        ]
        said = self._("Latency of %(model)s over what it is fed") % {
            "model": f"{model} · {device.name}"
        }
        if device.emulated:
            said += self._(" (emulated)")
        panel = svg.Panel(self._("latency, ms"), series)
        return svg.lines([panel], axis=self._("numbers in"), description=said)

    def scaling(self, model: str, device: DeviceRecord, rows: Sequence[Scaled[CaseView]]) -> Markup:
        """Draw latency over throughput, by the number of callers, the knee filled."""
        points = [
            svg.Point(
                label=str(row.result.record.case.callers),
                note="",
                colour=row.result.colour,
                x=row.throughput_per_s,
                y=row.result.latency_ms.center,
                front=row.knee,
            )
            for row in rows
            if row.result.latency_ms
        ]
        said = self._("Latency over throughput of %(model)s, by callers; the figures are below")
        return svg.scatter(
            points,
            x=self._("inferences a second"),
            y=self._("latency, ms"),
            description=said % {"model": f"{model} · {device.name}"},
        )

    def traffic_columns(self, device: DeviceView) -> list[tuple[str, str]]:
        """Return the columns of what several callers got on a device."""
        quantities = [("n", self._language.known(each.label)) for each in device.traffic]
        return [
            ("", self._("Case")),
            ("n", self._("Latency")),
            *quantities,
            ("n", self._("Efficiency")),
        ]

    def label(self, case: CaseView) -> str:
        """Return what tells a case from the others of its model and device."""
        return self._label(case)

    def parts(self) -> list[tuple[str, str]]:
        """Return the parts of a first load, with their names."""
        return [(part.key, self._language.known(part.label)) for part in _PARTS]

    def part_columns(self) -> list[tuple[str, str]]:
        """Return them as columns of numbers."""
        return [("n", name) for _, name in self.parts()]

    def _label(self, case: CaseView) -> str:
        said = self._language.setting(case.label)
        return said + self._(" (simulated)") if case.simulated else said

    def _value(self, case: CaseView) -> str:
        if case.latency_ms is None:
            return self._language.known(case.state.value)
        return f"{case.center} ({case.interval})" if case.interval else case.center

    def _say(self, quantity: str, model: ModelView, rows: Sequence[svg.Strip]) -> str:
        where = f"{model.name} · {model.device.name}{self._emulated(model)}"
        cases = self._("%(n)s rows; the figures are in the table below") % {"n": len(rows)}
        return f"{quantity}: {where}. {cases}"

    def _emulated(self, model: ModelView) -> str:
        return self._(" (emulated)") if model.device.emulated else ""


def _on_npu(artifact: ArtifactRecord) -> float | None:
    """Return the share of an artifact's multiply-accumulates that run on an NPU."""
    known = artifact.partition
    if known is None or not known.macs or known.npu_macs is None:
        return None
    return min(1.0, known.npu_macs / known.macs)


def over_time(case: CaseView, points: int) -> Markup:
    """Draw the samples of every launch of a case, its warm-ups apart; without a word.

    Parameters
    ----------
    points
        How many are drawn of a launch, at most; at least 6.
    """
    traces = [_trace(launch, points) for launch in case.traces]
    return svg.traces(traces, colour=case.colour, name=f"t-{case.id}")


def thin(samples: Sequence[int], points: int) -> list[int]:
    """Return the indices of at most so many samples: every n-th, the lowest and the highest.

    Not the extremes of every stretch: dots would then show two bands that are not there.

    Parameters
    ----------
    points
        At least 3.
    """
    if len(samples) <= points:
        return list(range(len(samples)))
    step = -(-len(samples) // (points - 2))
    lowest = min(range(len(samples)), key=samples.__getitem__)
    highest = max(range(len(samples)), key=samples.__getitem__)
    return sorted({*range(0, len(samples), step), lowest, highest})


def _trace(launch: Launch, points: int) -> svg.Trace:
    warmup, timed = launch.warmup_ns, launch.samples_ns
    for_warmup = max(3, points // 4)
    return svg.Trace(
        [(n + 1, warmup[n] / NS_PER_MS) for n in thin(warmup, for_warmup)] if warmup else [],
        [(len(warmup) + n + 1, timed[n] / NS_PER_MS) for n in thin(timed, points - for_warmup)],
        counts=launch.status is Status.OK,
    )


def _thinned(
    points: Sequence[tuple[float, float, None, None]],
) -> Sequence[tuple[float, float, None, None]]:
    return points[:: -(-len(points) // _SUSTAINED_POINTS)]
