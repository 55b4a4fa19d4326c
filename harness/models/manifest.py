"""Model manifests: ``models/*.yaml``, one file a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from harness.core.contract import InputSpec
from harness.core.errors import SpecificationError
from harness.core.records import Precision
from harness.core.yamlfile import Spec, load, named, names, nearest
from harness.engines import model_files
from harness.models.calibration import CalibrationSource
from harness.workspace import Name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self, TypeAlias

    from harness.workspace import Workspace

    Shapes: TypeAlias = Mapping[str, Sequence[int]]

__all__ = [
    "FILES",
    "PADDLE_FILES",
    "FileSource",
    "Manifest",
    "Model",
    "ModelInput",
    "PackageSource",
    "Quantization",
    "TransformerSource",
    "VisionSource",
    "load_model",
    "load_models",
    "reference_model",
]


FILES: Final = "files"
"""The folder within ``models/`` where the user's own model files are under their hashes."""

PADDLE_FILES: Final = {"paddle": "Paddle", "pir": "Paddle 3"}
"""The kinds of model files that are Paddle's, each a model with its parameters; in words."""

# A cosine of 0.995 for fp16: half precision in every layer costs MobileNet with random weights
# an error of 0.07 in an NPU's simulator.
# A cosine of 0.917 for int8, which zoo models with random weights keep where the engine is right.
TOLERANCE: Final[dict[Precision, float]] = {"fp32": 1e-3, "fp16": 0.1, "int8": 0.4}
IMAGE_AXES = 4


class VisionSource(Spec):
    """A network of ``paddle.vision.models`` with seeded random weights."""

    kind: Literal["paddle.vision"]
    function: Name
    arguments: dict[str, float | int | bool | str] = Field(default_factory=dict)
    seed: int = 0

    @property
    def label(self) -> str:
        """The source in words, for people."""
        arguments = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return (
            f"paddle.vision.models.{self.function}({arguments}), random weights, seed {self.seed}"
        )


class TransformerSource(Spec):
    """A transformer encoder of the harness's own, with seeded random weights."""

    kind: Literal["transformer"]
    layers: Annotated[int, Field(ge=1, le=96)]
    width: Annotated[int, Field(ge=8, le=16384)]
    heads: Annotated[int, Field(ge=1, le=256)]
    vocabulary: Annotated[int, Field(ge=2, le=1 << 20)]
    longest: Annotated[int, Field(ge=1, le=1 << 16)]
    seed: int = 0

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        return self

    @property
    def label(self) -> str:
        """The source in words, for people."""
        return (
            f"transformer encoder, {self.layers} layers of width {self.width} with {self.heads} "
            f"heads, random weights, seed {self.seed}"
        )


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FileSource(Spec):
    """Files of the user's own, in ``models/files/`` under their hashes (``harness models add``).

    Attributes
    ----------
    format
        ``paddle`` (``.pdmodel`` with ``.pdiparams``), ``pir`` (Paddle 3's ``.json`` with
        ``.pdiparams``), or one that an engine reads: ``onnx`` …
    model, params
        SHA-256 of each file, which is also its name there; only Paddle's have ``params``.
    origin
        What the model's file was called.
    precision
        What the file computes in.
    reference
        Another model of the workspace, the same one in another format: its reference outputs are
        this one's. Of a file alone of which no other format is made.
    """

    kind: Literal["file"]
    format: Name
    model: Digest
    params: Digest | None = None
    origin: str
    precision: Precision = "fp32"
    reference: Name | None = None

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        known = [*PADDLE_FILES, *model_files()]
        if name not in known:
            raise ValueError(f"unknown format of model files '{name}'; {nearest(name, known)}")
        return name

    @property
    def alone(self) -> bool:
        """Whether no other engine's format is made of it."""
        return self.format in model_files() and model_files()[self.format][0].alone

    @model_validator(mode="after")
    def _params_with_paddle(self) -> Self:
        if (self.format in PADDLE_FILES) != (self.params is not None):
            raise ValueError("'params' is for the formats 'paddle' and 'pir' only")
        return self

    @model_validator(mode="after")
    def _of_files_alone(self) -> Self:
        if not self.alone and self.reference:
            raise ValueError("'reference' is for files of which no other format is made")
        return self

    @property
    def label(self) -> str:
        """The source in words, for people."""
        kind = PADDLE_FILES.get(self.format) or model_files()[self.format][0].title
        return f"{self.origin} ({kind}, given)"


class PackageSource(Spec):
    """Paddle inference files inside a Python package.

    Attributes
    ----------
    environment
        The locked environment that holds the package.
    model, params
        Paths within ``site-packages``.
    """

    kind: Literal["package"]
    environment: Name
    model: str
    params: str

    @property
    def label(self) -> str:
        """The source in words, for people."""
        return f"{self.model} of the package in environment '{self.environment}'"


Axis = Annotated[int, Field(ge=0, le=7)]
Extent = Annotated[int, Field(ge=1, le=1 << 24)]


class ModelInput(InputSpec):
    """One input of a model: what a runner is fed, and which of its axes may vary.

    Attributes
    ----------
    shape
        What is measured where nothing else is asked for.
    dynamic
        Axis to its smallest and largest extent; the others are fixed in the model.
    batch_axis
        Which axis counts the batch; none where a batch does not change the input, such as a
        sampling rate.
    """

    dynamic: dict[Axis, tuple[Extent, Extent]] = Field(default_factory=dict)
    batch_axis: Axis | None = 0

    @model_validator(mode="after")
    def _within(self) -> Self:
        for axis, (smallest, largest) in self.dynamic.items():
            if axis >= len(self.shape):
                raise ValueError(f"shape {list(self.shape)} has no axis {axis}")
            if not smallest <= self.shape[axis] <= largest:
                raise ValueError(
                    f"{self.shape[axis]} of axis {axis} is not within [{smallest}, {largest}]"
                )
        return self

    @property
    def exported_shape(self) -> list[int]:
        """The shape that the model declares: -1 for a dynamic axis."""
        return [-1 if axis in self.dynamic else n for axis, n in enumerate(self.shape)]

    def at(self, shape: Sequence[int]) -> InputSpec:
        """Return what a runner is fed at a shape.

        Raises
        ------
        SpecificationError
            The model does not take that shape.
        """
        fault = ""
        if len(shape) != len(self.shape):
            fault = f"has {len(self.shape)} axes"
        for axis, (wanted, usual) in enumerate(zip(shape, self.shape, strict=False)):
            smallest, largest = self.dynamic.get(axis, (usual, usual))
            if not fault and not smallest <= wanted <= largest:
                takes = f"from {smallest} to {largest}" if smallest < largest else f"only {usual}"
                fault = f"takes {takes} in axis {axis}"
        if fault:
            raise SpecificationError(
                f"input '{self.name}' {fault}: {list(shape)} does not fit",
                hint="'dynamic' of the model's manifest names the axes that vary",
            )
        own = self.model_dump(exclude={"dynamic", "batch_axis"})
        return InputSpec(**(own | {"shape": tuple(shape)}))


Channels = tuple[float, float, float]


def _positive(values: Channels) -> Channels:
    if min(values) <= 0:
        raise ValueError("standard deviations must be positive")
    return values


class Quantization(Spec):
    """How a model is quantized to int8 after training.

    Attributes
    ----------
    algorithm
        How the range of each activation is found: the largest value (``abs_max``), the mean over
        the samples of their largest values (``avg``), a quantile (``hist``), or what loses least by
        squared error (``mse``), earth mover's distance (``emd``) or entropy (``KL``).
    weights
        Whether each output channel has its own scale.
    samples, held_out
        How many inputs calibrate, and how many others tell how far the outputs drifted.
    images
        The folder that they are taken from, beside the model's file; without one they are seeded
        noise, in the inputs' ranges.
    colour
        The order of an image's channels, for a model that takes three.
    mean, std
        By channel, of pixels scaled to [0, 1]: what is subtracted, and divided by. Without them
        pixels are scaled to the input's range.
    """

    algorithm: Literal["abs_max", "avg", "hist", "mse", "emd", "KL"] = "avg"
    weights: Literal["per-channel", "per-tensor"] = "per-channel"
    samples: Annotated[int, Field(ge=1, le=500)] = 32
    held_out: Annotated[int, Field(ge=3, le=100)] = 8
    images: Path | None = None
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: Channels | None = None
    std: Annotated[Channels, AfterValidator(_positive)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("'mean' and 'std' belong together")
        if self.mean and not self.images:
            raise ValueError("'mean' and 'std' are for 'images'")
        return self


class Manifest(Spec):
    """The content of a model's file.

    Attributes
    ----------
    inputs
        What it takes: names, dtypes, shapes with the axes that vary, and the ranges of seeded
        values.
    check_seeds
        At least three different ones, for the output check. Where images quantize the model, they
        number as many of the held-out ones, which are checked instead.
    tolerance
        By precision: the largest relative error of the output check (see
        :mod:`harness.analysis.outputs`); where it is not given 0.001 for fp32, 0.1 for fp16 and
        0.4 for int8.
    quantization
        For its artifacts in int8.
    """

    title: str
    licence: str
    source: Annotated[
        VisionSource | TransformerSource | PackageSource | FileSource | CalibrationSource,
        Field(discriminator="kind"),
    ]
    inputs: Annotated[list[ModelInput], Field(min_length=1, max_length=16)]
    check_seeds: Annotated[
        list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=3, max_length=16)
    ] = Field(default=[1, 2, 3])
    tolerance: dict[Precision, Annotated[float, Field(gt=0, lt=1)]] = Field(default=TOLERANCE)
    quantization: Quantization = Quantization()

    @property
    def precision(self) -> Precision:
        """What the model itself computes in."""
        return self.source.precision if isinstance(self.source, FileSource) else "fp32"

    @model_validator(mode="after")
    def _takes_images(self) -> Self:
        if self.quantization.images:
            shape = self.inputs[0].shape
            if len(self.inputs) > 1 or len(shape) != IMAGE_AXES or shape[1] not in (1, 3):
                raise ValueError(
                    "quantization.images: images are for a model with one input of the shape "
                    "[N, 3, height, width] or [N, 1, height, width]"
                )
            if self.quantization.held_out < len(self.check_seeds):
                raise ValueError(
                    f"quantization.held_out: outputs are checked for {len(self.check_seeds)} "
                    "held-out images, one for each of 'check_seeds'"
                )
        return self

    @field_validator("tolerance")
    @classmethod
    def _complete(cls, given: dict[Precision, float]) -> dict[Precision, float]:
        return TOLERANCE | given

    @field_validator("check_seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed appears twice")
        return seeds

    def fed(self, shapes: Shapes | None = None) -> list[InputSpec]:
        """Return what a runner is fed.

        Parameters
        ----------
        shapes
            Input to its shape; those that are not named have the manifest's.

        Raises
        ------
        SpecificationError
            There is no input of that name, or it does not take that shape.
        """
        wanted = {spec.name: spec.shape for spec in self.inputs} | dict(shapes or {})
        if unknown := sorted(set(wanted) - {spec.name for spec in self.inputs}):
            raise SpecificationError(
                f"the model has no input '{unknown[0]}'",
                hint=nearest(unknown[0], [spec.name for spec in self.inputs]),
            )
        return [spec.at(wanted[spec.name]) for spec in self.inputs]

    def batched(self, batch: int, shapes: Shapes | None = None) -> Shapes | None:
        """Return the inputs' shapes with a batch of a size; none where all are the manifest's.

        Parameters
        ----------
        batch
            The batch's axis of every input that has one; with 1 it is what it is.
        shapes
            Input to its shape; those that are not named have the manifest's.

        Raises
        ------
        SpecificationError
            As for :meth:`fed`; or the model's first axis is no batch, or already set by ``shapes``.
        """
        self.fed(shapes)
        if batch == 1:
            return shapes
        found = {}
        for spec in self.inputs:
            shape = tuple((shapes or {}).get(spec.name, spec.shape))
            axis = spec.batch_axis
            if axis is None:
                found[spec.name] = shape
                continue
            if axis not in spec.dynamic:
                which = "first axis" if axis == 0 else f"axis {axis}"
                raise SpecificationError(
                    f"input '{spec.name}' is {list(spec.shape)} with a fixed {which}: it has "
                    f"no batch of {batch}"
                )
            if shape[axis] != spec.shape[axis]:
                which = "the first axis" if axis == 0 else f"axis {axis}"
                raise SpecificationError(
                    f"the shape {list(shape)} of input '{spec.name}' and a batch of {batch} "
                    f"both set {which}"
                )
            found[spec.name] = (*shape[:axis], batch, *shape[axis + 1 :])
        self.fed(found)
        return found


class Model(Spec):
    """A model of the workspace: its name, which is its file's, and the file's content.

    Attributes
    ----------
    folder
        Where its manifest is; none for one that has no file.
    """

    name: Name
    manifest: Manifest
    folder: Path | None = None


def reference_model(model: Model) -> Model | None:
    """Return the model whose reference outputs are a model's own; none where it is itself.

    Raises
    ------
    SpecificationError
        It is not there or wrong, or has a reference of another's itself.
    """
    source = model.manifest.source
    if not isinstance(source, FileSource) or not source.reference or model.folder is None:
        return None
    path = named(model.folder, source.reference, "model")
    found = Model(name=source.reference, manifest=load(path, Manifest), folder=model.folder)
    if isinstance(found.manifest.source, FileSource) and found.manifest.source.reference:
        raise SpecificationError(
            f"model '{model.name}': its reference '{found.name}' has a reference of its own",
            hint=f"use that one: reference: {found.manifest.source.reference}",
        )
    return found


def load_models(workspace: Workspace) -> dict[str, Model]:
    """Return all models by name.

    Raises
    ------
    SpecificationError
        A manifest is wrong.
    """
    return {name: load_model(workspace, name) for name in names(workspace.models)}


def load_model(workspace: Workspace, name: str) -> Model:
    """Return one model.

    Raises
    ------
    SpecificationError
        No such name, or its manifest is wrong.
    """
    manifest = load(named(workspace.models, name, "model"), Manifest)
    return Model(name=name, manifest=manifest, folder=workspace.models)
