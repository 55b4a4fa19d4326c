"""Checking artifacts on this machine, where an engine for them runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.outputs import check
from harness.engines import which_checks
from harness.models import build, environments, reasons
from harness.models.recipes import environment_of, recipe
from harness.models.toolchain import ToolchainError, UnusableArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.records import OutputCheck
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model

__all__ = ["check_here"]


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
    engine = which_checks(record.format, record.target)
    if engine is None:
        return None
    tolerance = model.manifest.tolerance[record.precision or "fp32"]

    # An environment that cannot be made is nothing that the outputs are wrong by.
    environments.python(environment_of(engine.name).name, progress)
    if needed := recipe(model, "reference").environment:
        environments.python(needed.name, progress)
    expected = build.reference(model, progress=progress)
    try:
        given = build.outputs(model, engine.name, artifact, progress=progress)
    except ToolchainError as error:
        raise UnusableArtifactError(
            reasons.CANNOT_RUN(engine=engine.name, why=error.reason)
        ) from error
    return check(given, expected, tolerance)
