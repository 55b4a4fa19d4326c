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

from harness.core.contract import INPUT_SPEC_VERSION
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.yamlfile import nearest
from harness.models import environments, nb, samples
from harness.models.artifacts import ROLES
from harness.models.calibration import CalibrationSource
from harness.models.manifest import FILES, FileSource, PackageSource, TransformerSource
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.core.records import ArtifactRecord, Precision
    from harness.models.environments import Environment
    from harness.models.manifest import Model, Shapes

__all__ = [
    "ENGINE_MODULE",
    "TARGETS",
    "Recipe",
    "check_inputs",
    "device_module",
    "inputs",
    "outputs",
    "recipe",
    "resource",
    "targets",
]

TARGETS = {
    "pdmodel": ("any",),
    "onnx": ("any",),
    "nb": ("x86", "arm"),
    "mnn": ("any",),
    "ncnn": ("any",),
    "rknn": ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588", "rv1103", "rv1106"),
    "reference": ("any",),
    "operations": ("any",),
    "calibration": ("any",),
}
"""The formats of artifacts, and what each can be built for; GPUs and NPUs aside."""

ACCELERATORS = {unit: f"{unit},arm" for unit in ("opencl", *nb.NNADAPTER_DEVICES)}
"""GPUs and NPUs that ``.nb`` files are built for beside their processor, with opt's targets."""

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "pdmodel": ("fp32", "int8"),
    "onnx": ("fp32", "int8"),
    "nb": ("fp32", "int8"),
    "mnn": ("fp32",),
    "ncnn": ("fp32",),
    "rknn": ("fp16", "int8"),
    "calibration": ("fp32",),
}
"""What formats can be built to compute in, the first unless asked; the others have no choice."""

ENGINE_ENVIRONMENTS = {
    "onnxruntime": "onnxruntime",
    "paddle-inference": "paddle",
    "paddle-lite": "paddle",
    "mnn": "mnn",
    "ncnn": "ncnn",
}
"""In which environment an engine runs on this machine."""

INTEGER_CHIPS = ("rv1103", "rv1106")
"""Chips whose NPU computes in integers only."""

ENGINE_MODULE = "edge_engine.py"
"""The name by which the Python runner finds the module of its engine beside it."""

ONNX_OPSET = 11
ONNX_OPSET_INT8 = 13  # the first whose DequantizeLinear has scales by channel
# Beyond any check seed that a person would choose.
FIRST_SAMPLE_SEED = 2_000_000_000


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
    sources
        The artifacts whose files the script finds in its current folder.
    files
        More that it finds there: name to path. They do not enter the identity: the options have
        their hashes.
    precision
        What the artifact computes in, where it is not its format's first.
    engine
        Which engine runs it on the held-out inputs, to tell how far it drifted from fp32; none
        where the stage does that itself, or there is none.
    """

    format: str
    target: str
    stage: str
    environment: Environment | None
    options: dict[str, Any]
    sources: tuple[Recipe, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    precision: Precision | None = None
    engine: str | None = None

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
            "sources": [source.id for source in self.sources],
        }
        if self.engine:  # what it is found to drift is a part of the artifact
            engine = environments.get(ENGINE_ENVIRONMENTS[self.engine])
            script = resource("models", "stages", "heldout.py").read_bytes()
            content["engine"] = [
                self.engine,
                engine.digest,
                hashlib.sha256(script).hexdigest(),
                sha256_of(device_module(self.engine)),
            ]
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
    model: Model,
    artifact_format: str,
    target: str = "any",
    shapes: Shapes | None = None,
    precision: Precision | None = None,
) -> Recipe:
    """Return how an artifact of a model is made.

    Parameters
    ----------
    shapes
        Of inputs, where they are not the manifest's: for what is computed at one shape
        (``reference``, ``operations``) or compiled for one (``rknn``).
    precision
        Which the artifact computes in; by default the format's first, and int8 for chips that
        have nothing else.

    Raises
    ------
    SpecificationError
        There is no such format, target, shape or precision for that model, its calibration images
        cannot be used, or the manifest names an unknown environment.
    """
    possible = targets(model)
    if artifact_format not in possible:
        raise SpecificationError(
            f"'{artifact_format}' is no artifact format of model '{model.name}'",
            hint=nearest(artifact_format, possible),
        )
    known = [*possible[artifact_format]]
    if artifact_format == "nb":
        known += ACCELERATORS.values()
    if target not in known:
        raise SpecificationError(
            f"'{artifact_format}' artifacts are not built for '{target}'",
            hint=nearest(target, known),
        )
    precision = _precision(artifact_format, target, precision)
    return _MAKERS[artifact_format](model, target, shapes, precision)


def outputs(
    model: Model, engine: str, artifact: ArtifactRecord, shapes: Shapes | None = None
) -> Recipe:
    """Return how the outputs are computed that an engine on this machine gives for an artifact.

    Raises
    ------
    SpecificationError
        As for :func:`recipe`.
    """
    options = {
        "engine": engine,
        "files": dict(ROLES[artifact.format]),
        "precision": artifact.precision,
        "code": sha256_of(device_module(engine)),
    }
    checked, checks = _checked(model, shapes)
    environment = environments.get(ENGINE_ENVIRONMENTS[engine])
    source = recipe(model, artifact.format, artifact.target, shapes, artifact.precision)
    return Recipe(
        "outputs",
        engine,
        "outputs",
        environment,
        options | checked,
        (source, *checks),
        files={ENGINE_MODULE: device_module(engine)},
    )


def check_inputs(model: Model, shapes: Shapes | None = None) -> Recipe | None:
    """Return how the inputs are made whose outputs are checked; none where they are seeded.

    A model that images calibrate is checked on images that it was not calibrated with: noise is
    outside the ranges that it was quantized for.

    Raises
    ------
    SpecificationError
        As for :func:`recipe`.
    """
    calibration = isinstance(model.manifest.source, CalibrationSource)
    if calibration or not model.manifest.quantization.images:
        return None
    options, files = _images(model)
    del options["images"]
    options |= {"inputs": inputs(model, shapes), "checks": len(model.manifest.check_seeds)}
    return Recipe("checks", "any", "samples", environments.get("paddle"), options, files=files)


def _checked(model: Model, shapes: Shapes | None) -> tuple[dict[str, Any], tuple[Recipe, ...]]:
    """Return what says to a stage which inputs to compute the outputs for, and what has them."""
    # Not the runner's content, which makes the inputs: the version stands for what they are.
    options = {
        "inputs": inputs(model, shapes),
        "input_spec_version": INPUT_SPEC_VERSION,
        "check_seeds": model.manifest.check_seeds,
    }
    checks = check_inputs(model, shapes)
    if checks is None:
        return options, ()
    return options | {"check_files": [*ROLES["checks"].values()]}, (checks,)


def _precision(artifact_format: str, target: str, wanted: Precision | None) -> Precision | None:
    possible = ("int8",) if target in INTEGER_CHIPS else PRECISIONS.get(artifact_format, ())
    if wanted not in (None, *possible):
        kind = artifact_format if target == "any" else f"{artifact_format} {target}"
        raise SpecificationError(
            f"'{kind}' artifacts are not built in {wanted}",
            hint=f"they are in {' and '.join(possible)}" if possible else None,
        )
    return wanted or (possible[0] if possible else None)


def _nb(model: Model, target: str, shapes: Shapes | None, precision: Precision | None) -> Recipe:
    options: dict[str, Any] = {"target": target}
    if target.partition(",")[0] in nb.NNADAPTER_DEVICES:
        # What compiles for an NPU does so for the shapes that the model declares, and a file may
        # leave more of them open than its manifest says.
        options["shapes"] = {spec.name: spec.shape for spec in model.manifest.fed(shapes)}
    paddle = environments.get("paddle")
    if precision == "fp32":
        return Recipe("nb", target, "opt", paddle, options, (_exported(model),))
    engine = "paddle-lite" if target == "x86" else "paddle-inference"
    source = _quantized(model)
    return Recipe(
        "nb", target, "opt", paddle, options, (source,), precision=precision, engine=engine
    )


def _mnn(model: Model, target: str, *_: object) -> Recipe:
    return Recipe("mnn", target, "to_mnn", environments.get("mnn"), {}, (_onnx(model),))


def _ncnn(model: Model, target: str, *_: object) -> Recipe:
    # Beside the usual shape, another one tells the converter which axes vary. Of batches it knows.
    other = {
        spec.name: [
            (low if size == high else high) if axis else size
            for axis, size in enumerate(spec.shape)
            for low, high in [spec.dynamic.get(axis, (size, size))]
        ]
        for spec in model.manifest.inputs
    }
    options = {"inputs": inputs(model), "other_inputs": inputs(model, other)}
    return Recipe("ncnn", target, "to_ncnn", environments.get("ncnn"), options, (_onnx(model),))


def _rknn(model: Model, target: str, shapes: Shapes | None, precision: Precision | None) -> Recipe:
    chosen = model.manifest.quantization
    options: dict[str, Any] = {
        "target": target,
        "precision": precision,
        "inputs": inputs(model, shapes),
    }
    if precision == "int8":
        # What the toolkit has of the algorithms.
        algorithm = {"mse": "mmse", "KL": "kl_divergence"}.get(chosen.algorithm, "normal")
        method = {"per-channel": "channel", "per-tensor": "layer"}[chosen.weights]
        options |= {"algorithm": algorithm, "method": method}
    # X2Paddle does not convert every ONNX file that the toolkit takes.
    sources = (_onnx(model), _samples(model, shapes, compared=not _by_onnx(model)))
    toolkit = environments.get("rknn")
    return Recipe("rknn", target, "to_rknn", toolkit, options, sources, precision=precision)


def _quantized(model: Model) -> Recipe:
    chosen = model.manifest.quantization
    options = {
        "inputs": [spec.name for spec in model.manifest.inputs],
        "algorithm": chosen.algorithm,
        "weights": chosen.weights,
    }
    sources = (_exported(model), _samples(model))
    return Recipe(
        "pdmodel",
        "any",
        "quantize",
        environments.get("paddle"),
        options,
        sources,
        precision="int8",
        engine="paddle-inference",
    )


def _samples(model: Model, shapes: Shapes | None = None, *, compared: bool = True) -> Recipe:
    """Return how the inputs are made that calibrate, and those that are compared with fp32."""
    chosen = model.manifest.quantization
    count = chosen.samples + chosen.held_out
    options: dict[str, Any] = {"inputs": inputs(model, shapes)}
    files: dict[str, Path] = {}
    if chosen.images:
        more, files = _images(model)
        options |= more
    else:
        seeds = [FIRST_SAMPLE_SEED + n for n in range(count)]
        options |= {"seeds": seeds[: chosen.samples], "held_out": seeds[chosen.samples :]}
        options |= {"input_spec_version": INPUT_SPEC_VERSION}
    paddle = environments.get("paddle")
    sources = (_exported(model),) if compared else ()
    return Recipe("samples", "any", "samples", paddle, options, sources, files=files)


def _images(model: Model) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return which images calibrate and which are held out, with how they are read, and where."""
    chosen = model.manifest.quantization
    folder = (model.folder or Path()) / (chosen.images or "")
    images = samples.choose(folder, chosen.samples + chosen.held_out, chosen.held_out + 1)
    calibrating = images[: len(images) - chosen.held_out]
    options: dict[str, Any] = {"images": calibrating, "held_out": images[len(calibrating) :]}
    options |= {"colour": chosen.colour, "mean": chosen.mean, "std": chosen.std}
    return options, {"images": folder}


def _reference(model: Model, target: str, shapes: Shapes | None, *_: object) -> Recipe:
    options, checks = _checked(model, shapes)
    if _given(model, "onnx"):
        # What the user gave tells what is right, not what a converter made of it.
        onnxruntime = environments.get("onnxruntime")
        sources = (_onnx(model), *checks)
        return Recipe("reference", target, "onnx_reference", onnxruntime, options, sources)
    pir = _given(model, "pir")
    paddle = environments.get("paddle3" if pir else "paddle")
    sources = (pir or _exported(model), *checks)
    return Recipe("reference", target, "reference", paddle, options, sources)


def _operations(model: Model, target: str, shapes: Shapes | None, *_: object) -> Recipe:
    options = {"inputs": inputs(model, shapes)}
    paddle = environments.get("paddle")
    return Recipe("operations", target, "operations", paddle, options, (_exported(model),))


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
        if _by_onnx(model):
            options = {"inputs": inputs(model), "exported_shapes": _exported_shapes(model)}
            toolkit = environments.get("x2paddle")
            return Recipe("pdmodel", "any", "from_onnx", toolkit, options, (_onnx(model),))
        return _taken_over(source, "pdmodel", model)
    options = {
        "function": source.function,
        "arguments": source.arguments,
        "seed": source.seed,
        "inputs": inputs(model),
        "exported_shapes": _exported_shapes(model),
    }
    return Recipe("pdmodel", "any", "export", environments.get("paddle"), options)


def _onnx(model: Model, precision: Precision | None = "fp32") -> Recipe:
    """Return how a model's ONNX file is made."""
    paddle = environments.get("paddle")
    if precision == "int8":
        return Recipe(
            "onnx",
            "any",
            "to_onnx",
            paddle,
            {"opset": ONNX_OPSET_INT8},
            (_quantized(model),),
            precision=precision,
            engine="onnxruntime",
        )
    if given := _given(model, "onnx"):
        return given
    if pir := _given(model, "pir"):
        paddle = environments.get("paddle3")
        return Recipe("onnx", "any", "pir_to_onnx", paddle, {"opset": ONNX_OPSET}, (pir,))
    return Recipe("onnx", "any", "to_onnx", paddle, {"opset": ONNX_OPSET}, (_exported(model),))


def _by_onnx(model: Model) -> bool:
    """Return whether X2Paddle makes of ONNX what Paddle's engines get."""
    source = model.manifest.source
    return isinstance(source, FileSource) and source.format != "paddle"


def _given(model: Model, artifact_format: str) -> Recipe | None:
    """Return how a file of the user's own is taken over; none if it is of another format."""
    source = model.manifest.source
    if not isinstance(source, FileSource) or source.format != artifact_format:
        return None
    return _taken_over(source, artifact_format, model)


def _taken_over(source: FileSource, artifact_format: str, model: Model) -> Recipe:
    digests = dict(
        zip(ROLES[artifact_format].values(), (source.model, source.params), strict=False)
    )
    folder = (model.folder or Path()) / FILES
    files = {f"given-{name}": folder / str(digest) for name, digest in digests.items()}
    return Recipe(artifact_format, "any", "given", None, {"files": digests}, files=files)


def _exported_shapes(model: Model) -> list[list[int]]:
    return [spec.exported_shape for spec in model.manifest.inputs]


def inputs(model: Model, shapes: Shapes | None = None) -> list[dict[str, Any]]:
    """Return a model's input specifications as stages and runners read them."""
    return [spec.model_dump(mode="json") for spec in model.manifest.fed(shapes)]


def device_module(engine: str) -> Path:
    """Return the path of the module that the Python runner uses an engine through."""
    return resource("engines", engine.replace("-", "_"), "device.py")


def resource(*parts: str) -> Path:
    """Return the path of a file of this package."""
    return Path(str(resources.files("harness").joinpath(*parts)))


_MAKERS: dict[str, Callable[[Model, str, Shapes | None, Precision | None], Recipe]] = {
    "pdmodel": lambda model, _target, _shapes, precision: (
        _quantized(model) if precision == "int8" else _exported(model)
    ),
    "onnx": lambda model, _target, _shapes, precision: _onnx(model, precision),
    "nb": _nb,
    "mnn": _mnn,
    "ncnn": _ncnn,
    "rknn": _rknn,
    "reference": _reference,
    "operations": _operations,
    "calibration": lambda model, *_: _exported(model),
}
