"""The records of a run: what was planned, on what, and what every launch gave.

Times are in the unit that the name ends with; points in time are UTC. A quantity that could not
be read is ``None``, never 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from harness.core.contract import (
    Bound,
    Clock,
    EnvironmentEvent,
    InputSpec,
    Layer,
    Part,
    Percentile,
    Sampling,
    Search,
    WarmupPolicy,
)
from harness.core.reason import Category, MaybeReason, SomeReason
from harness.core.supervision import ConditionsEvent, Exit

__all__ = [
    "SCHEMA_VERSION",
    "ArtifactRecord",
    "Case",
    "CaseRecord",
    "Category",
    "DeviceEvent",
    "DeviceEventKind",
    "DeviceMemory",
    "DeviceRecord",
    "Drift",
    "Estimator",
    "Expectation",
    "FirstLoad",
    "Fraction",
    "Launch",
    "LayerEstimate",
    "Measured",
    "ModelRecord",
    "OutputCheck",
    "Partition",
    "Precision",
    "Profile",
    "Protocol",
    "Repeats",
    "Role",
    "Run",
    "ShapeChange",
    "Status",
    "Throttling",
    "Traffic",
    "shape_text",
]

SCHEMA_VERSION: Final = 4

Precision = Literal["fp32", "fp16", "int8"]
"""What an engine computes in. In int8 are the layers that quantization takes, not all of them."""


def _fraction(value: object) -> object:
    """Return a percentage as a fraction; anything else as it is."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        try:
            return float(value.rstrip()[:-1]) / 100
        except ValueError:
            return value
    return value


Fraction = Annotated[
    float,
    BeforeValidator(_fraction, json_schema_input_type=float | str),
]
"""A number, or a percentage: ``0.02`` and ``2%`` are the same."""


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape for people: ``1×3×48×320``."""
    return "×".join(map(str, shape))


_FIELDS_SET: Final[dict[frozenset[str], set[str]]] = {}


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_post_init(self, _context: object, /) -> None:
        """Share the set of fields that were given: else it is half of what a launch takes."""
        given = self.__pydantic_fields_set__
        shared = _FIELDS_SET.setdefault(frozenset(given), given)
        object.__setattr__(self, "__pydantic_fields_set__", shared)


class Status(StrEnum):
    """How a launch ended."""

    OK = "ok"
    FAILED = "failed"
    INVALID = "invalid"


class Estimator(StrEnum):
    """What a launch's figure is of its samples; different ones are never compared."""

    MEDIAN = "median"
    MEAN = "mean"


class Role(StrEnum):
    """What a launch is for; only those that measure count for a case's figures."""

    MEASURE = "measure"
    FILL = "fill"
    SEARCH = "search"
    MEMORY = "memory"
    PROFILE = "profile"


class Protocol(Record):
    """How a run measured.

    Attributes
    ----------
    page_cache
        Whether the artifact is read cold (``evict``) or ``warm``; ``both`` takes turns, cold first:
        only the first load differs.
    drop_caches
        Whether a cold launch's programs and libraries are to be cold, too, where root allows.
    memory_launches
        Beside those that measure: of each case so many in which memory is read all the time,
        which would disturb the others.
    profile_launches
        Likewise so many in which the engine measures its operators, which slows it.
    pss_every_ms
        How often the proportional set size is read in a memory pass.
    sustained_s
        Every launch that measures samples for so many seconds, whatever ``sampling`` says of
        times and maxima, to show what becomes of latency and temperature.
    wait_for_device_s
        How long a device that went away is waited for when nothing else is left to measure; by
        default five minutes.
    shape_changes
        Every launch that measures switches, once it has its samples, to the other shapes and
        batches that the campaign has of its case, and back.
    """

    warmup: WarmupPolicy = WarmupPolicy()
    sampling: Sampling = Sampling()
    page_cache: Literal["evict", "warm", "both"] = "evict"
    drop_caches: bool = False
    memory_launches: Annotated[int, Field(ge=0, le=100)] = 1
    profile_launches: Annotated[int, Field(ge=0, le=100)] = 0
    pss_every_ms: Annotated[int, Field(ge=1, le=10_000)] = 20
    time_limit: float = 120.0
    redo_budget: int = 1
    wait_for_device_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    sustained_s: Annotated[float, Field(ge=1, le=3600)] | None = None
    shape_changes: bool = False

    def page_cache_of(self, slot: int) -> Literal["evict", "warm"]:
        """Return how the artifact is to be read in a launch."""
        if self.page_cache == "both":
            return "warm" if slot % 2 else "evict"
        return self.page_cache


class Expectation(Record):
    """What is expected of cases.

    The limits of quantities are by their keys (``latency_ms``, ``first_load_ms``, ``memory_mb`` …):
    at most where less is better, else at least. The first load is its total, in each state of the
    page cache; the memory is the peak, in MB of 10^6 bytes.

    Attributes
    ----------
    only
        Shell patterns; it is of cases where each of them fits model, device, engine, backend or
        precision; without any, of all.
    speedup
        At least: how many times as fast as the fastest case of the model on the device's processors
        (backend ``cpu``) it is. Only of other backends.
    drift
        Of int8 artifacts, at most: the largest relative error of outputs against fp32.
    placement
        At least: the share of the multiply-accumulates that an accelerator ran, such as ``95%``, as
        a launch of role ``profile`` reports it. Only of other backends than ``cpu``.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[float, Field(gt=0)] | None]

    only: list[str] = Field(default_factory=list)
    speedup: Annotated[float, Field(gt=0)] | None = None
    drift: Annotated[float, Field(gt=0)] | None = None
    placement: Annotated[Fraction, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude={"only"}, exclude_none=True):
            raise ValueError("no expectation given: set 'latency_ms', 'memory_mb', 'speedup' …")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The limits of quantities, by their keys."""
        return {key: limit for key, limit in self.__pydantic_extra__.items() if limit is not None}


_ONE_CALLER: Final[dict[str, object]] = {
    "scenario": "single",
    "callers": 1,
    "instances": 1,
    "rate_per_s": None,
    "bound_ms": None,
    "percentile": None,
}


class Case(Record):
    """One cell of a campaign's matrix.

    Attributes
    ----------
    model_cache
        ``none``, or ``kept``: the engine finds on disk what it compiled in an earlier process.
    busy_cpus
        How many processors something else keeps busy while it is measured.
    side
        ``baseline`` only in a run that decides a suspicion: the same cell as a baseline has it.
    batch
        How many items one inference takes: the first axis of every input.
    shapes
        Input to its shape for a batch of one, where it is not that of the model's file; as JSON a
        mapping, here in pairs, in the order of the names.
    scenario
        How the model is called (see :class:`harness.core.contract.Traffic`); ``single``: by one
        caller, one inference after the other.
    callers, instances
        How many call at the same time, and how many predictors they share.
    rate_per_s
        Of a ``server``, requests per second.
    bound_ms, percentile
        Of a ``server``, instead of the rate: the latency within which it is to be the highest.
    """

    model: str
    device: str
    engine: str
    backend: str = "cpu"
    precision: Precision = "fp32"
    threads: int = 1
    cpus: tuple[int, ...] | None = None
    model_cache: Literal["none", "kept"] = "none"
    busy_cpus: int = 0
    side: Literal["candidate", "baseline"] = "candidate"
    batch: int = 1
    shapes: tuple[tuple[str, tuple[int, ...]], ...] | None = None
    scenario: Literal["single", "multi", "offline", "server"] = "single"
    callers: int = 1
    instances: int = 1
    rate_per_s: float | None = None
    bound_ms: float | None = None
    percentile: Percentile | None = None

    @field_validator("shapes", mode="before")
    @classmethod
    def _in_order(cls, shapes: object) -> object:
        return tuple(sorted(shapes.items())) if isinstance(shapes, Mapping) else shapes

    @field_serializer("shapes", when_used="json-unless-none")
    def _as_mapping(self, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> dict[str, list[int]]:
        return {name: list(shape) for name, shape in shapes}

    @property
    def id(self) -> str:
        """A short name that is the same for the same cell in every run."""
        # What came later counts only where it is not the default: ids of stored runs stay.
        defaults = {
            "model_cache": "none",
            "busy_cpus": 0,
            "side": "candidate",
            "batch": 1,
            "shapes": None,
            **_ONE_CALLER,
        }
        later = {name for name, default in defaults.items() if getattr(self, name) == default}
        content = json.dumps(self.model_dump(mode="json", exclude=later), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def setting(self) -> str:
        """What tells it from the other cases of its model and device, in words."""
        name = self.engine if self.backend == "cpu" else f"{self.engine}/{self.backend}"
        extra = [f"{self.threads} threads"] if self.threads != 1 else []
        extra += [self.precision] if self.precision != "fp32" else []
        extra += ["CPUs " + ",".join(map(str, self.cpus))] if self.cpus is not None else []
        extra += ["model cache kept"] if self.model_cache == "kept" else []
        extra += [f"{self.busy_cpus} busy CPUs"] if self.busy_cpus else []
        extra += [f"batch {self.batch}"] if self.batch != 1 else []
        extra += [f"{name} {shape_text(shape)}" for name, shape in self.shapes or ()]
        extra += [self.scenario] if self.scenario != "single" else []
        extra += [f"{self.rate_per_s:g}/s"] if self.rate_per_s is not None else []
        if self.bound_ms is not None:
            extra += [f"p{self.percentile} within {self.bound_ms:g} ms"]
        extra += [f"{self.callers} callers"] if self.callers != 1 else []
        extra += [f"{self.instances} instances"] if self.instances != 1 else []
        extra += ["baseline"] if self.side == "baseline" else []
        return " · ".join([name, *extra])

    @property
    def at_any_shape(self) -> Case:
        """The cell without its batch and shapes: what cases that differ in those only share."""
        return self.model_copy(update={"batch": 1, "shapes": None})

    @property
    def by_one_caller(self) -> Case:
        """The cell as one caller has it: what cases that differ in how they are called share."""
        return self.model_copy(update=_ONE_CALLER)

    @property
    def label(self) -> str:
        """The cell in words, for people."""
        return f"{self.model} · {self.device} · {self.setting}"


class Drift(Record):
    """How far a model's outputs are from those in fp32, on inputs that calibration has not seen.

    Attributes
    ----------
    computed_by
        The engine or simulator that ran the artifact, with its version; it need not be the one
        that is measured.
    inputs
        How many inputs there were.
    cosine
        The smallest cosine of both outputs, the fp32 outputs' mean over the inputs subtracted
        from either.
    relative_error
        The largest ``|y - r| / |r - mean(r)|`` (Euclidean norms).
    max_error
        The largest absolute difference of two elements.
    top1
        The share of inputs for which the same element of the output is largest; none where no
        output is a vector of scores, or fp32 chooses the same element for every input.
    fault
        Why it cannot be told (NaN); then the figures are none.
    """

    computed_by: str
    inputs: int
    cosine: float | None = None
    relative_error: float | None = None
    max_error: float | None = None
    top1: float | None = None
    fault: MaybeReason = None


class LayerEstimate(Record):
    """What a compiler expects of one layer. It is an estimate, never a measurement.

    Attributes
    ----------
    runs_on
        ``NPU`` or ``CPU``, as the compiler says.
    cycles
        Of the NPU's clock: the larger of computing and of moving data; none where it is silent.
    """

    name: str
    op: str
    runs_on: str
    precision: str = ""
    cycles: int | None = None


class Partition(Record):
    """What of an artifact runs where, as its file and its compiler say.

    Attributes
    ----------
    tool
        What made it, with its version (``opt v2.13-rc``).
    kernels
        ``target/precision`` to the number of ops (``arm/int8``).
    subgraphs
        The parts that were handed to an NPU as a whole: op to its number in each.
    cpu_ops
        Beside an NPU: the ops left to the processor, with their numbers.
    macs, npu_macs
        Multiply-accumulates of one inference, and those of them on the NPU.
    dynamic_inputs
        Inputs whose shapes are not fixed.
    weight_bytes, memory_bytes
        Of the weights as stored, and of the memory for intermediate results by the compiler's
        estimate.
    estimates
        The compiler's, per layer.
    operators
        Multiply-accumulates by the name that the engine's profile has for an operator; only of
        those that have any.
    """

    tool: str
    kernels: dict[str, int] = Field(default_factory=dict)
    subgraphs: list[dict[str, int]] = Field(default_factory=list)
    cpu_ops: dict[str, int] = Field(default_factory=dict)
    macs: int | None = None
    npu_macs: int | None = None
    dynamic_inputs: list[str] = Field(default_factory=list)
    weight_bytes: int | None = None
    memory_bytes: int | None = None
    estimates: list[LayerEstimate] = Field(default_factory=list)
    operators: dict[str, int] = Field(default_factory=dict)


class Interface(Record):
    """What an artifact takes and gives, where that differs from its model or is not told by it.

    Attributes
    ----------
    inputs
        Those that it has: a converter drops what has no effect.
    as_float32
        Those that it takes as ``float32``, whatever the model's dtype.
    outputs
        Their names in the model's order: an engine may sort them.
    fixed_shapes
        Whether it takes the shapes alone that it was built for, though the model's axes vary.
    notes
        What preparing the model for the converter changed or could not do.
    """

    inputs: list[str]
    as_float32: list[str] = Field(default_factory=list)
    outputs: list[str]
    fixed_shapes: bool = False
    notes: list[str] = Field(default_factory=list)


class ArtifactRecord(Record):
    """The built model that a case ran.

    Attributes
    ----------
    id
        The hash of inputs, options and tool versions: the artifact's identity.
    format
        ``nb``, ``pdmodel`` or ``onnx``.
    target
        What it was built for (``arm``, ``x86``; ``any`` where the format does not say).
    precision
        What it computes in; none in records of before there was a choice.
    files
        File name to SHA-256 of its bytes (which only serves to verify a transfer).
    provenance
        Source, options and tool versions, for people.
    drift
        From fp32; of a quantized artifact.
    partition
        What of it runs where, if its file tells.
    interface
        What it takes and gives; none where it is as the model has it.
    """

    id: str
    format: str
    target: str
    precision: Precision | None = None
    files: dict[str, str]
    size_bytes: int
    provenance: dict[str, Any] = Field(default_factory=dict)
    drift: Drift | None = None
    partition: Partition | None = None
    interface: Interface | None = None


class ModelRecord(Record):
    """The model's part of a run: where it comes from and what it is fed.

    Attributes
    ----------
    parameters, macs
        Trained numbers, and multiply-accumulates of one inference at the shapes of ``inputs``;
        unknown in runs of before they were counted, and for calibration models.
    """

    name: str
    title: str
    source: str
    licence: str
    inputs: list[InputSpec]
    parameters: int | None = None
    macs: int | None = None


class DeviceRecord(Record):
    """A device as it was when the run began.

    Attributes
    ----------
    host
        Devices with the same host share processors and are measured one at a time.
    device_class
        That its file named (see ``harness.lab.classes``).
    facts
        What probing told (see ``harness.lab.probe.Facts``), as JSON.
    conditions
        What its file asks for before each launch, as JSON.
    """

    name: str
    description: str
    transport: str
    host: str
    emulated: bool
    device_class: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    conditions: dict[str, Any] = Field(default_factory=dict)


class DeviceEventKind(StrEnum):
    """What happened to a device, beside its launches."""

    REACHED = "reached"
    UNREACHABLE = "unreachable"
    PUT_ASIDE = "put aside"
    CAME_BACK = "came back"
    POWER_CYCLED = "power-cycled"
    POWER_CYCLE_FAILED = "power cycle failed"


class DeviceEvent(Record):
    """One line of a device's history.

    Attributes
    ----------
    run
        In which it happened.
    detail
        What was found; untrusted.
    """

    device: str
    at: datetime
    kind: DeviceEventKind
    run: str | None = None
    detail: MaybeReason = None


class Repeats(Record):
    """How often a case is launched to be measured.

    Attributes
    ----------
    launches
        In two-stage sampling, in the first stage.
    precision, max_launches
        What two-stage sampling is to reach, as half of the interval's width (0.02 is 2 %), and
        with how many launches in all, at most. Without a precision there is no second stage.
    """

    launches: int
    precision: float | None = None
    max_launches: int | None = None


class CaseRecord(Repeats):
    """A case as it was planned: its artifact, or why it could not be measured at all.

    Attributes
    ----------
    memory_launches, profile_launches
        How many memory passes and profiles there are as well.
    more
        How many launches that measure the first stage asked for beside; none until that is known.
    runner_files
        What is in a launch's folder beside the artifact: name to SHA-256.
    engine_from
        Where a runner in Python has its engine from: an environment of ours with its digest
        (``NAME@<digest>``), or a path on the device.
    options, variables
        What the device's file gave its backend: the engine's own settings, and variables of the
        runner's environment.
    left_out
        Why launches of it were not made, though planned: its device was put aside, or it had
        failed too often.
    macs
        Multiply-accumulates of one inference at the case's shapes; unknown where they could not
        be counted.
    shape_changes
        What its launches that measure switch to, one after the other, once they have their
        samples: each input's shape.
    """

    case: Case
    memory_launches: int = 0
    profile_launches: int = 0
    more: int | None = None
    shape_changes: list[dict[str, tuple[int, ...]]] = Field(default_factory=list)
    artifact: ArtifactRecord | None = None
    runner_files: dict[str, str] = Field(default_factory=dict)
    engine_from: str | None = None
    refused: MaybeReason = None
    options: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)
    left_out: MaybeReason = None
    macs: int | None = None

    @property
    def planned(self) -> int:
        """How many launches that measure there are to be, as far as is known."""
        return self.launches + (self.more or 0)

    @property
    def roles(self) -> list[Role]:
        """What each of its launches is for, by slot.

        A slot stays what it is: those of a second stage, known later, come last.
        """
        fills = self.case.model_cache == "kept"
        searches = self.case.bound_ms is not None
        return [
            *[Role.MEASURE] * self.launches,
            *[Role.MEMORY] * self.memory_launches,
            *[Role.FILL] * fills,
            *[Role.SEARCH] * searches,
            *[Role.PROFILE] * self.profile_launches,
            *[Role.MEASURE] * (self.more or 0),
        ]


class FirstLoad(Record):
    """The first load by part, in milliseconds.

    A foreign tool tells only two parts: its ``init_ms`` includes reading.

    Attributes
    ----------
    page_cache
        The artifact's state when reading began.
    libraries
        ``cold`` where programs and libraries were put out of the page cache before the start;
        else they were as earlier launches had left them, which is not known.
    """

    process_ms: float | None
    import_ms: float | None = None
    read_ms: float | None = None
    init_ms: float
    first_ms: float
    page_cache: str
    libraries: Literal["cold", "unknown"] = "unknown"

    @property
    def state(self) -> str:
        """The state of the page cache in words; first loads of different ones are never mixed."""
        return self.page_cache + (", libraries cold" if self.libraries == "cold" else "")

    @property
    def total_ms(self) -> float:
        """All parts that are known, from the process's start to the first result."""
        known = (self.process_ms, self.import_ms, self.read_ms, self.init_ms, self.first_ms)
        return sum(part for part in known if part is not None)


class OutputCheck(Record):
    """The outputs of a launch against the model's reference outputs.

    Attributes
    ----------
    passed
        Whether every measure is within tolerance.
    reason
        Why not; none where it passed.
    relative_error
        The largest ``|y - r| / |r - mean(r)|`` (Euclidean norms) over inputs and outputs.
    cosine
        The smallest cosine between ``y - mean(r)`` and ``r - mean(r)``.
    full
        Whether the tensors themselves were compared, or a digest equal to one checked before.
    decides
        Whether the reference tells a right answer from a wrong one at all: whether any output
        varies between the inputs. It is a property of the model, and no fault of the engine.
    undecided
        The outputs, by their places, that tell nothing: they are the same for all inputs.
    """

    passed: bool
    reason: MaybeReason = None
    relative_error: float | None = None
    cosine: float | None = None
    tolerance: float
    full: bool = True
    decides: bool = True
    undecided: list[int] = Field(default_factory=list)


class DeviceMemory(Record):
    """How much more of a device's memory was in use at most during a launch than just before.

    It is the whole device's, whoever used it, and so below 0 where others gave memory back. What
    could not be read is absent.

    Attributes
    ----------
    available_bytes
        By ``MemAvailable``.
    cma_bytes
        Of the memory that drivers take in one piece.
    dma_buf_bytes
        In buffers that are shared between drivers and processes.
    driver_bytes
        Driver to the change of its own account.
    """

    available_bytes: int | None = None
    cma_bytes: int | None = None
    dma_buf_bytes: int | None = None
    driver_bytes: dict[str, int] = Field(default_factory=dict)


class Throttling(Record):
    """Whether something slowed the device down during a launch.

    Attributes
    ----------
    watched
        The signs that could be watched there. Without any, whether it was slowed is unknown.
    seen
        Those that appeared.
    """

    watched: list[str] = Field(default_factory=list)
    seen: list[SomeReason] = Field(default_factory=list)


class ShapeChange(Record):
    """What a launch's inputs took other shapes for, and what that cost.

    Attributes
    ----------
    shapes
        Every input's.
    set_ms, first_ms
        Setting the inputs and the first inference after that: engines plan or compile again in the
        one or in the other.
    samples_ns
        The inferences after it, in order.
    """

    shapes: dict[str, tuple[int, ...]]
    set_ms: float
    first_ms: float
    samples_ns: list[int]


class Profile(Record):
    """What an engine measured of its operators in a launch, which that slowed.

    Attributes
    ----------
    parts
        The model's parts with the compute unit that ran each, as reported at run time.
    layers
        Where one inference's time went.
    inferences
        How many those times are the mean of; unknown in version 1 of the contract.
    unattributed_us
        What of an inference's time is in no layer; none where the engine does not report the
        whole.
    """

    parts: list[Part] = Field(default_factory=list)
    layers: list[Layer] = Field(default_factory=list)
    inferences: int | None = None
    unattributed_us: float | None = None


class Traffic(Record):
    """What several callers, batches or arrivals came to in a launch.

    Attributes
    ----------
    scenario, callers, instances, items, rate, seed, bound
        As the launch was asked (see :class:`harness.core.contract.Traffic`).
    inferences
        How many each caller made.
    throughput_per_s
        Inferences a second: of several callers while all of them called.
    queue_ns
        How long each request waited, in the order of the samples, whose latency includes it.
    late_ms
        How late requests began although a caller was free: at the 99th percentile, or at the
        highest that there are requests enough for.
    percentiles_ms
        Of the latency, those that there are samples enough for.
    search
        What was tried, of a launch that searched.
    """

    scenario: str
    callers: int
    instances: int = 1
    items: int = 1
    rate: float | None = None
    seed: int | None = None
    bound: Bound | None = None
    inferences: list[int] = Field(default_factory=list)
    throughput_per_s: float | None = None
    queue_ns: list[int] = Field(default_factory=list)
    late_ms: float | None = None
    percentiles_ms: dict[int, float] = Field(default_factory=dict)
    search: Search | None = None


class Measured(Record):
    """What a launch's runner wrote of it, and what its supervisor saw from outside.

    Attributes
    ----------
    figure_ns
        Its figure, by ``estimator``; only where samples were taken.
    samples_ns, warmup_ns
        Single inferences in order.
    inferences
        How many were made while sampling, where only some were kept as samples.
    clock
        The device's clocks when the runner was up; none in version 1 of the contract.
    window_ns
        When sampling began and ended, on the device's monotonic clock; likewise.
    cpu_ms_per_inference
        CPU time of the runner's process while sampling, per inference; not of the driver's or
        of other processes.
    vmhwm_bytes, vmhwm_source
        The peak resident set, by the runner itself after sampling, or by the supervisor over
        the whole launch.
    runtime_bytes
        What the engine's runtime says that it holds of the device's memory.
    shape_changes
        In the order in which they were made, after the samples.
    units
        Compute unit to the number of operators that the engine assigned to it; empty where it
        does not say.
    simulated
        What stood in for the accelerator: a simulator, or a software driver. Its times are no
        hardware's.
    profile
        Of a launch of that role, where its engine measures its operators.
    pss_bytes, pss_series
        Of a memory pass: the highest proportional set size, and milliseconds after the start
        with bytes: at most 200 readings, the highest among them.
    device_memory
        Of a memory pass.
    traffic
        Of a launch with several callers, batches or arrivals; its samples are then in the order in
        which they began, and of a ``server`` they count from the scheduled arrival.
    environment
        What sensors said before, during and after the launch.
    conditions
        What came of the conditions that were asked for; none where none were.
    exit
        Its end as the device's supervisor saw it.
    """

    estimator: Estimator = Estimator.MEDIAN
    figure_ns: float | None = None
    samples_ns: list[int] = Field(default_factory=list)
    inferences: int | None = None
    clock: Clock | None = None
    window_ns: tuple[int, int] | None = None
    cpu_ms_per_inference: float | None = None
    warmup_ns: list[int] = Field(default_factory=list)
    warmup_reason: str | None = None
    first_load: FirstLoad | None = None
    vmhwm_bytes: int | None = None
    vmhwm_source: Literal["runner", "supervisor"] | None = None
    runtime_bytes: int | None = None
    shape_changes: list[ShapeChange] = Field(default_factory=list)
    units: dict[str, int] = Field(default_factory=dict)
    simulated: str | None = None
    profile: Profile | None = None
    traffic: Traffic | None = None
    pss_bytes: int | None = None
    pss_series: list[tuple[float, int]] = Field(default_factory=list)
    device_memory: DeviceMemory | None = None
    environment: list[EnvironmentEvent] = Field(default_factory=list)
    conditions: ConditionsEvent | None = None
    throttling: Throttling | None = None
    engine_version: str | None = None
    runner: str | None = None
    build: dict[str, str] = Field(default_factory=dict)
    exit: Exit | None = None


class Launch(Measured):
    """One fresh process of a runner for a case: the statistical unit.

    Attributes
    ----------
    role
        What it is for.
    slot, attempt
        Which of the case's planned launches, and which try at it (both from 0).
    position
        Its place in the recorded random order of its host's launches.
    wall_s
        The whole launch as the controller saw it, link included; none where it was begun by an
        earlier controller.
    earlier_watch, earlier_layers
        Where earlier versions recorded what is in ``environment`` and ``profile``; empty.
    """

    id: str
    case_id: str
    role: Role = Role.MEASURE
    slot: int
    attempt: int
    position: int
    started: datetime
    status: Status
    category: Category | None = None
    reason: MaybeReason = None
    outputs: OutputCheck | None = None
    wall_s: float | None = None
    log: str = ""
    earlier_watch: list[EnvironmentEvent] = Field(
        default_factory=list, validation_alias="watch", exclude=True, repr=False
    )
    earlier_layers: list[Layer] = Field(
        default_factory=list, validation_alias="layers", exclude=True, repr=False
    )

    @model_validator(mode="after")
    def _take_what_is_elsewhere(self) -> Self:
        # Not beforehand: that would make Python objects of every sample before it is checked.
        own = self.__dict__
        if self.earlier_watch:
            own["environment"], own["earlier_watch"] = self.earlier_watch, []
        if self.earlier_layers:
            own["profile"], own["earlier_layers"] = Profile(layers=self.earlier_layers), []
        return self

    @property
    def name(self) -> str:
        """Which of its case's launches it is, in words."""
        match self.role:
            case Role.MEASURE:
                return f"launch {self.slot + 1}"
            case Role.MEMORY:
                return "memory pass"
            case Role.FILL:
                return "filling of the model cache"
            case Role.SEARCH:
                return "search for the rate"
            case Role.PROFILE:
                return "profile"


class Run(Record):
    """One execution of a campaign.

    Attributes
    ----------
    specification
        The campaign file's text, as it was.
    seed
        Of the order of the launches.
    lease
        By which its devices know it; of a run of before there were leases empty.
    finished
        When all planned launches had ended; none while it runs or after an interruption.
    clock_jumped_s
        How far the controller's clock was set meanwhile, in s; none where it was not. Times are of
        the clock as it was when the run was begun, or resumed.
    expectations
        What the campaign expects of its results.
    confirms
        The run whose suspicions it was made to decide; else none.
    """

    id: str
    campaign: str
    description: str
    specification: str
    seed: int
    started: datetime
    finished: datetime | None = None
    clock_jumped_s: float | None = None
    harness_version: str
    revision: str | None = None
    lease: str = ""
    confirms: str | None = None
    protocol: Protocol
    expectations: list[Expectation] = Field(default_factory=list)
    devices: list[DeviceRecord]
    models: list[ModelRecord]
    cases: list[CaseRecord]
    launches: list[Launch] = Field(default_factory=list)

    def of_case(self, case_id: str) -> list[Launch]:
        """Return a case's launches in the order in which they were made."""
        return sorted(
            (launch for launch in self.launches if launch.case_id == case_id),
            key=lambda launch: (launch.started, launch.attempt),
        )
