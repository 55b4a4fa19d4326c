"""The conformance kit: whether a plugin does what the harness expects of its kind."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes
    ----------
    what
        In words: ``outputs are those of the reference``.
    fault
        What is wrong; empty where it is right.
    """

    what: str
    fault: str = ""
