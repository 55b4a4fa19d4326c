"""``harness advise``: whether the NPU is worth it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.api import stored
from harness.cli.app import workspace_of
from harness.cli.options import Duration, as_json, complete_run, in_language
from harness.core.pages import page

if TYPE_CHECKING:
    from harness.analysis.advice import Advice

__all__ = ["advise"]


@click.command(
    epilog="""\b
Examples:
  harness advise                                for the newest run
  harness advise demo --first-load-within 2s    first result needed within 2 s
  harness advise --inferences 50 --busy-cpu     50 inferences per process, busy CPU
"""
)
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option(
    "--first-load-within",
    type=Duration(),
    metavar="TIME",
    help="Deadline for the first result after the process starts, such as 0.5s.",
)
@click.option(
    "--inferences",
    type=click.IntRange(min=1),
    help="Inferences per process.",
)
@click.option("--low-power", is_flag=True, help="Prefer low power.")
@click.option("--busy-cpu", is_flag=True, help="The CPU has other work to do.")
@in_language
@as_json
@click.pass_context
def advise(
    ctx: click.Context,
    run: str | None,
    first_load_within: float | None,
    inferences: int | None,
    lang: str,
    *,
    low_power: bool,
    busy_cpu: bool,
    as_json: bool,
) -> None:
    """Advise for each model and NPU of a run whether the NPU is worth using.

    RUN is a run's id, or a campaign's name for its newest run. Measurements decide. Where there are
    none, weighted rules of thumb do, and the advice is marked as an estimate.
    """
    from harness.analysis.advice import Needs
    from harness.analysis.advice import advise as advise_on

    with workspace_of(ctx).store() as store:
        found = stored(store, run)
    needs = Needs(
        first_load_ms=None if first_load_within is None else 1e3 * first_load_within,
        inferences=inferences,
        low_power=low_power,
        busy_cpu=busy_cpu,
    )
    advices = advise_on(found, needs)
    if as_json:
        click.echo(json.dumps([_as_json(advice) for advice in advices], indent=2))
    elif advices:
        _print(advices, lang)
    else:
        click.echo(
            f"run {found.id} has no case with an NPU: no advice; "
            f"to give a device a backend npu:NAME: {page('devices')}",
            err=True,
        )


def _as_json(advice: Advice) -> dict[str, Any]:
    subject, found = advice.subject, advice.subject.speed_up
    return {
        "model": subject.model,
        "device": subject.device,
        "npu": subject.npu,
        "precision": subject.on_npu.precision,
        "workload": subject.workload,
        "emulated": subject.emulated,
        "simulated": subject.simulated,
        "verdict": advice.verdict.value,
        "basis": advice.basis.value,
        "tuning": [rule.value for rule in advice.tuning],
        "speed_up": None
        if found is None
        else {"center": found.center, "low": found.low, "high": found.high},
        "rules": [
            {
                "rule": finding.rule.value,
                "speaks_for": finding.leaning.value,
                "weight": int(finding.weight),
                "basis": finding.basis.value,
                # JSON knows no infinity: what never pays off has no number.
                "facts": {
                    name: None if value == float("inf") else value
                    for name, value in finding.facts.items()
                },
            }
            for finding in advice.findings
        ],
    }


def _print(advices: list[Advice], lang: str) -> None:
    from rich.markup import escape

    from harness.cli.grid import Column, Grid
    from harness.cli.terminal import console
    from harness.core.text import visible
    from harness.report.advice_words import AdviceWords
    from harness.report.language import language

    words, out = AdviceWords(language(lang)), console()
    gettext = language(lang).gettext

    def shown(text: str) -> str:
        return escape(visible(text))

    for advice in advices:
        subject = advice.subject
        kind = "Emulated" if subject.emulated else "Simulated" if subject.simulated else ""
        stamp = f" [yellow]{gettext(kind)}[/]" if kind else ""
        name = f"{subject.model} · {subject.device} · {words.unit(subject)}"
        out.print(f"[bold]{shown(name)}[/]{stamp}")
        said = f"{words.verdict(advice)} ({words.basis(advice.basis)})"
        if advice.tuning:
            rules = language(lang).listed(*words.rules(advice.tuning))
            said += f"; {gettext('needs tuning of its own to profit')}: {rules}"
        out.print(f"  [bold]{shown(said)}[/]")
        table = Grid(
            Column(gettext("Rule"), wrap=14),
            Column(gettext("Speaks for")),
            Column(gettext("Weight"), 2),
            Column(gettext("Evidence"), wrap=24),
            Column(gettext("What would change the answer"), 1, wrap=24),
        )
        for finding in advice.findings:
            table.add(
                shown(words.rule(finding.rule)),
                shown(words.leaning(finding.leaning)),
                shown(words.weight(finding.weight)),
                shown(f"{words.evidence(finding)} ({words.basis(finding.basis)})"),
                shown(words.change(finding)),
            )
        table.print(out)
        out.print("")
