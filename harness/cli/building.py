"""``harness models build``, and what goes with it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_names
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from harness.core.records import OutputCheck, Precision
    from harness.models.batch import Built
    from harness.models.manifest import ModelInput

__all__ = ["add", "build", "clean", "shapes_of"]

_NumberT = TypeVar("_NumberT", int, float)

ID_LENGTH = 12


def complete_targets(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer names for the last of the targets with commas between them."""
    from click.shell_completion import CompletionItem

    from harness.models.formats import target_names

    before, comma, last = incomplete.rpartition(",")
    return [
        CompletionItem(f"{before}{comma}{name}") for name in target_names() if name.startswith(last)
    ]


@click.command(
    epilog="""\b
Examples:
  harness models build
  harness models build mobilenet_v2 --targets x86,onnx
  harness models build mobilenet_v2 --targets rknn:rk3588 --precision int8
  harness models build --all --targets arm,x86,rockchip_npu,verisilicon_timvx,rknn:rk3588,onnx
"""
)
@click.argument("names", metavar="[MODEL]...", nargs=-1, shell_complete=complete_names("models"))
@click.option("--all", "every", is_flag=True, help="All models (the default).")
@click.option(
    "--targets",
    metavar="NAME,...",
    shell_complete=complete_targets,
    help="Targets: processors, NPUs, chips or formats.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="Precision, where the format allows a choice (default: the format's first).",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    help="Parallel builds; by default as processors and memory allow.",
)
@click.option("--retry-failed", is_flag=True, help="Retry stages that failed before.")
@as_json
@click.pass_context
def build(
    ctx: click.Context,
    names: tuple[str, ...],
    targets: str | None,
    precision: Precision | None,
    jobs: int | None,
    *,
    every: bool,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Build artifacts of models.

    By default for the targets of the shared toolchain. Targets of NPUs and some engines need
    further downloads: name them with --targets. Artifacts that exist for the same inputs and tools
    are kept, and stages that failed for them are not retried without --retry-failed. The first
    build creates the toolchain environments.

    Artifacts that run on this machine are run and their outputs compared with the reference
    outputs. A failure does not stop the others: a table lists what was built, checked and refused,
    and failures by cause. The exit code is 3 if something was not built or could not be checked,
    and 4 if outputs are wrong.
    """
    from harness.cli.terminal import steps
    from harness.core.errors import ExitCode, SpecificationError, worst
    from harness.models import batch
    from harness.models.here import check_here
    from harness.models.manifest import load_model, load_models

    if every and names:
        raise click.UsageError("name models or pass --all, not both")
    kinds = batch.parse_targets(targets) if targets is not None else batch.usual_targets()
    workspace = workspace_of(ctx)
    chosen = [load_model(workspace, name) for name in names] or load_models(workspace).values()
    wanted = batch.wanted_of(chosen, kinds, precision)
    if not wanted:
        raise SpecificationError("none of these models has artifacts for these targets")
    with steps() as shown:
        outcomes = batch.build_many(
            wanted,
            check=lambda model, artifact, told: check_here(model, artifact, progress=told),
            jobs=jobs or batch.workers(),
            retry_failed=retry_failed,
            progress=shown.update,
        )
    if as_json:
        click.echo(json.dumps([_as_json(outcome) for outcome in outcomes], indent=2))
    else:
        _print(outcomes)
    failed = any(outcome.reason for outcome in outcomes)
    wrong = any(outcome.check and not outcome.check.passed for outcome in outcomes)
    code = worst([ExitCode.LAB] * failed + [ExitCode.INVALID] * wrong)
    if code:
        ctx.exit(code)


def _print(outcomes: list[Built]) -> None:
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console

    table = Grid(
        Column("Model"),
        Column("Artifact", wrap=16),
        Column("Id", 4),
        Column("Size", 2, right=True),
        Column("Time", 3, right=True),
        Column("State"),
        Column("Outputs", 1),
    )
    for outcome in outcomes:
        record = outcome.artifact.record if outcome.artifact else None
        table.add(
            outcome.wanted.model.name,
            outcome.wanted.label,
            record.id[:ID_LENGTH] if record else "",
            size_label(record.size_bytes) if record else "",
            f"{outcome.seconds:.1f} s",
            _state(outcome),
            _outputs(outcome),
        )
    out = console()
    table.print(out)
    built = [outcome for outcome in outcomes if outcome.artifact]
    checked = [outcome for outcome in built if outcome.check]
    wrong = [outcome for outcome in checked if outcome.check and not outcome.check.passed]
    cached = sum(outcome.cached for outcome in built)
    counts = {
        state: sum(_state(outcome) == state for outcome in outcomes)
        for state in ("failed", "refused")
    }
    out.print(
        f"\n{len(built) - cached} built, {cached} there already; outputs of {len(checked)} "
        f"checked, {len(wrong)} wrong; {counts['refused']} refused"
        + (f", {counts['failed']} failed" if counts["failed"] else "")
    )
    for outcome in checked:
        if outcome.check and outcome.check.passed and outcome.check.undecided:
            which = ", ".join(map(str, outcome.check.undecided))
            _reason(outcome, f"the reference does not vary, and cannot tell: output {which}")
    for outcome in wrong:
        assert outcome.check is not None  # noqa: S101 - that is what 'wrong' holds
        _reason(outcome, str(outcome.check.reason))
    by_cause: dict[str, list[Built]] = {}
    for outcome in outcomes:
        if outcome.reason:
            cause = outcome.reason + (f"; {outcome.hint}" if outcome.hint else "")
            by_cause.setdefault(cause, []).append(outcome)
    for cause, alike in by_cause.items():
        labels = ", ".join(f"{each.wanted.model.name} {each.wanted.label}" for each in alike)
        out.print(f"{labels}: {cause}", markup=False, soft_wrap=True)
    if counts["failed"]:
        out.print("failed stages are not retried: --retry-failed")


def _reason(outcome: Built, text: str) -> None:
    from harness.cli.terminal import console

    line = f"{outcome.wanted.model.name} {outcome.wanted.label}: {text}"
    console().print(line, markup=False, soft_wrap=True)


def _state(outcome: Built) -> str:
    if outcome.failed:
        return "failed"
    if outcome.artifact is None:
        return "refused"
    return "was there" if outcome.cached else "built"


def _outputs(outcome: Built) -> str:
    if outcome.artifact is None or outcome.failed:
        return ""
    if outcome.reason:
        return "NOT CHECKED"
    if outcome.check is None:
        drift = outcome.artifact.record.drift
        if drift and drift.cosine is not None:
            return f"cosine {drift.cosine:.4f}, simulated"
        return "not run here"
    return _checked(outcome.check)


def _checked(check: OutputCheck) -> str:
    if not check.passed:
        return "WRONG"
    return f"right to {check.relative_error:.1g}" if check.decides else "cannot tell"


def _as_json(outcome: Built) -> dict[str, Any]:
    artifact = outcome.artifact
    return {
        "model": outcome.wanted.model.name,
        "format": outcome.wanted.format,
        "target": outcome.wanted.target,
        "precision": outcome.wanted.precision,
        "state": _state(outcome),
        "seconds": round(outcome.seconds, 3),
        "reason": outcome.reason,
        "hint": outcome.hint,
        "outputs": outcome.check.model_dump(mode="json") if outcome.check else None,
        "artifact": artifact.record.model_dump(mode="json") if artifact else None,
        "folder": str(artifact.folder) if artifact else None,
    }


_MB = 1_000_000


def size_label(size_bytes: int) -> str:
    """Return a size as people say it."""
    if size_bytes >= _MB:
        return f"{size_bytes / _MB:.1f} MB"
    return f"{size_bytes / 1000:.0f} kB"


@click.command(
    epilog="""\b
Examples:
  harness models add mobilenet.onnx --licence Apache-2.0
  harness models add det/inference.pdmodel --name det --shape x=1,3,640,640 --range x=-2,2.5
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name; by default the file's.")
@click.option("--licence", help="SPDX identifier of its licence.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="INPUT=N,...",
    help="Shape of an input whose file leaves axes open.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="INPUT=LOW,HIGH",
    help="Range of an input's random values.",
)
@click.option(
    "--reference",
    metavar="MODEL",
    shell_complete=complete_names("models"),
    help="The same model in another format, as the reference for outputs.",
)
@as_json
@click.pass_context
def add(
    ctx: click.Context,
    file: Path,
    name: str | None,
    licence: str | None,
    shapes: tuple[str, ...],
    ranges: tuple[str, ...],
    *,
    reference: str | None,
    as_json: bool,
) -> None:
    """Add a model file of an engine or of Paddle.

    Loads the file once, in a process of its own, to find its inputs, copies it to models/files/ by
    hash, and writes models/NAME.yaml.
    """
    from harness.cli.terminal import console, steps
    from harness.models.adding import Known
    from harness.models.adding import add as add_model

    workspace = workspace_of(ctx)
    known = Known(
        name=name,
        licence=licence,
        shapes=shapes_of(shapes),
        ranges={key: _range(key, text) for key, text in _pairs(ranges)},
        reference=reference,
    )
    with steps() as shown:
        added = add_model(workspace, file, known, progress=shown.update)
    if as_json:
        answer = {
            "name": added.model.name,
            "manifest": str(added.manifest),
            "left": added.left,
            **added.model.manifest.model_dump(mode="json"),
        }
        click.echo(json.dumps(answer, indent=2))
        return
    lines = [f"added {added.model.name}: {added.manifest}"]
    lines += [f"input {input_label(spec)}" for spec in added.model.manifest.inputs]
    lines += ["left to fill in there:"] if added.left else []
    lines += [f"  {each}" for each in added.left]
    lines += [f"then: harness models build {added.model.name}"]
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


def shapes_of(texts: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the shapes that ``--shape`` gives, by input."""
    return {key: _numbers(key, text, int) for key, text in _pairs(texts)}


def _pairs(texts: tuple[str, ...]) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise click.UsageError(f"'{text}' is not INPUT=...: x=1,3,224,224")
    # An input's name may have a '=' itself; what follows the last has none.
    return [(key, value) for key, _, value in (text.rpartition("=") for text in texts)]


def _numbers(key: str, text: str, kind: type[_NumberT]) -> list[_NumberT]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"'{text}' of input '{key}' is not a comma-separated list of numbers"
        ) from error


def _range(key: str, text: str) -> tuple[float, float]:
    numbers = _numbers(key, text, float)
    if len(numbers) != 2 or not all(map(math.isfinite, numbers)):  # noqa: PLR2004 - low and high
        raise click.UsageError(f"'{text}' of input '{key}' is not a range such as -1,1")
    return numbers[0], numbers[1]


def input_label(spec: ModelInput) -> str:
    """Return an input in words."""
    shape = "×".join(_axis_label(n, spec.dynamic.get(axis)) for axis, n in enumerate(spec.shape))
    return f"{spec.name} {shape} {spec.dtype} in [{spec.low:g}, {spec.high:g})"


def _axis_label(usual: int, extents: tuple[int, int] | None) -> str:
    return str(usual) if extents is None else f"{usual} ({extents[0]}-{extents[1]})"


@click.command(
    epilog="""\b
Examples:
  harness models clean --dry-run
  harness models clean --older-than 7
  harness models clean --all
"""
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Minimum time since last use.",
)
@click.option("--all", "everything", is_flag=True, help="All artifacts and environments.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
@as_json
def clean(days: float, *, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove unused artifacts and toolchain environments.

    They are in the user's cache and shared by all workspaces. Artifacts are rebuilt when needed;
    environments that this version uses stay, unless --all is given. A baseline whose artifact is
    gone cannot be confirmed until it is rebuilt.
    """
    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.models import cache

    chosen = cache.stale(days, everything=everything)
    gone = chosen if dry_run else cache.clean(chosen)
    freed = sum(entry.size_bytes for entry in gone)
    if as_json:
        rows = [
            {
                "kind": entry.kind,
                "what": entry.what,
                "folder": str(entry.folder),
                "size_bytes": entry.size_bytes,
                "used": datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds"),
            }
            for entry in gone
        ]
        click.echo(json.dumps({"dry_run": dry_run, "freed_bytes": freed, "gone": rows}, indent=2))
        return
    out = console()
    if gone:
        table = Grid(
            Column("Kind", 1),
            Column("What", wrap=20),
            Column("Size", right=True),
            Column("Last used", 2),
        )
        for entry in gone:
            used = f"{datetime.fromtimestamp(entry.used, UTC):%Y-%m-%d %H:%M}"
            table.add(entry.kind, entry.what, size_label(entry.size_bytes), used)
        table.print(out)
        out.print()
    frees = "would free" if dry_run else "freed"
    out.print(f"{frees} {size_label(freed)} in {cache_dir()}", soft_wrap=True)
    if busy := len(chosen) - len(gone):
        out.print(f"{busy} kept: in use by another process, or owned by another user")
