"""``harness models inspect``: what of an artifact runs where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.building import size_label
from harness.cli.options import as_json, complete_names
from harness.core.text import count, share_of, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.records import ArtifactRecord, Drift, Partition, Precision

__all__ = ["drift_in_words", "inspect"]


@click.command(
    epilog="""\b
Examples:
  harness models inspect model.nb
  harness models inspect ppocr_v4_cls --target rockchip_npu --precision int8
  harness models inspect mobilenet_v3_small --target rknn:rk3588 --json
"""
)
@click.argument("artifact", metavar="ARTIFACT", shell_complete=complete_names("models"))
@click.option("--target", help="For a model: a processor, an NPU, a chip, or a format.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="For a model: precision (default: the format's first).",
)
@as_json
@click.pass_context
def inspect(
    ctx: click.Context,
    artifact: str,
    target: str | None,
    precision: Precision | None,
    *,
    as_json: bool,
) -> None:
    """Show which parts of an artifact run where.

    ARTIFACT is a .nb file, or a model of the workspace, built for --target if needed.

    Shows kernels by target and precision, the split between NPU and CPU, inputs with open shapes,
    sizes, and the compiler's estimates for each layer where it has them.
    """
    from harness.cli.terminal import console

    if Path(artifact).is_file():
        if target or precision:
            raise click.UsageError("--target and --precision are for models, not for files")
        from harness.models.inspection import inspect_file

        found: ArtifactRecord | None = None
        told, title = inspect_file(Path(artifact)), artifact
    else:
        found = _of_model(ctx, artifact, target, precision)
        if found.partition is None:
            raise AssertionError  # inspected() always has one
        told = found.partition
        words = [artifact, found.format, found.target, found.precision or ""]
        title = " ".join(word for word in words if word not in ("", "any"))
    if as_json:
        content = found.model_dump(mode="json") if found else {"file": artifact}
        click.echo(json.dumps(content | {"partition": told.model_dump(mode="json")}, indent=2))
        return
    out = console()
    for line in _lines(title, told, found.drift if found else None):
        out.print(visible(line), markup=False, highlight=False, soft_wrap=True)
    if told.estimates:
        out.print(_estimates(told))


def _of_model(
    ctx: click.Context, name: str, target: str | None, precision: Precision | None
) -> ArtifactRecord:
    from harness.campaign.prepare import count_operations
    from harness.cli.terminal import steps
    from harness.models.batch import parse_targets
    from harness.models.build import build
    from harness.models.formats import target_names
    from harness.models.inspection import inspected
    from harness.models.manifest import load_model
    from harness.models.recipes import PADDLE_PROGRAM

    model = load_model(workspace_of(ctx), name)
    if target is None:
        raise click.UsageError(
            f"'{name}' is a model: name an artifact with --target ({', '.join(target_names())})"
        )
    kinds = parse_targets(target)
    if len(kinds) > 1:
        raise click.UsageError("one --target at a time, please")
    with steps() as shown:
        artifact = build(model, *kinds[0], precision=precision, progress=shown.update)
        program = PADDLE_PROGRAM if artifact.record.format == "nb" else "any"
        count_operations(model, shown.update, program=program)
    return inspected(model, artifact)


def _lines(title: str, told: Partition, drift: Drift | None) -> Iterator[str]:
    yield f"{title} ({told.tool})"
    if told.kernels:
        yield f"kernels    {_counts(told.kernels)}"
    if told.subgraphs:
        share = ""
        if told.macs and told.npu_macs is not None:
            share = (
                f"{share_of(told.npu_macs / told.macs)} of {told.macs / 1e6:.4g} M "
                "multiply-accumulates, in "
            )
        yield f"on the NPU {share}{count(len(told.subgraphs), 'subgraph')}"
        for n, ops in enumerate(told.subgraphs, 1):
            yield f"  {n:>3}      {_counts(ops)}"
        yield f"on the CPU {_counts(told.cpu_ops) or 'nothing'}"
    if told.dynamic_inputs:
        yield f"dynamic    {', '.join(told.dynamic_inputs)}"
    if told.weight_bytes is not None:
        yield f"weights    {size_label(told.weight_bytes)}"
    if told.memory_bytes is not None:
        yield f"memory     {size_label(told.memory_bytes)} for intermediate results (estimate)"
    if drift:
        yield f"drift      {drift_in_words(drift)}"


def _estimates(told: Partition) -> object:
    from rich.text import Text

    from harness.cli.grid import Column, Grid

    total = sum(layer.cycles or 0 for layer in told.estimates)
    table = Grid(
        Column("Layer", wrap=16),
        Column("Op", 2, wrap=8),
        Column("Runs on"),
        Column("Precision", 3),
        Column("Cycles", right=True),
        Column("Share", 1, right=True),
    )
    for layer in told.estimates:
        known = layer.cycles is not None and total
        texts = (layer.name, layer.op, layer.runs_on, layer.precision)
        table.add(
            *(Text(visible(text)) for text in texts),
            f"{layer.cycles:,}" if layer.cycles is not None else "unknown",
            share_of(layer.cycles / total) if known and layer.cycles else "",
        )
    return table


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in numbers.items())


def drift_in_words(drift: Drift) -> str:
    """Say how far an artifact's outputs are from those in fp32."""
    by = f"by {drift.computed_by}, {drift.inputs} held-out inputs"
    if drift.fault or drift.cosine is None or drift.max_error is None:
        return f"cannot be told: {drift.fault} ({by})"
    top1 = "" if drift.top1 is None else f", top-1 agrees in {share_of(drift.top1)}"
    error = f"cosine {drift.cosine:.4f}, relative error {drift.relative_error:.3g}"
    return f"{error}, largest error {drift.max_error:.3g}{top1} ({by})"
