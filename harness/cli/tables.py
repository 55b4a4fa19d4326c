"""What a run found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from harness.analysis.cases import State, case_results
from harness.cli.terminal import console
from harness.text import interval, megabytes, milliseconds, visible

if TYPE_CHECKING:
    from harness.results.schema import Run

__all__ = ["print_cases"]


def print_cases(run: Run) -> None:
    """Print what a run found: a row for each case, and what went wrong below."""
    emulated = {device.name for device in run.devices if device.emulated}
    table = Table(
        "Model", "Device", "Engine", "First load", "Latency [95 % interval]", "Launches",
        "Peak memory", "Outputs", box=None, pad_edge=False,
    )  # fmt: skip
    parts = Table(
        "First load of", "process", "import", "read", "init", "first inference", "page cache",
        box=None, pad_edge=False,
    )  # fmt: skip
    faults: list[str] = []
    for result in case_results(run):
        case = result.record.case
        device = (
            f"{case.device} [black on yellow] EMULATED [/]"
            if case.device in emulated
            else case.device
        )
        engine = f"{case.engine}/{case.backend}" + (
            f", {case.threads} threads" if case.threads > 1 else ""
        )
        latency = f"[red]{result.state}[/]"
        if known := result.latency_ms:
            latency = milliseconds(known.center)
            if known.low is not None and known.high is not None:
                half = (known.high - known.low) / 2
                latency = milliseconds(known.center, resolution=half)
                latency += rf"  \[{interval(known.low, known.high)}]"
        load = result.first_load
        table.add_row(
            case.model,
            device,
            engine,
            milliseconds(load.total_ms if load else None),
            latency,
            f"{len(result.counted)}/{result.record.launches}",
            megabytes(max(result.peaks_bytes, default=None)),
            "[green]right[/]"
            if result.checked
            else f"[red]{'wrong' if result.state is State.WRONG else 'unchecked'}[/]",
        )
        if load:
            each = (load.process_ms, load.import_ms, load.read_ms, load.init_ms, load.first_ms)
            parts.add_row(case.label, *(milliseconds(part) for part in each), load.page_cache)
        if result.reason:
            faults.append(f"{case.label}: {result.reason}")
    out = console()
    out.print(table)
    if parts.row_count:
        out.print()
        out.print(parts)
    if emulated:
        out.print("\n[black on yellow] EMULATED [/] by QEMU: proves behaviour, never speed.")
    for fault in faults:
        out.print(f"[red]![/] {visible(fault)}", markup=True)
