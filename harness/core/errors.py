"""The exception tree's root, and the exit codes.

Every error a user can cause or meet derives from :class:`HarnessError`: its message says what
is wrong and where, its hint what to do. The command line prints both and no traceback.
"""

from __future__ import annotations

import traceback
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.core.reason import Reason

__all__ = [
    "ExitCode",
    "HarnessError",
    "LabError",
    "ResultsError",
    "SpecificationError",
    "unexpected",
    "worst",
]


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    FINE = 0
    REGRESSION = 1
    SPECIFICATION = 2
    LAB = 3
    INVALID = 4
    INTERRUPTED = 130


_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.SPECIFICATION,
    ExitCode.LAB,
    ExitCode.REGRESSION,
    ExitCode.INVALID,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that stands for several: the first of them in order of precedence."""
    seen = set(codes)
    return next((code for code in _PRECEDENCE if code in seen), ExitCode.FINE)


class HarnessError(Exception):
    """Something went wrong that a user can understand.

    Parameters
    ----------
    message
        One line: what is wrong, and where. What can become a launch's or a case's reason is a
        :class:`Reason`, whose words the message then is.
    hint
        One line: what to do about it; by default the reason's.

    Attributes
    ----------
    reason
        What is wrong, as it is stored.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.LAB

    def __init__(self, message: str | Reason, *, hint: str | None = None) -> None:
        # Pydantic takes longer to import than the command line has to say what it can do.
        from harness.core.reason import ENGLISH, plain  # noqa: PLC0415

        self.reason = plain(message, hint) if isinstance(message, str) else message
        self.message = ENGLISH.say(self.reason)
        self.hint = hint or ENGLISH.hint(self.reason) or None
        super().__init__(self.message)

    @property
    def with_hint(self) -> str:
        """The message, and the hint where there is one, in one line."""
        return self.message + (f" (try: {self.hint})" if self.hint else "")


def unexpected(error: Exception) -> str:
    """Say in one line what went wrong that nobody foresaw, and where, for a bug report."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    said = " ".join(str(error).split())[:200]
    return f"internal error: {type(error).__name__}{f': {said}' if said else ''}{place}"


class SpecificationError(HarnessError):
    """A file, a name or an argument is wrong: nothing was started."""

    exit_code = ExitCode.SPECIFICATION


class LabError(HarnessError):
    """The lab failed: a device, a link or a toolchain."""


class ResultsError(HarnessError):
    """Results are invalid, or cannot be compared."""

    exit_code = ExitCode.INVALID
