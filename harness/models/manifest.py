"""Model manifests: ``models/*.yaml``, one file a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from harness.models.calibration import CalibrationSource
from harness.results.contract import InputSpec
from harness.results.schema import Precision
from harness.workspace import Name
from harness.yamlfile import Spec, load, named, names

if TYPE_CHECKING:
    from harness.workspace import Workspace

__all__ = ["Manifest", "Model", "PackageSource", "VisionSource", "load_model", "load_models"]


# A cosine of 0.995 for fp16: half precision in every layer costs MobileNet with random weights
# an error of 0.07 in RKNN-Toolkit2's simulator.
TOLERANCE: Final[dict[Precision, float]] = {"fp32": 1e-3, "fp16": 0.1, "int8": 0.4}


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


class Manifest(Spec):
    """The content of a model's file.

    Attributes
    ----------
    inputs
        What it is fed: names, dtypes, shapes and the ranges of seeded values.
    check_seeds
        At least three different ones, for the output check.
    tolerance
        By precision: the largest relative error of the output check (see
        :mod:`harness.analysis.outputs`); 0.001 for fp32 and 0.1 for fp16 where it is not given.
    """

    title: str
    licence: str
    source: Annotated[VisionSource | PackageSource | CalibrationSource, Field(discriminator="kind")]
    inputs: Annotated[list[InputSpec], Field(min_length=1, max_length=16)]
    check_seeds: Annotated[
        list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=3, max_length=16)
    ] = Field(default=[1, 2, 3])
    tolerance: dict[Precision, Annotated[float, Field(gt=0, lt=1)]] = Field(default=TOLERANCE)

    @field_validator("tolerance")
    @classmethod
    def _complete(cls, given: dict[Precision, float]) -> dict[Precision, float]:
        return TOLERANCE | given

    @field_validator("check_seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands here twice")
        return seeds


class Model(Spec):
    """A model of the workspace: its name, which is its file's, and the file's content."""

    name: Name
    manifest: Manifest


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
        There is none of that name, or its manifest is wrong.
    """
    manifest = load(named(workspace.models, name, "model"), Manifest)
    return Model(name=name, manifest=manifest)
