"""The formats of artifacts: those of the shared toolchain, and those that come with engines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from harness import engines
from harness.engines.base import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.base import Engine

__all__ = ["ALONE", "engine_of", "formats", "roles", "target_names"]

_MODELS = (
    Format(
        "pdmodel",
        {"model": "model.pdmodel", "params": "model.pdiparams"},
        precisions=("fp32", "int8"),
        usual=True,
    ),
    Format("onnx", {"model": "model.onnx"}, precisions=("fp32", "int8"), usual=True),
)
_ABOUT_MODELS = (
    Format("reference", {"outputs": "outputs.npz"}, usual=True),
    Format("operations", {"operations": "operations.json"}, usual=True),
)
# Made on the way, and never asked for by name.
_INTERNAL = (
    Format("pir", {"model": "model.json", "params": "model.pdiparams"}),
    Format(
        "prepared",
        {"model": "model.onnx", "frozen": "frozen.onnx", "interface": "interface.json"},
    ),
    Format("outputs", {"outputs": "outputs.npz"}),
    Format("checks", {"inputs": "check_inputs.bin"}),
    Format("samples", {"calibration": "calibration.npz", "heldout": "heldout.npz"}),
)

ALONE: Final = "calibration"
"""The format of a calibration model, of which there is nothing else."""


@cache
def formats() -> Mapping[str, Format]:
    """Return the formats that can be asked for, by name."""
    own = [each for each, _ in engines.formats()]
    return {each.name: each for each in (*_MODELS, *own, *_ABOUT_MODELS)}


@cache
def engine_of(name: str) -> Engine | None:
    """Return the engine that a format comes with; none for those of the shared toolchain."""
    return next((engine for each, engine in engines.formats() if each.name == name), None)


def roles(name: str) -> Mapping[str, str] | None:
    """Return the files of a format, role to name; none for an unknown one."""
    found = formats().get(name) or next((each for each in _INTERNAL if each.name == name), None)
    return found.roles if found else None


def target_names() -> dict[str, tuple[str, str]]:
    """Return what ``--targets`` takes: a name to a format and what that is built for."""
    return {
        name: (each.name, target)
        for each in formats().values()
        for name, target in {**each.by_name, **each.accelerators}.items()
    }
