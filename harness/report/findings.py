"""What may be said of the engines of one model on one device."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.view import CaseView, ModelView

__all__ = ["Ranked", "Ranking", "find"]


class Ranking(StrEnum):
    """How the measured cases stand to each other."""

    FASTEST = "fastest"
    TIED = "tied"
    ALONE = "alone"
    NONE = "none"
    EMULATED = "emulated"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True)
class Ranked:
    """The cases of one model on one device, sorted into what is said of them.

    Attributes
    ----------
    first
        The fastest, with all that cannot be distinguished from it.
    others
        The rest of those measured, by latency.
    simulated
        Those measured on an accelerator that a simulator or a software driver stands in for.
    without
        Those that have no latency.
    """

    ranking: Ranking
    first: list[CaseView]
    others: list[CaseView]
    without: list[CaseView]
    simulated: list[CaseView] = field(default_factory=list)


def find(model: ModelView) -> Ranked:
    """Rank a model's cases by their intervals over launches.

    Cases are ranked only where their outputs were checked and their figures are of one kind,
    and never on an emulated device or a simulated accelerator: their times rank no hardware.
    """
    timed = sorted((case for case in model.cases if case.latency_ms), key=_center)
    measured = [case for case in timed if not case.simulated]
    simulated = [case for case in timed if case.simulated]
    without = [case for case in model.cases if not case.latency_ms]
    if not measured:
        return Ranked(Ranking.NONE, [], [], without, simulated)
    if model.device.emulated:
        return Ranked(Ranking.EMULATED, [], measured, without, simulated)
    if len(measured) == 1:
        return Ranked(Ranking.ALONE, measured, [], without, simulated)
    one_kind = len({case.estimators for case in measured}) == 1
    if not one_kind or not all(case.checked for case in measured):
        return Ranked(Ranking.INCOMPARABLE, [], measured, without, simulated)
    best = measured[0]
    first = [case for case in measured if case is best or _overlap(best, case)]
    others = [case for case in measured if case not in first]
    ranking = Ranking.TIED if len(first) > 1 else Ranking.FASTEST
    return Ranked(ranking, first, others, without, simulated)


def _center(case: CaseView) -> float:
    return case.latency_ms.center if case.latency_ms else 0.0


def _overlap(one: CaseView, other: CaseView) -> bool:
    """Return whether intervals overlap; one that is not known may be anywhere."""
    if one.ends_ms is None or other.ends_ms is None:
        return True
    return one.ends_ms[0] <= other.ends_ms[1] and other.ends_ms[0] <= one.ends_ms[1]
