"""Building: artifacts are made of their recipes, once, and found again.

An artifact's identity covers the stage's script, the environment's lock, the options and the
artifacts it is made from; its bytes do not enter, for opt writes uninitialized ones. It is in
the user's cache, with its record (``provenance.json``) beside its files.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.records import ArtifactRecord, Interface, Partition
from harness.models import cache, environments, failures, reasons, recipes
from harness.models.artifacts import RECORD, read, unchanged
from harness.models.calibration import CalibrationSource
from harness.models.drift import measure
from harness.models.formats import engine_of, formats, roles
from harness.models.once import make_once
from harness.models.recipes import inputs, recipe, resource
from harness.models.toolchain import StageFailedError, ToolchainError, run
from harness.runner.python import edge_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.core.records import Precision
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes
    from harness.models.recipes import Recipe

__all__ = ["build", "check_inputs", "find", "outputs", "read_reference", "reference"]

_RUNNER = "edge_runner.py"
_TOLD = "told.json"


def build(
    model: Model,
    artifact_format: str,
    target: str = "any",
    *,
    shapes: Shapes | None = None,
    precision: Precision | None = None,
    progress: Callable[[str], None],
) -> Artifact:
    """Return an artifact of a model; it and what it is made from are built if they are not there.

    Parameters
    ----------
    artifact_format
        One of :func:`harness.models.formats.formats`: ``pdmodel``, ``onnx``, an engine's,
        ``reference`` (outputs to check others against) or ``operations`` (its parameters and
        multiply-accumulates); for a calibration model ``calibration`` alone.
    target
        What the format can be built for: a processor, an NPU, a chip; ``any`` for most.
    shapes
        Of inputs, where they are not the manifest's: for what is computed at one shape
        (``reference``, ``operations``) or compiled for one.
    precision
        What it computes in: the format's first where nothing is said.

    Raises
    ------
    SpecificationError
        There is no such format, target, shape or precision for that model, its calibration images
        cannot be used, or the manifest names an unknown environment.
    ToolchainError
        A stage failed.
    """
    wanted = recipe(model, artifact_format, target, shapes, precision)
    return _build(wanted, model.name, progress)


def find(
    model: Model,
    artifact_format: str,
    target: str = "any",
    *,
    shapes: Shapes | None = None,
    precision: Precision | None = None,
) -> Artifact | None:
    """Return an artifact if it is built; the parameters and errors are those of :func:`build`."""
    return read(recipe(model, artifact_format, target, shapes, precision).folder)


def reference(
    model: Model, *, shapes: Shapes | None = None, progress: Callable[[str], None]
) -> Mapping[int, list[NDArray[Any]]]:
    """Return a model's reference outputs by check seed; they are computed if they are not there.

    A calibration model's outputs are its inputs.

    Parameters
    ----------
    shapes
        Of inputs, where they are not the manifest's.

    Raises
    ------
    SpecificationError
        The manifest names an unknown environment, or the model does not take those shapes.
    ToolchainError
        A stage failed.
    """
    calibration = isinstance(model.manifest.source, CalibrationSource)
    made = None if calibration else build(model, "reference", shapes=shapes, progress=progress)
    return read_reference(model, made, shapes)


def read_reference(
    model: Model, artifact: Artifact | None, shapes: Shapes | None = None
) -> Mapping[int, list[NDArray[Any]]]:
    """Return the reference outputs by check seed that an artifact has; without one, the inputs."""
    if artifact is not None:
        return _outputs(artifact)
    specs = inputs(model, shapes)
    return {
        seed: [edge_runner.make_input(spec, seed, n) for n, spec in enumerate(specs)]
        for seed in model.manifest.check_seeds
    }


def check_inputs(
    model: Model, *, shapes: Shapes | None = None, progress: Callable[[str], None]
) -> Path | None:
    """Return the file with the inputs that a model's outputs are checked for.

    It is what the contract has in ``check_files``; none where they are made of the check seeds.
    The parameters and errors are those of :func:`reference`.
    """
    wanted = recipes.check_inputs(model, shapes)
    return _build(wanted, model.name, progress).path("inputs") if wanted else None


def outputs(
    model: Model,
    engine: str,
    artifact: Artifact,
    *,
    shapes: Shapes | None = None,
    progress: Callable[[str], None],
) -> Mapping[int, list[NDArray[Any]]]:
    """Return the outputs by check seed that an engine on this machine gives for an artifact.

    They are computed once, by what the Python runner calls the engine with.

    Parameters
    ----------
    engine
        One that runs on this machine.
    artifact
        One of the model's.
    shapes
        Of inputs, where they are not the manifest's.

    Raises
    ------
    SpecificationError
        The manifest names an unknown environment, or the model does not take those shapes.
    ToolchainError
        A stage failed: the engine did, too, or would not load the artifact.
    """
    wanted = recipes.outputs(model, engine, artifact.record, shapes)
    return _outputs(_build(wanted, model.name, progress))


def _outputs(artifact: Artifact) -> Mapping[int, list[NDArray[Any]]]:
    found: dict[int, list[NDArray[Any]]] = {}
    with np.load(artifact.path("outputs"), allow_pickle=False) as arrays:
        for name in arrays.files:  # in the order in which the stage wrote them
            found.setdefault(int(name.partition(".")[0]), []).append(arrays[name])
    return found


def _build(wanted: Recipe, model: str, progress: Callable[[str], None]) -> Artifact:
    def fill(folder: Path) -> None:
        try:
            _make(wanted, model, folder, progress)
        except StageFailedError as error:
            failures.remember(folder, wanted.folder, error)
        cache.make_room(progress)

    make_once(
        wanted.folder,
        fill,
        sound=lambda folder: _sound(folder) or failures.read(folder) is not None,
        progress=progress,
    )
    if failure := failures.read(wanted.folder):
        raise failure
    artifact = read(wanted.folder)
    if artifact is None:
        raise ToolchainError(reasons.GONE(folder=str(wanted.folder)))
    cache.mark_used(wanted.folder)
    return artifact


def _make(wanted: Recipe, model: str, folder: Path, progress: Callable[[str], None]) -> None:
    known = formats().get(wanted.format)
    precision = wanted.precision or (known.precisions[0] if known and known.precisions else None)
    kind = [wanted.target] if wanted.target != "any" else []
    kind += [precision] if precision not in (None, "fp32") else []
    step = " ".join([model, wanted.format, *kind])
    work = folder / "work"
    work.mkdir()
    for needed in wanted.sources:
        source = _build(needed, model, progress)
        for name in source.roles.values():
            link = work / name
            if link.is_symlink():  # of another source
                link = work / f"other-{name}"
            link.symlink_to(source.folder / name)
    for name, path in wanted.files.items():
        if not path.exists():
            raise SpecificationError(
                f"model '{model}': {path} is not there",
                hint="add the model's file again: harness models add FILE",
            )
        (work / name).symlink_to(path.resolve())
    (work / _RUNNER).symlink_to(resource("runner", "python", _RUNNER))
    python, tools = _python(wanted, progress)
    progress(f"building {step} ({wanted.stage})")
    request = json.dumps(wanted.options)
    started, clock = datetime.now(UTC), time.monotonic()
    # What needs no tools takes a moment; it fails where a user's file is not as it was.
    with failures.of_a_stage() if wanted.environment else nullcontext():
        said = run([python, "-I", str(wanted.script), request], name=step, folder=work)
    seconds = time.monotonic() - clock
    files = {}
    for name in (roles(wanted.format) or {}).values():
        if not (work / name).is_file():  # opt may end with 0 and without a word
            raise StageFailedError(reasons.WROTE_NOTHING(step=step, stage=wanted.stage, file=name))
        (work / name).rename(folder / name)
        files[name] = sha256_of(folder / name)
    interface = _interface(wanted, folder, work)
    drift, kernels = measure(wanted, folder, work, step, progress)
    engine = engine_of(wanted.format)
    partition = engine.planned(said, tools) if engine else None
    if partition is None and drift and kernels:
        partition = Partition(tool=drift.computed_by, kernels=kernels)
    if fault := _unlike_asked(wanted, folder, precision, partition):
        raise StageFailedError(f"{step}: {fault}")
    shutil.rmtree(work)
    record = ArtifactRecord(
        id=wanted.id,
        format=wanted.format,
        target=wanted.target,
        precision=precision,
        files=files,
        size_bytes=sum((folder / name).stat().st_size for name in files),
        provenance={
            "sources": [source.id for source in wanted.sources],
            "stage": wanted.stage,
            "options": wanted.options,
            "command": ["python", "-I", wanted.script.name, request],
            "tools": tools,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
        drift=drift,
        partition=partition,
        interface=interface,
    )
    (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _python(wanted: Recipe, progress: Callable[[str], None]) -> tuple[str, dict[str, str]]:
    """Return the interpreter of a stage, and the versions of what it runs with."""
    environment = wanted.environment
    if environment is None:
        return sys.executable, {"python": platform.python_version()}
    python = str(environments.python(environment.name, progress))
    return python, {"python": environment.version, **environment.tools}


def _unlike_asked(
    made: Recipe, folder: Path, asked: Precision | None, partition: Partition | None
) -> str:
    """Say how the precision of an artifact's kernels contradicts what it was built for, if so."""
    engine = engine_of(made.format)
    if engine is None:
        return ""
    paths = {role: folder / name for role, name in (roles(made.format) or {}).items()}
    told = engine.partition(paths) or partition
    found = {name.rpartition("/")[2] for name in (told.kernels if told else {})}
    # Masks are of 8 bits, too: where single layers are known, those that multiply tell.
    multiply = ("Conv", "MatMul")
    layers = [each for each in (told.estimates if told else []) if each.precision]
    found = {each.precision for each in layers if any(op in each.op for op in multiply)} or found
    # What an NPU compiles itself is of any precision by its file.
    if asked == "int8" and found and not found & {"int8", "any"}:
        return f"asked for int8, and its kernels are {', '.join(sorted(found))}"
    if asked != "int8" and "int8" in found:
        return f"asked for {asked}, and kernels of it are int8: the model is quantized already"
    return ""


def _interface(made: Recipe, folder: Path, work: Path) -> Interface | None:
    """Return what a new artifact takes and gives: as its sources do, but for what its stage told.

    Raises
    ------
    StageFailedError
        What the stage told is nothing that can be read.
    """
    found: dict[str, Any] = {}
    for source in made.sources:
        artifact = read(source.folder)
        if artifact and artifact.record.interface:
            found = artifact.record.interface.model_dump()
            break
    try:
        for path in (folder / "interface.json", work / _TOLD):
            if path.is_file():
                found |= json.loads(path.read_text(encoding="utf-8"))
        return Interface.model_validate(found) if found else None
    except ValueError as error:
        raise StageFailedError(f"{made.stage} reported {error}") from error


def _sound(folder: Path) -> bool:
    artifact = read(folder)
    return artifact is not None and unchanged(artifact)
