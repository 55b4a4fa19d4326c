"""The user's own models: a file is inspected, copied into the workspace, and gets a manifest.

A model's file is untrusted: it is loaded in a process of its own, with limits, by the framework
that it is for.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from harness.core.contract import DType
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
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
    from collections.abc import Callable, Mapping, Sequence

    from harness.workspace import Workspace

__all__ = ["Added", "Known", "add"]

SIZE_LIMIT = 4 << 30
LIMITS = {"memory_bytes": 12 << 30, "cpu_s": 300}
MOST_OF_A_BATCH = 8
WIDEST = 4096
_UNKNOWN_LICENCE = "unknown"
_PARAMS = "model.pdiparams"
_PADDLE = {".pdmodel": "paddle", ".json": "pir"}
_INSPECTED_IN = {"paddle": "paddle", "pir": "paddle3"}
_DTYPES = {"float": "float32", "fp32": "float32"}

_ELSEWHERE = {
    ".pdiparams": "these are the parameters: name the .pdmodel or .json beside them",
    ".pt": "export it to ONNX first (torch.onnx.export) and add that",
    ".pth": "export it to ONNX first (torch.onnx.export) and add that",
    ".pb": "convert it to ONNX first (tf2onnx) and add that",
    ".h5": "convert it to ONNX first (tf2onnx) and add that",
    ".keras": "convert it to ONNX first (tf2onnx) and add that",
    ".tflite": "convert it to ONNX first (tf2onnx --tflite) and add that",
    ".caffemodel": "convert it to Paddle first (x2paddle --framework=caffe) and add that",
}


class _FoundInput(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    dtype: Annotated[str, StringConstraints(max_length=40)]
    shape: Annotated[list[Annotated[int, Field(ge=-1, le=1 << 24)]], Field(max_length=8)]


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
        Where its manifest lies.
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
        An ONNX file; a ``.pdmodel``, or the ``.json`` that Paddle 3 writes, with its
        ``.pdiparams`` beside it.

    Raises
    ------
    SpecificationError
        The file is none that can be used, there is a model of that name, or a shape or range
        does not fit.
    ToolchainError
        The environment that inspects it could not be made.
    """
    files = _files(path)
    name = known.name or _name_of(path)
    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecificationError(
            f"'{visible(name)}' cannot be a model's name: letters, digits, '.', '_' and '-'",
            hint="give it one with --name",
        )
    target = workspace.models / f"{name}.yaml"
    if target.exists():
        raise SpecificationError(
            f"there is a model '{name}' already: {target}", hint="give this one another --name"
        )
    if known.reference is not None:
        load_model(workspace, known.reference)
    model = next(iter(files))
    kind = _kinds()[Path(model).suffix]
    found = _inspect(path, files, kind, progress)
    inputs, left = _inputs(found, known)
    if known.licence is None:
        left.insert(0, f"licence: it says '{_UNKNOWN_LICENCE}'")
    digests = {role: sha256_of(file) for role, file in files.items()}
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


def _files(path: Path) -> dict[str, Path]:
    """Return the model's files by the names that stages give them."""
    known = _kinds()
    if path.suffix not in known:
        if hint := _elsewhere(path.suffix):
            raise _unusable(path, f"a {path.suffix} file cannot be added", hint)
        *most, last = known
        raise _unusable(path, f"not an {', '.join(most)} or {last} file", "see docs/models.md")
    files = {f"model{path.suffix}": path}
    if path.suffix in _PADDLE:
        files[_PARAMS] = path.with_suffix(".pdiparams")
    for file in files.values():
        if not file.is_file():
            hint = "a Paddle model is a .pdmodel (or .json) and a .pdiparams"
            raise _unusable(file, "no such file", hint)
        size = file.stat().st_size
        if size == 0:
            raise _unusable(file, "it is empty", "copy or export it again")
        if size > SIZE_LIMIT:
            raise _unusable(file, f"larger than {SIZE_LIMIT >> 30} GiB", "no edge device runs it")
    if _PARAMS in files:
        _refuse_damaged(path, files[_PARAMS])
    return files


def _kinds() -> dict[str, str]:
    """Return the kinds of files that can be added: suffix to the manifest's format."""
    return {each.suffix: name for name, (each, _) in model_files().items()} | _PADDLE


def _elsewhere(suffix: str) -> str | None:
    """Say what to do with a file of another kind, where that is known."""
    for each, engine in formats():
        if suffix == Path(each.roles["model"]).suffix:
            return f"it is built for {engine.title} already: add what it was made of"
    return _ELSEWHERE.get(suffix)


def _refuse_damaged(path: Path, parameters: Path) -> None:
    """Refuse what Paddle would take, or not say what it is."""
    if fault := pdiparams.fault(parameters):
        raise _unusable(parameters, fault, None)
    if path.suffix == ".json":
        with path.open("rb") as content:
            if b'"pir"' not in content.read(4096):
                raise _unusable(path, "no program of Paddle 3", "name a model's file")


def _inspect(
    path: Path,
    files: Mapping[str, Path],
    kind: str,
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
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for role, file in files.items():
            (folder / role).symlink_to(file.resolve())
        try:
            command = [str(python), "-I", str(script), json.dumps(LIMITS)]
            run(command, name="inspection", folder=folder)
            answer = json.loads((folder / "found.json").read_bytes())
        except (ToolchainError, OSError, ValueError) as error:
            said = getattr(error, "message", str(error))
            raise _unusable(path, f"loading it ends the process: {said}", None) from error
    if "fault" in answer:
        lines = [line.strip() for line in str(answer["fault"]).splitlines() if line.strip()]
        raise _unusable(path, visible(lines[0] if lines else "no reason is given")[:300], None)
    try:
        return _Found.model_validate(answer)
    except ValidationError as error:
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
    for value in found.inputs:
        shape, dynamic = _extents(value, known.shapes.get(value.name))
        dtype = _DTYPES.get(value.dtype, value.dtype)
        if dtype not in get_args(DType):
            raise SpecificationError(
                f"input '{visible(value.name)}' is {visible(value.dtype)}: the harness feeds "
                f"{', '.join(get_args(DType))}",
                hint="put a cast at the model's beginning",
            )
        low, high = known.ranges.get(value.name, (0.0, 1.0 if dtype == "float32" else 2.0))
        if not low < high:
            raise SpecificationError(f"input '{visible(value.name)}': [{low:g}, {high:g}) is empty")
        if value.name not in known.ranges:
            left.append(f"low and high of '{visible(value.name)}': the range of its values")
        left += [
            f"axis {axis} of '{visible(value.name)}': from {least} to {most} is a guess"
            for axis, (least, most) in dynamic.items()
        ]
        inputs.append(
            ModelInput(
                name=value.name, dtype=dtype, shape=shape, dynamic=dynamic, low=low, high=high
            )
        )
    return inputs, left


def _extents(
    value: _FoundInput, wanted: Sequence[int] | None
) -> tuple[tuple[int, ...], dict[int, tuple[int, int]]]:
    """Return the shape to measure at, and the axes that vary with a guess of their extents."""
    open_axes = [axis for axis, extent in enumerate(value.shape) if extent < 0]
    if wanted is None:
        if any(axis > 0 for axis in open_axes):
            shown = ",".join("?" if extent < 0 else str(extent) for extent in value.shape)
            raise SpecificationError(
                f"input '{visible(value.name)}' is of any extent where its shape [{shown}] has '?'",
                hint=f"say at which to measure: --shape {visible(value.name)}=1,3,224,224",
            )
        wanted = [1 if extent < 0 else extent for extent in value.shape]
    fits = len(wanted) == len(value.shape) and all(
        extent in (-1, given) for extent, given in zip(value.shape, wanted, strict=True)
    )
    if not fits or any(given < 1 for given in wanted):
        raise SpecificationError(
            f"{list(wanted)} does not fit input '{visible(value.name)}' of shape {value.shape}"
        )
    dynamic = {
        axis: (1, max(wanted[axis], WIDEST if axis else MOST_OF_A_BATCH)) for axis in open_axes
    }
    return tuple(wanted), dynamic


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
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64]


def _unusable(path: Path, reason: str, hint: str | None) -> SpecificationError:
    return SpecificationError(f"{path}: {reason}", hint=hint)
