"""Recipes: how each artifact of a model is made, and what its identity covers.

One recipe is one stage script (``stages/``) run in one toolchain environment with some options,
on the files of the artifact that it is made from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import SpecificationError
from harness.models import environments, nb
from harness.models.calibration import CalibrationSource
from harness.models.manifest import FILES, FileSource, PackageSource, TransformerSource
from harness.results.contract import INPUT_SPEC_VERSION
from harness.workspace import cache_dir
from harness.yamlfile import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.models.environments import Environment
    from harness.models.manifest import Model, Shapes

__all__ = ["TARGETS", "Recipe", "inputs", "outputs", "recipe", "resource", "targets"]

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
    files
        More that it finds there: name to path. They do not enter the identity: the options have
        their hashes.
    """

    format: str
    target: str
    stage: str
    environment: Environment | None
    options: dict[str, Any]
    source: Recipe | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

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
    return _MAKERS[artifact_format](model, target, shapes)


def outputs(
    model: Model,
    engine: str,
    artifact_format: str,
    target: str = "any",
    shapes: Shapes | None = None,
) -> Recipe:
    """Return how the outputs are computed that an engine on this machine gives for an artifact.

    Raises
    ------
    SpecificationError
        As for :func:`recipe`.
    """
    options = {
        "engine": engine,
        "inputs": inputs(model, shapes),
        "input_spec_version": INPUT_SPEC_VERSION,
        "seeds": model.manifest.check_seeds,
    }
    environment = environments.get("onnxruntime" if engine == "onnxruntime" else "paddle")
    source = recipe(model, artifact_format, target, shapes)
    return Recipe("outputs", engine, "outputs", environment, options, source)


def _nb(model: Model, target: str, shapes: Shapes | None) -> Recipe:
    options: dict[str, Any] = {"target": target}
    if target not in TARGETS["nb"] and any(spec.dynamic for spec in model.manifest.inputs):
        # What compiles for an NPU does so for the shapes that the model declares.
        options["shapes"] = {spec.name: spec.shape for spec in model.manifest.fed(shapes)}
    return Recipe("nb", target, "opt", environments.get("paddle"), options, _exported(model))


def _rknn(model: Model, target: str, shapes: Shapes | None) -> Recipe:
    options = {"target": target, "precision": "fp16", "inputs": inputs(model, shapes)}
    return Recipe("rknn", target, "to_rknn", environments.get("rknn"), options, _onnx(model))


def _reference(model: Model, target: str, shapes: Shapes | None) -> Recipe:
    # Not the runner's content, which makes the inputs: the version stands for what they are.
    options = {
        "inputs": inputs(model, shapes),
        "input_spec_version": INPUT_SPEC_VERSION,
        "seeds": model.manifest.check_seeds,
    }
    if _given_onnx(model):
        # What the user gave tells what is right, not what a converter made of it.
        onnxruntime = environments.get("onnxruntime")
        return Recipe("reference", target, "onnx_reference", onnxruntime, options, _onnx(model))
    paddle = environments.get("paddle")
    return Recipe("reference", target, "reference", paddle, options, _exported(model))


def _operations(model: Model, target: str, shapes: Shapes | None) -> Recipe:
    options = {"inputs": inputs(model, shapes)}
    paddle = environments.get("paddle")
    return Recipe("operations", target, "operations", paddle, options, _exported(model))


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
    if isinstance(source, TransformerSource):
        (spec,) = model.manifest.inputs
        options = source.model_dump(mode="json", exclude={"kind"})
        options |= {"input": spec.name, "exported_shape": spec.exported_shape}
        return Recipe("pdmodel", "any", "transformer", environments.get("paddle"), options)
    if isinstance(source, FileSource):
        if source.format == "onnx":
            options = {"inputs": inputs(model), "exported_shapes": _exported_shapes(model)}
            toolkit = environments.get("x2paddle")
            return Recipe("pdmodel", "any", "from_onnx", toolkit, options, _onnx(model))
        return _given(
            model,
            "pdmodel",
            {"model.pdmodel": source.model, "model.pdiparams": source.params or ""},
        )
    options = {
        "function": source.function,
        "arguments": source.arguments,
        "seed": source.seed,
        "inputs": inputs(model),
        "exported_shapes": _exported_shapes(model),
    }
    return Recipe("pdmodel", "any", "export", environments.get("paddle"), options)


def _onnx(model: Model) -> Recipe:
    """Return how a model's ONNX file is made."""
    if given := _given_onnx(model):
        return _given(model, "onnx", {"model.onnx": given.model})
    paddle = environments.get("paddle")
    return Recipe("onnx", "any", "to_onnx", paddle, {"opset": ONNX_OPSET}, _exported(model))


def _given_onnx(model: Model) -> FileSource | None:
    source = model.manifest.source
    return source if isinstance(source, FileSource) and source.format == "onnx" else None


def _given(model: Model, artifact_format: str, digests: dict[str, str]) -> Recipe:
    """Return how an artifact is taken over from files of the user's own."""
    folder = (model.folder or Path()) / FILES
    files = {f"given-{name}": folder / digest for name, digest in digests.items()}
    return Recipe(artifact_format, "any", "given", None, {"files": digests}, files=files)


def _exported_shapes(model: Model) -> list[list[int]]:
    return [spec.exported_shape for spec in model.manifest.inputs]


def inputs(model: Model, shapes: Shapes | None = None) -> list[dict[str, Any]]:
    """Return a model's input specifications as stages and runners read them."""
    return [spec.model_dump(mode="json") for spec in model.manifest.fed(shapes)]


def resource(*parts: str) -> Path:
    """Return the path of a file of this package."""
    return Path(str(resources.files("harness").joinpath(*parts)))


_MAKERS: dict[str, Callable[[Model, str, Shapes | None], Recipe]] = {
    "pdmodel": lambda model, *_: _exported(model),
    "onnx": lambda model, *_: _onnx(model),
    "nb": _nb,
    "rknn": _rknn,
    "reference": _reference,
    "operations": _operations,
    "calibration": lambda model, *_: _exported(model),
}
