"""The rows of exported tables: a schema with a version, one class a level.

A column's name ends with its unit. A value that is not known is none, never 0 and never an empty
text. Points in time are UTC.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from harness.analysis.cases import NS_PER_MS, CaseResult, case_results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.core.records import FirstLoad, Launch, Run
    from harness.results.imported import ImportedTable

__all__ = [
    "LEVELS",
    "SCHEMA_VERSION",
    "CaseRow",
    "ImportedRow",
    "LaunchRow",
    "Level",
    "Row",
    "SampleRow",
    "imported_rows",
    "launch_row",
    "run_rows",
]

SCHEMA_VERSION: Final = 1
"""Changes when a column goes, or changes its name, kind or meaning. New ones may come without."""

Level = Literal["case", "launch", "sample", "imported"]

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
        """Return what stands in ``table_schema``."""
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
    simulated: str | None
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


class CaseRow(MeasuredRow):
    """What came of a case.

    Attributes
    ----------
    state, reason
        ``measured``, or what it is instead, and why in a sentence.
    launches_planned, launches_counted
        Launches that were to measure, and those that the latency is of.
    estimator
        What a launch's figure is of its samples: ``median`` or ``mean``.
    latency_ms
        The geometric mean of the launches' figures.
    latency_low_ms, latency_high_ms
        Its 95 % interval over launches; none where there is none, or the end is infinite.
    latency_spread
        The geometric coefficient of variation between launches: 0.02 is 2 %.
    cpu_ms
        CPU time of one inference, median over launches.
    first_load_cold_ms, first_load_libraries_cold_ms, first_load_warm_ms
        From the start of the process to the first result, median over launches: with the artifact
        out of the page cache, with libraries out of it, too, and with the artifact in it.
    peak_memory_bytes
        Peak resident set (VmHWM), median over launches.
    pss_bytes
        The highest proportional set size of the memory passes.
    device_memory_bytes
        How much less memory the device had available in a memory pass; may be below 0.
    runtime_bytes
        What the engine's runtime says that it holds of the device's memory.
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

    state: str
    reason: str | None
    launches_planned: int
    launches_counted: int
    estimator: str | None
    latency_ms: float | None
    latency_low_ms: float | None
    latency_high_ms: float | None
    latency_spread: float | None
    cpu_ms: float | None
    first_load_cold_ms: float | None
    first_load_libraries_cold_ms: float | None
    first_load_warm_ms: float | None
    peak_memory_bytes: float | None
    pss_bytes: int | None
    device_memory_bytes: int | None
    runtime_bytes: int | None
    outputs_checked: bool
    artifact: str | None
    artifact_format: str | None
    artifact_bytes: int | None
    drift: float | None
    model_macs: int | None


class OfLaunchRow(MeasuredRow):
    """What every row of a launch says.

    Attributes
    ----------
    launch
        The launch's id.
    role
        ``measure``, ``fill`` (a model cache) or ``memory`` (a memory pass).
    status
        ``ok``, ``failed`` or ``invalid``.
    counted
        Whether the case's latency is of it.
    """

    launch: str
    role: str
    status: str
    counted: bool


class LaunchRow(OfLaunchRow):
    """A launch: the statistical unit.

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
    estimator
        What ``latency_ms`` is of the samples: ``median`` or ``mean``.
    samples, inferences
        How many samples are kept, and how many inferences there were where that is more.
    warmup_samples, warmup_reason
        How many there were, and why warm-up ended: ``steady``, ``max_samples``, ``max_seconds``.
    cpu_ms
        CPU time of one inference.
    process_ms, import_ms, read_ms, init_ms, first_ms, first_load_ms
        The parts of the first load, and their sum. Reading is in ``init_ms`` where a foreign tool
        does not tell it.
    page_cache, libraries
        The artifact's state when reading began (``cold``, ``warm``, ``unknown``); ``cold`` where
        libraries were put out of the page cache, too.
    peak_memory_bytes, peak_memory_source
        Peak resident set (VmHWM), by the ``runner`` after sampling, or by the ``supervisor``
        over the whole launch.
    pss_bytes, device_memory_bytes
        Of a memory pass: the highest proportional set size, and how much less memory the device
        had available (may be below 0).
    runtime_bytes
        What the engine's runtime says that it holds of the device's memory.
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

    slot: int
    attempt: int
    position: int
    started: datetime
    category: str | None
    reason: str | None
    estimator: str
    latency_ms: float | None
    samples: int
    inferences: int | None
    warmup_samples: int
    warmup_reason: str | None
    cpu_ms: float | None
    process_ms: float | None
    import_ms: float | None
    read_ms: float | None
    init_ms: float | None
    first_ms: float | None
    first_load_ms: float | None
    page_cache: str | None
    libraries: str | None
    peak_memory_bytes: int | None
    peak_memory_source: str | None
    pss_bytes: int | None
    device_memory_bytes: int | None
    runtime_bytes: int | None
    outputs_passed: bool | None
    outputs_relative_error: float | None
    throttled: bool | None
    hottest_c: float | None
    wall_s: float | None
    engine_version: str | None
    runner: str | None


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
        Where the figure stands in the imported file, and how it is written there.
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


LEVELS: Final[dict[Level, type[Row]]] = {
    row.level: row for row in (CaseRow, LaunchRow, SampleRow, ImportedRow)
}


def run_rows(run: Run, level: Level) -> Iterator[Row]:
    """Yield a run's rows of a level: cases in their order, launches in theirs.

    Raises
    ------
    ValueError
        It is the level of imported tables, which are no runs.
    """
    makers = {"case": _of_case, "launch": _of_launches, "sample": _of_samples}
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
    }


def _text(value: object) -> str | None:
    return str(value) if value else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _median(values: Sequence[float]) -> float | None:
    return float(median(values)) if values else None


def _of_case(run: Run, result: CaseResult) -> Iterator[CaseRow]:
    record, latency = result.record, result.latency_ms
    artifact = record.artifact
    model = next((each for each in run.models if each.name == record.case.model), None)
    loads = {state: parts["total"].median for state, parts in result.first_loads_ms.items()}
    yield CaseRow(
        table_schema=CaseRow.schema_name(),
        **_identity(run, result),
        state=result.state.value,
        reason=_text(result.reason),
        launches_planned=record.launches + (record.more or 0),
        launches_counted=len(result.counted),
        estimator=next((launch.estimator.value for launch in result.counted), None),
        latency_ms=latency.center if latency else None,
        latency_low_ms=_finite(latency.low) if latency else None,
        latency_high_ms=_finite(latency.high) if latency else None,
        latency_spread=_finite(latency.spread) if latency else None,
        cpu_ms=_median(result.cpu_ms),
        first_load_cold_ms=loads.get("cold"),
        first_load_libraries_cold_ms=loads.get("cold, libraries cold"),
        first_load_warm_ms=loads.get("warm"),
        peak_memory_bytes=_median(result.memory_bytes),
        pss_bytes=result.pss_bytes,
        device_memory_bytes=_available(result.device_memory),
        runtime_bytes=result.runtime_bytes,
        outputs_checked=result.checked,
        artifact=artifact.id if artifact else None,
        artifact_format=artifact.format if artifact else None,
        artifact_bytes=artifact.size_bytes if artifact else None,
        drift=artifact.drift.relative_error if artifact and artifact.drift else None,
        model_macs=model.macs if model else None,
    )


def _available(memory: Any) -> int | None:  # noqa: ANN401
    return memory.available_bytes if memory else None


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
            **_first_load(launch.first_load),
            slot=launch.slot,
            attempt=launch.attempt,
            position=launch.position,
            started=launch.started,
            category=launch.category.value if launch.category else None,
            reason=_text(launch.reason),
            estimator=launch.estimator.value,
            latency_ms=launch.figure_ns / NS_PER_MS if launch.figure_ns else None,
            samples=len(launch.samples_ns),
            inferences=launch.inferences,
            warmup_samples=len(launch.warmup_ns),
            warmup_reason=launch.warmup_reason,
            cpu_ms=launch.cpu_ms_per_inference,
            peak_memory_bytes=launch.vmhwm_bytes,
            peak_memory_source=launch.vmhwm_source,
            pss_bytes=launch.pss_bytes,
            device_memory_bytes=_available(launch.device_memory),
            runtime_bytes=launch.runtime_bytes,
            outputs_passed=outputs.passed if outputs else None,
            outputs_relative_error=_finite(outputs.relative_error) if outputs else None,
            throttled=bool(throttling.seen) if throttling and throttling.watched else None,
            hottest_c=_hottest(launch),
            wall_s=launch.wall_s,
            engine_version=_text(launch.engine_version),
            runner=_text(launch.runner),
        )


def _first_load(load: FirstLoad | None) -> dict[str, Any]:
    parts = ("process_ms", "import_ms", "read_ms", "init_ms", "first_ms")
    return {
        **{part: getattr(load, part, None) for part in parts},
        "first_load_ms": load.total_ms if load else None,
        "page_cache": load.page_cache if load else None,
        "libraries": load.libraries if load else None,
    }


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
