"""What a run found, as tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.markup import escape

from harness.analysis.cases import State, case_results
from harness.analysis.expectations import Met, check_expectations
from harness.analysis.failures import failure_groups
from harness.analysis.flags import OF_LAUNCHES, Kind, flags, repeatability
from harness.analysis.shapes import after_changes
from harness.analysis.sustained import course
from harness.cli.grid import Column, Grid, is_wide
from harness.cli.terminal import console
from harness.core.quantity import Summary
from harness.core.reason import ENGLISH
from harness.core.records import DeviceMemory
from harness.core.text import (
    UNKNOWN,
    count,
    difference,
    interval,
    megabytes,
    milliseconds,
    percent,
    share_of,
    taken,
    times,
    visible,
)
from harness.quantities import first_load, in_section
from harness.report.verdicts import outcome_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.analysis.cases import CaseResult
    from harness.analysis.failures import FailureGroup
    from harness.analysis.layers import CaseProfile, Heavy, LayerChange, LayerChanges
    from harness.core.quantity import Quantity
    from harness.core.records import Run
    from harness.results.imported import ImportedTable

__all__ = ["MARKS", "print_cases", "print_imported", "print_layers"]


MARKS = {Met.YES: "[green]✓[/]", Met.NO: "[red]✗[/]", Met.UNTOLD: "[yellow]?[/]"}
_FURTHER = in_section("more")
_TRAFFIC = in_section("traffic")


def print_cases(run: Run) -> None:
    """Print what a run found, device by device, and below what went wrong."""
    out = console()
    results = case_results(run)
    for device in run.devices:
        here = [result for result in results if result.record.case.device == device.name]
        stamp = "  [black on yellow] EMULATED [/] by QEMU: proves behaviour, never speed"
        out.print(f"[bold]{device.name}[/]{stamp if device.emulated else ''}")
        _cases(here).print(out)
        for table in (_traffic(here), _first_loads(here), _changes(here), _memory(here)):
            _print_below(out, table)
        if signs := _signs(here):
            out.print(f"\n[dim]Throttling: {signs}[/]", highlight=False)
        if run.protocol.sustained_s is not None:
            _print_below(out, _courses(here))
        out.print("")
    if run.clock_jumped_s is not None:
        out.print(
            f"[yellow]![/] this machine's clock was set by {run.clock_jumped_s:+,.0f} s during the "
            "run: times are those of the clock before",
            highlight=False,
        )
    _print_complaints(out, results)
    for outcome in check_expectations(run, results):
        out.print(f"{MARKS[outcome.met]} {escape(visible(outcome_in_words(outcome)))}")
    if groups := failure_groups(run, results):
        _print_below(out, _failures(groups))


def _print_below(out: Console, table: Grid) -> None:
    if table.rows:
        out.print("")
        table.print(out)


def _setting(result: CaseResult) -> str:
    """Return what tells a case from others of its model and device, with its stamp."""
    stamp = " · SIMULATED" if result.simulated else ""
    return result.record.case.setting + stamp


_OF_MANY = {
    Kind.DRIFT: "latency rises or falls from the first launch to the last",
    Kind.BIMODAL: "launches fall into two groups: the interval may be too narrow",
    Kind.OUTLIER: "some launches are far from the others",
    Kind.WARMUP: "warm-up reached its limit before latency was steady",
    Kind.SETTLING: "latency changes within a launch",
}
"""What is said of several cases with flags of one kind, whose facts differ."""


def _print_complaints(out: Console, results: Sequence[CaseResult]) -> None:
    """Print what is to be known of cases, once for all that it holds for."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for result in results:
        label = result.record.case.label
        if result.reason:
            reason = str(result.reason)
            found.setdefault(("red", reason), []).append((label, reason))
        elif result.lacking:
            planned = count(len(result.record.roles), "planned launch")
            words = "planned launches failed or were not made"
            own = f"{result.lacking} of {planned} failed or were not made"
            found.setdefault(("yellow", words), []).append((label, own))
        for flag in flags(result):
            of_kind = found.setdefault(("yellow", _OF_MANY[flag.kind]), [])
            of_kind.append((label, str(flag.reason)))
        if result.precision_reached is False:
            asked = percent(result.record.precision)
            own = (
                f"a precision of {asked} was not reached in {len(result.counted)} launches "
                f"(max_launches: {result.record.max_launches})"
            )
            words = f"a precision of {asked} was not reached"
            found.setdefault(("yellow", words), []).append((label, own))
    for (colour, words), cases in found.items():
        if len(cases) == 1 or is_wide():
            for label, own in cases:
                out.print(f"[{colour}]![/] {escape(visible(f'{label}: {own}'))}")
        else:
            said = f"{count(len(cases), 'case')}: {words}"
            out.print(f"[{colour}]![/] {escape(visible(said))} [dim](--wide lists them)[/]")


def _failures(groups: Sequence[FailureGroup]) -> Grid:
    table = Grid(
        Column("What failed"),
        Column("Launches", 2, wrap=8),
        Column("Devices", 1, wrap=10),
        Column("Cases", 3, right=True),
        Column("Why, and what to do", wrap=24),
    )
    for group in groups:
        good = f", {group.made_good} made good" if group.made_good else ""
        table.add(
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
            share = UNKNOWN if profile.accelerated is None else share_of(profile.accelerated)
            out.print(f"multiply-accumulates on the accelerator: {share}{_planned(result)}")
        table = Grid(
            Column("Layer", wrap=16),
            Column("Operator", 2, wrap=10),
            Column("Unit", 1),
            Column("Time", right=True),
            Column("Share", right=True),
        )
        for measure in ("us", "cycles"):
            layers = [layer for layer in profile.layers if layer.measure == measure]
            for layer in layers[:top]:
                cost = _cost(layer)
                texts = (layer.name, layer.op, layer.unit)
                table.add(*(escape(visible(text)) for text in texts), cost, percent(layer.share))
            if len(layers) > top:
                rest = sum(layer.share for layer in layers[top:])
                table.add(f"{len(layers) - top} more", "", "", "", percent(rest))
        if profile.unattributed_us is not None:
            lost = milliseconds(profile.unattributed_us / 1e3)
            table.add("not attributed", "", "", lost, "")
        table.print(out)
        if profile.overhead is not None:
            out.print(f"profiling takes {profile.overhead:.2f} times as long as a timed launch")
        out.print("")


def print_layer_changes(
    found: Sequence[tuple[CaseResult, LayerChanges, Sequence[CaseProfile], Sequence[str]]],
    top: int,
) -> None:
    """Print, for each case, what changed since an earlier profile of it.

    Parameters
    ----------
    found
        A case with its changes, both profiles (the newer first), and what else differs.
    """
    out = console()
    for result, changes, profiles, differs in found:
        out.print(f"[bold]{_shown(result.record.case.label)}[/]", soft_wrap=True)
        for words in differs:
            out.print(f"differs: {_shown(words)}", soft_wrap=True)
        if result.record.case.backend != "cpu":
            _print_moves(out, changes, profiles, top)
        table = Grid(
            Column("Layer", wrap=16),
            Column("Unit", 1),
            Column("Before", right=True),
            Column("Now", right=True),
            Column("Change", right=True),
        )
        for measure in ("us", "cycles"):
            layers = [each for each in changes.layers if each.measure == measure]
            for each in layers[:top]:
                units = dict.fromkeys(side.unit for side in (each.then, each.now) if side)
                costs = (_cost(each.then), _cost(each.now), _rise(each))
                table.add(_shown(each.name), _shown(" → ".join(units)), *costs)
            if len(layers) > top:
                table.add(f"{len(layers) - top} more", "", "", "", "")
        table.print(out)
        out.print("one profiled launch each: a change says where to look, and is no verdict")
        out.print("")


def _print_moves(
    out: Console, changes: LayerChanges, profiles: Sequence[CaseProfile], top: int
) -> None:
    """Print what left an accelerator, and what returned to it."""
    now, then = (
        UNKNOWN if each.accelerated is None else share_of(each.accelerated) for each in profiles
    )
    out.print(f"multiply-accumulates on the accelerator: {then} → {now}")
    for what, names in (("left", changes.left), ("returned to", changes.returned)):
        if names:
            listed = ", ".join(names[:top]) + (" …" if len(names) > top else "")
            out.print(f"{what} the accelerator: {_shown(listed)}", soft_wrap=True)


def _rise(change: LayerChange) -> str:
    if change.now is None or change.then is None:
        return "gone" if change.now is None else "new"
    return f"{change.now.cost / change.then.cost - 1:+.0%}" if change.then.cost else UNKNOWN


def _shown(text: str) -> str:
    return escape(visible(text))


def _cost(layer: Heavy | None) -> str:
    if layer is None:
        return ""
    return milliseconds(layer.cost / 1e3) if layer.measure == "us" else f"{layer.cost:.3g} cycles"


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
        table = Grid(
            Column("Table"),
            Column("Figures", right=True),
            Column("Source", 1, wrap=20),
            Column("Licence", 3, wrap=12),
            Column("Imported", 2),
        )
        for found in tables:
            table.add(
                found.id,
                str(len(found.figures)),
                escape(visible(found.source)),
                escape(visible(found.licence)),
                f"{found.imported.astimezone():%Y-%m-%d %H:%M}",
            )
        table.print(out)
        return
    for found in tables:
        out.print(f"[bold]{found.id}[/]  [black on yellow] IMPORTED [/] not measured here")
        date = f", published {found.published}" if found.published else ""
        out.print(escape(visible(f"{found.source}{date}; licence: {found.licence}")))
        table = Grid(
            Column("Model", wrap=12),
            Column("Device", wrap=12),
            Column("Engine", 1, wrap=10),
            Column("Precision", 2),
            Column("Threads", 3, right=True),
            Column("Latency", right=True),
            Column("As written", 5, right=True),
            Column("At", 4),
        )
        for figure in found.figures:
            engine = "/".join(part for part in (figure.engine, figure.backend) if part)
            texts = (figure.model, figure.device, engine, figure.precision or "")
            table.add(
                *(escape(visible(text)) for text in texts),
                str(figure.threads or ""),
                milliseconds(figure.latency_ms),
                escape(visible(figure.cell.text)),
                escape(visible(f"line {figure.cell.line}, {figure.cell.column}")),
            )
        table.print(out)


def _cases(results: Sequence[CaseResult]) -> Grid:
    further = [each for each in _FURTHER if any(result.figures(each) for result in results)]
    widest = max((len(result.record.case.engine) for result in results), default=0)
    table = Grid(
        Column("Model"),
        Column("Engine", wrap=max(widest, 16)),
        Column("Latency", right=True),
        Column("95 % interval", 3, right=True),
        Column("Repeats", 6, right=True),
        Column("CPU time", 7, right=True),
        Column("Launches", 4, right=True),
        Column("First load", 5, right=True),
        Column("Peak memory", 2, right=True),
        *(Column(quantity.label, 8, right=True) for quantity in further),
        Column("Outputs", 1),
    )
    for result in results:
        totals = (parts["total"].median for parts in result.first_loads_ms.values())
        memory = result.memory_bytes
        table.add(
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


def _traffic(results: Sequence[CaseResult]) -> Grid:
    """Return what several callers, everything at once, or requests at a rate came to."""
    shown = [each for each in _TRAFFIC if any(result.figures(each) for result in results)]
    columns = [Column("Traffic of"), Column("", wrap=16)]
    for rank, quantity in enumerate(shown):
        columns.append(Column(quantity.label, rank, right=True))
        if quantity.summary is Summary.INTERVAL:
            columns.append(Column("95 % interval", 1 + len(shown) - rank, right=True))
    table = Grid(*columns)
    for result in results:
        row = []
        for quantity in shown:
            known = result.values(quantity).get("")
            row.append(quantity.text(known.value) if known else UNKNOWN)
            if quantity.summary is Summary.INTERVAL:
                row.append(quantity.interval(*known.ends) if known and known.ends else "")
        if any(result.figures(each) for each in shown):
            table.add(result.record.case.model, _setting(result), *row)
    return table


def _first_loads(results: Sequence[CaseResult]) -> Grid:
    parts = first_load.PLUGIN.parts
    table = Grid(
        Column("First load of"),
        Column("", wrap=16),
        *(Column(part.key, 2 + number, right=True) for number, part in enumerate(parts)),
        Column("total", right=True),
        Column("caches", 1),
    )
    for result in results:
        loads = [*result.first_loads_ms.items()]
        loads += [(f"{state}, filling", parts) for state, parts in result.filling_ms.items()]
        for state, of_part in loads:
            ranges = (of_part.get(key) for key in (*(part.key for part in parts), "total"))
            medians = (milliseconds(found.median if found else None) for found in ranges)
            table.add(result.record.case.model, _setting(result), *medians, state)
    return table


def _changes(results: Sequence[CaseResult]) -> Grid:
    """Return what changes of shape cost, beside the latency of the same shapes."""
    table = Grid(
        Column("After a change to"),
        Column("", wrap=16),
        Column(""),
        Column("setting", 2, right=True),
        Column("first", 3, right=True),
        Column("together", right=True),
        Column("the next", 4, right=True),
        Column("times latency", 1, right=True),
    )
    for found in after_changes(results):
        latency = found.result.latency_ms
        table.add(
            found.result.record.case.model,
            _setting(found.result),
            "again" if found.again else "new",
            *(
                milliseconds(each.median)
                for each in (found.set_ms, found.first_ms, found.change_ms, found.next_ms)
            ),
            times(found.change_ms.median / latency.center) if latency else "",
        )
    return table


def _memory(results: Sequence[CaseResult]) -> Grid:
    """Return what memory passes measured; a case without one has no row."""
    table = Grid(
        Column("Memory pass of"),
        Column("", wrap=16),
        Column("PSS peak", right=True),
        Column("memory taken", 1, right=True),
        Column("CMA taken", 3, right=True),
        Column("dma-buf", 4, right=True),
        Column("NPU driver", 2, wrap=12),
        Column("runtime's own", 5, right=True),
    )
    for result in results:
        if not result.memory_passes:
            continue
        more = result.device_memory or DeviceMemory()
        drivers = (f"{name} {taken(size)}" for name, size in more.driver_bytes.items())
        table.add(
            result.record.case.model,
            _setting(result),
            megabytes(result.pss_bytes),
            *map(taken, (more.available_bytes, more.cma_bytes, more.dma_buf_bytes)),
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
    return "no sensors available" if known else ""


def _courses(results: Sequence[CaseResult]) -> Grid:
    table = Grid(
        Column("Sustained"),
        Column("", wrap=16),
        Column("launch", 2),
        Column("at first", right=True),
        Column("at last", right=True),
        Column("change", 1, right=True),
        Column("hottest sensor", 3, right=True),
    )
    for result in results:
        for launch in result.counted:
            if (found := course(launch)) is None:
                continue
            known = found.first_c is not None and found.last_c is not None
            table.add(
                result.record.case.model,
                _setting(result),
                f"#{launch.slot + 1}",
                f"{milliseconds(found.first_ms)} in {found.window_s:.0f} s",
                f"{milliseconds(found.last_ms)} in {found.window_s:.0f} s",
                difference(found.last_ms / found.first_ms) if found.first_ms else "",
                f"{found.first_c:.0f} to {found.last_c:.0f} °C" if known else UNKNOWN,
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
