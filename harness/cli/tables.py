"""What a run found, as tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

from harness.analysis.cases import State, case_results
from harness.cli.terminal import console
from harness.text import interval, megabytes, milliseconds, visible

if TYPE_CHECKING:
    from harness.analysis.cases import CaseResult
    from harness.results.schema import Run

__all__ = ["print_cases"]


_PARTS = ("process", "import", "read", "init", "first")


def print_cases(run: Run) -> None:
    """Print what a run found: a row for each case, and what went wrong below."""
    emulated = {device.name for device in run.devices if device.emulated}
    table = Table(
        "Model", "Device", "Engine", "First load", "Latency [95 % interval]", "Launches",
        "Peak memory", "Outputs", box=None, pad_edge=False,
    )  # fmt: skip
    by_part = Table("First load of", *_PARTS, "page cache", box=None, pad_edge=False)
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
        loads = result.first_loads_ms
        total = next((parts["total"].median for parts in loads.values()), None)
        memory = result.memory_bytes
        table.add_row(
            case.model,
            device,
            engine,
            milliseconds(total),
            latency,
            f"{len(result.counted)}/{result.record.launches}",
            megabytes(median(memory) if memory else None),
            _outputs(result),
        )
        for state, parts in loads.items():
            ranges = (parts.get(part) for part in _PARTS)
            medians = (milliseconds(found.median if found else None) for found in ranges)
            by_part.add_row(case.label, *medians, state)
        if result.reason:
            faults.append(f"{case.label}: {result.reason}")
    out = console()
    out.print(table)
    if by_part.row_count:
        out.print()
        out.print(by_part)
    if emulated:
        out.print("\n[black on yellow] EMULATED [/] by QEMU: proves behaviour, never speed.")
    for fault in faults:
        out.print(f"[red]![/] {visible(fault)}", markup=True)


def _outputs(result: CaseResult) -> str:
    if result.checked:
        return "[green]right[/]"
    return "[red]wrong[/]" if result.state is State.WRONG else "[yellow]unchecked[/]"
