"""Artifacts: models built for an engine, kept by the hash of all that they are made from.

An artifact is what one stage script (``stages/``) makes in one toolchain environment. Its
identity covers the script, the environment's lock, the options and the artifacts it is made
from; its bytes do not enter, for opt writes uninitialized ones. It lies in the user's cache,
shared by all workspaces, with its record (``provenance.json``) beside its files.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from harness.errors import SpecificationError
from harness.hashing import sha256_of
from harness.models import environments, nb
from harness.models.calibration import CalibrationSource
from harness.models.manifest import PackageSource
from harness.models.once import make_once
from harness.models.toolchain import ToolchainError, run
from harness.results.contract import INPUT_SPEC_VERSION
from harness.results.schema import ArtifactRecord
from harness.runner.python import edge_runner
from harness.workspace import cache_dir
from harness.yamlfile import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from harness.models.environments import Environment
    from harness.models.manifest import Model

__all__ = ["TARGETS", "Artifact", "build", "find", "reference", "targets"]

TARGETS = {
    "pdmodel": ("any",),
    "onnx": ("any",),
    "nb": ("x86", "arm"),
    "rknn": ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588"),
    "reference": ("any",),
    "calibration": ("any",),
}
"""The formats of artifacts, and what each can be built for; NPUs aside."""

ONNX_OPSET = 11

_ROLES = {
    "pdmodel": {"model": "model.pdmodel", "params": "model.pdiparams"},
    "onnx": {"model": "model.onnx"},
    "nb": {"model": "model.nb"},
    "rknn": {"model": "model.rknn"},
    "reference": {"outputs": "outputs.npz"},
    "calibration": {"model": "model.json"},
}
_RECORD = "provenance.json"
_RUNNER = "edge_runner.py"


@dataclass(frozen=True)
class Artifact:
    """A built artifact.

    Attributes
    ----------
    folder
        Where its files lie.
    roles
        Role (``model``, ``params``) to file name.
    """

    record: ArtifactRecord
    folder: Path
    roles: Mapping[str, str]

    def path(self, role: str) -> Path:
        """Return the path of the file with a role."""
        return self.folder / self.roles[role]


@dataclass(frozen=True)
class _Recipe:
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
    source: _Recipe | None = None

    @property
    def script(self) -> Path:
        return _resource("models", "stages", f"{self.stage}.py")

    @property
    def id(self) -> str:
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
        return cache_dir() / "artifacts" / self.id


def build(
    model: Model, artifact_format: str, target: str = "any", *, progress: Callable[[str], None]
) -> Artifact:
    """Return an artifact of a model; it and what it is made from are built if they are not there.

    Parameters
    ----------
    artifact_format
        ``pdmodel``, ``onnx``, ``nb``, ``rknn`` (in fp16) or ``reference`` (outputs to check others
        against); for a calibration model ``calibration`` alone.
    target
        ``x86`` or ``arm`` for ``nb``, or an NPU and its processor (``rockchip_npu,arm``); the chip
        for ``rknn``; ``any`` for the others.

    Raises
    ------
    SpecificationError
        There is no such format or target for that model, or the manifest names an unknown
        environment.
    ToolchainError
        A stage failed.
    """
    return _build(_recipe(model, artifact_format, target), model.name, progress)


def find(model: Model, artifact_format: str, target: str = "any") -> Artifact | None:
    """Return an artifact if it is built; the parameters and errors are those of :func:`build`."""
    return _read(_recipe(model, artifact_format, target))


def targets(model: Model) -> Mapping[str, tuple[str, ...]]:
    """Return the formats that a model can be built in, and what each can be built for."""
    calibration = isinstance(model.manifest.source, CalibrationSource)
    return {name: TARGETS[name] for name in TARGETS if (name == "calibration") == calibration}


def reference(model: Model, *, progress: Callable[[str], None]) -> Mapping[int, list[NDArray[Any]]]:
    """Return a model's reference outputs by check seed; they are computed if they are not there.

    A calibration model's outputs are its inputs.

    Raises
    ------
    SpecificationError
        The manifest names an unknown environment.
    ToolchainError
        A stage failed.
    """
    if isinstance(model.manifest.source, CalibrationSource):
        return {
            seed: [edge_runner.make_input(spec, seed, n) for n, spec in enumerate(_inputs(model))]
            for seed in model.manifest.check_seeds
        }
    artifact = build(model, "reference", progress=progress)
    outputs: dict[int, list[NDArray[Any]]] = {seed: [] for seed in model.manifest.check_seeds}
    with np.load(artifact.path("outputs"), allow_pickle=False) as arrays:
        for name in arrays.files:  # in the order in which the stage wrote them
            outputs[int(name.partition(".")[0])].append(arrays[name])
    return outputs


def _recipe(model: Model, artifact_format: str, target: str) -> _Recipe:
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
    exported = _source_recipe(model)
    paddle = environments.get("paddle")
    if artifact_format == "nb":
        return _Recipe("nb", target, "opt", paddle, {"target": target}, exported)
    if artifact_format in ("onnx", "rknn"):
        onnx = _Recipe("onnx", "any", "to_onnx", paddle, {"opset": ONNX_OPSET}, exported)
        if artifact_format == "onnx":
            return onnx
        toolkit = environments.get("rknn")
        request = {"target": target, "precision": "fp16", "inputs": _inputs(model)}
        return _Recipe("rknn", target, "to_rknn", toolkit, request, onnx)
    if artifact_format == "reference":
        # Not the runner's content, which makes the inputs: the version stands for what they are.
        options = {
            "inputs": _inputs(model),
            "input_spec_version": INPUT_SPEC_VERSION,
            "seeds": model.manifest.check_seeds,
        }
        return _Recipe("reference", "any", "reference", paddle, options, exported)
    return exported


def _source_recipe(model: Model) -> _Recipe:
    """Return how the artifact is made that a model's others are made from."""
    source = model.manifest.source
    options: dict[str, Any]
    if isinstance(source, CalibrationSource):
        options = source.settings | {"inputs": [spec.name for spec in model.manifest.inputs]}
        return _Recipe("calibration", "any", "calibration", None, options)
    if isinstance(source, PackageSource):
        options = {"model": source.model, "params": source.params}
        return _Recipe("pdmodel", "any", "take", environments.get(source.environment), options)
    options = {
        "function": source.function,
        "arguments": source.arguments,
        "seed": source.seed,
        "inputs": _inputs(model),
    }
    return _Recipe("pdmodel", "any", "export", environments.get("paddle"), options)


def _inputs(model: Model) -> list[dict[str, Any]]:
    return [spec.model_dump(mode="json") for spec in model.manifest.inputs]


def _build(recipe: _Recipe, model: str, progress: Callable[[str], None]) -> Artifact:
    make_once(
        recipe.folder,
        lambda folder: _make(recipe, model, folder, progress),
        sound=lambda _: _unchanged(recipe),
        progress=progress,
    )
    artifact = _read(recipe)
    if artifact is None:
        raise ToolchainError(f"{recipe.folder}: gone since it was built")
    return artifact


def _make(recipe: _Recipe, model: str, folder: Path, progress: Callable[[str], None]) -> None:
    step = " ".join([model, recipe.format, *([recipe.target] if recipe.target != "any" else [])])
    work = folder / "work"
    work.mkdir()
    if recipe.source:
        source = _build(recipe.source, model, progress)
        for name in source.roles.values():
            (work / name).symlink_to(source.folder / name)
    (work / _RUNNER).symlink_to(_resource("runner", "python", _RUNNER))
    environment = recipe.environment
    if environment:
        python = str(environments.python(environment.name, progress))
        tools = {"python": environment.version, **environment.tools}
    else:
        python, tools = sys.executable, {"python": platform.python_version()}
    progress(f"building {step} ({recipe.stage})")
    request = json.dumps(recipe.options)
    started, clock = datetime.now(UTC), time.monotonic()
    run([python, "-I", str(recipe.script), request], name=step, folder=work)
    seconds = time.monotonic() - clock
    files = {}
    for name in _ROLES[recipe.format].values():
        if not (work / name).is_file():  # opt may end with 0 and without a word
            raise ToolchainError(f"{step}: {recipe.stage} ended well, but wrote no {name}")
        (work / name).rename(folder / name)
        files[name] = sha256_of(folder / name)
    shutil.rmtree(work)
    record = ArtifactRecord(
        id=recipe.id,
        format=recipe.format,
        target=recipe.target,
        files=files,
        size_bytes=sum((folder / name).stat().st_size for name in files),
        provenance={
            "source": recipe.source.id if recipe.source else None,
            "stage": recipe.stage,
            "options": recipe.options,
            "command": ["python", "-I", recipe.script.name, request],
            "tools": tools,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
    )
    (folder / _RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _read(recipe: _Recipe) -> Artifact | None:
    try:
        text = (recipe.folder / _RECORD).read_text(encoding="utf-8")
        record = ArtifactRecord.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    return Artifact(record, recipe.folder, _ROLES[recipe.format])


def _unchanged(recipe: _Recipe) -> bool:
    artifact = _read(recipe)
    return artifact is not None and all(
        (artifact.folder / name).is_file() and sha256_of(artifact.folder / name) == digest
        for name, digest in artifact.record.files.items()
    )


def _resource(*parts: str) -> Path:
    return Path(str(resources.files("harness").joinpath(*parts)))
