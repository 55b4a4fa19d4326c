"""What of an artifact runs where: told by its file, its compiler, and what its model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.records import Partition
from harness.models import nb
from harness.models.operations import known

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from harness.core.records import ArtifactRecord
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes

__all__ = ["inspect_file", "inspected"]


def inspect_file(path: Path) -> Partition:
    """Return what an artifact's file tells of itself: only Paddle Lite's ``.nb`` does.

    Raises
    ------
    SpecificationError
        It is of another kind, or cannot be read.
    """
    if path.suffix != ".nb":
        raise SpecificationError(
            f"{path}: only .nb files tell what of them runs where",
            hint="of a model of the workspace the record tells it: "
            "harness models inspect MODEL --target rknn:rk3588",
        )
    return _of_nb(path)[0]


def _of_nb(path: Path) -> tuple[Partition, list[nb.Subgraph]]:
    info = nb.inspect(path)
    parts = nb.subgraphs(path) if info.subgraphs else []
    partition = Partition(
        tool=f"opt {info.opt_version}",
        kernels=info.by_kind,
        subgraphs=[_most_first(part.ops) for part in parts],
        cpu_ops=_most_first(info.on_cpu) if parts else {},
        weight_bytes=info.weight_bytes,
    )
    return partition, parts


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
    if record.format == "nb":
        found, parts = _of_nb(artifact.path("model"))
        counted = known(model, shapes=shapes)
        if counted and parts:
            on_npu = frozenset[str]().union(*(part.outputs for part in parts))
            of_npu = sum(layer.macs for layer in counted.layers if layer.name in on_npu)
            more = {"macs": counted.macs, "npu_macs": of_npu}
    if found is None:
        name = {"onnx": "paddle2onnx", "pdmodel": "paddlepaddle"}.get(record.format, record.format)
        version = record.provenance.get("tools", {}).get(name)
        found = Partition(tool=f"{name} {version}" if version else record.format)
    if found.weight_bytes is None and record.format in ("onnx", "pdmodel"):
        role = "params" if record.format == "pdmodel" else "model"
        more["weight_bytes"] = artifact.path(role).stat().st_size
    if record.format != "rknn" and "shapes" not in record.provenance.get("options", {}):
        more["dynamic_inputs"] = [spec.name for spec in model.manifest.inputs if spec.dynamic]
    return record.model_copy(update={"partition": found.model_copy(update=more)})


def _most_first(ops: Counter[str]) -> dict[str, int]:
    return dict(sorted(ops.items(), key=lambda item: (-item[1], item[0])))
