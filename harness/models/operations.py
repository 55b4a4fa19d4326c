"""What an inference of a model computes: parameters and multiply-accumulates, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from harness.models import reasons
from harness.models.build import build, find
from harness.models.recipes import targets
from harness.models.toolchain import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes

__all__ = ["LayerOperations", "Operations", "count", "known"]


class _Counted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayerOperations(_Counted):
    """One op of the exported program that has parameters or multiplies.

    Attributes
    ----------
    name
        The variable that holds its result, in the exported program.
    op
        Its type: ``conv2d``, ``matmul_v2``, ``batch_norm`` ...
    parameters
        Those that no layer before it has; the statistics of a batch norm are none.
    macs
        Multiply-accumulates of one inference.
    """

    name: str
    op: str
    parameters: int
    macs: int


class Operations(_Counted):
    """What one inference of a model computes, at given input shapes.

    Attributes
    ----------
    layers
        In the program's order.
    uncounted
        Types of ops in it that multiply, too, and are not counted: then ``macs`` is too low.
    """

    layers: tuple[LayerOperations, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many trained numbers the model has."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)


def count(
    model: Model,
    *,
    shapes: Shapes | None = None,
    program: str = "any",
    progress: Callable[[str], None],
) -> Operations | None:
    """Return what one inference of a model computes; none where nothing can count it.

    It is counted on first use and kept as an artifact.

    Parameters
    ----------
    shapes
        Of inputs, where they are not the manifest's.
    program
        ``any``: the model as it was given; ``paddle``: the Paddle program that is made of it, whose
        layers have other names.

    Raises
    ------
    SpecificationError
        The manifest names an unknown environment, or the model does not take those shapes.
    ToolchainError
        The model could not be built or run.
    """
    if "operations" not in targets(model):
        return None
    artifact = build(model, "operations", program, shapes=shapes, progress=progress)
    if (counted := _read(artifact)) is None:
        raise ToolchainError(reasons.NOT_COUNTED(path=str(artifact.path("operations"))))
    return counted


def known(model: Model, *, shapes: Shapes | None = None, program: str = "any") -> Operations | None:
    """Return what :func:`count` would if it has counted already; else nothing."""
    if "operations" not in targets(model):
        return None
    artifact = find(model, "operations", program, shapes=shapes)
    return _read(artifact) if artifact else None


def _read(artifact: Artifact) -> Operations | None:
    try:
        return Operations.model_validate_json(artifact.path("operations").read_bytes())
    except (OSError, ValueError):
        return None
