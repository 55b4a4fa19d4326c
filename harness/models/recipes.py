"""Recipes: how each artifact of a model is made, and what its identity covers.

One recipe is one stage script (``stages/``, or an engine's) run in one toolchain environment with
some options, on the files of the artifacts that it is made from.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import engines
from harness.core.contract import INPUT_SPEC_VERSION
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.yamlfile import nearest
from harness.engines import model_files
from harness.engines.base import ENGINE_MODULE, Request
from harness.models import environments, samples
from harness.models.calibration import CalibrationSource
from harness.models.formats import ALONE, engine_of, formats, roles
from harness.models.manifest import (
    FILES,
    FileSource,
    PackageSource,
    TransformerSource,
    reference_model,
)
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.contract import InputSpec
    from harness.core.records import ArtifactRecord, Interface, Precision
    from harness.engines.base import Environment, Source
    from harness.models.manifest import Model, Shapes

__all__ = [
    "Recipe",
    "check_inputs",
    "environment_of",
    "inputs",
    "outputs",
    "precisions",
    "recipe",
    "resource",
    "taken",
    "targets",
]

PADDLE_PROGRAM = "paddle"
"""The target of ``operations`` that are counted in the Paddle program, whatever the model is."""

_X2PADDLE = {
    "opset": 15,
    "write_out": [
        "AffineGrid",
        "Attention",
        "CastLike",
        "Celu",
        "CenterCropPad",
        "Gelu",
        "GroupNormalization",
        "HardSwish",
        "LayerNormalization",
        "MeanVarianceNormalization",
        "Mish",
        "RMSNormalization",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
        "RotaryEmbedding",
        "Selu",
        "SwiGLU",
        "Swish",
    ],
    "plain": True,
    # X2Paddle casts nothing from int8, nor Paddle Lite from float16 and float64.
    "takes": ["float32", "int64", "int32", "uint8", "bool"],
}
"""What X2Paddle needs: it knows no newer opset, and lacks these operators."""

_OF_PADDLE = ("pdmodel", "onnx")
"""What a Paddle file is, or becomes, in its own precision."""

ONNX_OPSET = 11
ONNX_OPSET_INT8 = 13  # the first whose DequantizeLinear has scales by channel
# Beyond any check seed that a person would choose.
FIRST_SAMPLE_SEED = 2_000_000_000


@dataclass(frozen=True)
class Recipe:
    """How an artifact is made: all that its identity covers.

    Attributes
    ----------
    script
        The stage's.
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
    runs
        What this engine runs: the artifact's format, or that of its source, in fp32 arithmetic,
        where the artifact runs on no processor here.
    """

    format: str
    target: str
    script: Path
    environment: Environment | None
    options: dict[str, Any]
    sources: tuple[Recipe, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    precision: Precision | None = None
    engine: str | None = None
    runs: str | None = None

    @property
    def stage(self) -> str:
        """The stage's name."""
        return self.script.stem

    @property
    def id(self) -> str:
        """The artifact's identity: a SHA-256 of all that it depends on."""
        content = {
            "format": self.format,
            "target": self.target,
            "script": sha256_of(self.script),
            "lock": self.environment.digest if self.environment else None,
            "options": self.options,
            "sources": [source.id for source in self.sources],
        }
        if self.engine:  # what it is found to drift is a part of the artifact
            engine = engines.get(self.engine)
            scripts = (_stage("heldout"), engine.device_module, engine.kernels_script)
            content["engine"] = [
                self.engine,
                environment_of(self.engine).digest,
                *(sha256_of(script) for script in scripts if script),
            ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the artifact is once it is built."""
        return cache_dir() / "artifacts" / self.id


def targets(model: Model) -> Mapping[str, tuple[str, ...]]:
    """Return the formats that a model can be built in, and what each can be built for.

    GPUs and NPUs aside, which are built for where they are asked for by name.
    """
    source = model.manifest.source
    if isinstance(source, CalibrationSource):
        chosen = [ALONE]
    elif isinstance(source, FileSource) and source.alone:
        _, owner = model_files()[source.format]
        chosen = [*(each.name for each in owner.formats), "reference"]
    else:
        owners = (engine for file, engine in model_files().values() if file.alone)
        alone = {ALONE, *(each.name for owner in owners for each in owner.formats)}
        chosen = [name for name in formats() if name not in alone]
    return {name: tuple(formats()[name].by_name.values()) for name in chosen}


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
        (``reference``, ``operations``) or compiled for one.
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
            f"'{artifact_format}' is not an artifact format of model '{model.name}'",
            hint=nearest(artifact_format, possible),
        )
    known = [*possible[artifact_format], *formats()[artifact_format].accelerators.values()]
    known += [PADDLE_PROGRAM] if artifact_format == "operations" else []
    if target not in known:
        raise SpecificationError(
            f"'{artifact_format}' artifacts are not built for '{target}'",
            hint=nearest(target, known),
        )
    precision = _precision(model, artifact_format, target, precision)
    if make := _MAKERS.get(artifact_format):
        return make(model, target, shapes, precision)
    return _by_engine(model, artifact_format, target, shapes, precision)


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
        "files": dict(roles(artifact.format) or {}),
        "precision": artifact.precision,
        "code": sha256_of(engines.get(engine).device_module),
    }
    checked, checks = _checked(model, shapes)
    if artifact.interface:
        left = taken(model.manifest.fed(shapes), artifact.interface)
        checked["inputs"] = checked["inputs"][: len(left)]
        checked["as_float32"] = artifact.interface.as_float32
        checked["outputs"] = artifact.interface.outputs
    source = recipe(model, artifact.format, artifact.target, shapes, artifact.precision)
    return Recipe(
        "outputs",
        engine,
        _stage("outputs"),
        environment_of(engine),
        options | checked,
        (source, *checks),
        files={ENGINE_MODULE: engines.get(engine).device_module},
    )


def environment_of(engine: str) -> Environment:
    """Return the environment in which an engine runs on this machine.

    Raises
    ------
    SpecificationError
        It does not run here.
    """
    name = engines.get(engine).environment
    if name is None:
        raise SpecificationError(f"{engine} does not run on this machine")
    return environments.get(name)


def check_inputs(model: Model, shapes: Shapes | None = None) -> Recipe | None:
    """Return how the inputs are made whose outputs are checked; none where they are seeded.

    A model that images calibrate is checked on images that it was not calibrated with: noise is
    outside the ranges that it was quantized for.

    Raises
    ------
    SpecificationError
        As for :func:`recipe`.
    """
    other = reference_model(model)
    if other:
        theirs = other.manifest.fed(_shapes_of_other(model, other, shapes))
        mine = model.manifest.fed(shapes)
        moved = [a.shape != b.shape for a, b in zip(mine, theirs, strict=True)]
        if not any(moved):
            return None
        options = {
            "inputs": [spec.model_dump(mode="json") for spec in theirs],
            "moved": moved,
            "input_spec_version": INPUT_SPEC_VERSION,
            "check_seeds": model.manifest.check_seeds,
        }
        return Recipe("checks", "any", _stage("channels_last"), None, options)
    calibration = isinstance(model.manifest.source, CalibrationSource)
    if calibration or not model.manifest.quantization.images:
        return None
    options, files = _images(model)
    del options["images"]
    options |= {"inputs": inputs(model, shapes), "checks": len(model.manifest.check_seeds)}
    return Recipe(
        "checks", "any", _stage("samples"), environments.get("paddle"), options, files=files
    )


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
    return options | {"check_files": [*(roles("checks") or {}).values()]}, (checks,)


def precisions(model: Model, artifact_format: str, target: str) -> tuple[Precision, ...]:
    """Return what an artifact of a model can be built to compute in; a user's file has its own.

    What a file computes in it keeps: nothing makes fp32 of it, or quantizes it again.
    """
    source, made = model.manifest.source, formats()[artifact_format]
    if isinstance(source, FileSource) and made.precisions:
        if source.alone and source.format == artifact_format:
            return (source.precision,)
        if source.precision != "fp32":
            own = _OF_PADDLE if source.format == "paddle" else (source.format,)
            as_it_is = artifact_format in own or source.precision in made.keeps
            return (source.precision,) if as_it_is else ()
    return made.precisions_for(target)


def _precision(
    model: Model, artifact_format: str, target: str, wanted: Precision | None
) -> Precision | None:
    possible = precisions(model, artifact_format, target)
    own = model.manifest.precision
    if not possible and formats()[artifact_format].precisions:
        raise SpecificationError(
            f"'{model.name}' already computes in {own}: it is measured as it is, not "
            f"converted to formats built from fp32 models",
            hint="add the fp32 model that it was made of"
            + (", and build that with --precision int8" if own == "int8" else ""),
        )
    if wanted not in (None, *possible):
        kind = artifact_format if target == "any" else f"{artifact_format} {target}"
        raise SpecificationError(
            f"'{kind}' artifacts are not built in {wanted}",
            hint=f"they are in {' and '.join(possible)}" if possible else None,
        )
    return wanted or (possible[0] if possible else None)


def _by_engine(
    model: Model,
    artifact_format: str,
    target: str,
    shapes: Shapes | None,
    precision: Precision | None,
) -> Recipe:
    """Return how an artifact is made in a format that comes with an engine."""
    if given := _given(model, artifact_format):
        return given
    engine = engine_of(artifact_format)
    if engine is None:
        raise AssertionError(artifact_format)  # recipe() has it from an engine
    manifest = model.manifest
    request = Request(
        format=artifact_format,
        target=target,
        precision=precision,
        inputs=manifest.fed(shapes),
        usual=manifest.fed(),
        ranges={spec.name: spec.dynamic for spec in manifest.inputs},
        algorithm=manifest.quantization.algorithm,
        computed_in=manifest.precision,
        weights=manifest.quantization.weights,
    )
    made = engine.recipe(request)
    fixed = shapes if formats()[artifact_format].fixed_shapes else None
    return Recipe(
        artifact_format,
        target,
        made.stage,
        environments.get(made.environment) if made.environment else None,
        dict(made.options),
        tuple(_source(each, model, shapes, fixed) for each in made.sources),
        precision=precision,
        engine=_checking(made.drift_of, target) if made.drift_of else None,
        runs=made.drift_of,
    )


def _checking(artifact_format: str, target: str = "any") -> str | None:
    """Return the name of the engine that runs a format on this machine, if there is one."""
    places = formats()[artifact_format].by_name.values()
    engine = engines.which_checks(artifact_format, target if target in places else "any")
    return engine.name if engine else None


def _source(wanted: Source, model: Model, shapes: Shapes | None, fixed: Shapes | None) -> Recipe:
    """Return how something is made that an engine makes its artifact from."""
    if wanted.format == "samples":
        # X2Paddle does not convert every ONNX file that an engine's toolkit takes.
        return _samples(model, shapes, compared=not _by_onnx(model))
    if wanted.format == "prepared":
        return _prepared(model, fixed, wanted.needs)
    return recipe(model, wanted.format, precision=wanted.precision)


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
        _stage("quantize"),
        environments.get("paddle"),
        options,
        sources,
        precision="int8",
        engine=_checking("pdmodel"),
        runs="pdmodel",
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
    return Recipe("samples", "any", _stage("samples"), paddle, options, sources, files=files)


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
    source = model.manifest.source
    if isinstance(source, FileSource) and source.format in model_files():
        # What the user gave tells what is right, not what a converter made of it.
        file = model_files()[source.format][0]
        sources = (_taken_over(source, source.format, model), *checks)
        environment = environments.get(file.environment) if file.environment else None
        own = Recipe("reference", target, file.reference, environment, options, sources)
        return _of_another(model, own, shapes) if source.reference else own
    pir = _given(model, "pir")
    paddle = environments.get("paddle3" if pir else "paddle")
    sources = (pir or _exported(model), *checks)
    return Recipe("reference", target, _stage("reference"), paddle, options, sources)


def _of_another(model: Model, own: Recipe, shapes: Shapes | None) -> Recipe:
    """Return how a model's reference outputs are taken from those of the same in another format."""
    other = reference_model(model)
    if other is None:
        raise SpecificationError(f"model '{model.name}' is in no workspace, so it has no reference")
    theirs = recipe(other, "reference", shapes=_shapes_of_other(model, other, shapes))
    options = {"model": other.name, "check_seeds": model.manifest.check_seeds}
    return Recipe("reference", own.target, _stage("same_outputs"), None, options, (own, theirs))


def _shapes_of_other(model: Model, other: Model, shapes: Shapes | None) -> Shapes:
    """Return the shapes of the same model's inputs in another format, which are in its order."""
    found = {}
    fed, known = model.manifest.fed(shapes), other.manifest.inputs
    for mine, theirs in zip(fed, known, strict=False):
        moved = (*mine.shape[:1], *mine.shape[-1:], *mine.shape[1:-1])
        for shape in (mine.shape, moved):
            with suppress(SpecificationError):
                theirs.at(shape)
                found[theirs.name] = tuple(shape)
                break
        same = (mine.dtype, mine.low, mine.high) == (theirs.dtype, theirs.low, theirs.high)
        if theirs.name not in found or not same:
            raise SpecificationError(
                f"model '{model.name}': its input '{mine.name}' differs from '{theirs.name}' "
                f"of its reference '{other.name}'",
                hint="dtype, shape (channels first or last) and range must agree",
            )
    if len(fed) != len(known):
        raise SpecificationError(
            f"model '{model.name}' has {len(fed)} inputs, and its reference {len(known)}"
        )
    return found


def _operations(model: Model, target: str, shapes: Shapes | None, *_: object) -> Recipe:
    options = {"inputs": inputs(model, shapes)}
    if _by_onnx(model) and target != PADDLE_PROGRAM:
        # Not every ONNX file becomes a Paddle program.
        onnx, sources = environments.get("onnx"), (_prepared(model, shapes),)
        return Recipe("operations", target, _stage("count_onnx"), onnx, options, sources)
    paddle = environments.get("paddle")
    return Recipe("operations", target, _stage("operations"), paddle, options, (_exported(model),))


def _exported(model: Model) -> Recipe:
    """Return how the artifact is made that a model's others are made from."""
    source = model.manifest.source
    options: dict[str, Any]
    if isinstance(source, CalibrationSource):
        options = source.settings | {"inputs": [spec.name for spec in model.manifest.inputs]}
        return Recipe("calibration", "any", _stage("calibration"), None, options)
    if isinstance(source, PackageSource):
        options = {"model": source.model, "params": source.params}
        return Recipe(
            "pdmodel", "any", _stage("take"), environments.get(source.environment), options
        )
    if isinstance(source, TransformerSource):
        (spec,) = model.manifest.inputs
        options = source.model_dump(mode="json", exclude={"kind"})
        options |= {"input": spec.name, "exported_shape": spec.exported_shape}
        return Recipe("pdmodel", "any", _stage("transformer"), environments.get("paddle"), options)
    if isinstance(source, FileSource):
        if _by_onnx(model):
            options = {"inputs": inputs(model), "exported_shapes": _exported_shapes(model)}
            toolkit = environments.get("x2paddle")
            sources = (_prepared(model, needs=_X2PADDLE),)
            return Recipe("pdmodel", "any", _stage("from_onnx"), toolkit, options, sources)
        return _taken_over(source, "pdmodel", model)
    options = {
        "function": source.function,
        "arguments": source.arguments,
        "seed": source.seed,
        "inputs": inputs(model),
        "exported_shapes": _exported_shapes(model),
    }
    return Recipe("pdmodel", "any", _stage("export"), environments.get("paddle"), options)


def _onnx(model: Model, precision: Precision | None = "fp32") -> Recipe:
    """Return how a model's ONNX file is made."""
    paddle = environments.get("paddle")
    if precision == "int8" and model.manifest.precision == "fp32":
        return Recipe(
            "onnx",
            "any",
            _stage("to_onnx"),
            paddle,
            {"opset": ONNX_OPSET_INT8},
            (_quantized(model),),
            precision=precision,
            engine=_checking("onnx"),
            runs="onnx",
        )
    if given := _given(model, "onnx"):
        return given
    if pir := _given(model, "pir"):
        paddle = environments.get("paddle3")
        return Recipe("onnx", "any", _stage("pir_to_onnx"), paddle, {"opset": ONNX_OPSET}, (pir,))
    options = {"opset": ONNX_OPSET_INT8 if precision == "int8" else ONNX_OPSET}
    source = _exported(model)
    return Recipe("onnx", "any", _stage("to_onnx"), paddle, options, (source,), precision=precision)


def _prepared(
    model: Model, shapes: Shapes | None = None, needs: Mapping[str, Any] | None = None
) -> Recipe:
    """Return how a model's ONNX file is prepared for a converter.

    Parameters
    ----------
    needs
        What the converter needs (see :class:`harness.engines.base.Source`).
    """
    options: dict[str, Any] = {
        "inputs": inputs(model, shapes),
        "exported_shapes": _exported_shapes(model),
    }
    options |= {"opset": None, "write_out": [], "plain": False, "takes": None} | dict(needs or {})
    options["made_here"] = not _by_onnx(model)
    reader = model_files()["onnx"][0]
    if reader.prepare is None or reader.environment is None:
        raise SpecificationError("no engine prepares ONNX files for converters")
    environment = environments.get(reader.environment)
    source = _onnx(model, model.manifest.precision)
    return Recipe("prepared", "any", reader.prepare, environment, options, (source,))


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
        zip((roles(artifact_format) or {}).values(), (source.model, source.params), strict=False)
    )
    folder = (model.folder or Path()) / FILES
    files = {f"given-{name}": folder / str(digest) for name, digest in digests.items()}
    script, options = _stage("given"), {"files": digests}
    return Recipe(
        artifact_format, "any", script, None, options, files=files, precision=source.precision
    )


def _exported_shapes(model: Model) -> list[list[int]]:
    return [spec.exported_shape for spec in model.manifest.inputs]


def inputs(model: Model, shapes: Shapes | None = None) -> list[dict[str, Any]]:
    """Return a model's input specifications as stages and runners read them."""
    return [spec.model_dump(mode="json") for spec in model.manifest.fed(shapes)]


def taken(specs: Sequence[InputSpec], interface: Interface | None) -> list[InputSpec]:
    """Return the inputs that an artifact has: it may have lost some of its model's.

    Raises
    ------
    SpecificationError
        They are not the last ones: the values of those after them would be others.
    """
    if interface is None:
        return list(specs)
    names = [spec.name for spec in specs]
    kept = [name for name in names if name in interface.inputs]
    if names[: len(kept)] != kept:
        lost = next(name for name in names if name not in kept)
        raise SpecificationError(
            f"input '{lost}' has no effect; converters drop it",
            hint="list it after the others under 'inputs' of the model's file, or add the file "
            "again",
        )
    return list(specs[: len(kept)])


def _stage(name: str) -> Path:
    return resource("models", "stages", f"{name}.py")


def resource(*parts: str) -> Path:
    """Return the path of a file of this package."""
    return Path(str(resources.files("harness").joinpath(*parts)))


_MAKERS: dict[str, Callable[[Model, str, Shapes | None, Precision | None], Recipe]] = {
    "pdmodel": lambda model, _target, _shapes, precision: (
        _quantized(model)
        if precision == "int8" and model.manifest.precision == "fp32"
        else _exported(model)
    ),
    "onnx": lambda model, _target, _shapes, precision: _onnx(model, precision),
    "reference": _reference,
    "operations": _operations,
    ALONE: lambda model, *_: _exported(model),
}
