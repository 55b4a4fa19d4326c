"""``harness models``: what can be measured, and what is built of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import workspace_of
from harness.cli.building import ID_LENGTH, add, build, clean, input_label, size_label
from harness.cli.grid import wide_option
from harness.cli.inspecting import drift_in_words, inspect
from harness.cli.options import as_json, complete_engine, complete_names
from harness.core.text import share_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.models.artifacts import Artifact
    from harness.models.manifest import Manifest, Model

__all__ = ["models"]


@click.group(
    epilog="""\b
Examples:
  harness models list
  harness models build                                  the usual artifacts of all models
  harness models build ppocr_v4_cls --targets arm,rknn:rk3588
  harness models show ppocr_v4_cls
  harness models inspect ppocr_v4_cls --target rockchip_npu
  harness models clean --dry-run
"""
)
def models() -> None:
    """List, add, build, show and inspect models."""


@models.command(name="list", epilog="\b\nExample:\n  harness models list --json")
@wide_option
@as_json
@click.pass_context
def list_models(ctx: click.Context, *, as_json: bool) -> None:
    """List the workspace's models and what is built for each."""
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.models.manifest import load_models

    found = load_models(workspace_of(ctx)).values()
    if as_json:
        click.echo(json.dumps([_model_as_json(model) for model in found], indent=2))
        return
    table = Grid(
        Column("Model"),
        Column("Title", 2, wrap=20),
        Column("Licence", 3),
        Column("Inputs", 1),
        Column("Built", wrap=20),
    )
    for model in found:
        table.add(
            model.name,
            model.manifest.title,
            model.manifest.licence,
            "\n".join(map(input_label, model.manifest.inputs)),
            "\n".join(_label(artifact) for artifact in _built(model)) or "nothing yet",
        )
    table.print(console())


models.add_command(add)
models.add_command(build)
models.add_command(clean)
models.add_command(inspect)


@models.command(
    epilog="""\b
Example:
  harness models show ppocr_v4_cls --json
"""
)
@click.argument("name", metavar="MODEL", shell_complete=complete_names("models"))
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Show a model, its artifacts and how they were built."""
    from harness.cli.terminal import console
    from harness.models.manifest import load_model

    model = load_model(workspace_of(ctx), name)
    if as_json:
        click.echo(json.dumps(_model_as_json(model), indent=2))
        return
    manifest = model.manifest
    lines = [
        f"{model.name}: {manifest.title}",
        f"source   {manifest.source.label}",
        f"licence  {manifest.licence}",
        *(f"input    {input_label(spec)}" for spec in manifest.inputs),
        *_operations_lines(model),
        f"checked  outputs for {_checked(manifest)}",
    ]
    artifacts = list(_built(model))
    for artifact in artifacts:
        record = artifact.record
        made = record.provenance
        tools = ", ".join(f"{tool} {version}" for tool, version in made["tools"].items())
        lines += [
            "",
            f"{_label(artifact)}  {record.id[:ID_LENGTH]}  {size_label(record.size_bytes)}",
            f"  made     {made['started']} by stage {made['stage']} in {made['seconds']:.1f} s",
            f"  tools    {tools}",
            f"  folder   {artifact.folder}",
        ]
        if record.drift:
            lines.append(f"  drift    {drift_in_words(record.drift)}")
        kernels = _kernels(artifact)
        if kernels:
            counts = ", ".join(f"{count} {kind}" for kind, count in kernels["kernels"].items())
            lines.append(f"  kernels  {counts} ({kernels['tool']})")
    if not artifacts:
        lines += ["", f"nothing is built yet: harness models build {model.name}"]
    out = console()
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


@models.command(
    epilog="""\b
Example:
  harness models push ppocr_v4_cls --engine paddle-lite --device qemu-arm64
"""
)
@click.argument(
    "names", metavar="MODEL...", nargs=-1, required=True, shell_complete=complete_names("models")
)
@click.option(
    "--engine", required=True, shell_complete=complete_engine, help="Engine to build for."
)
@click.option("--device", "device_name", required=True, help="Target device.")
@as_json
@click.pass_context
def push(
    ctx: click.Context, names: tuple[str, ...], engine: str, device_name: str, *, as_json: bool
) -> None:
    """Build artifacts, check that they fit a device, and push them.

    For devices with a runtime of your own: pushed files are verified and stored by hash. Campaigns
    push by themselves.
    """
    from harness import engines
    from harness.campaign.deploy import push as push_artifact
    from harness.cli.terminal import console, steps
    from harness.lab.connect import connect
    from harness.lab.inventory import load_device
    from harness.models.manifest import load_model

    workspace = workspace_of(ctx)
    device = load_device(workspace, device_name)
    chosen, loader = [load_model(workspace, name) for name in names], engines.get(engine)
    with steps() as shown, connect(workspace, device) as transport:
        pushed = [
            (model, *push_artifact(model, loader, device, transport, progress=shown.update))
            for model in chosen
        ]
    if as_json:
        rows = [
            {"model": model.name, "paths": paths, **_artifact_as_json(artifact)}
            for model, artifact, paths in pushed
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for model, artifact, paths in pushed:
        kernels = ", ".join(
            f"{n} {kind}" for kind, n in _kernels(artifact).get("kernels", {}).items()
        )
        head = f"{model.name}: {_label(artifact)}" + (f" ({kernels} kernels)" if kernels else "")
        console().print(head, highlight=False)
        for name, path in paths.items():
            console().print(f"  {name} is {path}", markup=False, highlight=False, soft_wrap=True)


def _built(model: Model) -> Iterator[Artifact]:
    from contextlib import suppress
    from itertools import product

    from harness.core.errors import SpecificationError
    from harness.models.build import find
    from harness.models.formats import formats
    from harness.models.recipes import targets

    for artifact_format, places in targets(model).items():
        precisions = formats()[artifact_format].precisions or (None,)
        for target, precision in product(places, precisions):
            with suppress(SpecificationError):  # no such precision there, or no calibration images
                if artifact := find(model, artifact_format, target, precision=precision):
                    yield artifact


def _kernels(artifact: Artifact) -> dict[str, Any]:
    """Return what an artifact's file says of its kernels, and the version of what wrote it."""
    from harness.models.formats import engine_of

    engine = engine_of(artifact.record.format)
    told = engine.partition(artifact.paths) if engine else None
    if told is None:
        return {}
    tool, _, version = told.tool.rpartition(" ")
    return {
        f"{tool}_version": version,
        "kernels": told.kernels,
        "subgraphs": len(told.subgraphs),
        "tool": told.tool,
    }


def _model_as_json(model: Model) -> dict[str, Any]:
    from harness.models.operations import known

    artifacts = [_artifact_as_json(artifact) for artifact in _built(model)]
    counted = known(model)
    return {
        "name": model.name,
        **model.manifest.model_dump(mode="json"),
        "operations": counted
        and {"macs": counted.macs, "parameters": counted.parameters, **counted.model_dump()},
        "artifacts": artifacts,
    }


def _artifact_as_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "artifact": _label(artifact),
        **artifact.record.model_dump(mode="json"),
        "folder": str(artifact.folder),
        **_kernels(artifact),
    }


def _label(artifact: Artifact) -> str:
    record = artifact.record
    words = [record.format, *([record.target] if record.target != "any" else [])]
    words += [record.precision] if record.precision not in (None, "fp32") else []
    return " ".join(words)


def _checked(manifest: Manifest) -> str:
    seeds, images = manifest.check_seeds, manifest.quantization.images
    if images:
        return f"{len(seeds)} held-out images of {images}"
    return f"seeds {', '.join(map(str, seeds))}"


def _operations_lines(model: Model, most: int = 5) -> Iterator[str]:
    from harness.models.operations import known

    counted = known(model)
    if counted is None:
        return
    yield (
        f"computes {_count(counted.macs)} multiply-accumulates an inference, "
        f"with {_count(counted.parameters)} parameters"
    )
    if counted.uncounted:
        yield f"         and more, not counted, in {', '.join(counted.uncounted)}"
    heaviest = sorted(counted.layers, key=lambda layer: layer.macs, reverse=True)[:most]
    for layer in heaviest:
        share = layer.macs / counted.macs if counted.macs else 0.0
        yield f"         {share_of(share):>6} {layer.op} {layer.name}"


def _count(number: int) -> str:
    """Return a large number as networks' authors give it."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
