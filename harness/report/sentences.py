"""Sentences that the harness writes into records in English, said in a report's language.

Reasons, refusals and findings are stored, or come from an analysis, as English sentences. Those
that the harness itself composes are known here by their form, and what they are filled in with is
said in turn; what a device, an engine or a compiler said stands as it was recorded.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from harness.report.language import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.language import Language

__all__ = ["FORMS", "Sentences"]

MOST: Final = 600
"""A longer text is no sentence of ours: what is tried on a device's words has to be bounded."""
DEEP: Final = 4
NUMBERS: Final = frozenset(
    {
        "all",
        "cases",
        "columns",
        "fewer",
        "launches",
        "more",
        "most",
        "n",
        "samples",
        "some",
        "times",
    }
)
"""Places for numbers: ``a case: 3 of 5 launches`` must not be taken for one."""
_NUMBER = r"[\d.,\u202f]+(?:e[+-]?\d+)?"
_PLACE = re.compile(r"%\((\w+)\)s")
_PLURAL = re.compile(
    r"\b(launch|case|column|figure|model|device|setting|sample|thread|input)(?:e?s)\b"
)


def _(message: str) -> str:
    """Mark a message; it is translated later."""
    return message


FORMS: Final = (
    # outputs
    _(
        "relative error %(error)s of output %(n)s for seed %(seed)s is above the tolerance "
        "of %(most)s"
    ),
    _("output %(n)s for seed %(seed)s is nearer to the reference for seed %(other)s"),
    _("output %(n)s for seed %(seed)s has NaN or infinite values"),
    _(
        "output %(n)s of the reference hardly varies between the inputs: it cannot tell a "
        "right answer from a wrong one"
    ),
    _("wrong outputs"),
    _("after the change to %(shapes)s"),
    # refusals
    _("%(device)s has no engine '%(engine)s' in its file"),
    _("%(model)s is no model for engine '%(engine)s'"),
    _("%(device)s has no backend '%(backend)s' for %(engine)s in its file"),
    _("the harness measures %(engine)s on the CPU only"),
    _("%(engine)s measures on '%(backend)s' only"),
    _(
        "%(engine)s is measured in %(precisions)s on %(backend)s of %(device)s, not in "
        "%(precision)s"
    ),
    _("the Python runner has no backend '%(backend)s': give a 'runner'"),
    _("%(engine)s keeps no compiled models for backend '%(backend)s'"),
    _("opt gave no part of it to %(backend)s: all of it would run on the CPU"),
    _(
        "its kernels are for %(kernels)s, a %(abi)s device runs those for %(needed)s: "
        "Paddle Lite would return garbage without an error"
    ),
    _(
        "it was made by opt %(version)s, and the runner's Paddle Lite is %(other)s: they "
        "must be of one version"
    ),
    _("NPU artifacts are built for ARM processors, and the device is %(abi)s"),
    _("no runner of the harness uses Paddle Lite's OpenCL backend"),
    _(
        "artifacts are compiled for one chip, and the device's soc says %(soc)s: write one "
        "of %(known)s as 'soc' into the device's file"
    ),
    _(
        "it needs %(needed)s MB at least for its weights and intermediate results "
        "(estimate), and the device has %(room)s available"
    ),
    _("benchmark_bin has no flag for a model cache"),
    _("not built"),
    _("not reached"),
    _("device put aside because %(reason)s"),
    _("given up after a launch that failed: %(reason)s"),
    # launches
    _("not begun"),
    _("throttled"),
    _("the runner broke the contract"),
    _("the runner did not return the outputs it was asked for"),
    _("the engine left nothing in its model cache"),
    _("its model cache was empty: the device may have restarted since it was filled"),
    _("it did not take its model from its cache: it wrote there"),
    _("the runner finished without samples of any length"),
    _(
        "the runner claims %(claimed)s s of inferences, and its launch took %(took)s s: its"
        " clock or its unit is wrong"
    ),
    _("the runner changed no shapes: it does not know of such changes"),
    _("killed after '%(stage)s': the device was out of memory"),
    _("ended at its limit of %(limit)s s, after '%(stage)s'"),
    _("hangs in the kernel after '%(stage)s', and cannot be ended"),
    _("crashed with %(signal)s after '%(stage)s'"),
    _("exited with %(status)s after '%(stage)s'"),
    # cases
    _("no launch was made"),
    _("no launch succeeded"),
    _("its model cache was not filled"),
    _("%(some)s of %(all)s launches were invalid"),
    # expectations
    _("no launch told it"),
    _("one launch has no interval"),
    _("no case of the model on the device's processors has a latency"),
    _("the artifact has no record of its drift"),
    # comparisons
    _("%(one)s and %(other)s are two models"),
    _("one device is emulated, and an emulator's times are no device's"),
    _("the outputs of %(case)s were not checked"),
    _("%(device)s tells no serial number or machine id: it may be another device"),
    _("%(device)s is another device: %(what)s %(then)s → %(now)s"),
    _("%(model)s was fed other inputs (names, shapes or ranges)"),
    _("a launch's figure is its %(then)s on one side, its %(now)s on the other"),
    # the audit: of launches
    _("outputs of %(some)s of %(all)s launches unchecked"),
    _("one launch: no interval"),
    _("%(n)s launches that count were throttled"),
    _("conditions were not met for %(n)s launches"),
    _("its interval is %(interval)s ms, ±%(half)s"),
    _("others kept the device busy in %(n)s launches"),
    _("the timed inferences are slower than the first one"),
    _("reading from a warm page cache is slower than from a cold one"),
    _("all samples of %(n)s launches are equal"),
    _("the clock goes in steps of %(step)s of what it times"),
    _("all %(n)s launches have the same figure"),
    _("samples of %(n)s launches take longer than the launch itself"),
    _("hardly any CPU time in %(n)s launches: it waited"),
    _("more CPU time than %(n)s threads can use"),
    _("%(n)s launches have the same %(samples)s samples in the same order"),
    _("nothing there tells whether %(launches)s launches of %(cases)s cases were throttled"),
    _("figures rise by %(change)s from the first launch to the last"),
    _("figures fall by %(change)s from the first launch to the last"),
    _("far from the others: %(which)s"),
    _(
        "two groups %(apart)s apart, of %(one)s and %(other)s launches: the interval may be"
        " too narrow"
    ),
    _("%(some)s of %(all)s launches were not steady when warm-up had to end"),
    _("samples are %(change)s higher at a launch's end than at its start"),
    _("samples are %(change)s lower at a launch's end than at its start"),
    # the audit: of tables
    _("%(one)s and %(other)s: all %(n)s figures that both have are the same, to the last digit"),
    _(
        "%(one)s and %(other)s: %(some)s of the %(n)s figures that both have are the same, "
        "to the last digit"
    ),
    _("%(n)s figures of model %(one)s stand at %(other)s again, %(columns)s columns further on"),
    _("%(n)s figures of model %(one)s stand at %(other)s again, %(columns)s columns further back"),
    _("%(n)s figures of device %(one)s stand at %(other)s again, %(columns)s columns further on"),
    _("%(n)s figures of device %(one)s stand at %(other)s again, %(columns)s columns further back"),
    _("all %(n)s figures of %(other)s are %(ratio)s times those of %(one)s, to the last digit"),
    _("%(figure)s stands %(n)s times, for %(differ)s"),
    _("%(figure)s has %(n)s figures, and nothing tells them apart"),
    _(
        "%(some)s of %(all)s figures have up to %(most)s significant digits, more than is "
        "known of how far launches differ"
    ),
    _("the interval does not hold the figure"),
    _("an interval of one launch says how its samples scatter, and nothing of how launches differ"),
    _("%(fast)s is %(times)s times as fast as on %(slow)s"),
    _("with %(more)s threads it takes %(times)s times as long as with %(fewer)s"),
    _("%(more)s times the threads make it %(times)s times as fast"),
    _(
        "%(times)s times more than the other figures of this model and of this column lead "
        "to expect"
    ),
    _(
        "%(times)s times less than the other figures of this model and of this column lead "
        "to expect"
    ),
    _(
        "%(device)s, %(setting)s: %(big)s computes %(times)s times as much as %(small)s and"
        " takes %(share)s of its time"
    ),
    _("%(reached)s GOP/s are %(times)s times the peak of %(peak)s GOP/s"),
    # what to do
    _("docs/conditions.md says what makes a launch invalid"),
    _(
        "the engine, its backend or the artifact computes something else than the model: "
        "try another version or precision; tolerances stand in the model's file"
    ),
    _("correct the campaign or the device's file, or leave the case out with --only"),
    _("%(command)s; then harness run --resume %(run)s"),
    _("%(command)s: the link, and room in its work folder"),
    _(
        "is it slow, or does it hang? %(command)s; a slow one needs a higher time_limit in "
        "the campaign's protocol"
    ),
    # around others
    _("%(reason)s (try: %(hint)s)"),
    _("%(reason)s (and %(n)s more)"),
)
"""Sentences by their form, in English: of two that fit the first holds."""


class Sentences:
    """The harness's own sentences in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._known = lru_cache(maxsize=4096)(lambda text: self._say(text, DEEP))

    @cached_property
    def _forms(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(form), self._language.gettext(form)) for form in FORMS]

    def say(self, text: str) -> str:
        """Return a sentence in this language; one that is not the harness's, as it is."""
        if self._language.tag == LANGUAGES[0] or len(text) > MOST:
            return text
        return self._known(text)

    def _say(self, text: str, deep: int) -> str:
        known = self._language.known(text)
        if known != text:
            return known
        return self._whole(text, deep) or self._in_two(text, deep) or text

    def _whole(self, text: str, deep: int) -> str | None:
        for pattern, message in self._forms:
            if deep and (found := pattern.fullmatch(text)):
                places = {
                    name: self._say(part, deep - 1) for name, part in found.groupdict().items()
                }
                return message % places
        return None

    def _in_two(self, text: str, deep: int) -> str | None:
        """Return what is said of something, ``what: sentence``, or in several, ``one; other``."""
        for between, joined in (("; ", _("; ")), (": ", _(": "))):
            for head, tail in _splits(text, between):
                said = self._whole(tail, deep - 1) if deep else None
                before = self._whole(head, deep - 1) if deep else None
                if said or before:
                    rest = said or self._say(tail, deep - 1)
                    return self._language.gettext(joined).join((before or head, rest))
        return None


def _splits(text: str, between: str) -> Iterator[tuple[str, str]]:
    pieces = text.split(between)
    for number in range(1, min(len(pieces), DEEP)):
        yield between.join(pieces[:number]), between.join(pieces[number:])


def _pattern(form: str) -> re.Pattern[str]:
    """Return what a form's sentences look like; nouns may be singular."""
    parts = _PLACE.split(form)
    fixed = [_PLURAL.sub(r"\1(?:e?s)?", re.escape(part)) for part in parts[::2]]
    fixed = [part.replace("were", "(?:was|were)") for part in fixed]
    places = [f"(?P<{name}>{_NUMBER if name in NUMBERS else '.+?'})" for name in parts[1::2]]
    return re.compile("".join(a + b for a, b in zip(fixed, [*places, ""], strict=True)), re.DOTALL)
