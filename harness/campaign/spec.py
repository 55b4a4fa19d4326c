"""Campaign files: ``campaigns/*.yaml``."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from harness.core.contract import (
    MAX_CALLERS,
    InputShape,
    Percentile,
    Rate,
    ShortText,
)
from harness.core.errors import SpecificationError
from harness.core.quantity import Better
from harness.core.records import Case, Expectation, Fraction, Precision, Protocol, Repeats
from harness.core.yamlfile import Spec, load, names, nearest
from harness.engines import ENGINES
from harness.lab.inventory import Backend, load_devices
from harness.lab.labels import Wanted, choose
from harness.models.manifest import load_model
from harness.quantities import quantities
from harness.workspace import Name, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.core.quantity import Quantity
    from harness.lab.inventory import DeviceSpec
    from harness.workspace import Workspace

__all__ = ["Block", "Campaign", "load_campaign"]

MIN_PILOTS = 3  # of fewer, the spread tells next to nothing


Width = Annotated[Fraction, Field(ge=0.001, le=0.5)]
Launches = Annotated[int, Field(ge=1, le=1000)]
Cpu = Annotated[int, Field(ge=0, le=4095)]
CpuSet = Annotated[list[Cpu], Field(min_length=1)]


ShapesByInput = dict[str, tuple[int, ...]]


def _check_shapes(
    info: ValidationInfo, batches: Sequence[int], shapes: ShapesByInput | None
) -> None:
    """Refuse batches and shapes that a model of the block does not take."""
    manifest_of = (info.context or {}).get("manifest")
    if manifest_of is None:
        return
    for name in info.data.get("models", []):
        try:
            for batch in batches:
                manifest_of(name).batched(batch, shapes)
        except SpecificationError as error:
            hint = f"; {error.hint}" if error.hint else ""
            raise ValueError(f"{name}: {error.message}{hint}") from error


def _taken_batch(batch: int, info: ValidationInfo) -> int:
    if batch != 1:
        _check_shapes(info, [batch], None)
    return batch


def _taken_shapes(shapes: ShapesByInput, info: ValidationInfo) -> ShapesByInput:
    _check_shapes(info, info.data.get("batches", [1]), shapes)
    return shapes


Batch = Annotated[int, Field(ge=1, le=1 << 16), AfterValidator(_taken_batch)]
ShapeSet = Annotated[
    dict[ShortText, InputShape], Field(min_length=1), AfterValidator(_taken_shapes)
]


class Server(Spec):
    """Requests that come as a Poisson process, whatever is answered.

    Attributes
    ----------
    rate
        So many a second.
    bound_ms, percentile
        Instead, the highest rate at which the latency is within so many milliseconds at the
        percentile (99 by default): it is searched for, and measured in launches of its own.
    """

    rate: Rate | None = None
    bound_ms: Annotated[float, Field(gt=0, le=3_600_000)] | None = None
    percentile: Percentile | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.rate is None) == (self.bound_ms is None):
            raise ValueError("a server takes either a 'rate' or a 'bound_ms'")
        if self.rate is not None and self.percentile is not None:
            raise ValueError("a 'percentile' goes with a 'bound_ms'")
        return self


class ServerScenario(Spec):
    """The scenario ``server`` with its settings."""

    server: Server


Scenario = Literal["single", "multi", "offline"] | ServerScenario
Callers = Annotated[int, Field(ge=1, le=MAX_CALLERS)]


def _called(block: Block) -> Iterator[dict[str, object]]:
    """Yield how the block's cases are called; no instance is without a caller."""
    for scenario in block.scenarios:
        if scenario == "single":
            yield {}
            continue
        how: dict[str, object] = {"scenario": scenario}
        if isinstance(scenario, ServerScenario):
            asked = scenario.server
            how = {"scenario": "server", "rate_per_s": asked.rate}
            if asked.bound_ms is not None:
                how |= {"bound_ms": asked.bound_ms, "percentile": asked.percentile or 99}
        for callers, instances in product(block.callers, block.instances):
            if instances <= callers:
                yield how | {"callers": callers, "instances": instances}


_Device = Annotated[
    Annotated[Name, Tag("name")] | Annotated[Wanted, Tag("labels")],
    Discriminator(lambda given: "labels" if isinstance(given, dict | Wanted) else "name"),
]


class Block(Spec):
    """A part of the matrix: every combination of its axes is a case.

    Attributes
    ----------
    devices
        By name, or by what they are: ``{class: rockchip-rknn, soc: rk3588, count: 2}``.
    backends
        Compute units: ``cpu``, ``gpu``, or ``npu:`` and a name; the device's file says what it has.
    model_caches
        ``none``, and ``kept`` for an engine that keeps what it compiles for an NPU: one more launch
        fills its cache, and the others find it filled.
    precisions
        What the engines compute in; without it what each computes in by itself (fp32 for most).
    cpus
        Sets of processors that the runner is bound to; none means that it is not bound.
    busy_cpus
        Numbers of processors that something else keeps busy while the case is measured.
    batches
        How many items one inference takes: the first axis of every input.
    shapes
        Input to its shape for a batch of one; an input that is not named, and ``null``, has the
        shape of the model's file.
    scenarios
        How the model is called: ``single``, by one caller, one inference after the other;
        ``multi``, by several, each of which calls again at once; ``offline``, everything at once;
        ``server``, by requests that come at a rate.
    callers, instances
        Of the other scenarios than ``single``: how many call at the same time, and how many
        predictors of their own they share. An instance without a caller is left out.
    launches, precision, max_launches
        Per case; without them the campaign's.
    """

    models: Annotated[list[Name], Field(min_length=1)]
    devices: Annotated[list[_Device], Field(min_length=1)]
    engines: Annotated[list[Name], Field(min_length=1)]
    backends: Annotated[list[Backend], Field(min_length=1)] = Field(default=["cpu"])
    model_caches: Annotated[list[Literal["none", "kept"]], Field(min_length=1)] = Field(
        default=["none"]
    )
    precisions: Annotated[list[Precision], Field(min_length=1)] | None = None
    threads: Annotated[list[Annotated[int, Field(ge=1, le=256)]], Field(min_length=1)] = Field(
        default=[1]
    )
    cpus: Annotated[list[CpuSet | None], Field(min_length=1)] = Field(default=[None])
    busy_cpus: Annotated[list[Annotated[int, Field(ge=0, le=256)]], Field(min_length=1)] = Field(
        default=[0]
    )
    batches: Annotated[list[Batch], Field(min_length=1)] = Field(default=[1])
    shapes: Annotated[list[ShapeSet | None], Field(min_length=1)] = Field(default=[None])
    scenarios: Annotated[list[Scenario], Field(min_length=1)] = Field(default=["single"])
    callers: Annotated[list[Callers], Field(min_length=1)] = Field(default=[1])
    instances: Annotated[list[Callers], Field(min_length=1)] = Field(default=[1])
    launches: Launches | None = None
    precision: Width | None = None
    max_launches: Launches | None = None

    @field_validator("models", "devices", "engines")
    @classmethod
    def _known(cls, given: list[str | Wanted], info: ValidationInfo) -> list[str | Wanted]:
        known = (info.context or {}).get(info.field_name)
        for name in given:
            if known is not None and isinstance(name, str) and name not in known:
                singular = str(info.field_name).removesuffix("s")
                raise ValueError(f"unknown {singular} '{name}'; {nearest(name, known)}")
        return given

    @model_validator(mode="after")
    def _somebody_calls(self) -> Self:
        if next(_called(self), None) is None:
            raise ValueError("there are more 'instances' than 'callers'")
        if self.scenarios == ["single"] and {*self.callers, *self.instances} != {1}:
            raise ValueError("'callers' and 'instances' go with 'scenarios' other than single")
        return self


def _limit(quantity: Quantity) -> tuple[object, object]:
    bound = "most" if quantity.better is Better.LESS else "least"
    unit = f", in {quantity.unit.shown}" if quantity.unit.shown else ""
    description = f"At {bound}, of its {quantity.title}{unit}."
    return (Annotated[float, Field(gt=0)] | None, Field(None, description=description))


class _Known(Expectation):
    """An expectation of what there is: an unknown key is an error here, and not in old records."""

    model_config = ConfigDict(extra="forbid")


if TYPE_CHECKING:
    StrictExpectation = Expectation
else:
    StrictExpectation = create_model(
        "Expectation",
        __base__=_Known,
        __doc__=Expectation.__doc__,
        **{each.expect: _limit(each) for each in quantities() if each.expect},
    )


class Campaign(Spec):
    """The content of a campaign's file.

    Attributes
    ----------
    launches
        Of each case; with a ``precision``, those of the first stage.
    precision
        Half of the latency's interval, such as ``2%``: the first launches fix how many more are
        made to reach it.
    max_launches
        Of a case, both stages together, at most.
    expect
        What the results have to be; a miss is an error.
    """

    description: str = ""
    matrix: Annotated[list[Block], Field(min_length=1)]
    launches: Launches = 5
    precision: Width | None = None
    max_launches: Launches = 30
    protocol: Protocol = Protocol()
    expect: list[StrictExpectation] = Field(default=[])

    _computed_in: dict[str, Precision] = PrivateAttr(default_factory=dict)

    def set_precisions(self, workspace: Workspace) -> None:
        """Take from the models' files what each computes in."""
        for name in {name for block in self.matrix for name in block.models}:
            with suppress(
                SpecificationError
            ):  # what is wrong with a model is said where it is used
                self._computed_in[name] = load_model(workspace, name).manifest.precision

    def on(self, known: Mapping[str, DeviceSpec]) -> Campaign:
        """Return it with devices' names in place of labels.

        Parameters
        ----------
        known
            Name to device; of several that fit, the first are taken.

        Raises
        ------
        SpecificationError
            Too few devices have these labels.
        """
        blocks = [
            block.model_copy(update={"devices": choose(block.devices, known)})
            for block in self.matrix
        ]
        named = self.model_copy(update={"matrix": blocks})
        named._computed_in = self._computed_in  # noqa: SLF001 - of its own class
        return named

    @model_validator(mode="after")
    def _pilots(self) -> Self:
        for block in self.matrix:
            repeats = self._repeats(block)
            if repeats.precision is not None and repeats.launches < MIN_PILOTS:
                raise ValueError(f"'precision' needs at least {MIN_PILOTS} 'launches'")
        return self

    @model_validator(mode="after")
    def _sustained_by_one_caller(self) -> Self:
        scenarios = [each for block in self.matrix for each in block.scenarios]
        if self.protocol.sustained_s is not None and scenarios != ["single"] * len(scenarios):
            raise ValueError("'sustained_s' is for the scenario single")
        return self

    @property
    def expectations(self) -> list[Expectation]:
        """What is expected, as runs record it."""
        plain = [each.model_dump(exclude_none=True) for each in self.expect]
        return [Expectation.model_validate(each) for each in plain]

    def _repeats(self, block: Block) -> Repeats:
        precision = self.precision if block.precision is None else block.precision
        return Repeats(
            launches=block.launches or self.launches,
            precision=precision,
            max_launches=(block.max_launches or self.max_launches) if precision else None,
        )

    def cases(self) -> Iterator[tuple[Case, Repeats]]:
        """Yield each case once, with its number of launches; a later block wins."""
        found: dict[Case, Repeats] = {}
        for block in self.matrix:
            axes: dict[str, Sequence[object]] = {
                "model": block.models,
                "device": block.devices,
                "engine": block.engines,
                "backend": block.backends,
                "model_cache": block.model_caches,
                "precision": block.precisions or [None],
                "threads": block.threads,
                "cpus": [None if cpus is None else sorted(set(cpus)) for cpus in block.cpus],
                "busy_cpus": block.busy_cpus,
                "batch": block.batches,
                "shapes": block.shapes,
            }
            for cell, called in product(product(*axes.values()), _called(block)):
                settings = dict(zip(axes, cell, strict=True)) | called
                own = self._computed_in.get(str(settings["model"]), "fp32")
                if own == "fp32":  # else it is what the model's file computes in
                    engine = ENGINES.get(str(settings["engine"]))
                    own = engine.usual_precision(str(settings["backend"]))
                settings["precision"] = settings["precision"] or own
                case = Case.model_validate(settings)
                found[case] = self._repeats(block)
        yield from found.items()


def load_campaign(
    workspace: Workspace, path: Path, devices: Mapping[str, DeviceSpec] | None = None
) -> Campaign:
    """Read a campaign's file.

    Parameters
    ----------
    devices
        Name to device, of which the campaign's are; by default the workspace's.

    Raises
    ------
    SpecificationError
        It does not exist or is wrong, or names a model, device or engine that does not exist, or a
        batch or shape that a model does not take.
    """
    if not path.is_file():
        known = [str(found) for found in workspace.campaigns.glob("*.yaml")]
        raise SpecificationError(
            f"no campaign file {path}",
            hint=nearest(str(path), known) or f"write one into {workspace.campaigns}",
        )
    check_name(path.stem, "campaign")  # of its runs, and of their launches on devices
    context = {
        "models": {found.stem for found in workspace.models.glob("*.yaml")},
        "devices": set(names(workspace.devices) if devices is None else devices),
        "engines": set(ENGINES.plugins),
        "manifest": cache(lambda name: load_model(workspace, name).manifest),
    }
    campaign = load(path, Campaign, context=context)
    campaign.set_precisions(workspace)
    if all(isinstance(name, str) for block in campaign.matrix for name in block.devices):
        return campaign
    if devices is None:
        devices = {name: device.spec for name, device in load_devices(workspace).items()}
    return campaign.on(devices)
