"""``harness bench``: a first figure of one model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import as_json, complete_names, wait_option
from harness.cli.terminal import console, stderr
from harness.core.errors import SpecificationError, worst

if TYPE_CHECKING:
    from harness.analysis.cases import CaseResult
    from harness.core.records import Run
    from harness.workspace import Workspace

__all__ = ["bench"]


@click.command(
    epilog="""\b
Examples:
  harness bench mobilenet.onnx
  harness bench rec.onnx --shape x=1,3,48,320
  harness bench mobilenet.onnx --device rk3588 --engine onnxruntime --engine ncnn
  harness bench mobilenet.onnx --report mobilenet.html
  harness bench mobilenet.onnx --save      keep it as a model and a campaign
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--device",
    default="local",
    show_default=True,
    shell_complete=complete_names("devices"),
    metavar="NAME|ADDRESS",
    help="Device of the workspace, or an address for 'harness devices add': it is added then.",
)
@click.option("--engine", "engines", multiple=True, help="Engine; by default all that can run it.")
@click.option("--backend", "backends", multiple=True, help="Backend, such as cpu or npu:NAME.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="INPUT=N,N,...",
    help="Shape of an input whose file leaves axes open.",
)
@click.option("--name", help="Name of the model; by default the file's.")
@click.option(
    "--launches",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Launches per engine: fresh processes, the unit of the intervals.",
)
@wait_option
@click.option("--save", "keep", is_flag=True, help="Add the model and a campaign to the workspace.")
@click.option(
    "--report",
    "report_to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Render a report of it.",
)
@as_json
@click.pass_context
def bench(
    ctx: click.Context,
    model: Path,
    device: str,
    engines: tuple[str, ...],
    backends: tuple[str, ...],
    shapes: tuple[str, ...],
    *,
    name: str | None,
    launches: int,
    wait_s: float,
    keep: bool,
    report_to: Path | None,
    as_json: bool,
) -> None:
    """Measure one model file in every engine that can run it.

    Needs no YAML and no registration. Uses the workspace around the current folder, if there is
    one.
    """
    from harness import api
    from harness.cli.building import shapes_of
    from harness.cli.progress import LiveProgress
    from harness.models.adding import Known
    from harness.scaffold.bench import Wanted, overlay, prepare, save

    around = _around(ctx)
    workspace = overlay(around)
    known = Known(name=name, shapes=shapes_of(shapes))
    if keep and around is None:
        raise SpecificationError(
            "--save needs a workspace; this folder is in none",
            hint="to create one: harness init DIR",
        )
    wanted = Wanted(_named(workspace, device), engines, backends, known, launches)
    with LiveProgress() as progress:
        ready = prepare(workspace, model, wanted, progress=progress.preparing)
        # Before the launches: a name that is taken must not cost them.
        written = save(ready, around, model, known) if keep and around else []
        run = api.measure(
            ready.campaign, workspace=ready.workspace, wait_s=wait_s, observer=progress
        )
    if as_json:
        from harness.cli.results import run_as_json

        click.echo(json.dumps(run_as_json(run), indent=2))
    else:
        _show(run)
        for what, why in ready.left_out.items():
            stderr().print(f"not measured: {what}: {why}", markup=False, style="dim")
    if report_to and run.launches:
        api.report(run.id, workspace=ready.workspace, output=report_to)
        written = [*written, report_to]
    _next(run, written, None if around else ready.workspace, reported=report_to is not None)
    ctx.exit(int(worst(list(api.exit_codes(run)))))


def _named(workspace: Workspace, device: str) -> str:
    """Return a device's name; one that is given by its address is registered at its first use."""
    if "://" not in device:
        return device
    from harness.cli.devices import register_device
    from harness.scaffold.bench import device_at

    if name := device_at(workspace, device):
        return name
    path, _, told = register_device(workspace, device)
    click.echo(told, err=True)
    return path.stem


def _around(ctx: click.Context) -> Workspace | None:
    from harness.cli.app import workspace_of

    try:
        return workspace_of(ctx)
    except SpecificationError:
        return None


def _show(run: Run) -> None:
    from harness.analysis.cases import case_results
    from harness.cli.tables import print_cases

    print_cases(run)
    console().print(_answer(case_results(run)), soft_wrap=True)


def _answer(results: list[CaseResult]) -> str:
    """Say which engine is fastest, and how sure that is."""
    from harness.analysis.comparison import ratio
    from harness.core.text import times

    ranked = sorted(
        (result for result in results if result.latency_ms and not result.simulated),
        key=lambda result: result.latency_ms.center if result.latency_ms else 0.0,
    )
    if not ranked:
        return "No engine has a valid latency."
    best = ranked[0].record.case.setting
    if len(ranked) == 1:
        return f"Measured: {best}; there is no other engine to compare it with."
    found = ratio(ranked[1].figures_ms, ranked[0].figures_ms)
    second = ranked[1].record.case.setting
    if found.low is None or found.high is None:
        return f"{best} was faster than {second} in too few launches to be sure: --launches 5."
    if found.low <= 1:
        return f"{best} and {second} cannot be distinguished (ratio {times(found.center)})."
    return (
        f"Fastest: {best}, {times(found.center)} as fast as {second} "
        f"(95 % interval {times(found.low)} – {times(found.high)}, {found.n} launches each)."
    )


def _next(run: Run, written: list[Path], workspace: Workspace | None, *, reported: bool) -> None:
    """Say what to do with the figures."""
    out = stderr()
    for path in written:
        out.print(f"wrote {path}", markup=False)
    if not reported:
        where = f"--workspace {workspace.root} " if workspace else ""
        said = f"report: harness {where}report {run.id} -o {run.campaign}.html"
        out.print(said, markup=False, soft_wrap=True)
    campaigns = [path for path in written if path.suffix == ".yaml"]
    if campaigns:
        out.print(f"measure it again: harness run {campaigns[-1]}", markup=False, soft_wrap=True)
    elif workspace is None:
        out.print("keep it as a model and a campaign: --save", markup=False)
