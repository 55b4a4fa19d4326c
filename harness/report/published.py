"""What others published, beside a run: their figures of its models, and what they say of NPUs.

A ratio is only ever formed of two figures of one table, one device and one precision. It is its
authors' word: nobody here has seen the launches behind it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.view import CaseView, ReportView
    from harness.results.imported import ImportedFigure, ImportedTable

__all__ = ["Gain", "Neighbours", "gains", "neighbours"]


@dataclass(frozen=True)
class Gain:
    """What a table says of NPUs and one model.

    Attributes
    ----------
    least, most
        Of CPU over NPU latency, over the devices.
    devices
        Those of which it has both.
    measured
        Whether the model is one of the run's.
    """

    table: str
    model: str
    least: float
    most: float
    devices: list[str]
    measured: bool


@dataclass(frozen=True)
class Neighbours:
    """Others' figures of one model, and the cases of the run that measured it on real devices."""

    model: str
    figures: Sequence[ImportedFigure]
    cases: Sequence[CaseView]


def gains(tables: Iterable[ImportedTable], models: Iterable[str]) -> list[Gain]:
    """Return what tables say of NPUs, the run's own models first."""
    own = set(models)
    found = [gain for table in tables for gain in _gains(table, own)]
    return sorted(found, key=lambda gain: not gain.measured)


def _gains(table: ImportedTable, own: set[str]) -> Iterable[Gain]:
    sides: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    for figure in table.figures:
        kind = (figure.backend or "").partition(":")[0]
        alike = (figure.model, figure.device, figure.engine, figure.precision, figure.threads)
        if kind in {"cpu", "npu"}:
            # Of several figures of a side the fastest: that is what one would use.
            known = sides[alike].get(kind, figure.latency_ms)
            sides[alike][kind] = min(known, figure.latency_ms)
    ratios: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for (model, device, *_), latencies in sides.items():
        if len(latencies) == 2:  # noqa: PLR2004 - both sides
            ratio = latencies["cpu"] / latencies["npu"]
            ratios[str(model)].append((str(device), ratio))
    for model, found in ratios.items():
        yield Gain(
            table=table.id,
            model=model,
            least=min(ratio for _, ratio in found),
            most=max(ratio for _, ratio in found),
            devices=list(dict.fromkeys(device for device, _ in found)),
            measured=model in own,
        )


def neighbours(table: ImportedTable, view: ReportView) -> list[Neighbours]:
    """Return a table's figures by model, beside the run's cases of it; its own models first."""
    by_model: dict[str, list[ImportedFigure]] = defaultdict(list)
    for figure in table.figures:
        by_model[figure.model].append(figure)
    found = [
        Neighbours(
            model,
            figures,
            [
                case
                for case in view.cases
                if case.model == model
                and case.latency_ms
                and not (case.device.emulated or case.simulated)
            ],
        )
        for model, figures in by_model.items()
    ]
    return sorted(found, key=lambda each: not each.cases)
