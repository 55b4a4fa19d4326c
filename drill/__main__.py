"""``make drill``: every kind of fault at every stage where it can strike, and the oracle's word."""

from __future__ import annotations

import fnmatch
import json
import os
import secrets
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from drill import worker
from drill.kinds import KINDS
from drill.lab import ABI
from drill.oracle import Audit
from harness.native.supervisor import supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from drill.lab import CellResult

HITS = 20
SHORT = {
    ("answer lost", "reading"),
    ("controller killed", "samples"),
    ("supervisor killed", "samples"),
    ("runner killed", "reading"),
    ("wrong outputs", "start"),
}
RECORDS = Path(".harness", "drill")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--seed", help="Of an earlier drill, whose faults come again.")
@click.option("--hits", type=click.IntRange(1), help=f"Of each kind at each stage; {HITS}.")
@click.option("--kinds", default="*", metavar="PATTERN", help="Only these, such as 'link*'.")
@click.option("--stages", default="*", metavar="PATTERN", help="Only these, such as samples.")
@click.option("--short", is_flag=True, help="A few kinds, each once or a few times.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=2 * (os.cpu_count() or 1),
    show_default=True,
    help="Campaigns at once; they mostly wait.",
)
def main(
    seed: str | None, hits: int | None, kinds: str, stages: str, jobs: int, *, short: bool
) -> None:
    """Let every kind of fault strike campaigns at every stage, and ask the devices' journals.

    Ends with status 1 where anything was lost, doubled or misattributed.
    """
    console = Console(stderr=True, highlight=False)
    seed = seed or str(secrets.randbelow(1 << 31))
    click.echo(f"seed {seed}: the same faults come again with: make drill SEED={seed}")
    supervisor(ABI, console.print)  # compiled before several workers want it
    cells = [
        (kind.name, stage)
        for kind in sorted(KINDS, key=lambda kind: not kind.once)  # these take longest
        for stage in kind.ways
        if fnmatch.fnmatch(kind.name, kinds) and fnmatch.fnmatch(stage, stages)
        if not short or (kind.name, stage) in SHORT
    ]
    hits = hits or (1 if short else HITS)
    folder = Path(tempfile.mkdtemp(prefix="edge-harness-drill-"))
    names = [kind.name for kind in KINDS]
    results = sorted(
        _results(cells, hits, seed, folder, jobs, console),
        key=lambda result: names.index(result.kind),
    )
    _show(results)
    click.echo(f"recorded in {_record(results, seed, hits)}")
    wrong = [result for result in results if not result.right]
    if wrong:
        for result in wrong:
            _complain(result)
        click.echo(f"what these campaigns left is kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum((result.audit for result in results), Audit())
    click.echo(
        f"kinds={len({result.kind for result in results})} "
        f"injections={sum(result.hits for result in results)} "
        f"lost={len(total.lost)} doubled={len(total.doubled)} "
        f"misattributed={len(total.misattributed)}"
    )
    sys.exit(1 if wrong else 0)


def _results(
    cells: Sequence[tuple[str, str]],
    hits: int,
    seed: str,
    folder: Path,
    jobs: int,
    console: Console,
) -> Iterator[CellResult]:
    columns = (
        TextColumn("kinds × stages"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    spawn = get_context("spawn")
    pool = ProcessPoolExecutor(
        jobs, mp_context=spawn, initializer=worker.enter, initargs=(str(folder),)
    )
    with pool, Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(cells))
        try:
            waiting: list[Future[CellResult]] = [
                pool.submit(worker.cell, kind, stage, hits, seed) for kind, stage in cells
            ]
            for done in as_completed(waiting):
                result = done.result()
                progress.advance(task)
                word = "[green]right[/]" if result.right else "[red]WRONG[/]"
                console.print(f"{word} {result.kind} · {result.stage} · {result.hits}×")
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _show(results: Sequence[CellResult]) -> None:
    table = Table(
        "Fault", "Stage", "Injections", "What came of them", "Lost", "Doubled", "Misattributed",
        box=None,
    )  # fmt: skip
    for number, result in enumerate(results):
        named = number and results[number - 1].kind == result.kind
        came = [f"{count} {what}" for what, count in result.outcomes.items()]
        found = result.audit
        table.add_row(
            "" if named else result.kind,
            result.stage,
            str(result.hits),
            ", ".join([*came, *["BROKEN"] * bool(result.broken)]),
            *(str(len(each)) for each in (found.lost, found.doubled, found.misattributed)),
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _complain(result: CellResult) -> None:
    click.echo(f"{result.kind}, {result.stage}:")
    for what, sentences in {**asdict(result.audit), "broken": result.broken}.items():
        for sentence in sentences[:5]:
            click.echo(f"  {what}: {sentence}")


def _record(results: Sequence[CellResult], seed: str, hits: int) -> Path:
    RECORDS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    content = {
        "seed": seed,
        "ended": now.isoformat(),
        "hits": hits,
        "cells": [asdict(result) for result in results],
    }
    path = RECORDS / f"{now:%Y%m%d-%H%M%S}-{seed}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
