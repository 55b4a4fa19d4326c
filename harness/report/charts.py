"""The charts of a report: which figures of the view model are drawn, and how."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from harness.analysis.cases import NS_PER_MS
from harness.report import vega
from harness.results.schema import Status
from harness.text import megabytes, milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from harness.report.view import CaseView, ModelView
    from harness.results.schema import Launch

__all__ = ["FIRST_LOAD_PARTS", "first_load", "latency", "memory", "over_time", "thin"]

FIRST_LOAD_PARTS: Final = ("process", "import", "read", "init", "first")
"""In the order in which they happen, and of the colours ``--part-0`` and on."""

_BYTES_PER_MB = 1e6


def latency(model: ModelView) -> Markup:
    """Draw the interval and the launches of every case."""
    rows = [
        vega.Strip(
            label=case.label,
            value=f"{case.latency} ({case.interval})" if case.interval else case.latency,
            colour=_colour(case),
            center=case.latency_ms.center if case.latency_ms else None,
            interval=case.ends_ms,
            dots=case.figures_ms,
            crosses=case.set_aside_ms,
        )
        for case in model.cases
    ]
    return vega.strips(rows, axis="latency, ms", description=_say("Latency", model, rows))


def first_load(model: ModelView) -> Markup:
    """Draw first loads by part, and the total of every launch."""
    rows = [
        vega.Strip(
            label=f"{load.case.label} · {load.state}",
            value=milliseconds(load.parts["total"].median),
            colour=_colour(load.case),
            parts=[
                load.parts[part].median if part in load.parts else 0.0 for part in FIRST_LOAD_PARTS
            ],
            dots=load.totals_ms,
        )
        for load in model.loads
    ]
    return vega.strips(rows, axis="first load, ms", description=_say("First load", model, rows))


def memory(model: ModelView) -> Markup:
    """Draw the peak memory of every case that has a valid one."""
    rows = [
        vega.Strip(
            label=case.label,
            value=megabytes(median(case.memory_bytes)),
            colour=_colour(case),
            parts=[median(case.memory_bytes) / _BYTES_PER_MB],
            dots=[size / _BYTES_PER_MB for size in case.memory_bytes],
        )
        for case in model.weighed
    ]
    return vega.strips(rows, axis="VmHWM, MB", description=_say("Peak memory", model, rows))


def over_time(case: CaseView, points: int) -> Markup:
    """Draw the samples of every launch of a case, its warm-ups apart.

    Parameters
    ----------
    points
        How many are drawn of a launch, at most; at least 12.
    """
    emulated = " (emulated)" if case.device.emulated else ""
    description = (
        f"Samples over time of {case.record.case.label}{emulated}, {len(case.traces)} launches"
    )
    traces = [_trace(launch, points) for launch in case.traces]
    return vega.traces(traces, colour=_colour(case), description=description)


def thin(samples: Sequence[int], points: int) -> list[int]:
    """Return the indices of at most so many samples: every n-th, the lowest and the highest.

    Not the extremes of every stretch: dots would then show two bands that are not there.

    Parameters
    ----------
    points
        At least 3.
    """
    step = -(-len(samples) // (points - 2)) if len(samples) > points else 1
    lowest = min(range(len(samples)), key=samples.__getitem__)
    highest = max(range(len(samples)), key=samples.__getitem__)
    return sorted({*range(0, len(samples), step), lowest, highest})


def _trace(launch: Launch, points: int) -> vega.Trace:
    warmup, timed = launch.warmup_ns, launch.samples_ns
    for_warmup = points // 4
    return vega.Trace(
        [(n + 1, warmup[n] / NS_PER_MS) for n in thin(warmup, for_warmup)] if warmup else [],
        [(len(warmup) + n + 1, timed[n] / NS_PER_MS) for n in thin(timed, points - for_warmup)],
        counts=launch.status is Status.OK,
    )


def _colour(case: CaseView) -> str:
    return f"var(--engine-{case.colour})"


def _say(quantity: str, model: ModelView, rows: Sequence[vega.Strip]) -> str:
    emulated = " (emulated)" if model.device.emulated else ""
    figures = "; ".join(f"{row.label}: {row.value}" for row in rows)
    return f"{quantity} of {model.name} on {model.device.name}{emulated}. {figures}"
