"""Chips beside each other, and beside what was measured on devices that have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.analysis.cases import State, case_results
from harness.analysis.peak import achieved
from harness.lab.chips import COUNTS, card_for
from harness.report.language import LANGUAGES, language
from harness.report.render import Frame, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.analysis.peak import Achieved
    from harness.core.records import Run
    from harness.lab.chips import Card, StatedNumber, StatedText

__all__ = ["Measured", "measured", "render_chips"]


@dataclass(frozen=True)
class Measured:
    """What a case on an NPU achieved.

    Attributes
    ----------
    chip
        The name of its card.
    """

    chip: str
    card: Card
    run: Run
    result: CaseResult
    macs: int
    achieved: Achieved

    @property
    def latency_ms(self) -> float | None:
        """Its latency."""
        return self.result.latency_ms.center if self.result.latency_ms else None


def measured(run: Run, cards: Mapping[str, Card]) -> list[Measured]:
    """Return what NPUs achieved in a run, of chips that have a card; nothing of stand-ins."""
    chips = {
        device.name: found
        for device in run.devices
        if not device.emulated and (found := card_for(device.facts.get("soc"), cards))
    }
    macs = {model.name: model.macs for model in run.models}
    return [
        Measured(
            chip=chips[case.device][0],
            card=chips[case.device][1],
            run=run,
            result=result,
            macs=count,
            achieved=achieved(
                count,
                result.latency_ms.center,
                peak_tops=chips[case.device][1].peak_tops(case.precision),
                power_w=_value(chips[case.device][1].power_w),
                price_usd=_value(chips[case.device][1].price_usd),
            ),
        )
        for result in case_results(run)
        for case in [result.record.case]
        if case.backend.startswith("npu:") and case.device in chips and not case.busy_cpus
        if case.scenario == "single"
        if result.state is State.MEASURED and result.checked and result.latency_ms
        if not result.simulated
        if (
            count := result.record.macs
            or (macs.get(case.model) if case == case.at_any_shape else None)
        )
    ]


def render_chips(
    cards: Mapping[str, Card], runs: Sequence[Run], *, lang: str = LANGUAGES[0]
) -> str:
    """Return the page as one HTML document.

    Parameters
    ----------
    lang
        The language that it opens in; it can be switched to the others.
    """
    found = [each for run in runs for each in measured(run, cards)]
    frame = Frame(lang)
    pages = {tag: _page(Frame(tag), cards, found) for tag in LANGUAGES}
    return frame.render(
        "shell.html",
        title=frame.language.gettext("Chips compared"),
        page=Markup(pages[lang]),  # noqa: S704 - our own template, filled
        others={tag: pack(page) for tag, page in pages.items() if tag != lang},
        data=None,
        **frame.shell(),
    )


def _page(frame: Frame, cards: Mapping[str, Card], found: Sequence[Measured]) -> str:
    return frame.render(
        "chips.html",
        cards=cards,
        counts=_counts(frame.language.gettext),
        rows=_rows,
        found=found,
        languages=[language(tag) for tag in LANGUAGES],
    )


def _counts(_: Callable[[str], str]) -> list[tuple[str, str]]:
    names = {
        "domain": _("Domain"),
        "process_nm": _("Process, nm"),
        "supply": _("Supply"),
        "tops": _("TOPS by precision"),
        "clock": _("Clock"),
        "memory": _("Memory"),
        "codec": _("Video codec"),
        "isp": _("ISP"),
        "power_w": _("Power, W"),
        "price_usd": _("Price, US$"),
    }
    return [(count, names[count]) for count in COUNTS]


def _rows(card: Card, count: str) -> Iterator[tuple[str, StatedNumber | StatedText]]:
    """Yield what a card states under a count: a precision, where it is one, and the figure."""
    for name, stated in card.stated():
        what, _, precision = name.partition(".")
        if what == count:
            yield precision, stated


def _value(stated: StatedNumber | None) -> float | None:
    return stated.value if stated else None


if TYPE_CHECKING:
    from collections.abc import Callable
