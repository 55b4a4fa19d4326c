"""From a run to one self-contained HTML file: nothing from outside, one small script of its own."""

from __future__ import annotations

import base64
import gc
import gzip
import hashlib
import json
import math
import re
import shlex
import statistics
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.analysis.advice import Needs, break_even, judge, subjects
from harness.analysis.audit import audit_run, audit_table
from harness.analysis.cases import NS_PER_MS, State
from harness.analysis.comparison import Verdict
from harness.analysis.expectations import Met, check_expectations
from harness.analysis.shapes import after_changes
from harness.analysis.sustained import course
from harness.core import text
from harness.core.reason import Reason
from harness.report import facts, findings
from harness.report.charts import Charts, over_time, thin
from harness.report.language import LANGUAGES, Language
from harness.report.language import language as translated
from harness.report.published import gains, neighbours
from harness.report.verdicts import change
from harness.report.view import FURTHER, ReportView
from harness.report.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.analysis.advice import Advice, AdvisedSide
    from harness.analysis.audit import Doubt
    from harness.analysis.comparisons import Comparison
    from harness.analysis.expectations import Outcome
    from harness.analysis.gate import Gate
    from harness.analysis.shapes import AfterChange
    from harness.core.records import Launch, Run
    from harness.report.chips import Measured
    from harness.report.published import Gain
    from harness.report.view import CaseView
    from harness.results.imported import ImportedTable

__all__ = ["Beside", "Frame", "pack", "render"]

POINTS_PER_LAUNCH: Final = 200
POINTS_DRAWN: Final = 40_000
POINTS_EMBEDDED: Final = 100_000
FEWEST_POINTS: Final = 7
MOST_ORDER: Final = 2_000
MOST_CASES: Final = 4_000
"""Cases that are shown one by one: of more, the file would be larger than browsers like."""
DIGITS: Final = 4  # of a sample in the embedded data

_OPTIONAL = re.compile("</(?:td|th|tr)>")
"""End tags that HTML does not need: an eighth of a large report."""
_QUOTED = re.compile(r'="([a-z]\d?|\d+|#case-\w+|row)"(?=[ >])')
"""Quotes that it does not need, where there are many. In text a quote is always escaped."""


class Frame:
    """What every page has: templates in one language, the style sheet, the script, the policy.

    Parameters
    ----------
    tag
        The page's language, one of :data:`harness.report.language.LANGUAGES`.
    """

    def __init__(self, tag: str) -> None:
        self.language = translated(tag)
        self.words = Words(self.language)
        self.environment = _environment(tag)

    def render(self, template: str, **values: Any) -> str:  # noqa: ANN401 - what a template takes
        """Fill a template."""
        return self.environment.get_template(template).render(
            language=self.language, words=self.words, **values
        )

    def shell(self) -> dict[str, Any]:
        """Return style and script, and the hashes by which the policy allows them."""
        style, script = _style(), _own("script.js")
        return {
            "style": Markup(style),  # noqa: S704 - our own file
            "style_hash": _hash(style),
            "script": Markup(script),  # noqa: S704 - our own file
            "script_hash": _hash(script),
        }


@dataclass(frozen=True)
class Beside:
    """What is shown beside a run.

    Attributes
    ----------
    gate
        The run held against a baseline.
    tables
        Others' figures, without a verdict.
    on_chips
        What was achieved on chips that have a card.
    """

    gate: Gate | None = None
    tables: Sequence[ImportedTable] = ()
    on_chips: Sequence[Measured] = ()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic collector from walking, repeatedly, over what lives to the end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_paused()
def render(run: Run, *, lang: str = LANGUAGES[0], beside: Beside | None = None) -> str:
    """Return the report of a run as one HTML document.

    Parameters
    ----------
    lang
        The language that it opens in; it can be switched to the others.
    beside
        What is not the run's own.
    """
    beside = beside or Beside()
    view = ReportView.of(run)
    outcomes = check_expectations(run, view.results)
    view = view.showing(MOST_CASES, _notable(outcomes, beside.gate))
    emulated = {device.name for device in run.devices if device.emulated}
    advices = [judge(subject, Needs()) for subject in subjects(view.results, emulated)]
    frame = Frame(lang)
    content = Content(
        view=view,
        advices=advices,
        beside=beside,
        findings=audit_run(run, view.results),
        outcomes=outcomes,
        after_changes=after_changes(view.cases),
    )
    others = {
        tag: pack(_page(Frame(tag), content, first=False)) for tag in LANGUAGES if tag != lang
    }
    return frame.render(
        "shell.html",
        title=f"{run.campaign} · {run.id} · edge-harness",
        page=Markup(_page(frame, content)),  # noqa: S704 - our own template, filled
        others=others,
        data=pack(_data(view)),
        **frame.shell(),
    )


def cases_shown(run: Run, gate: Gate | None = None) -> set[str] | None:
    """Return the ids of the cases that a report shows one by one; None for all.

    Single samples are shown of these alone: of a very large run, no others need be read.

    Parameters
    ----------
    run
        Its launches may be without samples.
    gate
        The run held against a baseline.
    """
    if len(run.cases) <= MOST_CASES:
        return None
    view = ReportView.of(run)
    notable = _notable(check_expectations(run, view.results), gate)
    return {case.id for case in view.showing(MOST_CASES, notable).cases}


def _notable(outcomes: Sequence[Outcome], gate: Gate | None) -> set[str]:
    """Return the ids of cases that missed a budget or regressed."""
    missed = {each.result.record.case.id for each in outcomes if each.met is Met.NO}
    compared = gate.comparisons if gate else []
    return missed | {
        each.candidate.result.record.case.id
        for each in compared
        if each.verdict is Verdict.REGRESSED
    }


@dataclass(frozen=True)
class Content:
    """All that a report shows, in whatever language."""

    view: ReportView
    advices: Sequence[Advice]
    beside: Beside
    findings: Sequence[Doubt]
    outcomes: Sequence[Outcome]
    after_changes: Sequence[AfterChange]

    @cached_property
    def uneven(self) -> set[str]:
        """The ids of cases whose launches contradict their interval."""
        found = (each.cases for each in self.findings if each.rule == "uneven-launches")
        return {case_id for ids in found for case_id in ids}

    @cached_property
    def compared(self) -> list[Comparison]:
        """The comparisons with the baseline, of cases that are shown."""
        shown = {case.id for case in self.view.cases}
        found = self.beside.gate.comparisons if self.beside.gate else []
        return [each for each in found if each.candidate.result.record.case.id in shown]

    @cached_property
    def gains(self) -> list[Gain]:
        """What others published of NPUs."""
        return gains(self.beside.tables, (model.name for model in self.view.run.models))

    @property
    def without_gain(self) -> list[str]:
        """The run's models of which nothing was published."""
        known = {gain.model for gain in self.gains}
        return [model.name for model in self.view.run.models if model.name not in known]


def _page(frame: Frame, content: Content, *, first: bool = True) -> str:
    """Return what changes with the language.

    Parameters
    ----------
    first
        Whether it is the one that opens; in the others, charts without words are left out.
    """
    view = content.view
    traced = sum(len(case.traces) for case in view.cases)
    charts = Charts(frame.language, frame.words)
    points = _points(POINTS_DRAWN, traced)

    def trace(case: CaseView) -> Markup:
        if first:
            return over_time(case, points)
        return Markup('<i data-of="t-{}"></i>').format(case.id)

    links: dict[str, Markup] = {}

    def case_name(case: CaseView) -> Markup:
        """Return the link to a case: as a macro it would be a tenth of a large report's time."""
        if case.id not in links:
            name = text.visible(frame.language.setting(case.label))
            link = Markup('<a class="e{}" href="#case-{}">{}</a>')
            links[case.id] = link.format(case.colour, case.id, name)
            if case.simulated:
                stamp = Markup(' <strong class="stamp">{}</strong>')
                links[case.id] += stamp.format(frame.language.gettext("Simulated"))
        return links[case.id]

    html = frame.render(
        "page.html",
        run=view.run,
        view=view,
        case_name=case_name,
        cases={case.id: case for case in view.cases},
        change_of=change,
        advices=content.advices,
        break_even=break_even,
        charts=charts,
        course_of=course,
        facts=lambda found: facts.words(found, frame.language),
        find=findings.find,
        neighbours=lambda table: neighbours(table, view),
        languages=[translated(tag) for tag in LANGUAGES],
        most_order=MOST_ORDER,
        content=content,
        audited=audit_table,
        sections=_sections(frame.language, content),
        State=State,
        points=points,
        trace=trace,
    )
    return _QUOTED.sub(r"=\1", _OPTIONAL.sub("", html))


def _sections(language: Language, content: Content) -> list[tuple[str, str]]:
    """Return the sections that there is something to show in, by the names of their templates."""
    _, view, advices = language.gettext, content.view, content.advices
    known = [
        ("summary", _("Verdict"), True),
        ("baseline", _("Against the baseline"), content.beside.gate is not None),
        ("budgets", _("Budgets"), bool(content.outcomes)),
        ("npu", _("CPU against NPU"), bool(advices)),
        ("advice", _("Advice"), bool(advices)),
        ("latency", _("Latency"), True),
        ("engines", _("Engines compared"), any(device.contrasts for device in view.devices)),
        ("first-load", _("First load"), True),
        ("memory", _("Memory"), True),
        ("traffic", _("Throughput"), any(device.called for device in view.devices)),
        ("quantities", _("Further quantities"), bool(view.further)),
        ("trade-offs", _("Trade-offs"), any(device.trade_offs for device in view.devices)),
        ("precision", _("Precision"), any(device.precisions for device in view.devices)),
        ("shapes", _("Batches and shapes"), any(device.workloads for device in view.devices)),
        ("partition", _("Partition"), bool(view.partitions)),
        ("layers", _("Where the time goes"), bool(view.profiles)),
        ("chips", _("Chips"), bool(content.beside.on_chips)),
        ("published", _("Published figures"), bool(content.beside.tables)),
        ("samples", _("Samples over time"), True),
        ("devices", _("Devices and conditions"), True),
        ("method", _("How it was measured"), True),
        ("trouble", _("Failures"), True),
        ("audit", _("Audit"), True),
        ("provenance", _("Provenance"), True),
    ]
    return [(name, title) for name, title, shown in known if shown]


def _points(in_all: int, launches: int) -> int:
    return max(FEWEST_POINTS, min(POINTS_PER_LAUNCH, in_all // max(launches, 1)))


def _data(view: ReportView) -> str:
    """Return the figures of every launch, and some of its samples, as JSON.

    Like all that is handed on it holds no serial number and no address.
    """
    run = view.run
    points = _points(POINTS_EMBEDDED, len(run.launches))
    content = {
        "run": {
            "id": run.id,
            "campaign": run.campaign,
            "started": run.started.isoformat(),
            "finished": run.finished.isoformat() if run.finished else None,
            "harness": run.harness_version,
            "revision": run.revision,
            "seed": run.seed,
            "specification": run.specification,
            "samples": f"at most {points} a launch, in milliseconds, {DIGITS} significant digits; "
            "all of them: harness export",
        },
        "cases": [
            {
                "id": case.id,
                **case.record.case.model_dump(mode="json", exclude_defaults=True),
                "emulated": case.device.emulated,
                "simulated": case.simulated,
                "state": case.state.value,
                "reason": str(case.reason or ""),
                "reason_code": case.reason.code if case.reason else None,
                "latency_ms": case.latency_ms.center if case.latency_ms else None,
                "interval_ms": case.ends_ms,
                "artifact": case.record.artifact.id if case.record.artifact else None,
                "launches": [_launch(launch, case.state, points) for launch in case.launches],
            }
            for case in view.cases
        ],
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _launch(launch: Launch, state: State, points: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": launch.role.value,
        "slot": launch.slot,
        "attempt": launch.attempt,
        "position": launch.position,
        "started": launch.started.isoformat(),
        "status": launch.status.value,
        "reason": str(launch.reason or ""),
        "reason_code": launch.reason.code if launch.reason else None,
    }
    if state is State.WRONG:  # it has no figure anywhere
        return found
    return found | {
        "estimator": launch.estimator.value,
        "figure_ms": _rounded(launch.figure_ns, 6),
        "first_load_ms": _rounded(
            launch.first_load.total_ms * NS_PER_MS if launch.first_load else None, DIGITS
        ),
        "vmhwm_bytes": launch.vmhwm_bytes,
        "cpu_ms_per_inference": launch.cpu_ms_per_inference,
        **{each.column: each.figure(launch) for each in FURTHER},
        "samples": len(launch.samples_ns),
        "samples_ms": [
            _rounded(launch.samples_ns[index], DIGITS) for index in thin(launch.samples_ns, points)
        ],
    }


def _rounded(ns: float | None, digits: int) -> float | None:
    return None if ns is None else float(f"{ns / NS_PER_MS:.{digits}g}")


@cache
def _environment(tag: str) -> Environment:
    language = translated(tag)
    environment = Environment(
        loader=PackageLoader("harness.report"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalizer(language),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What is in a message goes the way of all that is printed: the extension's own functions
    # would escape it only.
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    shown = _finalizer(language)

    def gettext(message: str, **values: Any) -> Markup:  # noqa: ANN401
        known = {name: shown(value) for name, value in values.items()}
        return Markup(language.gettext(message)) % known  # noqa: S704 - from our own catalogue

    def ngettext(singular: str, plural: str, num: int, **values: Any) -> Markup:  # noqa: ANN401
        known = {name: shown(value) for name, value in {"num": num, **values}.items()}
        return Markup(language.ngettext(singular, plural, num)) % known  # noqa: S704 - as above

    def message(said: str) -> str:
        return language.gettext(said)

    environment.globals |= {"gettext": gettext, "ngettext": ngettext, "_": message}
    environment.filters |= _filters(language)
    environment.tests["infinite"] = math.isinf
    return environment


def _filters(language: Language) -> dict[str, Callable[..., Any]]:
    return {
        "celsius": lambda value: None if value is None else f"{value:.1f} °C",
        "figure": lambda value: f"{value:g}" if isinstance(value, float) else value,
        "known": lambda words: language.known(str(words)),
        "listed": lambda items: language.listed(*map(str, items)),
        "mb": language.megabytes,
        "median": statistics.median,
        "ms": language.milliseconds,
        "number": lambda value: f"{value:,.0f}".replace(",", "\u202f"),
        "percent": language.percent,
        "plain": lambda value: None if value is None else f"{value:.4g}",
        "plain_column": lambda pair: ("", pair[1]),
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "said": language.say,
        "setting": language.setting,
        "share": language.share,
        "shell": shlex.quote,
        "side_latency": lambda side: _side(side, language),
        "signed": language.difference,
        "times": text.times,
        "todo": lambda cause: language.hint(cause.reason) or language.say(cause.todo),
        "when": language.when,
    }


def _side(side: AdvisedSide, language: Language) -> str:
    if not side.figures_ms:
        return language.known(side.state.value) if side.state else language.gettext("none")
    return language.milliseconds(statistics.geometric_mean(side.figures_ms))


def _finalizer(language: Language) -> Callable[[Any], Any]:
    unknown = language.gettext("unknown")

    def finalize(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
        """Make whatever a template prints honest and harmless, before it is escaped."""
        if isinstance(value, Reason):
            value = language.say(value)
        if type(value) is str:  # and not Markup, which is one, too
            return text.visible(value)
        return unknown if value is None else value

    return finalize


def pack(content: str) -> str:
    """Return text as gzip in base64: inert, and a tenth of its size."""
    packed = gzip.compress(content.encode("utf-8", "replace"), compresslevel=6, mtime=0)
    return base64.b64encode(packed).decode()


def _style() -> str:
    """Return the style sheet; the dark colours are written once and used twice."""
    return _own("style.css").replace("/* dark */", _own("dark.css").strip())


def _own(name: str) -> str:
    return files("harness.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
