"""How far an artifact's outputs are from those in fp32, on inputs that calibration has not seen."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis import outputs
from harness.core.records import Drift
from harness.models import environments
from harness.models.artifacts import ROLES
from harness.models.recipes import ENGINE_ENVIRONMENTS, ENGINE_MODULE, device_module, resource
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
# How Paddle Inference's int8 passes report while it loads.
_ONEDNN = re.compile(r"quantized (\d+) \w+ ops")


def measure(
    made: Recipe, folder: Path, work: Path, step: str, progress: Callable[[str], None]
) -> tuple[Drift | None, dict[str, int]]:
    """Return how far a new artifact drifted, and what kernels the engine says that it has.

    Parameters
    ----------
    folder
        Where its files lie.
    work
        Where its stage ran; there may be the outputs that the stage made itself (RKNN's simulator
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
        environment = ENGINE_ENVIRONMENTS[made.engine]
        python = environments.python(environment, progress)
        progress(f"comparing {step} with fp32 ({made.engine})")
        (work / HELD_OUT).unlink(missing_ok=True)
        (work / HELD_OUT).symlink_to(held_out)
        (work / ENGINE_MODULE).symlink_to(device_module(made.engine))
        request = json.dumps(_request(made, samples, folder))
        script = str(resource("models", "stages", "heldout.py"))
        try:
            said = run([str(python), "-I", script, request], name=f"{step} held-out", folder=work)
        except ToolchainError as error:
            return Drift(computed_by=made.engine, inputs=0, fault=error.message), {}
    told = json.loads((work / TOLD).read_text(encoding="utf-8"))
    drift = outputs.drift(_outputs(work / OUTPUTS), _outputs(held_out), told["computed_by"])
    kernels = told["kernels"]
    if made.engine == "paddle-inference" and (counts := _ONEDNN.findall(said)):
        kernels = {"onednn/int8": sum(map(int, counts))}
    return drift, kernels


def _request(made: Recipe, samples: Recipe, folder: Path) -> dict[str, Any]:
    # What runs on no processor here is computed of what it was made from, in fp32 arithmetic.
    emulated = made.format == "nb" and made.engine == "paddle-inference"
    source = (made.sources[0].folder, "pdmodel") if emulated else (folder, made.format)
    return {
        "engine": made.engine,
        "precision": "fp32" if emulated else made.precision,
        "files": {role: str(source[0] / name) for role, name in ROLES[source[1]].items()},
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
