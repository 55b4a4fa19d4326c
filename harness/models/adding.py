"""The user's own models: a file is inspected, copied into the workspace, and gets a manifest.

A model's file is untrusted: it is loaded in a process of its own, with limits, by the framework
that it is for.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from harness.core.contract import RANGES, DType
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.pages import page
from harness.core.records import Precision
from harness.core.text import visible
from harness.core.yamlfile import dump
from harness.engines import formats, model_files
from harness.models import environments, pdiparams
from harness.models.manifest import FILES, FileSource, Manifest, Model, ModelInput, load_model
from harness.models.recipes import resource
from harness.models.toolchain import ToolchainError, run
from harness.workspace import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.workspace import Workspace

__all__ = ["Added", "Known", "add"]

SIZE_LIMIT = 4 << 30
LIMITS = {"memory_bytes": 12 << 30, "cpu_s": 300}
MOST_OF_A_BATCH = 8
WIDEST = 4096
_UNKNOWN_LICENCE = "unknown"
_PARAMS = "model.pdiparams"
_MERGED = "merged.onnx"
_PADDLE = {".pdmodel": "paddle", ".json": "pir"}
_INSPECTED_IN = {"paddle": "paddle", "pir": "paddle3"}
_DTYPES = {
    "float": "float32",
    "fp32": "float32",
    "fp16": "float16",
    "double": "float64",
    "fp64": "float64",
}
"""What frameworks call dtypes, where the contract calls them otherwise."""
_WHOLE_RANGE = ("uint8", "int8", "bool")
"""Dtypes whose values are usually all taken: a camera's, quantized ones, masks."""

_ELSEWHERE = {
    ".pdiparams": "these are the parameters: name the .pdmodel or .json beside them",
    ".data": "these are an ONNX file's weights: name the .onnx file beside them",
    ".xml": "it is converted for one engine already: add the ONNX file that it was made of",
    ".ort": "it is converted for one engine already: add the .onnx file that it was made of",
    ".engine": "it is built for one GPU already: add the ONNX file that it was made of",
    ".mlmodel": "it is converted for Core ML already: add the ONNX file that it was made of",
    ".pt": "export it to ONNX first (torch.onnx.export) and add that",
    ".pth": "export it to ONNX first (torch.onnx.export) and add that",
    ".safetensors": "these are weights without a network: export it to ONNX and add that",
    ".pb": "convert it to ONNX first (tf2onnx) and add that",
    ".h5": "convert it to ONNX first (tf2onnx) and add that",
    ".keras": "convert it to ONNX first (tf2onnx) and add that",
    ".caffemodel": "convert it to Paddle first (x2paddle --framework=caffe) and add that",
}
_BINARY_OF = {".bin": (".param", ".xml")}
"""Suffixes that several frameworks have for weights, and those of the graphs beside them."""

_OLD_NAMES = ("__model__", "__params__")
"""Of a Paddle model's files before it had suffixes, its parameters in one file."""

# ONNX has the name of a file with weights as an entry 'location' of a tensor (a protobuf message).
_LOCATION = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)
_NAME_LENGTH = 127  # of one byte


class _FoundInput(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    dtype: Annotated[str, StringConstraints(max_length=40)]
    shape: Annotated[list[Annotated[int, Field(ge=-1, le=1 << 24)]], Field(max_length=8)]
    axes: Annotated[
        list[Annotated[str, StringConstraints(max_length=200)]], Field(max_length=8)
    ] = Field(default_factory=list)
    used: bool = True

    @field_validator("dtype")
    @classmethod
    def _as_the_contract_has_it(cls, name: str) -> str:
        return _DTYPES.get(name, name)

    def axis_name(self, axis: int) -> str:
        """Return what the file calls an axis that it leaves open; empty where it does not say."""
        name = self.axes[axis] if axis < len(self.axes) else ""
        return name if any(character.isalnum() for character in name) else ""  # such as '?'


class _Found(BaseModel):
    """What the framework says of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: Annotated[list[_FoundInput], Field(min_length=1, max_length=16)]
    outputs: Annotated[int, Field(ge=1, le=10_000)]
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Added:
    """A model that was added.

    Attributes
    ----------
    manifest
        Where its manifest is.
    left
        What its manifest says by guess and somebody must look at, in sentences.
    """

    model: Model
    manifest: Path
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What somebody knows of a model that its file does not say.

    Attributes
    ----------
    name
        The model's; by default the file's.
    shapes
        Of inputs, where the file leaves more than the batch open.
    ranges
        Of inputs' values; by default [0, 1).
    reference
        The model of the workspace that is the same in another format.
    """

    name: str | None = None
    licence: str | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reference: str | None = None


def add(
    workspace: Workspace, path: Path, known: Known, *, progress: Callable[[str], None]
) -> Added:
    """Copy a model's file into a workspace, under its hash, and write its manifest.

    Parameters
    ----------
    path
        An ONNX file, with the files beside it that it keeps its weights in; a ``.pdmodel``, or the
        ``.json`` that Paddle 3 writes, with its ``.pdiparams`` beside it; or a folder with one of
        them.

    Raises
    ------
    SpecificationError
        The file is none that can be used, there is a model of that name, or a shape or range
        does not fit.
    ToolchainError
        The environment that inspects it could not be made.
    """
    path = _model_in(path) if path.is_dir() else path
    name = known.name or _name_of(path)
    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecificationError(
            f"'{visible(name)}' cannot be a model's name: letters, digits, '.', '_' and '-'",
            hint="name it with --name",
        )
    target = workspace.models / f"{name}.yaml"
    kind, files = _files(path)
    if target.exists():
        raise SpecificationError(
            f"model '{name}' already exists: {target}", hint="choose another --name"
        )
    if known.reference is not None:
        load_model(workspace, known.reference)
    with tempfile.TemporaryDirectory() as place:
        found = _inspect(path, files, kind, Path(place), progress)
        if (Path(place) / _MERGED).is_file():
            files = {next(iter(files)): Path(place) / _MERGED}
        inputs, left = _inputs(found, known)
        if known.licence is None:
            left.insert(0, f"licence: it says '{_UNKNOWN_LICENCE}'")
        digests = {role: sha256_of(file) for role, file in files.items()}
        model = next(iter(files))
        source = FileSource(
            kind="file",
            format=kind,
            model=digests[model],
            params=digests.get(_PARAMS),
            origin=visible(path.name)[:200],
            precision=found.precision,
            reference=known.reference,
        )
        manifest = Manifest(
            title=visible(path.stem)[:200],
            licence=known.licence or _UNKNOWN_LICENCE,
            source=source,
            inputs=inputs,
        )
        _store(workspace.models / FILES, {digests[role]: file for role, file in files.items()})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_text(manifest, left), encoding="utf-8")
    return Added(Model(name=name, manifest=manifest, folder=workspace.models), target, left)


def _model_in(folder: Path) -> Path:
    """Return the one model in a folder."""
    try:
        names = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise _unusable(folder, f"{error.strerror}", None) from error
    alone = {*_kinds()} - {".json"}  # which may be anything
    found = [path for path in names if path.suffix.lower() in alone]
    found += [path for path in names if path.name == _OLD_NAMES[0]]
    programs = {path.stem for path in names if path.suffix == ".pdiparams"}
    found += [path for path in names if path.suffix == ".json" and path.stem in programs]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(visible(path.name) for path in found)
        raise _unusable(folder, f"a folder with several models ({shown})", "name one of them")
    raise _unusable(
        folder,
        "a folder without a model",
        "name an .onnx file, or a .pdmodel or .json with its .pdiparams",
    )


def _files(path: Path) -> tuple[str, dict[str, Path]]:
    """Return a model's format, and its files by the names that stages give them."""
    suffix = path.suffix.lower()
    if suffix in _BINARY_OF:
        graphs = [path.with_suffix(graph) for graph in _BINARY_OF[suffix]]
        graph = next((each.suffix for each in graphs if each.is_file()), "")
        belongs = _elsewhere(graph) or "name the file with the graph that they belong to"
        raise _unusable(path, f"weights in a {suffix} file cannot be added", belongs)
    known = _kinds()
    old = path.name == _OLD_NAMES[0]
    if suffix not in known and not old:
        if hint := _elsewhere(suffix):
            raise _unusable(path, f"a {suffix} file cannot be added", hint)
        *most, last = known
        raise _unusable(path, f"not an {', '.join(most)} or {last} file", f"see {page('models')}")
    kind = "paddle" if old else known[suffix]
    files = {f"model{'.pdmodel' if old else suffix}": path}
    if kind in _INSPECTED_IN:
        files[_PARAMS] = path.with_name(_OLD_NAMES[1]) if old else path.with_suffix(".pdiparams")
    _refuse_sizes(files.values(), old=old)
    if kind == "onnx":
        weights = {name: path.parent / name for name in _weights_of(path)}
        _refuse_sizes(weights.values())
        files |= weights
    elif _PARAMS in files:
        _refuse_damaged(kind, path, files[_PARAMS])
    return kind, files


def _kinds() -> dict[str, str]:
    """Return the kinds of files that can be added: suffix to the manifest's format."""
    return {each.suffix: name for name, (each, _) in model_files().items()} | _PADDLE


def _elsewhere(suffix: str) -> str | None:
    """Say what to do with a file of another kind, where that is known."""
    for each, engine in formats():
        if suffix == Path(each.roles["model"]).suffix:
            return f"it is built for {engine.title} already: add what it was made of"
    return _ELSEWHERE.get(suffix)


def _refuse_sizes(files: Iterable[Path], *, old: bool = False) -> None:
    for file in files:
        if not file.is_file():
            hint = "a Paddle model is a .pdmodel (or .json) and a .pdiparams"
            if old:
                hint = (
                    "parameters in files of their own are not taken: load the model in Paddle and "
                    "save it again (paddle.static.save_inference_model)"
                )
            raise _unusable(file, "no such file", hint)
        size = file.stat().st_size
        if size == 0:
            raise _unusable(file, "it is empty", "copy or export it again")
        if size > SIZE_LIMIT:
            raise _unusable(
                file, f"larger than {SIZE_LIMIT >> 30} GiB", "no edge device can run it"
            )


def _weights_of(path: Path) -> list[str]:
    """Return the names of the files in which an ONNX file keeps weights, which are beside it.

    Raises
    ------
    SpecificationError
        One of them is elsewhere, or is not there.
    """
    content = path.read_bytes()
    names: dict[str, None] = {}
    for found in _LOCATION.finditer(content):
        length = found[1][0]
        name = content[found.end() : found.end() + length].decode("utf-8", "replace")
        if length > _NAME_LENGTH or name != Path(name).name or name in ("", ".", ".."):
            raise _unusable(
                path,
                f"it keeps weights in '{visible(name)[:100]}', but only files in the same "
                f"folder are accepted",
                "save it as one file: onnx.save(onnx.load(FILE), OTHER)",
            )
        names[name] = None
    for name in names:
        if not (path.parent / name).is_file():
            raise _unusable(
                path,
                f"its weights are in {visible(name)}, which is not in the same folder",
                "copy that file there too",
            )
    return list(names)


def _refuse_damaged(kind: str, path: Path, parameters: Path) -> None:
    """Refuse what Paddle would take, or not say what it is."""
    if fault := pdiparams.fault(parameters):
        raise _unusable(parameters, fault, None)
    if kind == "pir":
        with path.open("rb") as content:
            if b'"pir"' not in content.read(4096):
                raise _unusable(path, "not a Paddle 3 program", "name a model's file")


def _inspect(
    path: Path,
    files: Mapping[str, Path],
    kind: str,
    folder: Path,
    progress: Callable[[str], None],
) -> _Found:
    environment: str | None
    if kind in _INSPECTED_IN:
        environment = _INSPECTED_IN[kind]
        script = resource("models", "stages", f"inspect_{kind}.py")
    else:
        read_by, _ = model_files()[kind]
        environment, script = read_by.environment, read_by.inspect
    python = environments.python(environment, progress) if environment else sys.executable
    progress(f"inspecting {visible(path.name)}")
    weights_apart = kind == "onnx" and len(files) > 1
    for role, file in files.items():
        if weights_apart:  # ONNX Runtime takes no link to them
            shutil.copyfile(file, folder / role)
        else:
            (folder / role).symlink_to(file.resolve())
    try:
        command = [str(python), "-I", str(script), json.dumps(LIMITS | {"merge": weights_apart})]
        run(command, name="inspection", folder=folder)
        answer = json.loads((folder / "found.json").read_bytes())
    except (ToolchainError, OSError, ValueError) as error:
        said = getattr(error, "message", str(error))
        raise _unusable(path, f"loading it crashes: {said}", None) from error
    if "fault" in answer:
        lines = [line.strip() for line in str(answer["fault"]).splitlines() if line.strip()]
        raise _unusable(path, visible(lines[0] if lines else "no reason is given")[:300], None)
    try:
        return _Found.model_validate(answer)
    except ValidationError as error:
        if not answer.get("inputs", True):
            raise _unusable(path, "it has no inputs", None) from error
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise _unusable(path, f"{visible(where)}: {fault['msg']}", None) from error


def _inputs(found: _Found, known: Known) -> tuple[list[ModelInput], list[str]]:
    names = [value.name for value in found.inputs]
    for given in (*known.shapes, *known.ranges):
        if given not in names:
            raise SpecificationError(
                f"the model has no input '{given}'", hint=f"it has {', '.join(map(visible, names))}"
            )
    inputs, left = [], []
    shapes = _shapes(found.inputs, known.shapes)
    batches = _batch_axes(found.inputs)
    if found.precision != "fp32":
        left.append(f"precision: the file computes in {found.precision}, and is measured as that")
    for value in _last_without_effect(found.inputs, known):
        shape = shapes[value.name]
        open_axes = [axis for axis, extent in enumerate(value.shape) if extent < 0]
        batch_axis = batches[value.name]
        dynamic = {
            axis: (1, max(shape[axis], MOST_OF_A_BATCH if axis == batch_axis else WIDEST))
            for axis in open_axes
        }
        dtype = value.dtype
        if dtype not in get_args(DType):
            raise SpecificationError(
                f"input '{visible(value.name)}' is {visible(value.dtype)}: the harness "
                f"supports {', '.join(get_args(DType))}",
                hint="export it with an input of one of these",
            )
        low, high = known.ranges.get(value.name, _usual_range(dtype))
        if not low < high:
            raise SpecificationError(f"input '{visible(value.name)}': [{low:g}, {high:g}) is empty")
        if value.name not in known.ranges and value.used:
            left.append(f"low and high of '{visible(value.name)}': the range of its values")
        if not value.used:
            left.append(f"'{visible(value.name)}' has no effect: converters leave it out")
        left += [
            f"axis {axis} of '{visible(value.name)}': from {least} to {most} is a guess"
            for axis, (least, most) in dynamic.items()
        ]
        inputs.append(
            ModelInput(
                name=value.name,
                dtype=dtype,
                shape=shape,
                dynamic=dynamic,
                batch_axis=batch_axis,
                low=low,
                high=high,
            )
        )
    return inputs, left


def _usual_range(dtype: str) -> tuple[float, float]:
    """Return the range of an input's values where nobody says it."""
    if dtype in _WHOLE_RANGE:
        return RANGES[dtype]
    return 0.0, 1.0 if dtype.startswith("float") else 2.0


def _last_without_effect(inputs: Sequence[_FoundInput], known: Known) -> list[_FoundInput]:
    """Return the inputs, those last that converters leave out.

    An input's values depend on its place: so those of the others are the same without it.
    """

    def left_out(value: _FoundInput) -> bool:
        low, high = known.ranges.get(value.name, _usual_range(value.dtype))
        floats = value.dtype.startswith("float")
        one_value = not floats and math.ceil(high) - math.ceil(low) == 1
        return not value.used or one_value

    return sorted(inputs, key=left_out)


def _batch_axes(inputs: Sequence[_FoundInput]) -> dict[str, int | None]:
    """Return which axis of each input counts the batch.

    It is the first one; or where the file names its axes, one of the name that another input's
    first axis has. An input without axes has none.
    """
    first = {value.axis_name(0) for value in inputs if value.shape and value.shape[0] < 0} - {""}
    found: dict[str, int | None] = {}
    for value in inputs:
        named = [axis for axis in range(len(value.shape)) if value.axis_name(axis) in first]
        found[value.name] = (named[0] if named else 0) if value.shape else None
    return found


def _shapes(
    inputs: Sequence[_FoundInput], wanted: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes to measure at: one name of an axis is one extent, and a batch is 1.

    Raises
    ------
    SpecificationError
        A wanted shape does not fit, or the file leaves one open that nobody says.
    """
    extents: dict[str, int] = {}
    for value in inputs:
        if (given := wanted.get(value.name)) is None:
            continue
        fits = len(given) == len(value.shape) and all(
            extent in (-1, size) for extent, size in zip(value.shape, given, strict=True)
        )
        for axis, size in enumerate(given if fits else ()):
            if value.shape[axis] < 0 and (name := value.axis_name(axis)):
                fits = fits and extents.setdefault(name, size) == size
        if not fits or any(size < 1 for size in given):
            raise SpecificationError(
                f"{list(given)} does not fit input '{visible(value.name)}' of shape {value.shape}"
            )
    batches = _batch_axes(inputs)
    found: dict[str, tuple[int, ...]] = {}
    for value in inputs:
        shape = list(wanted.get(value.name, value.shape))
        for axis, size in enumerate(shape):
            if size < 0:
                usual = 1 if axis == batches[value.name] else -1
                shape[axis] = extents.get(value.axis_name(axis), usual)
        found[value.name] = tuple(shape)
    unknown = [value for value in inputs if -1 in found[value.name]]
    if unknown:
        shown = ",".join("?" if extent < 0 else str(extent) for extent in unknown[0].shape)
        options = " ".join(_shape_option(value, found[value.name]) for value in unknown)
        raise SpecificationError(
            f"input '{visible(unknown[0].name)}' has open axes: [{shown}]",
            hint=f"give their sizes, with numbers for the letters: {options}",
        )
    return found


def _shape_option(value: _FoundInput, shape: Sequence[int]) -> str:
    """Return what says an input's shape on the command line, with a letter for an open axis."""
    letters = iter("NMKLPQRS")
    sizes = ",".join(str(size) if size > 0 else next(letters) for size in shape)
    return f"--shape {shlex.quote(visible(value.name))}={sizes}"


def _store(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy files into a folder under their hashes; each is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for digest, file in files.items():
        if (folder / digest).is_file() and sha256_of(folder / digest) == digest:
            continue
        partial = folder / f".{digest}.partial"
        shutil.copyfile(file, partial)
        partial.rename(folder / digest)


def _text(manifest: Manifest, left: Sequence[str]) -> str:
    comment = ["# Written by 'harness models add'. Left to fill in:"] if left else []
    comment += [f"# - {each}" for each in left]
    # Axes as the numbers that they are: JSON, by which the text is made, has but text for keys.
    content = re.sub(r"^( +)'(\d)':$", r"\1\2:", dump(manifest), flags=re.MULTILINE)
    return "".join(f"{line}\n" for line in comment) + content


def _name_of(path: Path) -> str:
    stem = path.parent.name if path.name == _OLD_NAMES[0] else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64]


def _unusable(path: Path, reason: str, hint: str | None) -> SpecificationError:
    return SpecificationError(f"{path}: {reason}", hint=hint)
