"""``harness audit``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from harness.api import stored
from harness.cli.app import workspace_of
from harness.cli.options import as_json, complete_imported, complete_run
from harness.core.errors import ExitCode, SpecificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.analysis.audit import Doubt
    from harness.core.records import Case
    from harness.lab.chips import Card
    from harness.results.imported import ImportedFigure
    from harness.results.store import Store
    from harness.workspace import Workspace

Peaks: TypeAlias = "dict[tuple[str, str, str], float]"

ALL = "*"
SHOWN = 12
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class _Given:
    """What the user says of models and chips."""

    macs: dict[str, int]
    peaks: Peaks


@click.command(
    epilog="""\b
Examples:
  harness audit                              the newest run
  harness audit RUN --json                   for a script
  harness audit --imported                   all imported tables
  harness audit --imported published-npu --macs resnet50=4.1e9 --peak 'Kirin 990/npu=8000'
  harness audit --rules                      the rules and their thresholds

\b
Exit codes: 0 no errors · 4 errors, or warnings under --strict
"""
)
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option(
    "--imported",
    is_flag=False,
    flag_value=ALL,
    metavar="[TABLE]",
    shell_complete=complete_imported,
    help="Audit an imported table, or all of them, instead of a run.",
)
@click.option(
    "--macs",
    "macs_texts",
    multiple=True,
    metavar="MODEL=NUMBER",
    help="Multiply-accumulates per inference of a model that the workspace lacks.",
)
@click.option(
    "--peak",
    "peak_texts",
    multiple=True,
    metavar="DEVICE/BACKEND=GOPS",
    help="Peak of a backend in 10⁹ operations per second, where no chip card has it.",
)
@click.option("--rules", "show_rules", is_flag=True, help="Show the rules and their thresholds.")
@click.option("--strict", is_flag=True, help="Exit with 4 on warnings too.")
@as_json
@click.pass_context
def audit(
    ctx: click.Context,
    run_id: str | None,
    imported: str | None,
    macs_texts: Sequence[str],
    peak_texts: Sequence[str],
    *,
    show_rules: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Find implausible figures in a run, by default the newest, or an imported table.

    Each finding lists the values behind it and where they are.
    """
    from harness.analysis.audit import Severity

    if show_rules:
        _print_rules(as_json=as_json)
        return
    if run_id and imported:
        raise SpecificationError(
            "a run and an imported table cannot be audited together", hint="audit one at a time"
        )
    macs = {name: int(value) for name, value in _numbers("--macs", macs_texts).items()}
    given = _Given(macs, _peaks(peak_texts))
    with workspace_of(ctx).store() as store:
        found = _audited(ctx, store, run_id, imported, given)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        for name, findings in found.items():
            _print(name, findings)
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in bad for findings in found.values() for finding in findings):
        ctx.exit(int(ExitCode.INVALID))


def _audited(
    ctx: click.Context,
    store: Store,
    run_id: str | None,
    imported: str | None,
    given: _Given,
) -> dict[str, list[Doubt]]:
    from harness.analysis.audit import audit_run, audit_table
    from harness.analysis.cases import case_results
    from harness.lab.chips import load_cards

    workspace = workspace_of(ctx)
    cards = load_cards(workspace)
    if imported is None:
        run = stored(store, run_id)
        told = {each.name: each.facts.get("soc") for each in run.devices if not each.emulated}
        peaks = _stated(cards, {record.case for record in run.cases}, told) | given.peaks
        return {f"run {run.id}": audit_run(run, case_results(run), macs=given.macs, peaks=peaks)}
    tables = store.imported() if imported == ALL else [store.load_imported(imported)]
    if not tables:
        raise SpecificationError(
            "no table has been imported in this workspace", hint="harness import FILE.csv"
        )
    figures = [figure for table in tables for figure in table.figures]
    peaks = _stated(cards, figures, {figure.device: figure.device for figure in figures})
    macs = _counted(workspace, {figure.model for figure in figures})
    return {
        f"imported table {table.id}": audit_table(
            table, macs=macs | given.macs, peaks=peaks | given.peaks
        )
        for table in tables
    }


def _stated(
    cards: Mapping[str, Card],
    ran: Iterable[Case | ImportedFigure],
    told: Mapping[str, str | None],
) -> Peaks:
    """Return the peaks that chips' cards state for what ran on an NPU.

    Parameters
    ----------
    told
        Device to what it tells of its chip.
    """
    from harness.lab.chips import card_for

    found = {}
    for each in ran:
        chip = card_for(told.get(each.device), cards)
        if chip and each.precision and (each.backend or "").startswith("npu"):
            tops = chip[1].peak_tops(each.precision)
            if tops:
                found[each.device, each.backend or "", each.precision] = tops * 1e12
    return found


def _counted(workspace: Workspace, names: set[str]) -> dict[str, int]:
    """Return the multiply-accumulates of models that are called like one of the workspace's."""
    from harness.core.yamlfile import names as files
    from harness.models import operations
    from harness.models.manifest import load_model

    found = {}
    for name in names & set(files(workspace.models)):
        counted = operations.known(load_model(workspace, name))
        if counted:
            found[name] = counted.macs
    return found


def _numbers(option: str, texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = 0.0
        if not name or not 0 < found[name] < 1e18:  # noqa: PLR2004 - more than any chip does
            raise SpecificationError(
                f"{option}: '{text}' is not NAME=NUMBER with a positive number"
            )
    return found


def _peaks(texts: Sequence[str]) -> Peaks:
    found = {}
    for name, number in _numbers("--peak", texts).items():
        device, slash, backend = name.rpartition("/")
        if not slash:
            raise SpecificationError(
                f"--peak: '{name}' lacks a backend", hint=f"--peak '{name}/npu=…'"
            )
        found[device, backend, ""] = number * 1e9
    return found


def _as_json(found: dict[str, list[Doubt]]) -> list[dict[str, Any]]:
    return [
        {
            "audited": name,
            "findings": [_finding_as_json(finding) for finding in findings],
        }
        for name, findings in found.items()
    ]


def _finding_as_json(finding: Doubt) -> dict[str, Any]:
    return {
        "title": finding.title,
        "rule": finding.rule,
        "severity": finding.severity,
        "sentence": finding.sentence,
        "evidence": [
            {"where": str(each.where), "what": str(each.what), "value": str(each.value)}
            for each in finding.evidence
        ],
        "cases": finding.cases,
    }


def _print(name: str, findings: Sequence[Doubt]) -> None:
    from rich.text import Text

    from harness.analysis.audit import Severity
    from harness.cli.terminal import console
    from harness.core.text import count, visible

    out = console()
    for finding in findings:
        head = Text.assemble(
            (finding.severity, f"bold {_COLOURS[finding.severity]}"),
            f" {visible(finding.sentence)} ",
            (f"[{finding.rule}]", "dim"),
        )
        out.print(head, soft_wrap=True)
        for evidence in finding.evidence[:SHOWN]:
            line = f"    {evidence.where}: {evidence.what} = {evidence.value}"
            out.print(Text(visible(line)), style="dim", soft_wrap=True)
        if len(finding.evidence) > SHOWN:
            out.print(f"    … and {len(finding.evidence) - SHOWN} more", style="dim")
    by_severity = [
        count(number, severity)
        for severity in Severity
        if (number := sum(finding.severity is severity for finding in findings))
    ]
    click.echo(f"{visible(name)}: {', '.join(by_severity) or 'nothing was found'}")


def _print_rules(*, as_json: bool) -> None:
    from harness.analysis.audit import RULES

    if as_json:
        click.echo(json.dumps({name: asdict(rule) for name, rule in RULES.items()}, indent=2))
        return
    for name, rule in RULES.items():
        click.secho(name, bold=True, nl=False)
        click.echo(f": {rule.title}")
        click.echo(click.wrap_text(rule.explanation, 92, "    ", "    "))
