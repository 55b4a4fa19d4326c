"""``harness import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@click.command(
    name="import",
    epilog="""\b
Example:
  harness import published-npu.csv --licence Apache-2.0 \\
    --source https://github.com/PaddlePaddle/Paddle-Lite/tree/v2.12/docs/demo_guides \\
    --map device=chip --map latency_ms:cpu=cpu_ms --map latency_ms:npu=npu_ms \\
    --set engine=paddle-lite
  harness audit --imported published-npu
  harness import fps.csv --source URL --licence unknown \\
    --map fps@RK3562=RK3562 --map 'fps@RK3588=RK3588 @single_core'

\b
Fields: model, device, engine, backend, npu, precision, threads, statistic,
launches, samples, macs, source, and latency, low and high with their unit
(latency_ms, latency_us, latency_ns, latency_s) and, optionally, a backend
(latency_ms:npu) and a device (latency_ms@RK3588).
fps is frames per second, from which the latency of one stream is derived.
""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", required=True, help="Where it was published: URL or reference.")
@click.option("--licence", required=True, help="Licence of the data; 'unknown' if unknown.")
@click.option("--published", type=click.DateTime(["%Y-%m-%d"]), help="Date of publication.")
@click.option("--name", help="Name of the table; by default the file's.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="Column to read a field from, unless it has the field's name.",
)
@click.option(
    "--set",
    "constants",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Value for every row.",
)
@click.option("--delimiter", default=",", show_default=True, help="Cell separator.")
@click.option("--replace", is_flag=True, help="Replace a table of this name.")
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    source: str,
    licence: str,
    published: datetime | None,
    name: str | None,
    *,
    mapping: Sequence[str],
    constants: Sequence[str],
    delimiter: str,
    replace: bool,
) -> None:
    """Import a published table of latencies: CSV, Markdown, or a tool's output.

    Reads the output of benchncnn, MNN's benchmark.out, TFLite's benchmark_model, OpenVINO's
    benchmark_app and its report, and MLPerf's summary.

    Imported figures are marked, shown alongside measured ones, and never get a verdict, since the
    launches behind them are unknown.
    """
    from harness.core.text import count, visible
    from harness.results.imports import Citation, read_table
    from harness.workspace import check_name

    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise SpecificationError(f"--delimiter: {delimiter!r} is not one character")
    reading = read_table(
        file,
        check_name(name or file.stem, "table"),
        Citation(source, licence, published.date() if published else None),
        mapping=_pairs("--map", mapping),
        constants=_pairs("--set", constants),
        delimiter=delimiter,
    )
    table = reading.table
    with workspace_of(ctx).store() as store:
        store.add_imported(table, replace=replace)
    models = len({figure.model for figure in table.figures})
    devices = len({figure.device for figure in table.figures})
    click.echo(
        f"imported {count(len(table.figures), 'figure')} of {count(models, 'model')} on "
        f"{count(devices, 'device')} as '{table.id}'"
    )
    if reading.empty:
        click.echo(f"without a figure: {count(reading.empty, 'cell')}", err=True)
    if reading.summaries:
        lines = ", ".join(map(str, reading.summaries))
        click.echo(f"left out: summary rows, in line {lines}", err=True)
    derived = sum(figure.derived is not None for figure in table.figures)
    if derived:
        click.echo(f"derived from frames per second: {count(derived, 'figure')}", err=True)
    if reading.left_out:
        click.echo(f"left out: column {visible(', '.join(reading.left_out))}", err=True)
    click.echo(f"to audit it: harness audit --imported {table.id}", err=True)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field or not value:
            raise SpecificationError(f"{option}: '{text}' is not FIELD=…")
        if field in found:
            raise SpecificationError(f"{option}: '{field}' is given twice")
        found[field] = value
    return found
