"""What an audit finds, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["RULES", "Evidence", "Finding", "Rule", "Severity"]


class Severity(StrEnum):
    """How a finding is to be taken."""

    ERROR = "error"
    """It cannot be true, or is no result at all."""
    WARNING = "warning"
    """It can be true, but hardly is: look at it before it is passed on."""
    NOTE = "note"
    """It is less than it looks like."""


@dataclass(frozen=True)
class Evidence:
    """One of the very values that a finding rests on.

    Attributes
    ----------
    where
        Where it stands: ``line 5, column npu_ms``; ``launch 3``.
    what
        What it is of, in words: model, device, setting.
    value
        The value as it stands there, with its unit where the source has none in its header.
    """

    where: str
    what: str
    value: str


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    All of its texts may quote what is untrusted: they are escaped where they are shown.

    Attributes
    ----------
    rule
        A key of :data:`RULES`.
    severity
        Of this finding; the same rule has milder and graver ones.
    sentence
        What is wrong, in a sentence that can be read alone.
    evidence
        What it rests on.
    cases
        Ids of the cases it is about; none for an imported table.
    """

    rule: str
    severity: Severity
    sentence: str
    evidence: tuple[Evidence, ...]
    cases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What its rule finds, in a few words."""
        return RULES[self.rule].title


@dataclass(frozen=True)
class Rule:
    """A rule of the audit.

    Attributes
    ----------
    title
        What it finds, in a few words.
    explanation
        When it speaks, with its bounds, and what an innocent cause may be.
    """

    title: str
    explanation: str


RULES: Final[dict[str, Rule]] = {}
