"""The languages of a report: messages, numbers and dates as their readers write them.

Messages are gettext's, in ``locale/*.po``, which are read as they are: a wheel, an editable install
and a checkout carry the same files, and nothing is compiled.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from harness.core import text
from harness.core.reason import ENGLISH, Wording
from harness.quantities import quantities

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from harness.core.reason import Reason

__all__ = ["LANGUAGES", "Language", "language"]

LANGUAGES: Final = ("en", "zh-CN")
"""What ``--lang`` takes, as HTML names them; messages in the code are in the first."""


@dataclass(frozen=True)
class Language:
    """One language of reports.

    Attributes
    ----------
    tag
        As HTML has it.
    """

    tag: str
    messages: NullTranslations

    @cached_property
    def locale(self) -> Locale:
        """What is known of how it writes numbers and dates."""
        return Locale.parse(self.tag, sep="-")

    @property
    def name(self) -> str:
        """The language's own name for itself."""
        return {"en": "English", "zh-CN": "简体中文"}[self.tag]

    def gettext(self, message: str) -> str:
        """Return a message in this language."""
        return self.messages.gettext(message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return a message in the form that goes with a number."""
        return self.messages.ngettext(singular, plural, number)

    def known(self, words: str) -> str:
        """Return words that the harness itself put into a record; what is not known, as it is."""
        return self._words.get(words) or words

    def say(self, what: Reason | str | None) -> str:
        """Return a reason in this language; text that is not the harness's, as it is."""
        return what if isinstance(what, str) else self._reasons.say(what)

    def hint(self, reason: Reason | None) -> str:
        """Return what to do about a reason; empty where it has no hint."""
        return self._reasons.hint(reason)

    @cached_property
    def _reasons(self) -> Wording:
        return ENGLISH if self.tag == LANGUAGES[0] else _Reasons(self)

    def setting(self, words: str) -> str:
        """Return what tells a case from others, as :attr:`Case.setting` says it."""
        if self.tag == LANGUAGES[0]:
            return words
        said = self._said.get(words)
        if said is None:
            said = self._said[words] = " · ".join(map(self._part, words.split(" · ")))
        return said

    def _part(self, part: str) -> str:
        for pattern, message in self._settings:
            if found := re.fullmatch(pattern, part):
                return message % {"n": found[1], "last": found[found.re.groups]}
        return self.known(part)

    def when(self, moment: datetime) -> str:
        """Return a date and a time, in UTC."""
        return format_datetime(moment, "yyyy-MM-dd HH:mm", locale=self.locale) + " UTC"

    def day(self, moment: datetime) -> str:
        """Return a date in words."""
        return format_date(moment, "long", locale=self.locale)

    def milliseconds(self, value: float | None, *, resolution: float = 0.0) -> str:
        """See :func:`harness.core.text.milliseconds`."""
        return self._unknown(text.milliseconds(value, resolution=resolution))

    def megabytes(self, value: float | None) -> str:
        """See :func:`harness.core.text.megabytes`."""
        return self._unknown(text.megabytes(value))

    def taken(self, value: float | None) -> str:
        """See :func:`harness.core.text.taken`."""
        if value is not None and value < 0:
            return self.gettext("%(size)s freed") % {"size": text.megabytes(-value)}
        return self.megabytes(value)

    def difference(self, ratio: float) -> str:
        """See :func:`harness.core.text.difference`."""
        return self._percent(text.difference(ratio))

    def percent(self, value: float | None) -> str:
        """See :func:`harness.core.text.percent`; Chinese has no space before the sign."""
        return self._percent(self._unknown(text.percent(value)))

    def share(self, value: float | None) -> str:
        """Return a part of a whole in percent: to a tenth, for 99.9 % is not all."""
        if value is None:
            return self.gettext("unknown")
        return self._percent(text.share_of(value))

    def _percent(self, said: str) -> str:
        return said.replace(" %", "%") if self.tag.startswith("zh") else said

    def listed(self, *items: str) -> str:
        """Return items one after the other, with what this language puts between them."""
        return self.gettext(", ").join(items)

    def _unknown(self, said: str) -> str:
        return self.gettext("unknown") if said == text.UNKNOWN else said

    @cached_property
    def _said(self) -> dict[str, str]:
        return {}

    @cached_property
    def _settings(self) -> list[tuple[str, str]]:
        return [
            (r"(\d+) threads", self.gettext("%(n)s threads")),
            (r"CPUs ([\d,]+)", self.gettext("CPUs %(n)s")),
            (r"(\d+) busy CPUs", self.gettext("%(n)s busy CPUs")),
            (r"batch (\d+)", self.gettext("batch %(n)s")),
            (r"(\d+) callers", self.gettext("%(n)s callers")),
            (r"(\d+) instances", self.gettext("%(n)s instances")),
            (r"(p\d+) within ([\d.]+ ms)", self.gettext("%(n)s within %(last)s")),
        ]

    @cached_property
    def _words(self) -> dict[str, str]:
        """What records hold of the harness's own words."""
        gettext = self.gettext
        return {
            "unknown": gettext("unknown"),
            # states of a case
            "measured": gettext("measured"),
            "outputs wrong": gettext("outputs wrong"),
            "invalid": gettext("invalid"),
            "failed": gettext("failed"),
            "refused": gettext("refused"),
            "not measured": gettext("not measured"),
            # of a launch
            "ok": gettext("ok"),
            "connection": gettext("connection"),
            "deploy": gettext("deploy"),
            "runner": gettext("runner"),
            "engine": gettext("engine"),
            "timeout": gettext("timeout"),
            "device": gettext("device"),
            "memory pass": gettext("memory pass"),
            "filling of the model cache": gettext("filling of the model cache"),
            "search for the rate": gettext("search for the rate"),
            "single": gettext("single"),
            "multi": gettext("multi"),
            "offline": gettext("offline"),
            "server": gettext("server"),
            # of comparisons, budgets and the audit
            "regressed": gettext("regressed"),
            "improved": gettext("improved"),
            "unchanged": gettext("unchanged"),
            "inconclusive": gettext("inconclusive"),
            "met": gettext("met"),
            "missed": gettext("missed"),
            "error": gettext("error"),
            "warning": gettext("warning"),
            "note": gettext("note"),
            "speed-up": gettext("speed-up"),
            "drift": gettext("drift"),
            "placement": gettext("placement"),
            # of devices, and of what changed with a run
            "unreachable": gettext("unreachable"),
            "put aside": gettext("put aside"),
            "came back": gettext("came back"),
            "power-cycled": gettext("power-cycled"),
            "power cycle failed": gettext("power cycle failed"),
            "kernel": gettext("kernel"),
            "clocks": gettext("clocks"),
            "artifact": gettext("artifact"),
            "the protocol's warmup": gettext("the protocol's warm-up"),
            "the protocol's sampling": gettext("the protocol's sampling"),
            # of caches
            "model cache kept": gettext("model cache kept"),
            "cold": gettext("cold"),
            "warm": gettext("warm"),
            "cold, libraries cold": gettext("cold, libraries cold"),
            "warm, libraries cold": gettext("warm, libraries cold"),
            # ends of a warm-up
            "steady": gettext("steady"),
            "max_samples": gettext("at the most samples"),
            "max_seconds": gettext("at the longest time"),
        } | {said: gettext(said) for each in quantities() for said in each.words}


class _Reasons(Wording):
    """Reasons in a language other than English."""

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language = language

    def message(self, english: str) -> str:
        return self._language.gettext(english) if english else ""  # that is a catalogue's header

    def known(self, word: str) -> str:
        return self._language.known(word)

    def listed(self, items: Sequence[str], between: str) -> str:
        gettext = self._language.gettext
        return (gettext("; ") if between == "; " else gettext(", ")).join(items)

    def number(self, value: float, spec: str) -> str:
        if spec == "percent":
            return self._language.percent(value)
        return super().number(value, spec)


@cache
def language(tag: str) -> Language:
    """Return a language.

    Parameters
    ----------
    tag
        One of :data:`LANGUAGES`.
    """
    if tag == LANGUAGES[0]:
        return Language(tag, NullTranslations())
    path = files("harness.report").joinpath("locale", f"{tag}.po")
    catalogue = read_po(io.BytesIO(path.read_bytes()), abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Language(tag, Translations(compiled))
