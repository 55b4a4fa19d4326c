"""What a run found, as tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column, Table

from harness.analysis.cases import State, case_results
from harness.analysis.expectations import Met, check_expectations
from harness.analysis.failures import failure_groups
from harness.analysis.flags import OF_LAUNCHES, flags, repeatability
from harness.analysis.shapes import after_changes
from harness.analysis.sustained import course
from harness.cli.terminal import console
from harness.core.reason import ENGLISH
from harness.core.records import DeviceMemory
from harness.core.text import (
    UNKNOWN,
    change,
    count,
    interval,
    megabytes,
    milliseconds,
    percent,
    visible,
)
from harness.quantities import first_load, quantities
from harness.report.verdicts import outcome_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.analysis.cases import CaseResult
    from harness.analysis.failures import FailureGroup
    from harness.analysis.layers import CaseProfile
    from harness.core.quantity import Quantity
    from harness.core.records import Run
    from harness.results.imported import ImportedTable

__all__ = ["MARKS", "print_cases", "print_imported", "print_layers"]


MARKS = {Met.YES: "[green]✓[/]", Met.NO: "[red]✗[/]", Met.UNTOLD: "[yellow]?[/]"}
_FURTHER = [each for each in quantities() if each.section == "more"]


def print_cases(run: Run) -> None:
    """Print what a run found, device by device, and below what went wrong."""
    out = console()
    results = case_results(run)
    for device in run.devices:
        here = [result for result in results if result.record.case.device == device.name]
        stamp = "  [black on yellow] EMULATED [/] by QEMU: proves behaviour, never speed"
        out.print(f"[bold]{device.name}[/]{stamp if device.emulated else ''}")
        out.print(_cases(here))
        for table in (_first_loads(here), _changes(here), _memory(here)):
            if table.row_count:
                out.print("")
                out.print(table)
        if signs := _signs(here):
            out.print(f"\n[dim]throttling: {signs}[/]", highlight=False)
        courses = _courses(here)
        if run.protocol.sustained_s is not None and courses.row_count:
            out.print("")
            out.print(courses)
        out.print("")
    if run.clock_jumped_s is not None:
        out.print(
            f"[yellow]![/] this machine's clock was set by {run.clock_jumped_s:+,.0f} s during the "
            "run: its times are of the clock as it was when the run was begun",
            highlight=False,
        )
    _print_complaints(out, results)
    for outcome in check_expectations(run, results):
        out.print(f"{MARKS[outcome.met]} {escape(visible(outcome_in_words(outcome)))}")
    if groups := failure_groups(run, results):
        out.print("")
        out.print(_failures(groups))


def _setting(result: CaseResult) -> str:
    """Return what tells a case from others of its model and device, with its stamp."""
    stamp = " · SIMULATED" if result.simulated else ""
    return result.record.case.setting + stamp


def _print_complaints(out: Console, results: Sequence[CaseResult]) -> None:
    for result in results:
        if result.reason:
            out.print(
                f"[red]![/] {escape(visible(f'{result.record.case.label}: {result.reason}'))}"
            )
        elif result.lacking:
            planned = count(len(result.record.roles), "planned launch")
            out.print(
                f"[yellow]![/] {escape(result.record.case.label)}: {result.lacking} of "
                f"{planned} failed or were not made"
            )
        for flag in flags(result):
            words = f"{result.record.case.label}: {flag.reason}"
            out.print(f"[yellow]![/] {escape(visible(words))}")
        if result.precision_reached is False:
            out.print(
                f"[yellow]![/] {escape(result.record.case.label)}: a precision of "
                f"{percent(result.record.precision)} was not reached in {len(result.counted)} "
                f"launches (max_launches: {result.record.max_launches})"
            )


def _failures(groups: Sequence[FailureGroup]) -> Table:
    table = Table("What failed", "Launches", "Devices", "Cases", "Why, and what to do", box=None)
    for group in groups:
        good = f", {group.made_good} made good" if group.made_good else ""
        table.add_row(
            group.category,
            f"{group.launches}{good}",
            ", ".join(group.devices),
            str(len(group.cases)),
            escape(visible(f"{group.reason}\ntry: {ENGLISH.hint(group.reason) or group.todo}")),
        )
    return table


def print_layers(found: Sequence[tuple[CaseResult, CaseProfile]], top: int) -> None:
    """Print the heaviest layers of each case that was profiled, and what ran where."""
    out = console()
    for result, profile in found:
        out.print(f"[bold]{escape(visible(result.record.case.label))}[/]", soft_wrap=True)
        placed = ", ".join(f"{unit} {n}" for unit, n in profile.placement.items())
        out.print(escape(visible(f"operators by unit: {placed or UNKNOWN}")), soft_wrap=True)
        if result.record.case.backend != "cpu":
            share = UNKNOWN if profile.accelerated is None else percent(profile.accelerated)
            out.print(f"multiply-accumulates on the accelerator: {share}{_planned(result)}")
        table = Table(Column("Layer", overflow="fold"), "Operator", "Unit", box=None)
        table.add_column("Time", justify="right")
        table.add_column("Share", justify="right")
        for measure in ("us", "cycles"):
            layers = [layer for layer in profile.layers if layer.measure == measure]
            for layer in layers[:top]:
                cost = (
                    milliseconds(layer.cost / 1e3)
                    if measure == "us"
                    else f"{layer.cost:.3g} cycles"
                )
                texts = (layer.name, layer.op, layer.unit)
                table.add_row(
                    *(escape(visible(text)) for text in texts), cost, percent(layer.share)
                )
            if len(layers) > top:
                rest = sum(layer.share for layer in layers[top:])
                table.add_row(f"{len(layers) - top} more", "", "", "", percent(rest))
        if profile.unattributed_us is not None:
            lost = milliseconds(profile.unattributed_us / 1e3)
            table.add_row("not attributed", "", "", lost, "")
        out.print(table)
        if profile.overhead is not None:
            out.print(f"profiling takes {profile.overhead:.2f} times as long as a timed launch")
        out.print("")


def _planned(result: CaseResult) -> str:
    """Return what the build planned of that."""
    plan = result.record.artifact.partition if result.record.artifact else None
    if plan is None or not plan.macs or plan.npu_macs is None:
        return ""
    return f" (planned by the build: {percent(plan.npu_macs / plan.macs)})"


def print_imported(tables: Sequence[ImportedTable], *, figures: bool) -> None:
    """Print imported tables, one a line, or with their figures as they were written."""
    out = console()
    if not figures:
        table = Table("Table", "Figures", "Source", "Licence", "Imported", box=None, pad_edge=False)
        for found in tables:
            table.add_row(
                found.id,
                str(len(found.figures)),
                escape(visible(found.source)),
                escape(visible(found.licence)),
                f"{found.imported.astimezone():%Y-%m-%d %H:%M}",
            )
        out.print(table)
        return
    for found in tables:
        out.print(f"[bold]{found.id}[/]  [black on yellow] IMPORTED [/] not measured here")
        date = f", published {found.published}" if found.published else ""
        out.print(escape(visible(f"{found.source}{date}; licence: {found.licence}")))
        table = Table("Model", "Device", "Engine", "Precision", "Threads", box=None)
        table.add_column("Latency", justify="right")
        table.add_column("as written", justify="right")
        table.add_column("at")
        for figure in found.figures:
            engine = "/".join(part for part in (figure.engine, figure.backend) if part)
            texts = (figure.model, figure.device, engine, figure.precision or "")
            table.add_row(
                *(escape(visible(text)) for text in texts),
                str(figure.threads or ""),
                milliseconds(figure.latency_ms),
                escape(visible(figure.cell.text)),
                escape(visible(f"line {figure.cell.line}, {figure.cell.column}")),
            )
        out.print(table)


def _cases(results: Sequence[CaseResult]) -> Table:
    # Rather the model's name is cut short than an engine's in two.
    widest = max((len(result.record.case.engine) for result in results), default=0)
    table = Table("Model", Column("Engine", overflow="fold", min_width=widest), box=None)
    for name in (
        "Latency",
        "95 % interval",
        "Repeats",
        "CPU time",
        "Launches",
        "First load",
        "Peak memory",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    further = [each for each in _FURTHER if any(result.figures(each) for result in results)]
    for quantity in further:
        table.add_column(quantity.label, justify="right", no_wrap=True)
    table.add_column("Outputs")
    for result in results:
        totals = (parts["total"].median for parts in result.first_loads_ms.values())
        memory = result.memory_bytes
        table.add_row(
            result.record.case.model,
            _setting(result),
            *_latency(result),
            percent(repeatability(result.figures_ms)) if len(result.figures_ms) > 1 else "",
            milliseconds(median(result.cpu_ms) if result.cpu_ms else None),
            f"{len(result.counted)}/{result.record.planned}",
            milliseconds(next(totals, None)),
            megabytes(median(memory) if memory else None),
            *(_values(result, quantity) for quantity in further),
            _outputs(result),
        )
    return table


def _values(result: CaseResult, quantity: Quantity) -> str:
    """Return a quantity's value, of several states each with its name."""
    found = result.values(quantity)
    said = [f"{quantity.text(known.value)} {state}".rstrip() for state, known in found.items()]
    return ", ".join(said) or UNKNOWN


def _first_loads(results: Sequence[CaseResult]) -> Table:
    table = Table("First load of", "", box=None)
    for part in first_load.PLUGIN.parts:
        table.add_column(part.key, justify="right", no_wrap=True)
    table.add_column("caches")
    for result in results:
        loads = [*result.first_loads_ms.items()]
        loads += [(f"{state}, filling", parts) for state, parts in result.filling_ms.items()]
        for state, parts in loads:
            ranges = (parts.get(part.key) for part in first_load.PLUGIN.parts)
            medians = (milliseconds(found.median if found else None) for found in ranges)
            table.add_row(result.record.case.model, _setting(result), *medians, state)
    return table


def _changes(results: Sequence[CaseResult]) -> Table:
    """Return what changes of shape cost, beside the latency of the same shapes."""
    table = Table("After a change to", Column("", overflow="fold"), "", box=None)
    for name in ("setting", "first", "together", "the next", "times latency"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in after_changes(results):
        latency = found.result.latency_ms
        table.add_row(
            found.result.record.case.model,
            _setting(found.result),
            "again" if found.again else "new",
            *(
                milliseconds(each.median)
                for each in (found.set_ms, found.first_ms, found.change_ms, found.next_ms)
            ),
            f"{found.change_ms.median / latency.center:.2g}" if latency else "",
        )
    return table


def _memory(results: Sequence[CaseResult]) -> Table:
    """Return what memory passes told; a case without one has no row."""
    table = Table("Memory pass of", "", box=None)
    for name in ("PSS peak", "available", "CMA", "dma-buf", "NPU driver", "runtime's own"):
        table.add_column(name, justify="right")
    for result in results:
        if not result.memory_passes:
            continue
        more = result.device_memory or DeviceMemory()
        drivers = (f"{name} {change(size)}" for name, size in more.driver_bytes.items())
        table.add_row(
            result.record.case.model,
            _setting(result),
            megabytes(result.pss_bytes),
            *map(change, (more.available_bytes, more.cma_bytes, more.dma_buf_bytes)),
            escape(visible(", ".join(drivers))) or UNKNOWN,
            megabytes(result.runtime_bytes),
        )
    return table


def _signs(results: Sequence[CaseResult]) -> str:
    """Say by what throttling would have been seen on a device; nothing without launches."""
    known = [one.throttling for result in results for one in result.launches if one.throttling]
    watched = dict.fromkeys(sign for each in known for sign in each.watched)
    if watched:
        return "watched by " + ", ".join(watched)
    return "not observable, there is no sensor for it" if known else ""


def _courses(results: Sequence[CaseResult]) -> Table:
    table = Table("Sustained", "", box=None)
    for name in ("launch", "at first", "at last", "change", "hottest sensor"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        for launch in result.counted:
            if (found := course(launch)) is None:
                continue
            known = found.first_c is not None and found.last_c is not None
            table.add_row(
                result.record.case.model,
                _setting(result),
                f"#{launch.slot + 1}",
                f"{milliseconds(found.first_ms)} in {found.window_s:.0f} s",
                f"{milliseconds(found.last_ms)} in {found.window_s:.0f} s",
                f"{found.last_ms / found.first_ms - 1:+.1%}" if found.first_ms else "",
                f"{found.first_c:.0f} to {found.last_c:.0f} °C" if known else "unknown",
            )
    return table


def _latency(result: CaseResult) -> tuple[str, str]:
    known = result.latency_ms
    if known is None:
        return f"[red]{result.state}[/]", ""
    if known.low is None or known.high is None:
        return milliseconds(known.center), "one launch"
    half = (known.high - known.low) / 2
    doubts = [flag.kind for flag in flags(result) if flag.kind in OF_LAUNCHES]
    ends = " ".join([interval(known.low, known.high), *(f"[yellow]{each}[/]" for each in doubts)])
    return milliseconds(known.center, resolution=half), ends


def _outputs(result: CaseResult) -> str:
    if result.checked:
        return "[green]right[/]"
    return "[red]wrong[/]" if result.state is State.WRONG else "[yellow]unchecked[/]"
