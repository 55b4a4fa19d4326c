"""What of an artifact runs where: told by its file, its compiler, and what its model computes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from harness import engines
from harness.core.errors import SpecificationError
from harness.core.records import Partition
from harness.engines.base import Engine
from harness.models.formats import engine_of, formats
from harness.models.operations import known
from harness.models.recipes import PADDLE_PROGRAM

if TYPE_CHECKING:
    from harness.core.records import ArtifactRecord
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes

__all__ = ["inspect_file", "inspected"]


def inspect_file(path: Path) -> Partition:
    """Return what an artifact's file tells of itself, where its engine can read that.

    Raises
    ------
    SpecificationError
        It is of another kind, or cannot be read.
    """
    telling = {}
    for each, engine in engines.formats():
        if type(engine).partition is not Engine.partition:
            telling[Path(each.roles["model"]).suffix] = engine
    engine_of_it = telling.get(path.suffix)
    found = engine_of_it.partition({"model": path}) if engine_of_it else None
    if found is None:
        planned = (
            name
            for each, engine in engines.formats()
            if type(engine).planned is not Engine.planned
            for name in each.by_name
        )
        raise SpecificationError(
            f"{path}: only {' and '.join(telling)} files can be inspected",
            hint="for a model of the workspace, its record says it: "
            f"harness models inspect MODEL --target {next(planned, 'TARGET')}",
        )
    return found


def inspected(model: Model, artifact: Artifact, shapes: Shapes | None = None) -> ArtifactRecord:
    """Return an artifact's record with its partition, as far as it is known.

    The multiply-accumulates are told where they were counted before (see
    :mod:`harness.models.operations`).

    Parameters
    ----------
    shapes
        Of inputs, where they are not the manifest's.

    Raises
    ------
    SpecificationError
        Its file cannot be read.
    """
    record = artifact.record
    found = record.partition
    more: dict[str, object] = {}
    if engine := engine_of(record.format):
        program = PADDLE_PROGRAM if record.format == "nb" else "any"
        counted = known(model, shapes=shapes, program=program)
        macs = Counter[str]()
        for layer in counted.layers if counted else ():
            macs[layer.name] += layer.macs
        found = engine.partition(artifact.paths, macs if counted else None) or found
    if found is None:
        name = {"onnx": "paddle2onnx", "pdmodel": "paddlepaddle"}.get(record.format, record.format)
        version = record.provenance.get("tools", {}).get(name)
        found = Partition(tool=f"{name} {version}" if version else record.format)
    if found.weight_bytes is None and record.format in ("onnx", "pdmodel"):
        role = "params" if record.format == "pdmodel" else "model"
        more["weight_bytes"] = artifact.path(role).stat().st_size
    fixed = formats()[record.format].fixed_shapes
    if not fixed and "shapes" not in record.provenance.get("options", {}):
        more["dynamic_inputs"] = [spec.name for spec in model.manifest.inputs if spec.dynamic]
    return record.model_copy(update={"partition": found.model_copy(update=more)})
