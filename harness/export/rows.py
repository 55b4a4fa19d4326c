"""The rows of exported tables: a schema with a version, one class a level.

A column's name ends with its unit. A value that is not known is none, never 0 and never an empty
text. Points in time are UTC.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

from harness.analysis.cases import CaseResult, case_results
from harness.core.quantity import Summary
from harness.quantities import quantities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.core.contract import Layer, Part
    from harness.core.quantity import Quantity
    from harness.core.records import Launch, Run
    from harness.results.imported import ImportedTable

__all__ = [
    "LEVELS",
    "SCHEMA_VERSION",
    "CaseRow",
    "ImportedRow",
    "LaunchRow",
    "LayerRow",
    "Level",
    "Row",
    "SampleRow",
    "imported_rows",
    "launch_row",
    "run_rows",
]

SCHEMA_VERSION: Final = 1
"""Changes when a column goes, or changes its name, kind or meaning. New ones may come without."""

Level = Literal["case", "launch", "sample", "layer", "imported"]

ValueT = TypeVar("ValueT")


class Row(BaseModel):
    """Base of all rows.

    Attributes
    ----------
    table_schema
        Name and version of this schema, such as ``edge-harness.launch/1``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    level: ClassVar[Level]

    table_schema: str

    @classmethod
    def schema_name(cls) -> str:
        """Return what is in ``table_schema``."""
        return f"edge-harness.{cls.level}/{SCHEMA_VERSION}"


class MeasuredRow(Row):
    """What every row of a measurement says: of which run and which case it is.

    Attributes
    ----------
    run, campaign
        The run's id, and its campaign's name.
    run_started
        When the run began.
    revision
        The workspace's git commit, with ``+`` where files differed from it.
    harness_version
        Of what measured.
    case
        The case's id: the same for the same cell in every run.
    emulated
        Whether the device is emulated: its times are no hardware's.
    simulated
        The simulator or software driver that stood in for the accelerator; its times are no
        hardware's.
    soc, kernel
        The device's chip and kernel, as it says.
    backend
        ``cpu``, ``gpu`` or ``npu:NAME``.
    precision
        ``fp32``, ``fp16`` or ``int8``.
    cpus
        The processors that the runner was bound to, as ``0,1``; none: not bound.
    batch
        Items in one inference.
    shapes
        Input to shape as JSON, where they are not the model's own.
    model_cache
        ``none`` or ``kept``.
    busy_cpus
        Processors that something else kept busy.
    side
        ``candidate``; ``baseline`` only in a run that decides a suspicion.
    scenario, callers, instances
        How the model was called: ``single``, ``multi``, ``offline`` or ``server``.
    rate_per_s, bound_ms, percentile
        Of a ``server``: the rate of requests, or the latency that the highest rate is to keep.
    """

    run: str
    campaign: str
    run_started: datetime
    revision: str | None
    harness_version: str
    case: str
    model: str
    device: str
    emulated: bool
    simulated: str | None = None
    soc: str | None
    kernel: str | None
    engine: str
    backend: str
    precision: str
    threads: int
    cpus: str | None
    batch: int
    shapes: str | None
    model_cache: str
    busy_cpus: int
    side: str
    scenario: str = "single"
    callers: int = 1
    instances: int = 1
    rate_per_s: float | None = None
    bound_ms: float | None = None
    percentile: int | None = None


class OfLaunchRow(MeasuredRow):
    """What every row of a launch says.

    Attributes
    ----------
    launch
        The launch's id.
    role
        ``measure``, ``fill`` (a model cache), ``search`` (for a rate), ``memory`` (a memory pass)
        or ``profile``.
    status
        ``ok``, ``failed`` or ``invalid``.
    counted
        Whether the case's latency is of it.
    """

    launch: str
    role: str
    status: str
    counted: bool


def _with_columns(base: type[Row], columns: Iterable[tuple[Quantity, str, type]]) -> type[Row]:
    """Return a class of rows with columns of quantities, which files of before may lack."""
    fields: dict[str, Any] = {name: (kind | None, None) for _, name, kind in columns}
    return create_model(base.__name__, __base__=base, **fields)


def _columns_of_case() -> Iterator[tuple[Quantity, str, type]]:
    for each in (each for each in quantities() if not each.whole):
        highest = each.summary is Summary.HIGHEST
        kind = int if highest and each.unit.whole else float
        for what in each.states.values() or [""]:
            yield each, _free(each.column_of(what)), kind
        if each.summary is Summary.INTERVAL:
            yield each, _free(each.column_of("low")), float
            yield each, _free(each.column_of("high")), float
            yield each, _free(f"{each.key}_spread"), float


def _columns_of_launch() -> Iterator[tuple[Quantity, str, type]]:
    for each in sorted(quantities(), key=lambda each: each.place):
        yield each, _free(each.column), int if each.unit.whole else float
        for column in each.columns:
            yield each, column.name, column.kind


class _CaseHead(MeasuredRow):
    state: str
    reason: str | None
    launches_planned: int
    launches_counted: int
    estimator: str | None


class _LaunchHead(OfLaunchRow):
    slot: int
    attempt: int
    position: int
    started: datetime
    category: str | None
    reason: str | None
    estimator: str


class _CaseTail(BaseModel):
    outputs_checked: bool
    artifact: str | None
    artifact_format: str | None
    artifact_bytes: int | None
    drift: float | None
    model_macs: int | None
    reason_code: str | None = None


class _LaunchTail(BaseModel):
    outputs_passed: bool | None
    outputs_relative_error: float | None
    throttled: bool | None
    hottest_c: float | None
    wall_s: float | None
    engine_version: str | None
    runner: str | None
    reason_code: str | None = None


_OWN: Final = frozenset().union(
    *(each.model_fields for each in (_CaseHead, _CaseTail, _LaunchHead, _LaunchTail))
)


def _free(column: str) -> str:
    """Return the name of a quantity's column: not one that rows have for something else."""
    return f"quantity_{column}" if column in _OWN else column


if TYPE_CHECKING:

    class _CaseFigures(_CaseHead): ...

    class _LaunchFigures(_LaunchHead): ...
else:
    _CaseFigures = _with_columns(_CaseHead, _columns_of_case())
    _LaunchFigures = _with_columns(_LaunchHead, _columns_of_launch())


class CaseRow(_CaseTail, _CaseFigures):
    """What came of a case.

    Every quantity has a column, one for each state in which it is exported; one with an interval
    has its ends and the spread between launches (the geometric coefficient of variation: 0.02 is
    2 %), too. An infinite end is none.

    Attributes
    ----------
    state, reason
        ``measured``, or what it is instead, and why in a sentence.
    reason_code
        The same for a program.
    launches_planned, launches_counted
        Launches that were to measure, and those that the latency is of.
    estimator
        What a launch's figure is of its samples: ``median`` or ``mean``.
    outputs_checked
        Whether every launch that counts passed the output check.
    artifact, artifact_format, artifact_bytes
        The artifact's id (the hash of inputs, options and tools), format and size.
    drift
        Largest relative error of an int8 artifact's outputs against fp32.
    model_macs
        Multiply-accumulates of one inference at the model's own shapes, batch 1.
    """

    level = "case"


class LaunchRow(_LaunchTail, _LaunchFigures):
    """A launch: the statistical unit. Every quantity has a column, and some have further ones.

    Attributes
    ----------
    slot, attempt
        Which of the case's launches, and which try at it, both from 0.
    position
        Its place in its host's recorded random order.
    started
        By the controller's clock.
    category, reason
        Where and why it failed, or why it is invalid.
    reason_code
        The same for a program.
    estimator
        What ``latency_ms`` is of the samples: ``median`` or ``mean``.
    outputs_passed, outputs_relative_error
        The output check; none where there was none.
    throttled
        Whether it was, by what could be watched there; none where nothing could.
    hottest_c
        The highest temperature of any sensor until the end of the launch.
    wall_s
        The whole launch as the controller saw it, link included.
    """

    level = "launch"


class SampleRow(OfLaunchRow):
    """One timed inference.

    Attributes
    ----------
    phase
        ``warmup`` or ``timed``.
    index
        Its place within its phase, from 0.
    latency_ns
        By the device's monotonic clock.
    """

    level = "sample"

    phase: str
    index: int
    latency_ns: int


class LayerRow(OfLaunchRow):
    """A layer of a launch's profile, a part of its placement, or what is in no layer.

    Attributes
    ----------
    what
        ``layer``, ``part`` (of the placement) or ``unattributed``.
    index
        Its place among those of its kind, from 0.
    name, op, unit
        As the engine reports them; none where it does not.
    time_us, cycles
        Of one inference.
    operators
        Of a part: how many of the engine's operators it has.
    """

    level = "layer"

    what: str
    index: int
    name: str | None = None
    op: str | None = None
    unit: str | None = None
    time_us: float | None = None
    cycles: int | None = None
    operators: int | None = None


class ImportedRow(Row):
    """A figure that somebody else published; it was not measured here.

    Attributes
    ----------
    table
        What the table is called here.
    source, published, licence
        Where and when it was published, and on what terms it may be passed on.
    imported
        When it was read in here.
    statistic
        What the figure is of the samples, in the source's words.
    low_ms, high_ms
        The interval that the source claims.
    launches, samples, macs
        As the source says.
    line, column, written
        Where the figure is in the imported file, and how it is written there.
    derived
        How the latency was calculated, where a rate is written there.
    """

    level = "imported"

    table: str
    source: str
    published: date | None
    licence: str
    imported: datetime
    model: str
    device: str
    engine: str | None
    backend: str | None
    precision: str | None
    threads: int | None
    statistic: str | None
    latency_ms: float
    low_ms: float | None
    high_ms: float | None
    launches: int | None
    samples: int | None
    macs: int | None
    line: int
    column: str
    written: str
    derived: str | None = None


LEVELS: Final[dict[Level, type[Row]]] = {
    "case": CaseRow,
    "launch": LaunchRow,
    "sample": SampleRow,
    "layer": LayerRow,
    "imported": ImportedRow,
}


def run_rows(run: Run, level: Level) -> Iterator[Row]:
    """Yield a run's rows of a level: cases in their order, launches in theirs.

    Raises
    ------
    ValueError
        It is the level of imported tables, which are no runs.
    """
    makers = {"case": _of_case, "launch": _of_launches, "sample": _of_samples, "layer": _of_layers}
    if level not in makers:
        raise ValueError(f"a run has no rows of level '{level}'")
    for result in case_results(run):
        yield from makers[level](run, result)


def launch_row(run: Run, launch: Launch) -> LaunchRow:
    """Return the row of a launch that has just ended: whether it counts is told by it alone."""
    record = next(record for record in run.cases if record.case.id == launch.case_id)
    return next(_of_launches(run, CaseResult(record, [launch])))


def imported_rows(tables: Iterable[ImportedTable]) -> Iterator[ImportedRow]:
    """Yield the figures of imported tables."""
    for table in tables:
        for figure in table.figures:
            own = figure.model_dump(exclude={"cell", "source"})
            yield ImportedRow(
                table_schema=ImportedRow.schema_name(),
                table=table.id,
                source=figure.source or table.source,
                published=table.published,
                licence=table.licence,
                imported=table.imported,
                line=figure.cell.line,
                column=figure.cell.column,
                written=figure.cell.text,
                **own,
            )


def _identity(run: Run, result: CaseResult) -> dict[str, Any]:
    case = result.record.case
    device = next(each for each in run.devices if each.name == case.device)
    return {
        "run": run.id,
        "campaign": run.campaign,
        "run_started": run.started,
        "revision": run.revision,
        "harness_version": run.harness_version,
        "case": case.id,
        "model": case.model,
        "device": case.device,
        "emulated": device.emulated,
        "simulated": result.simulated,
        "soc": _text(device.facts.get("soc")),
        "kernel": _text(device.facts.get("kernel")),
        "engine": case.engine,
        "backend": case.backend,
        "precision": case.precision,
        "threads": case.threads,
        "cpus": None if case.cpus is None else ",".join(map(str, case.cpus)),
        "batch": case.batch,
        "shapes": json.dumps(dict(case.shapes)) if case.shapes else None,
        "model_cache": case.model_cache,
        "busy_cpus": case.busy_cpus,
        "side": case.side,
        "scenario": case.scenario,
        "callers": case.callers,
        "instances": case.instances,
        "rate_per_s": case.rate_per_s,
        "bound_ms": case.bound_ms,
        "percentile": case.percentile,
    }


def _text(value: object) -> str | None:
    return str(value) if value else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _of_case(run: Run, result: CaseResult) -> Iterator[CaseRow]:
    record = result.record
    artifact = record.artifact
    model = next((each for each in run.models if each.name == record.case.model), None)
    yield CaseRow(
        table_schema=CaseRow.schema_name(),
        **_identity(run, result),
        state=result.state.value,
        reason=_text(result.reason),
        reason_code=result.reason.code if result.reason else None,
        launches_planned=record.launches + (record.more or 0),
        launches_counted=len(result.counted),
        estimator=next((launch.estimator.value for launch in result.counted), None),
        **_values(result),
        outputs_checked=result.checked,
        artifact=artifact.id if artifact else None,
        artifact_format=artifact.format if artifact else None,
        artifact_bytes=artifact.size_bytes if artifact else None,
        drift=artifact.drift.relative_error if artifact and artifact.drift else None,
        model_macs=model.macs if model else None,
    )


def _values(result: CaseResult) -> dict[str, Any]:
    """Return a case's columns of quantities."""
    found: dict[str, Any] = {name: None for _, name, _ in _columns_of_case()}
    for quantity in (each for each in quantities() if not each.whole):
        values = result.values(quantity)
        for state, what in (quantity.states or {"": ""}).items():
            if known := values.get(state):
                found[_free(quantity.column_of(what))] = known.value
        if quantity.summary is Summary.INTERVAL and (known := values.get("")):
            found[_free(quantity.column_of("low"))] = _finite(known.low)
            found[_free(quantity.column_of("high"))] = _finite(known.high)
            found[_free(f"{quantity.key}_spread")] = _finite(known.spread)
    return found


def _launch_identity(result: CaseResult, launch: Launch) -> dict[str, Any]:
    return {
        "launch": launch.id,
        "role": launch.role.value,
        "status": launch.status.value,
        "counted": launch in result.counted,
    }


def _of_launches(run: Run, result: CaseResult) -> Iterator[LaunchRow]:
    identity = _identity(run, result)
    for launch in result.launches:
        throttling, outputs = launch.throttling, launch.outputs
        yield LaunchRow(
            table_schema=LaunchRow.schema_name(),
            **identity,
            **_launch_identity(result, launch),
            **_figures(launch),
            slot=launch.slot,
            attempt=launch.attempt,
            position=launch.position,
            started=launch.started,
            category=launch.category.value if launch.category else None,
            reason=_text(launch.reason),
            reason_code=launch.reason.code if launch.reason else None,
            estimator=launch.estimator.value,
            outputs_passed=outputs.passed if outputs else None,
            outputs_relative_error=_finite(outputs.relative_error) if outputs else None,
            throttled=bool(throttling.seen) if throttling and throttling.watched else None,
            hottest_c=_hottest(launch),
            wall_s=launch.wall_s,
            engine_version=_text(launch.engine_version),
            runner=_text(launch.runner),
        )


def _figures(launch: Launch) -> dict[str, Any]:
    """Return a launch's columns of quantities."""
    found: dict[str, Any] = {}
    for quantity in quantities():
        found[_free(quantity.column)] = quantity.figure(launch)
        found |= {column.name: column.of(launch) for column in quantity.columns}
    return found


def _hottest(launch: Launch) -> float | None:
    known = (celsius for each in launch.environment for celsius in each.temperatures_c.values())
    return max(known, default=None)


def _of_samples(run: Run, result: CaseResult) -> Iterator[SampleRow]:
    identity = _identity(run, result)
    for launch in result.launches:
        # Only what differs between samples is checked again: there may be a million of them.
        same = {
            "table_schema": SampleRow.schema_name(),
            **identity,
            **_launch_identity(result, launch),
        }
        for phase, samples in (("warmup", launch.warmup_ns), ("timed", launch.samples_ns)):
            for index, ns in enumerate(samples):
                yield SampleRow.model_construct(**same, phase=phase, index=index, latency_ns=ns)


def _of_layers(run: Run, result: CaseResult) -> Iterator[LayerRow]:
    identity = _identity(run, result)
    for launch in result.launches:
        if (profile := launch.profile) is None:
            continue
        same = {
            "table_schema": LayerRow.schema_name(),
            **identity,
            **_launch_identity(result, launch),
        }
        for index, part in enumerate(profile.parts):
            known = {**_named(part), "operators": part.operators}
            yield LayerRow(**same, what="part", index=index, **known)
        for index, layer in enumerate(profile.layers):
            known = {**_named(layer), "time_us": layer.us, "cycles": layer.cycles}
            yield LayerRow(**same, what="layer", index=index, **known)
        if (rest := profile.unattributed_us) is not None:
            yield LayerRow(**same, what="unattributed", index=0, time_us=rest)


def _named(found: Layer | Part) -> dict[str, Any]:
    return {name: getattr(found, name) or None for name in ("name", "op", "unit")}
