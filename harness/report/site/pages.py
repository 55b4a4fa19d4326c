"""The pages of the site, from what they show to HTML."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness import __version__
from harness.core.records import DeviceEventKind, Status
from harness.core.text import difference
from harness.report import svg
from harness.report.language import LANGUAGES
from harness.report.render import Frame, pack

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from harness.lab.health import RunHealth
    from harness.report.language import Language
    from harness.report.site.content import CampaignPage, DevicePage, History, Trend

__all__ = ["pages"]

MOST_CHANGES = 60
_FAILURES = ("connection", "deploy", "runner", "engine", "timeout", "device")


def pages(history: History, *, lang: str = LANGUAGES[0]) -> Iterator[tuple[str, str]]:
    """Yield each page's place in the site, and its HTML.

    Parameters
    ----------
    lang
        The language that pages open in; they can be switched to the others.
    """
    site = _Site(history, lang)
    for group in history.groups:
        yield group.path, site.page("trends", group.model, group=group)
    for campaign in history.campaigns:
        yield campaign.path, site.page("campaign", campaign.name, campaign=campaign)
    for device in history.devices:
        yield device.path, site.page("device", device.name, device=device)
    yield "index.html", site.page("index", None, up="")


class _Site:
    """Fills templates, once for each language."""

    def __init__(self, history: History, lang: str) -> None:
        self._history = history
        self._lang = lang
        self._frames = {tag: Frame(tag) for tag in LANGUAGES}
        self._shell = self._frames[lang].shell()

    def page(self, template: str, name: str | None, *, up: str = "../", **values: Any) -> str:  # noqa: ANN401
        """Return a page, which has the name of what it shows, or the site's own title."""
        titles = {
            tag: f"{name or frame.language.gettext('Measurements over time')} · edge-harness"
            for tag, frame in self._frames.items()
        }
        filled = {
            tag: frame.render(
                f"site/{template}.html",
                title=titles[tag],
                up=up,
                history=self._history,
                languages=[each.language for each in self._frames.values()],
                drawn=_Drawn(first=tag == self._lang),
                fared=_fared(frame.language),
                mark=_marks(frame.language),
                most=MOST_CHANGES,
                version=__version__,
                **values,
            )
            for tag, frame in self._frames.items()
        }
        return self._frames[self._lang].render(
            "shell.html",
            title=titles[self._lang],
            page=Markup(filled[self._lang]),  # noqa: S704 - our own template, filled
            others={tag: pack(page) for tag, page in filled.items() if tag != self._lang},
            data=None,
            **self._shell,
        )


class _Drawn:
    """Charts without a word: in the page that opens; the others have places that they move to.

    Parameters
    ----------
    first
        Whether the page is the one that opens.
    """

    def __init__(self, *, first: bool) -> None:
        self._first = first

    def trend(self, trend: Trend) -> Markup:
        """Draw a case over runs."""
        points, per = trend.series.points, trend.quantity.unit.per
        marks = [(), *trend.series.marks]
        starts = [0, *(change.index for change in trend.series.changes), len(points)]
        steps = ["", *(difference(change.ratio) for change in trend.series.changes)]
        levels = [
            svg.Level(
                points=[
                    (
                        each.estimate.center / per,
                        None if each.estimate.low is None else each.estimate.low / per,
                        None if each.estimate.high is None else each.estimate.high / per,
                    )
                    for each in points[start:end]
                ],
                mean=geometric_mean(each.estimate.center / per for each in points[start:end]),
                step=step,
                marks=[bool(each) for each in marks[start:end]],
            )
            for (start, end), step in zip(pairwise(starts), steps, strict=True)
        ]
        days = [f"{point.started.astimezone(UTC):%Y-%m-%d}" for point in points]
        known = {name: estimate.center / per for name, estimate in trend.baselines.items()}
        name = f"t-{trend.id}"
        return self._place(
            name, lambda: svg.trend(levels, days, known, colour=trend.colour, name=name)
        )

    def spark(self, trend: Trend) -> Markup:
        """Draw a case over runs in a line of text."""
        values = [point.estimate.center for point in trend.series.points]
        changes = [change.index for change in trend.series.changes]
        name = f"s-{trend.id}"
        return self._place(name, lambda: svg.spark(values, changes, colour=trend.colour, name=name))

    def campaign(self, campaign: CampaignPage) -> Markup:
        """Draw how the launches of a campaign's runs ended."""
        runs = [_outcome(line.run.started, line.statuses) for line in reversed(campaign.lines)]
        return self._place("o", lambda: svg.outcomes(runs, name="o"))

    def device(self, device: DevicePage) -> Markup:
        """Draw how the launches of each run on a device ended."""
        runs = [_outcome(each.at, each.launches) for each in _with_launches(device)]
        return self._place("o", lambda: svg.outcomes(runs, name="o"))

    def has_launches(self, device: DevicePage) -> bool:
        """Whether there is a chart of a device."""
        return bool(_with_launches(device))

    def _place(self, name: str, draw: Callable[[], Markup]) -> Markup:
        return draw() if self._first else Markup('<i data-of="{}"></i>').format(name)


def _with_launches(device: DevicePage) -> list[RunHealth]:
    """Return a device's runs with launches, the oldest first."""
    runs = device.health.runs if device.health else []
    return [each for each in reversed(runs) if each.launches]


def _outcome(at: datetime, launches: Counter[str]) -> svg.RunBar:
    return svg.RunBar(
        day=f"{at.astimezone(UTC):%Y-%m-%d}",
        ok=launches[Status.OK],
        invalid=launches[Status.INVALID],
        failed=launches[Status.FAILED],
    )


def _fared(language: Language) -> Callable[[RunHealth], str]:
    """Return the function that says why launches failed, and what else happened."""

    def fared(run: RunHealth) -> str:
        failures = [(name, run.failures[name]) for name in _FAILURES if run.failures[name]]
        events = [
            (kind.value, run.events[kind.value])
            for kind in DeviceEventKind
            if run.events[kind.value] and kind is not DeviceEventKind.REACHED
        ]
        return language.listed(*(f"{language.known(w)} × {n}" for w, n in (*failures, *events)))

    return fared


def _marks(language: Language) -> Callable[[Sequence[str]], str]:
    """Return the function that says what else differs; what was recorded is as it is."""

    def said(marks: Sequence[str]) -> str:
        words = []
        for mark in marks:
            what, colon, values = mark.partition(": ")
            words.append(language.known(what) + (language.gettext(": ") if colon else "") + values)
        return language.gettext("; ").join(words)

    return said
