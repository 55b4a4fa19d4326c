"""``make drill``: every kind of fault at every stage where it can strike, and the oracle's word."""

from __future__ import annotations

import fnmatch
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from drill import worker
from drill.boards import NoImageError, running
from drill.device import FAKE_ABI
from drill.oracle import Audit
from drill.worker import ALL_KINDS
from harness.core.errors import LabError
from harness.native.supervisor import supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from drill.kinds import Kind
    from drill.lab import CellResult

HITS = 20
HITS_OFTEN = 200
FEW_HITS = 3
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
@click.option(
    "--hits",
    type=click.IntRange(1),
    help=f"Of each kind at each stage; {HITS}, and {HITS_OFTEN} where a launch is stored.",
)
@click.option("--kinds", default="*", metavar="PATTERN", help="Only these, such as 'link*'.")
@click.option("--stages", default="*", metavar="PATTERN", help="Only these, such as samples.")
@click.option("--short", is_flag=True, help="A few kinds, each a few times.")
@click.option("--boards/--no-boards", default=True, help="Whether emulated boards are booted, too.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=2 * (os.cpu_count() or 1),
    show_default=True,
    help="Campaigns at once; they mostly wait.",
)
def main(  # noqa: PLR0913 - options are arguments
    seed: str | None,
    hits: int | None,
    kinds: str,
    stages: str,
    jobs: int,
    *,
    short: bool,
    boards: bool,
) -> None:
    """Let every kind of fault strike campaigns at every stage, and ask the devices' journals.

    Ends with status 1 where anything was lost, doubled or misattributed.
    """
    # As Ctrl-C: the boards are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True, highlight=False)
    seed = seed or str(secrets.randbelow(1 << 31))
    click.echo(f"seed {seed}: the same faults come again with: make drill SEED={seed}")
    supervisor(FAKE_ABI, console.print)  # compiled before several workers want it
    cells = [
        (kind, stage)
        for kind in sorted(ALL_KINDS, key=lambda kind: not kind.once)  # these take longest
        for stage in kind.ways
        if fnmatch.fnmatch(kind.name, kinds) and fnmatch.fnmatch(stage, stages)
        if (boards or not kind.board) and (not short or (kind.name, stage) in SHORT)
    ]
    hits = hits or (FEW_HITS if short else None)
    folder = Path(tempfile.mkdtemp(prefix="edge-harness-drill-"))
    names = [kind.name for kind in ALL_KINDS]
    with ExitStack() as stack:
        boards_up, refused = _boot(cells, folder, stack, console)
        results = sorted(
            _results(
                [cell for cell in cells if cell[0].board not in refused],
                hits, seed, folder, jobs, console, boards_up,
            ),
            key=lambda result: names.index(result.kind),
        )  # fmt: skip
    _show(results)
    click.echo(f"recorded in {_record(results, seed, hits)}")
    for board, why in refused.items():
        left_out = sum(kind.board == board for kind, _ in cells)
        click.echo(f"NOT DRILLED: {board}, {left_out} kinds × stages: {why}")
    wrong = [result for result in results if not result.right]
    if wrong:
        for result in wrong:
            _complain(result, seed)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum((result.audit for result in results), Audit())
    click.echo(
        f"kinds={len({result.kind.partition(' (')[0] for result in results})} "
        f"injections={sum(result.hits for result in results)} "
        f"lost={len(total.lost)} doubled={len(total.doubled)} "
        f"misattributed={len(total.misattributed)}"
    )
    sys.exit(1 if wrong or not results else 0)


def _boot(
    cells: Sequence[tuple[Kind, str]], folder: Path, stack: ExitStack, console: Console
) -> tuple[dict[str, tuple[Path, int]], dict[str, str]]:
    """Boot the boards that are asked for, until the stack is left.

    Returns
    -------
    tuple
        Device to its workspace and the port of its adb server; and device to why its board's
        image cannot be had here.
    """
    booted: dict[str, tuple[Path, int]] = {}
    refused: dict[str, str] = {}
    for device in sorted({kind.board for kind, _ in cells} - {""}):
        place = folder / device
        place.mkdir()
        try:
            workspace, port = stack.enter_context(running(place, device, console.print))
        except NoImageError as error:
            refused[device] = error.message
            console.print(f"[yellow]{device} is left out:[/] {escape(error.message)}")
        except LabError as error:
            raise click.ClickException(f"{device}: {error.message}") from error
        else:
            booted[device] = workspace.root, port
    return booted, refused


def _results(  # noqa: PLR0913, PLR0917 - main's, and what it booted
    cells: Sequence[tuple[Kind, str]],
    hits: int | None,
    seed: str,
    folder: Path,
    jobs: int,
    console: Console,
    boards: Mapping[str, tuple[Path, int]],
) -> Iterator[CellResult]:
    columns = (
        TextColumn("kinds × stages"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with ExitStack() as stack:
        progress = stack.enter_context(
            Progress(*columns, console=console, disable=not console.is_terminal)
        )
        task = progress.add_task("", total=len(cells))
        # A board has one worker; the fake devices are whoever's turn it is.
        pools = {"": _pool(jobs, folder)} | {
            device: _pool(1, folder, str(place), port) for device, (place, port) in boards.items()
        }
        for pool in pools.values():
            stack.callback(pool.shutdown)
        stack.push(_end_workers)
        parts: dict[Future[CellResult], tuple[str, str]] = {}
        for kind, stage in cells:
            wanted = hits or (HITS_OFTEN if stage in kind.often else HITS)
            for part, share in enumerate(_shares(wanted)):
                own_seed = f"{seed}.{part}" if part else seed
                future = pools[kind.board].submit(worker.cell, kind.name, stage, share, own_seed)
                parts[future] = (kind.name, stage)
        found: dict[tuple[str, str], CellResult] = {}
        waiting = Counter(parts.values())
        for done in as_completed(parts):
            cell = parts[done]
            found[cell] = found[cell] + done.result() if cell in found else done.result()
            waiting[cell] -= 1
            if waiting[cell]:
                continue
            result = found[cell]
            progress.advance(task)
            word = "[green]right[/]" if result.right else "[red]WRONG[/]"
            console.print(f"{word} {result.kind} · {result.stage} · {result.hits}×")
            yield result


def _shares(hits: int) -> list[int]:
    """Return the parts of a cell, which several workers drill."""
    return [min(HITS, hits - begun) for begun in range(0, hits, HITS)]


def _pool(jobs: int, folder: Path, boards: str = "", adb_port: int = 0) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=worker.enter,
        initargs=(str(folder), boards, adb_port),
    )


def _end_workers(error: type[BaseException] | None, *_: object) -> None:
    """Where the drill is interrupted, wait for no campaign's end."""
    for each in active_children() if error else ():
        each.terminate()


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


def _complain(result: CellResult, seed: str) -> None:
    click.echo(f"{result.kind}, {result.stage}, seed {seed}:")
    for what, sentences in {**asdict(result.audit), "broken": result.broken}.items():
        for sentence in sentences[:5]:
            click.echo(f"  {what}: {sentence}")
    for folder in result.kept:
        click.echo(f"  what its campaign left is kept in {folder}")
    click.echo(f"  again: python -m drill --seed {seed} --kinds '{result.kind}'")


def _record(results: Sequence[CellResult], seed: str, hits: int | None) -> Path:
    RECORDS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    content = {
        "seed": seed,
        "ended": now.isoformat(),
        "hits": hits or HITS,
        "cells": [asdict(result) for result in results],
    }
    path = RECORDS / f"{now:%Y%m%d-%H%M%S}-{seed}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
