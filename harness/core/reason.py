"""Reasons: why something failed, was refused, left out or flagged, as a code with facts.

A reason is made where it is found, from a :class:`Code` that is declared once, near there, with
its words in English. It is stored as ``{"code": …, "facts": {…}}`` and put into words only where
somebody reads it: in English by :class:`Wording`, in other languages by their catalogues, whose
messages are the English ones. Decisions are made by code, never by words.

What an engine, a device or a tool said is a fact like any other, and untrusted.
"""

from __future__ import annotations

import math
import pkgutil
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness.core import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "CODES",
    "ENGLISH",
    "TEXT",
    "Category",
    "Code",
    "Fact",
    "MaybeReason",
    "Reason",
    "SomeReason",
    "Wording",
    "code",
    "find",
    "load_all",
    "plain",
]

_DEEPEST: Final = 8  # a reason within a reason
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_NOUN = re.compile(r"[a-z]+(?: [a-z]+)*")


class Category(StrEnum):
    """Where a launch failed."""

    CONNECTION = "connection"
    DEPLOY = "deploy"
    RUNNER = "runner"
    ENGINE = "engine"
    TIMEOUT = "timeout"
    DEVICE = "device"


class Reason(BaseModel):
    """Why something is as it is.

    Attributes
    ----------
    code
        Of a :class:`Code`; one that is not known here (of a plugin that is not installed, or of a
        newer version) is shown as it is.
    facts
        What the code's words are filled in with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    facts: dict[str, Fact] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.code, frozenset(self.facts)))

    def __str__(self) -> str:
        return ENGLISH.say(self)

    def holds(self, *codes: Code) -> bool:
        """Whether this reason, or one within it, is one of some codes."""
        return any(each.code in {one.name for one in codes} for each in self.chain())

    def chain(self) -> Iterator[Reason]:
        """Yield the reason and those within it, outermost first."""
        yield self
        for fact in self.facts.values():
            for each in fact if isinstance(fact, list) else [fact]:
                if isinstance(each, Reason):
                    yield from each.chain()


Fact = str | int | float | Reason | list[Reason] | list[str]
Reason.model_rebuild()


def _read(value: object) -> object:
    """Read what records of schema version 3 and earlier have: a sentence, empty for none."""
    if isinstance(value, str):
        return plain(value) if value else None
    return value


SomeReason = Annotated[Reason, BeforeValidator(_read)]
"""A field that is a reason; a sentence of an earlier version is read as one."""
MaybeReason = Annotated[Reason | None, BeforeValidator(_read)]
"""The same, or none."""


@dataclass(frozen=True)
class Code:
    """The declaration of a reason.

    Attributes
    ----------
    name
        ``domain.what``, unique.
    words
        The sentence in English, with facts in braces. What is in brackets is left out where
        a fact in it is missing. After a colon is how a number is shown: ``percent``, ``ms``,
        ``MB``, a noun that is counted (``{n:launch}``: *2 launches*), or a format of Python's.
    hint
        What to do, likewise.
    category
        Of a launch that failed for this reason.
    """

    name: str
    words: str
    hint: str = ""
    category: Category | None = None

    def __call__(self, **facts: Any) -> Reason:  # noqa: ANN401 - numbers of NumPy's, too
        """Return a reason with these facts; those that are None are left out.

        Raises
        ------
        TypeError
            A fact is missing or unknown.
        """
        given = {name: _fact(value) for name, value in facts.items() if value is not None}
        unknown = given.keys() - self.facts
        missing = self.required - given.keys()
        if unknown or missing:
            raise TypeError(f"{self.name}: facts unknown {sorted(unknown)}, missing {missing}")
        return Reason(code=self.name, facts=given)

    @property
    def facts(self) -> frozenset[str]:
        """The names of its facts."""
        return _names(self.words) | _names(self.hint)

    @property
    def required(self) -> frozenset[str]:
        """Those that cannot be left out."""
        return _names(_OPTIONAL.sub("", self.words)) | _names(_OPTIONAL.sub("", self.hint))


CODES: Final[dict[str, Code]] = {}
"""The codes of all modules that are loaded, by name; see :func:`find`."""


def code(name: str, words: str, *, hint: str = "", category: Category | None = None) -> Code:
    """Declare a code; see :class:`Code`.

    Raises
    ------
    ValueError
        There is one of that name.
    """
    if name in CODES:
        raise ValueError(f"reason '{name}' is declared twice")
    return CODES.setdefault(name, Code(name, words, hint, category))


def find(name: str) -> Code | None:
    """Return the declaration of a code; none where nobody here declares it."""
    if name not in CODES:
        load_all()
    return CODES.get(name)


@cache
def load_all() -> None:
    """Load what declares codes that are stored: modules named ``reasons``, and other's plugins."""
    package = import_module(__name__.partition(".")[0])
    for name in _modules(package.__path__, f"{package.__name__}."):
        if name.endswith(".reasons"):
            import_module(name)
    groups = [name for name in entry_points().groups if name.startswith("edge_harness.")]
    for group in groups:
        for point in entry_points(group=group):
            with suppress(Exception):  # that it cannot be used is told where it is used
                point.load()


def _modules(path: Iterable[str], prefix: str) -> Iterator[str]:
    """Yield the modules below packages, none of which is imported."""
    for folder in path:
        for module in pkgutil.iter_modules([folder], prefix):
            if module.ispkg:
                inner = f"{folder}/{module.name.rpartition('.')[2]}"
                yield from _modules([inner], f"{module.name}.")
            else:
                yield module.name


TEXT: Final = code("text", "{text}", hint="[{hint}]")
"""A sentence that has no code: of an earlier version's records, or of somebody else's plugin."""


def plain(words: str, hint: str | None = None) -> Reason:
    """Return a sentence as a reason."""
    return TEXT(text=words, hint=hint or None)


class Wording:
    """Puts reasons into words, in English; a language overrides how.

    What comes out may hold untrusted text: it is escaped where it is shown.
    """

    def __init__(self) -> None:
        self._formatter = _Filling(self)

    def message(self, english: str) -> str:
        """Return a code's words, or its hint, in this language."""
        return english

    def known(self, word: str) -> str:
        """Return a word of the harness's own in this language."""
        return word

    def listed(self, items: Sequence[str], between: str) -> str:
        """Return items one after the other: words with a comma, sentences with a semicolon."""
        return between.join(items)

    def number(self, value: float, spec: str) -> str:
        """Return a number as a code's words ask for it."""
        match spec:
            case "percent":
                return text.percent(value)
            case "ms":
                return text.milliseconds(value)
            case "MB":
                return text.megabytes(value)
            case _ if _NOUN.fullmatch(spec) and len(spec) > 1:
                return text.count(int(value), spec)
        return format(value, spec or ("" if isinstance(value, int) else ".4g"))

    def say(self, reason: Reason | None) -> str:
        """Return a reason in a sentence; none is empty."""
        return self._say(reason, _DEEPEST) if reason else ""

    def hint(self, reason: Reason | None) -> str:
        """Return what to do about a reason, its own hint before that of one within it."""
        for each in reason.chain() if reason else ():
            known = find(each.code)
            if known and (found := self._filled(self.message(known.hint), each.facts, _DEEPEST)):
                return found
        return ""

    def _say(self, reason: Reason, deep: int) -> str:
        known = find(reason.code)
        if known is None or not known.required <= reason.facts.keys():
            facts = (f"{name} {self._fact(fact, '', deep)}" for name, fact in reason.facts.items())
            return ", ".join([reason.code, *facts])
        return self._filled(self.message(known.words), reason.facts, deep)

    def _filled(self, message: str, facts: Mapping[str, Fact], deep: int) -> str:
        kept = _OPTIONAL.sub(lambda found: _present(found[1], facts), message)
        if not _names(kept) <= facts.keys():
            return ""
        return self._formatter.vformat(
            kept, (), {name: _Shown(fact, deep) for name, fact in facts.items()}
        )

    def _fact(self, fact: Fact, spec: str, deep: int) -> str:
        match fact:
            case Reason():
                return self._say(fact, deep - 1) if deep else "…"
            case list():
                sentences = any(isinstance(each, Reason) for each in fact)
                items = [self._fact(each, "", deep) for each in fact]
                return self.listed(items, "; " if sentences else ", ")
            case str():
                return self.known(fact) if spec == "known" else fact
        return self.number(fact, spec)


@dataclass(frozen=True)
class _Shown:
    fact: Fact
    deep: int


class _Filling(Formatter):
    """Fills facts in; no attribute or item of one is ever looked up."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:  # noqa: ANN401, ARG002 - as its base
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - as its base
        return self._wording._fact(value.fact, format_spec, value.deep)  # noqa: SLF001 - one thing


ENGLISH: Final = Wording()


def _present(part: str, facts: Mapping[str, Fact]) -> str:
    return part if _names(part) <= facts.keys() else ""


def _names(words: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(words) if name)


def _fact(value: Any) -> Any:  # noqa: ANN401 - it is checked by the record
    """Return a fact as JSON has it."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | set | frozenset | list):
        return [_fact(each) for each in value]
    if isinstance(value, str | Reason | bool):
        return value
    number = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else str(number)
