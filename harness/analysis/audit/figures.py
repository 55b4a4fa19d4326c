"""What is audited, in one form: a latency, what it is of, and where it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.analysis.audit import wording
from harness.analysis.audit.finding import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.analysis.cases import CaseResult
    from harness.core.reason import Reason
    from harness.core.records import DeviceRecord
    from harness.results.imported import ImportedFigure

__all__ = ["Figure", "Setting", "of_case", "of_imported"]

NS_IN_MS: Final = 1e-6
OWN_DECIMALS: Final = 6  # of milliseconds: a clock's nanosecond


@dataclass(frozen=True, order=True)
class Setting:
    """How a model ran on a device; what is not known is empty, and then alike.

    Attributes
    ----------
    variant
        What else tells it from others, in words.
    """

    engine: str = ""
    backend: str = ""
    precision: str = ""
    threads: int = 1
    variant: str = ""

    def __str__(self) -> str:
        name = "/".join(part for part in (self.engine, self.backend) if part)
        threads = f"{self.threads} threads" if self.threads != 1 else ""
        return " · ".join(part for part in (name, self.precision, threads, self.variant) if part)


@dataclass(frozen=True)
class Figure:
    """One latency.

    Attributes
    ----------
    value
        In milliseconds, above 0.
    resolution
        One unit of its last digit, in milliseconds.
    place
        Line and column of a table; none for a figure of ours.
    ends
        Its interval, in milliseconds; where one is known.
    macs
        Multiply-accumulates of one inference; where known.
    emulated
        Whether no hardware took that time: neither orders nor peaks hold for it.
    cases
        The case's id, for one of ours.
    """

    model: str
    device: str
    setting: Setting
    value: float
    resolution: float
    where: Reason
    text: str
    place: tuple[int, int] | None = None
    ends: tuple[float, float] | None = None
    macs: int | None = None
    emulated: bool = False
    cases: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence:
        """The figure as a finding shows it."""
        what = " · ".join(part for part in (self.model, self.device, str(self.setting)) if part)
        return Evidence(self.where, what, self.text)

    def __str__(self) -> str:
        return str(self.evidence.what)


def of_imported(figure: ImportedFigure, macs: Mapping[str, int]) -> Figure:
    """Return an imported figure in the audit's form."""
    cell = figure.cell
    scale = _scale(figure)
    ends = None
    if figure.low_ms is not None and figure.high_ms is not None:
        ends = (figure.low_ms, figure.high_ms)
    return Figure(
        model=figure.model,
        device=figure.device,
        setting=Setting(
            engine=figure.engine or "",
            backend=figure.backend or "",
            precision=figure.precision or "",
            threads=figure.threads or 1,
            variant=figure.statistic or "",
        ),
        value=figure.latency_ms,
        resolution=_last_digit(cell.text) * scale,
        where=wording.CELL(line=cell.line, column=cell.column),
        text=cell.text,
        place=(cell.line, cell.position),
        ends=ends,
        macs=figure.macs or macs.get(figure.model),
    )


def of_case(result: CaseResult, device: DeviceRecord, macs: Mapping[str, int]) -> Figure | None:
    """Return a case's latency in the audit's form; none where it has none."""
    case, known = result.record.case, result.latency_ms
    if known is None:
        return None
    artifact = result.record.artifact
    partition = artifact.partition if artifact else None
    usual = case == case.at_any_shape.by_one_caller
    counted = macs.get(case.model) if usual else None
    setting = Setting(case.engine, case.backend, case.precision, case.threads, _variant(result))
    return Figure(
        model=case.model,
        device=case.device,
        setting=setting,
        value=known.center,
        resolution=NS_IN_MS,
        where=wording.CASE(case=case.id),
        text=f"{known.center:.{OWN_DECIMALS}f} ms",
        ends=known.ends,
        macs=result.record.macs or counted or (partition.macs if partition else None),
        emulated=device.emulated or result.simulated is not None,
        cases=(case.id,),
    )


def _variant(result: CaseResult) -> str:
    """Return what else tells a case from others, fields that are added later among it."""
    case = result.record.case
    said = {"model", "device", "engine", "backend", "precision", "threads"}
    defaults = {name: field.default for name, field in type(case).model_fields.items()}
    rest = {name: value for name, value in case if name not in said and value != defaults[name]}
    return ", ".join(f"{name} {value}" for name, value in sorted(rest.items()))


def _scale(figure: ImportedFigure) -> float:
    """Return how many milliseconds the unit of a figure's text is."""
    number = float(figure.cell.text)
    return figure.latency_ms / number if number else 1.0


def _last_digit(text: str) -> float:
    """Return the value of one unit of a number's last digit."""
    found = re.fullmatch(r"[+-]?\d*(?:\.(\d*))?(?:[eE]([+-]?\d+))?", text.strip(), re.ASCII)
    if found is None:
        return 0.0
    return 10.0 ** (int(found[2] or 0) - len(found[1] or ""))
