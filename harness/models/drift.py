"""How far an artifact's outputs are from those in fp32, on inputs that calibration has not seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from harness import engines
from harness.analysis import outputs
from harness.core.records import Drift
from harness.engines.base import ENGINE_MODULE
from harness.models import environments
from harness.models.formats import roles
from harness.models.recipes import environment_of, resource
from harness.models.toolchain import ToolchainError, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from harness.models.recipes import Recipe

__all__ = ["measure"]

HELD_OUT = "heldout.npz"
OUTPUTS = "outputs.npz"
TOLD = "kernels.json"
_KERNELS = "edge_kernels.py"


def measure(
    made: Recipe, folder: Path, work: Path, step: str, progress: Callable[[str], None]
) -> tuple[Drift | None, dict[str, int]]:
    """Return how far a new artifact drifted, and what kernels the engine says that it has.

    Parameters
    ----------
    folder
        Where its files are.
    work
        Where its stage ran; there may be the outputs that the stage made itself (a simulator
        runs only what it has just built).

    Returns
    -------
    drift
        None where there is nothing to measure.
    kernels
        ``target/precision`` to the number of ops; empty where the engine does not tell.

    Raises
    ------
    ToolchainError
        The engine's environment cannot be made.
    """
    samples = _samples(made)
    if samples is None or not samples.sources or not (made.engine or (work / OUTPUTS).exists()):
        return None, {}
    held_out = samples.folder / HELD_OUT
    said = ""
    if made.engine:
        engine = engines.get(made.engine)
        python = environments.python(environment_of(made.engine).name, progress)
        progress(f"comparing {step} with fp32 ({made.engine})")
        (work / HELD_OUT).unlink(missing_ok=True)
        (work / HELD_OUT).symlink_to(held_out)
        (work / ENGINE_MODULE).symlink_to(engine.device_module)
        if engine.kernels_script:
            (work / _KERNELS).symlink_to(engine.kernels_script)
        request = json.dumps(_request(made, samples, folder))
        script = str(resource("models", "stages", "heldout.py"))
        try:
            said = run([str(python), "-I", script, request], name=f"{step} held-out", folder=work)
        except ToolchainError as error:
            return Drift(computed_by=made.engine, inputs=0, fault=error.message), {}
    told = json.loads((work / TOLD).read_text(encoding="utf-8"))
    drift = outputs.drift(_outputs(work / OUTPUTS), _outputs(held_out), told["computed_by"])
    kernels = told["kernels"]
    if made.engine:
        kernels = engines.get(made.engine).kernels(said) or kernels
    return drift, kernels


def _request(made: Recipe, samples: Recipe, folder: Path) -> dict[str, Any]:
    # What runs on no processor here is computed of what it was made from, in fp32 arithmetic.
    runs = made.runs or made.format
    emulated = runs != made.format
    where = (
        next(each.folder for each in made.sources if each.format == runs) if emulated else folder
    )
    return {
        "engine": made.engine,
        "precision": "fp32" if emulated else made.precision,
        "files": {role: str(where / name) for role, name in (roles(runs) or {}).items()},
        "inputs": [spec["name"] for spec in samples.options["inputs"]],
        "remark": ", quantization emulated in fp32" if emulated else "",
    }


def _samples(made: Recipe) -> Recipe | None:
    """Return the samples that an artifact is made with, at whatever remove."""
    if made.format == "samples":
        return made
    found = (_samples(source) for source in made.sources)
    return next((samples for samples in found if samples), None)


def _outputs(path: Path) -> list[NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files if name.startswith("y.")]
