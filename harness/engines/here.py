"""Checking artifacts on this machine, where an engine for them runs here."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from harness.analysis.outputs import check
from harness.models import build, environments
from harness.models.recipes import ENGINE_ENVIRONMENTS, recipe
from harness.models.toolchain import ToolchainError, UnusableArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.records import OutputCheck
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model

__all__ = ["check_here", "engine_for"]

_ENGINES = {
    ("pdmodel", "any"): "paddle-inference",
    ("nb", "x86"): "paddle-lite",
    ("onnx", "any"): "onnxruntime",
    ("mnn", "any"): "mnn",
    ("ncnn", "any"): "ncnn",
}


def engine_for(artifact_format: str, target: str) -> str | None:
    """Return the engine that runs such an artifact on this machine, if there is one."""
    if target == "x86" and platform.machine() != "x86_64":
        return None
    return _ENGINES.get((artifact_format, target))


def check_here(
    model: Model, artifact: Artifact, *, progress: Callable[[str], None]
) -> OutputCheck | None:
    """Compare what an artifact computes here with the model's reference outputs.

    Returns
    -------
    OutputCheck
        None where no engine on this machine runs it.

    Raises
    ------
    SpecificationError
        The manifest names an unknown environment.
    UnusableArtifactError
        The engine does not load or run the artifact.
    ToolchainError
        An environment could not be made, or there are no reference outputs.
    """
    record = artifact.record
    engine = engine_for(record.format, record.target)
    if engine is None:
        return None
    tolerance = model.manifest.tolerance[record.precision or "fp32"]

    # An environment that cannot be made is nothing that the outputs are wrong by.
    environments.python(ENGINE_ENVIRONMENTS[engine], progress)
    if needed := recipe(model, "reference").environment:
        environments.python(needed.name, progress)
    expected = build.reference(model, progress=progress)
    try:
        given = build.outputs(model, engine, artifact, progress=progress)
    except ToolchainError as error:
        raise UnusableArtifactError(
            f"{engine} cannot run it: {error.message}", hint=error.hint
        ) from error
    return check(given, expected, tolerance)
