"""Recipes: how each artifact of a model is made, and what its identity covers.

One recipe is one stage script (``stages/``) run in one toolchain environment with some options,
on the files of the artifact that it is made from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import SpecificationError
from harness.models import environments, nb
from harness.models.calibration import CalibrationSource
from harness.models.manifest import PackageSource
from harness.results.contract import INPUT_SPEC_VERSION
from harness.workspace import cache_dir
from harness.yamlfile import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.models.environments import Environment
    from harness.models.manifest import Model, Shapes

__all__ = ["TARGETS", "Recipe", "inputs", "recipe", "resource", "targets"]

TARGETS = {
    "pdmodel": ("any",),
    "onnx": ("any",),
    "nb": ("x86", "arm"),
    "rknn": ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588"),
    "reference": ("any",),
    "operations": ("any",),
    "calibration": ("any",),
}
"""The formats of artifacts, and what each can be built for; NPUs aside."""

ONNX_OPSET = 11


@dataclass(frozen=True)
class Recipe:
    """How an artifact is made: all that its identity covers.

    Attributes
    ----------
    stage
        The script ``stages/<stage>.py``.
    environment
        What it runs in; none for a script that needs but Python.
    options
        The request that the script is given.
    source
        The artifact whose files the script finds in its current folder.
    """

    format: str
    target: str
    stage: str
    environment: Environment | None
    options: dict[str, Any]
    source: Recipe | None = None

    @property
    def script(self) -> Path:
        """The path of the stage's script."""
        return resource("models", "stages", f"{self.stage}.py")

    @property
    def id(self) -> str:
        """The artifact's identity: a SHA-256 of all that it depends on."""
        content = {
            "format": self.format,
            "target": self.target,
            "script": hashlib.sha256(self.script.read_bytes()).hexdigest(),
            "lock": self.environment.digest if self.environment else None,
            "options": self.options,
            "source": self.source.id if self.source else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the artifact lies once it is built."""
        return cache_dir() / "artifacts" / self.id


def targets(model: Model) -> Mapping[str, tuple[str, ...]]:
    """Return the formats that a model can be built in, and what each can be built for."""
    calibration = isinstance(model.manifest.source, CalibrationSource)
    return {name: TARGETS[name] for name in TARGETS if (name == "calibration") == calibration}


def recipe(
    model: Model, artifact_format: str, target: str = "any", shapes: Shapes | None = None
) -> Recipe:
    """Return how an artifact of a model is made.

    Parameters
    ----------
    shapes
        Of inputs, where they are not the manifest's: for what is computed at one shape
        (``reference``, ``operations``) or compiled for one (``rknn``).

    Raises
    ------
    SpecificationError
        There is no such format, target or shape for that model, or the manifest names an
        unknown environment.
    """
    possible = targets(model)
    if artifact_format not in possible:
        raise SpecificationError(
            f"'{artifact_format}' is no artifact format of model '{model.name}'",
            hint=nearest(artifact_format, possible),
        )
    known = [*possible[artifact_format]]
    if artifact_format == "nb":
        known += [f"{npu},arm" for npu in nb.NNADAPTER_DEVICES]
    if target not in known:
        raise SpecificationError(
            f"'{artifact_format}' artifacts are not built for '{target}'",
            hint=nearest(target, known),
        )
    exported = _exported(model)
    paddle = environments.get("paddle")
    if artifact_format == "nb":
        return Recipe("nb", target, "opt", paddle, {"target": target}, exported)
    if artifact_format in ("onnx", "rknn"):
        onnx = Recipe("onnx", "any", "to_onnx", paddle, {"opset": ONNX_OPSET}, exported)
        if artifact_format == "onnx":
            return onnx
        toolkit = environments.get("rknn")
        request = {"target": target, "precision": "fp16", "inputs": inputs(model, shapes)}
        return Recipe("rknn", target, "to_rknn", toolkit, request, onnx)
    if artifact_format == "operations":
        options: dict[str, Any] = {"inputs": inputs(model, shapes)}
        return Recipe("operations", "any", "operations", paddle, options, exported)
    if artifact_format == "reference":
        # Not the runner's content, which makes the inputs: the version stands for what they are.
        options = {
            "inputs": inputs(model, shapes),
            "input_spec_version": INPUT_SPEC_VERSION,
            "seeds": model.manifest.check_seeds,
        }
        return Recipe("reference", "any", "reference", paddle, options, exported)
    return exported


def _exported(model: Model) -> Recipe:
    """Return how the artifact is made that a model's others are made from."""
    source = model.manifest.source
    options: dict[str, Any]
    if isinstance(source, CalibrationSource):
        options = source.settings | {"inputs": [spec.name for spec in model.manifest.inputs]}
        return Recipe("calibration", "any", "calibration", None, options)
    if isinstance(source, PackageSource):
        options = {"model": source.model, "params": source.params}
        return Recipe("pdmodel", "any", "take", environments.get(source.environment), options)
    options = {
        "function": source.function,
        "arguments": source.arguments,
        "seed": source.seed,
        "inputs": inputs(model),
        "exported_shapes": [spec.exported_shape for spec in model.manifest.inputs],
    }
    return Recipe("pdmodel", "any", "export", environments.get("paddle"), options)


def inputs(model: Model, shapes: Shapes | None = None) -> list[dict[str, Any]]:
    """Return a model's input specifications as stages and runners read them."""
    return [spec.model_dump(mode="json") for spec in model.manifest.fed(shapes)]


def resource(*parts: str) -> Path:
    """Return the path of a file of this package."""
    return Path(str(resources.files("harness").joinpath(*parts)))
