"""The runner contract, version 2: the job a runner is given and the events it writes.

A launch is one folder on the device. The controller puts ``job.json`` there, the runner appends
``events.jsonl``: one JSON object a line, flushed as it happens. Events come from a device and
are untrusted: they are parsed strictly and bounded in size and number. What a runner of version 1
writes is parsed, too.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from harness.core.reason import Code, Reason, code

__all__ = [
    "PROTOCOL",
    "Bound",
    "Clock",
    "Done",
    "EnvironmentEvent",
    "Event",
    "EventsError",
    "Failure",
    "First",
    "Hello",
    "InputSpec",
    "Job",
    "Layer",
    "Layers",
    "Loaded",
    "Mean",
    "Memory",
    "Outputs",
    "Part",
    "Placement",
    "Samples",
    "Sampling",
    "Search",
    "ShapeChanged",
    "Step",
    "Traffic",
    "Warmup",
    "WarmupPolicy",
    "fault_of",
    "is_done",
    "parse_events",
]

PROTOCOL: Final = 2
INPUT_SPEC_VERSION: Final = 1

MAX_EVENTS_BYTES: Final = 16 << 20
MAX_EVENTS: Final = 20_000
MAX_SAMPLES: Final = 100_000
MAX_CHANGES: Final = 100
MAX_OPERATORS: Final = 5000
MAX_CALLERS: Final = 64
MAX_STEPS: Final = 100

ShortText = Annotated[str, StringConstraints(max_length=200)]
LongText = Annotated[str, StringConstraints(max_length=8192)]
Microseconds = Annotated[float, Field(ge=0, le=86_400_000_000)]
Milliseconds = Annotated[float, Field(ge=0, le=86_400_000)]
Nanoseconds = Annotated[int, Field(ge=0, le=86_400_000_000_000)]
Instant = Annotated[int, Field(ge=0, lt=1 << 63)]
Bytes = Annotated[int, Field(ge=0, le=1 << 50)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Processors = Annotated[
    str, StringConstraints(max_length=2000, pattern=r"^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$")
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
DType = Literal["float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool"]
RANGES: Final[dict[str, tuple[float, float]]] = {
    "float16": (-65504, 65504),
    "int64": (-(2**63), 2**63),
    "int32": (-(2**31), 2**31),
    "int8": (-128, 128),
    "uint8": (0, 256),
    "bool": (0, 2),
}
"""What ``low`` and ``high`` of an input must be within, by dtype."""

Shape = Annotated[tuple[Annotated[int, Field(ge=0, le=1 << 24)], ...], Field(max_length=8)]
InputShape = Annotated[tuple[Annotated[int, Field(ge=1, le=1 << 24)], ...], Field(max_length=8)]


class Message(BaseModel):
    """Base of everything that crosses between controller and runner."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class InputSpec(Message):
    """One input tensor and the range its seeded values are drawn from.

    Values are made by SplitMix64 [1]_ so that any runner, in any language, makes the same ones:
    element ``i`` of input ``j`` for a seed is the finalizer applied to
    ``(finalizer(seed * 2**32 + j) + (i + 1) * 0x9E3779B97F4A7C15) mod 2**64``. Its upper 24 bits,
    divided by 2**24, scale linearly to ``[low, high)`` in double precision and are rounded to the
    dtype: to the nearest of floats (ties to even), towards negative infinity for integers and
    ``bool``.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
       OOPSLA 2014, doi:10.1145/2660193.2660195.
    """

    name: ShortText
    dtype: DType = "float32"
    shape: InputShape
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _representable(self) -> Self:
        least, most = RANGES.get(self.dtype, (-math.inf, math.inf))
        if not least <= min(self.low, self.high) <= max(self.low, self.high) <= most:
            raise ValueError(
                f"[{self.low:g}, {self.high:g}) of input '{self.name}' is not within "
                f"[{least:g}, {most:g}), as {self.dtype} needs"
            )
        return self


class WarmupPolicy(Message):
    """When a launch is warm.

    Steady means that a fast and a slow moving average of the samples (smoothing 0.1 and 0.005,
    both begun at the first sample after the first inference) differed by at most ``tolerance``
    for ``window`` samples in a row: Jetpack Benchmark's rule, with its figures scaled to
    inference. Never before ``min_samples`` and ``min_seconds``; not later than
    ``max_samples`` or ``max_seconds``, whichever comes first, and then the reason says so.
    """

    min_samples: Annotated[int, Field(ge=0, le=10_000)] = 5
    min_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.25
    max_samples: Annotated[int, Field(ge=0, le=100_000)] = 5000
    max_seconds: Annotated[float, Field(ge=0, le=3600)] = 3.0
    window: Annotated[int, Field(ge=1, le=10_000)] = 10
    tolerance: Annotated[float, Field(gt=0, le=1)] = 0.04


class Sampling(Message):
    """How many timed inferences a launch takes: until both minima, within both maxima."""

    min_samples: Annotated[int, Field(ge=1, le=100_000)] = 20
    min_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    max_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 2000
    max_seconds: Annotated[float, Field(gt=0, le=3600)] = 20.0


Rate = Annotated[float, Field(gt=0, le=1e6)]
"""Of arrivals, per second."""
Percentile = Literal[50, 90, 95, 99]


class Bound(Message):
    """What latency is to stay within: so many milliseconds at a percentile."""

    bound_ms: Annotated[float, Field(gt=0, le=3_600_000)]
    percentile: Percentile


class Traffic(Message):
    """How a model is called, where it is not by one caller, one inference after the other.

    Attributes
    ----------
    scenario
        ``multi``: every caller calls again as soon as it has its answer; ``offline``: all requests
        are there at once; ``server``: requests come as a Poisson process, whatever is answered.
    callers
        How many call at the same time; in ``server``, how many answer.
    instances
        Predictors of their own, which the callers share evenly. With an ``affinity`` each has its
        share of the processors.
    items
        How many items one inference takes.
    rate, requests, seed
        In ``server``: arrivals per second, how many there are, and the seed of their times.
    queue
        In ``server``: how many requests may wait; with one more, sampling ends.
    bound
        In ``server``: the latency that the rate is to keep.
    search
        Whether the highest rate that keeps the bound is to be searched for.
    """

    scenario: Literal["multi", "offline", "server"]
    callers: Annotated[int, Field(ge=1, le=MAX_CALLERS)] = 1
    instances: Annotated[int, Field(ge=1, le=MAX_CALLERS)] = 1
    items: Annotated[int, Field(ge=1, le=1 << 16)] = 1
    rate: Rate | None = None
    requests: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    queue: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 256
    bound: Bound | None = None
    search: bool = False


class Job(Message):
    """What a runner is to do: the content of ``job.json``.

    Attributes
    ----------
    protocol
        The lowest version of the contract that can do it.
    files
        Role (``model``, ``params``) to file name within the launch's folder.
    precision
        What the artifact computes in, for an engine that has to be told.
    as_float32
        Names of inputs that the artifact takes as ``float32``, whatever their dtype: their values
        are made, or read, in that dtype and then converted.
    outputs
        The names of the model's outputs in its order, where they are known: the order in which
        they are returned, also by an engine that sorts them.
    seed
        Of the inputs that are timed.
    check_seeds
        Of the inputs whose outputs are returned, after the timed inferences.
    check_files
        Files within the launch's folder that hold these inputs, where they are not made of their
        seeds: one for ``inputs`` and one for each change of shape, in that order. Each has all
        inputs of the first check seed, one after another, then those of the next: in C order,
        little endian, and nothing else.
    affinity
        Processors the runner binds itself to; none means that it does not.
    sustained
        Sampling does not end at ``max_samples``: every other sample is dropped there, and from
        then on only every second, fourth, … inference is kept as a sample.
    shape_changes
        What to switch to in turn once the samples are taken: every input's shape by its name.
    shape_samples
        How many inferences are timed after each switch, the first one aside.
    profile
        Whether the engine is to measure its operators, which slows it.
    traffic
        How the model is called, where it is not by one caller.
    time_limit
        Seconds after which the launch is ended from outside.
    page_cache
        ``evict``: the artifact's pages are put out of the page cache before they are read, and
        that they are is verified; ``warm``: they are read beforehand.
    options
        Settings of the engine's own.
    """

    protocol: Literal[1, 2] = 1
    launch: ShortText
    engine: ShortText
    backend: ShortText = "cpu"
    files: dict[ShortText, FileName]
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    inputs: list[InputSpec]
    as_float32: Annotated[list[ShortText], Field(max_length=64)] = Field(default_factory=list)
    outputs: Annotated[list[ShortText], Field(max_length=64)] = Field(default_factory=list)
    input_spec_version: Literal[1] = INPUT_SPEC_VERSION
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    check_seeds: list[Annotated[int, Field(ge=0, lt=1 << 31)]] = Field(default_factory=list)
    check_files: Annotated[list[FileName], Field(max_length=1 + MAX_CHANGES)] = Field(
        default_factory=list
    )
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    affinity: list[Annotated[int, Field(ge=0, le=4095)]] | None = None
    warmup: WarmupPolicy = WarmupPolicy()
    sampling: Sampling = Sampling()
    sustained: bool = False
    shape_changes: Annotated[list[dict[ShortText, InputShape]], Field(max_length=MAX_CHANGES)] = (
        Field(default_factory=list)
    )
    shape_samples: Annotated[int, Field(ge=1, le=1000)] = 5
    profile: bool = False
    traffic: Traffic | None = None
    time_limit: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    page_cache: Literal["evict", "warm"] = "evict"
    model_cache: ShortText | None = None
    options: Annotated[dict[ShortText, LongText], Field(max_length=30)] = Field(
        default_factory=dict
    )


class Clock(Message):
    """Three clocks of a device, read together, in nanoseconds.

    Attributes
    ----------
    monotonic_ns
        Which all of a launch's times are on.
    boottime_ns
        It goes on while the device sleeps.
    wall_ns
        Since 1970; may be wrong.
    """

    monotonic_ns: Instant
    boottime_ns: Instant
    wall_ns: Instant


class EventBase(Message):
    """What all events have.

    Attributes
    ----------
    t_ns
        When it was written, on the device's monotonic clock; absent in version 1.
    """

    t_ns: Instant | None = None


class Hello(EventBase):
    """The runner is up and its engine is imported.

    Attributes
    ----------
    clock
        Absent in version 1.
    process_ms
        From the start of the process (the kernel's own record) to the runner's first line.
    import_ms
        Importing the engine, or loading its library.
    engine_version
        Absent where only a predictor tells it: then it is in ``loaded``.
    build
        What else may matter: versions of the interpreter and libraries, how the engine was
        loaded.

    ``pid`` and times are absent only where a foreign tool does not tell them.
    """

    event: Literal["hello"] = "hello"
    protocol: Literal[1, 2]
    clock: Clock | None = None
    runner: ShortText
    runner_version: ShortText
    engine: ShortText
    engine_version: ShortText | None = None
    pid: Annotated[int, Field(ge=1)] | None = None
    process_ms: Milliseconds | None = None
    import_ms: Milliseconds | None = None
    build: Annotated[dict[ShortText, ShortText], Field(max_length=30)] = Field(default_factory=dict)


class Loaded(EventBase):
    """The artifact is read and its predictor made.

    Without ``read_ms`` (a foreign tool), reading is a part of ``init_ms``.

    Attributes
    ----------
    engine_version, build
        As in ``hello``: what only a predictor tells.
    units
        Compute unit (``cpu``, ``gpu``, ``npu``) to the number of operators that the engine
        assigned to it; absent where it does not say.
    simulated
        What stands in for the accelerator: a simulator, or a software driver.
    """

    event: Literal["loaded"] = "loaded"
    read_ms: Milliseconds | None = None
    read_bytes: Bytes | None = None
    page_cache: Literal["cold", "warm", "unknown"]
    init_ms: Milliseconds
    engine_version: ShortText | None = None
    build: Annotated[dict[ShortText, ShortText], Field(max_length=30)] = Field(default_factory=dict)
    units: Annotated[
        dict[Literal["cpu", "gpu", "npu"], Annotated[int, Field(ge=0, le=1 << 31)]],
        Field(max_length=3),
    ] = Field(default_factory=dict)
    simulated: ShortText | None = None


class First(EventBase):
    """The first inference of the process."""

    event: Literal["first"] = "first"
    ms: Milliseconds


class Warmup(EventBase):
    """The inferences after the first and before the timed ones."""

    event: Literal["warmup"] = "warmup"
    ns: Annotated[list[Nanoseconds], Field(max_length=100_000)]
    reason: Literal["steady", "max_samples", "max_seconds"]


class Samples(EventBase):
    """A batch of timed inferences, in the order in which they were made.

    Attributes
    ----------
    inferences
        How many were made, where samples were dropped to keep a long launch's few; those that
        are there are evenly spaced.
    cpu_ms
        CPU time, user and system, of the process and all its threads in the meantime.
    caller
        Which of several threads that called the engine at the same time.
    starts_ns
        When each sample began, on the monotonic clock.
    scheduled_ns
        When each was to arrive, on the same clock, where requests come by a schedule: its latency
        counts from there.
    """

    event: Literal["samples"] = "samples"
    ns: Annotated[list[Nanoseconds], Field(max_length=MAX_SAMPLES)]
    inferences: Annotated[int, Field(ge=0, le=1 << 40)] | None = None
    cpu_ms: Annotated[float, Field(ge=0, le=1e12)] | None = None
    caller: Annotated[int, Field(ge=0, le=255)] | None = None
    starts_ns: Annotated[list[Instant], Field(max_length=MAX_SAMPLES)] | None = None
    scheduled_ns: Annotated[list[Instant], Field(max_length=MAX_SAMPLES)] | None = None

    @model_validator(mode="after")
    def _has_a_start_each(self) -> Self:
        if self.starts_ns is not None and len(self.starts_ns) != len(self.ns):
            raise ValueError(f"{len(self.starts_ns)} starts of {len(self.ns)} samples")
        if self.scheduled_ns is not None and len(self.scheduled_ns) != len(self.ns):
            raise ValueError(f"{len(self.scheduled_ns)} arrivals of {len(self.ns)} samples")
        return self


class Step(Message):
    """One rate that a search tried.

    Attributes
    ----------
    rate
        Arrivals per second.
    requests
        How many were answered; fewer than were to be where it was clear earlier.
    latency_ns
        Their latency at the percentile of the bound; absent where none was answered.
    kept
        Whether the bound was.
    """

    rate: Rate
    requests: Annotated[int, Field(ge=0, le=MAX_SAMPLES)]
    latency_ns: Nanoseconds | None = None
    kept: bool


class Search(EventBase):
    """What a search for the highest rate that keeps a bound tried, and found.

    Attributes
    ----------
    capacity_per_s
        What the callers carried in a closed loop, where it began.
    rate
        What fresh launches are to confirm; absent where no rate kept the bound.
    """

    event: Literal["search"] = "search"
    capacity_per_s: Annotated[float, Field(gt=0, le=1e9)]
    steps: Annotated[list[Step], Field(max_length=MAX_STEPS)]
    rate: Rate | None = None


class Mean(EventBase):
    """The mean of the timed inferences, instead of samples: of a tool that tells nothing else."""

    event: Literal["mean"] = "mean"
    ns: Annotated[float, Field(gt=0, le=86_400_000_000_000)]


class ShapeChanged(EventBase):
    """The inputs took other shapes: what the first inference after that cost, and a few more.

    Engines plan, allocate or compile again for shapes that they have not seen: some when the inputs
    are set, others in the inference. What compares is the sum of ``set_ms`` and ``first_ms``.

    Attributes
    ----------
    shapes
        Every input's, as the job has them.
    set_ms
        Setting the inputs, whose values were made before.
    first_ms
        The first inference with them.
    ns
        Those after it.
    """

    event: Literal["shape"] = "shape"
    shapes: Annotated[dict[ShortText, InputShape], Field(max_length=64)]
    set_ms: Milliseconds
    first_ms: Milliseconds
    ns: Annotated[list[Nanoseconds], Field(min_length=1, max_length=1000)]


class Outputs(EventBase):
    """One output tensor for one check seed; the file holds it in C order, little endian.

    Attributes
    ----------
    change
        Which of the job's changes of shape it was computed after; absent for its ``inputs``.
    caller
        Which of several callers it was returned to, while all of them called.
    """

    event: Literal["outputs"] = "outputs"
    change: Annotated[int, Field(ge=0, lt=MAX_CHANGES)] | None = None
    caller: Annotated[int, Field(ge=0, lt=MAX_CALLERS)] | None = None
    seed: int
    index: Annotated[int, Field(ge=0, le=63)]
    name: ShortText
    dtype: DType
    shape: Shape
    sha256: Digest
    file: FileName


class Memory(EventBase):
    """The process's peak resident set (VmHWM), after sampling and before the outputs.

    Attributes
    ----------
    runtime_bytes
        What the engine's runtime itself says that it holds of the device's memory; absent where
        it cannot be asked.
    """

    event: Literal["memory"] = "memory"
    vmhwm_bytes: Bytes
    runtime_bytes: Bytes | None = None


class Layer(Message):
    """One layer of the model as the engine runs it.

    Attributes
    ----------
    op
        Its kind, in the engine's words.
    unit
        What ran it, in the engine's words: ``NPU``, ``CPUExecutionProvider``; empty where the
        engine does not say. Version 1 has it as ``target``.
    us, cycles
        Its share of one inference, in microseconds or in cycles.
    """

    name: ShortText
    op: ShortText
    unit: ShortText = Field("", validation_alias=AliasChoices("unit", "target"))
    us: Microseconds | None = None
    cycles: Annotated[int, Field(ge=0, le=1 << 62)] | None = None


class Layers(EventBase):
    """Where one inference's time went, by the engine's own measure, which slows inference.

    Attributes
    ----------
    inferences
        How many the times are the mean of.
    unattributed_us
        What of an inference's time is in no layer; absent where the engine does not report the
        whole.
    """

    event: Literal["layers"] = "layers"
    layers: Annotated[list[Layer], Field(max_length=MAX_OPERATORS)]
    inferences: Annotated[int, Field(ge=1, le=1 << 40)] | None = None
    unattributed_us: Microseconds | None = None


class Part(Message):
    """A part of the model as the engine ran it: an operator, or a subgraph as a whole.

    Attributes
    ----------
    op
        An operator's kind, in the engine's words; empty for a subgraph.
    unit
        The compute unit that ran it, in the engine's words.
    operators
        How many of the engine's operators it has.
    """

    name: ShortText
    op: ShortText = ""
    unit: ShortText
    operators: Annotated[int, Field(ge=1, le=1 << 24)] = 1


class Placement(EventBase):
    """Which compute unit ran which parts of the model, as the engine reports it at run time."""

    event: Literal["placement"] = "placement"
    parts: Annotated[list[Part], Field(max_length=MAX_OPERATORS)]


class EnvironmentEvent(EventBase):
    """What the device's own sensors said; absent where it has none.

    The supervisor writes it; a runner of version 1 may, too.

    Attributes
    ----------
    ms
        Since the launch's start.
    cma_free_bytes
        Of the memory that drivers take in one piece.
    dma_buf_bytes
        Of all buffers that are shared between drivers and processes.
    driver_bytes
        Driver to what it has given out by its own account.
    frequency_limits_khz
        What the kernel lets a processor's clock rise to: what slows processors down because of
        heat lowers it.
    governors, cpufreq_driver
        Who sets the processors' clocks.
    npu_khz
        NPU to its clock.
    clocks_khz
        The same for GPUs, memory and whatever else has a clock of its own.
    cooling
        Cooling device to its state: 0 does nothing, -1 is not in use. Fans are among them.
    online
        The processors that are online, as the kernel lists them: ``0-3,5``.
    battery_percent, battery_status
        The status in the kernel's words: ``Charging``, ``Discharging``, ``Full``, …
    """

    event: Literal["environment"] = "environment"
    phase: Literal["before", "during", "after"]
    ms: Milliseconds | None = None
    load1: Annotated[float, Field(ge=0, le=1e6)] | None = None
    memory_available_bytes: Bytes | None = None
    cma_free_bytes: Bytes | None = None
    dma_buf_bytes: Bytes | None = None
    driver_bytes: Annotated[dict[ShortText, Bytes], Field(max_length=16)] = Field(
        default_factory=dict
    )
    frequencies_khz: Annotated[
        dict[ShortText, Annotated[int, Field(ge=0)]], Field(max_length=256)
    ] = Field(default_factory=dict)
    frequency_limits_khz: Annotated[
        dict[ShortText, Annotated[int, Field(ge=0)]], Field(max_length=256)
    ] = Field(default_factory=dict)
    governors: Annotated[dict[ShortText, ShortText], Field(max_length=256)] = Field(
        default_factory=dict
    )
    cpufreq_driver: ShortText | None = None
    npu_khz: Annotated[dict[ShortText, Annotated[int, Field(ge=0)]], Field(max_length=64)] = Field(
        default_factory=dict
    )
    clocks_khz: Annotated[dict[ShortText, Annotated[int, Field(ge=0)]], Field(max_length=64)] = (
        Field(default_factory=dict)
    )
    temperatures_c: Annotated[
        dict[ShortText, Annotated[float, Field(ge=-274, le=1000)]], Field(max_length=64)
    ] = Field(default_factory=dict)
    cooling: Annotated[dict[ShortText, Annotated[int, Field(ge=-1)]], Field(max_length=64)] = Field(
        default_factory=dict
    )
    online: Processors | None = None
    battery_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    battery_status: ShortText | None = None


class Done(EventBase):
    """The launch went to its end."""

    event: Literal["done"] = "done"


class Failure(EventBase):
    """The launch ended early, and the runner could still say why."""

    event: Literal["error"] = "error"
    kind: ShortText
    message: LongText
    traceback: LongText = ""


Event = (
    Hello
    | Loaded
    | First
    | Warmup
    | Search
    | Samples
    | Mean
    | ShapeChanged
    | Outputs
    | Memory
    | Placement
    | Layers
    | EnvironmentEvent
    | Done
    | Failure
)

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
_ORDER = {
    "hello": 0,
    "loaded": 1,
    "first": 2,
    "warmup": 3,
    "search": 4,
    "samples": 4,
    "mean": 4,
    "memory": 5,
    "placement": 6,
    "layers": 7,
    "shape": 8,
    "outputs": 9,
    "done": 10,
    "error": 10,
}
_REPEATED = {"samples", "shape", "outputs"}
_MAX_FAULTS = 1000
_FILE = "events.jsonl"

TOO_LARGE: Final = code("contract.too-large", "{file} is larger than {limit} MiB")
TOO_MANY: Final = code("contract.too-many", "{file} has more than {limit} lines")
INVALID: Final = code("contract.invalid", "{file}:{line}: {fault}[, in '{shown}']")
AFTER_END: Final = code("contract.after-end", "{file}:{line}: '{event}' after the end")
NO_TIME: Final = code("contract.no-time", "{file}:{line}: '{event}' has no 't_ns'")
EARLIER: Final = code(
    "contract.earlier", "{file}:{line}: '{event}' is earlier than the event that it follows"
)
NO_CLOCK: Final = code("contract.no-clock", "{file}:{line}: '{event}' has no 'clock'")
NOT_IN_2: Final = code(
    "contract.not-in-2", "{file}:{line}: '{event}' is not for runners of version 2"
)
NO_PROFILE: Final = code(
    "contract.no-profile", "{file}:{line}: '{event}' in a launch that is no profile"
)
TWICE: Final = code("contract.twice", "{file}:{line}: '{event}' twice of one caller")
OUT_OF_ORDER: Final = code("contract.out-of-order", "{file}:{line}: '{event}' out of order")


class EventsError(ValueError):
    """What the runner wrote does not keep the contract."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def fault_of(error: ValidationError) -> str:
    """Return what is wrong with a message from a device, which this may quote: short, printable."""
    if error.error_count() > _MAX_FAULTS:  # as Python objects they would take gigabytes
        return f"{error.error_count()} faults"
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "line"
    return _printable(f"{where}: {fault['msg']}"[:300])


def _printable(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)


def is_done(content: bytes) -> bool:
    """Whether the last event of an ``events.jsonl`` says that its runner has done all it was to."""
    *_, last, _ = [b"", *content[-200:].split(b"\n")]  # such an event is short
    try:
        return isinstance(_EVENT.validate_json(last), Done)
    except ValidationError:
        return False


def parse_events(content: bytes, *, profile: bool = True) -> list[Event]:
    """Parse the content of ``events.jsonl``.

    A last line without its line feed was cut off by the runner's end and is left out.

    Parameters
    ----------
    content
        At most 16 MiB; at most 20 000 lines.
    profile
        Whether the launch may be a profile.

    Raises
    ------
    EventsError
        Too much, not JSON, not an event of the version that ``hello`` names, out of order, or twice
        what comes once.
    """
    if len(content) > MAX_EVENTS_BYTES:
        raise EventsError(TOO_LARGE(file=_FILE, limit=MAX_EVENTS_BYTES >> 20))
    lines = content.split(b"\n")[:-1]
    if len(lines) > MAX_EVENTS:
        raise EventsError(TOO_MANY(file=_FILE, limit=MAX_EVENTS))
    events: list[Event] = []
    order = _Order(profile=profile)
    for number, line in enumerate(lines, 1):
        try:
            event = _EVENT.validate_json(line)
        except ValidationError as error:
            shown = _printable(line[:60].decode(errors="replace"))
            fault = INVALID(file=_FILE, line=number, fault=fault_of(error), shown=shown)
            raise EventsError(fault) from None
        if wrong := order.fault(event):
            raise EventsError(wrong(file=_FILE, line=number, event=event.event))
        events.append(event)
    return events


class _Order:
    """What may follow the events so far."""

    def __init__(self, *, profile: bool) -> None:
        self.profile = profile
        self.stage = -1
        self.ended = False
        self.protocol: int | None = None
        self.t_ns = 0
        self.callers: set[int | None] = set()

    def fault(self, event: Event) -> Code | None:
        """Take in an event; return what is wrong with it where it is, or nothing."""
        if self.ended:
            return AFTER_END
        if isinstance(event, Hello):
            self.protocol = event.protocol
        self.ended = isinstance(event, Done | Failure)
        of_change = isinstance(event, Outputs) and event.change is not None
        rank = _ORDER.get("shape" if of_change else event.event)
        if rank is not None:
            if rank < self.stage or (rank == self.stage and event.event not in _REPEATED):
                return OUT_OF_ORDER
            self.stage = rank
        return self._fault_of_version_2(event) if self.protocol == PROTOCOL else None

    def _fault_of_version_2(self, event: Event) -> Code | None:
        if event.t_ns is None:
            return NO_TIME
        if event.t_ns < self.t_ns:
            return EARLIER
        self.t_ns = event.t_ns
        fault: Code | None = None
        match event:
            case Hello(clock=None):
                fault = NO_CLOCK
            case EnvironmentEvent():
                fault = NOT_IN_2
            case Placement() | Layers() if not self.profile:
                fault = NO_PROFILE
            case Samples(caller=caller):
                if caller in self.callers or (self.callers and None in {caller, *self.callers}):
                    fault = TWICE
                self.callers.add(caller)
        return fault
