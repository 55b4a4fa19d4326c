"""Where a case's time goes, by its engine's own profile."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

from harness.core.records import Role, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.cases import CaseResult
    from harness.core.contract import Layer, Part
    from harness.core.records import CaseRecord

__all__ = ["CaseProfile", "Heavy", "LayerChange", "LayerChanges", "layer_changes", "profile_of"]

Unit = Literal["us", "cycles"]

_MULTIPLIES: Final = re.compile(
    r"attention|conv(?!ert)|einsum|fullyconnected|fully_connected|gemm|gru|innerproduct|inner_product"
    r"|lstm|matmul|mul_mat|rnn",
    re.IGNORECASE,
)
"""Operators that have a model's multiply-accumulates, as the engines call them."""


@dataclass(frozen=True)
class Heavy:
    """One layer.

    Attributes
    ----------
    cost
        Its mean in one inference, in the unit of ``measure``.
    share
        Of all layers with that measure.
    measure
        ``us`` or ``cycles``: an accelerator's own runtime may count its clock only.
    """

    name: str
    op: str
    unit: str
    cost: float
    share: float
    measure: Unit


@dataclass(frozen=True)
class CaseProfile:
    """What the profile launches of a case report.

    Attributes
    ----------
    placement
        Unit to the number of operators that it ran, as far as the engine opens its subgraphs.
    on_processor
        The names of the parts that the processor ran.
    subgraphs
        How many parts an accelerator was handed as a whole; 0 where the engine has none.
    accelerated
        The share of the multiply-accumulates that an accelerator ran; none where the processor ran
        operators of which it is not known how many they have.
    layers
        The heaviest first; those in microseconds before those in cycles.
    unattributed_us
        What of an inference's time is in no layer; none where the engine does not report it.
    overhead
        The profile's latency over the timed one's: how much profiling slows the case down; none
        where either is unknown.
    """

    placement: dict[str, int]
    on_processor: frozenset[str]
    subgraphs: int
    accelerated: float | None
    layers: list[Heavy]
    unattributed_us: float | None
    overhead: float | None


_NOTHING: Final = Heavy("", "", "", 0.0, 0.0, "us")


def profile_of(result: CaseResult) -> CaseProfile | None:
    """Return what a case's newest profile reports; none where none does."""
    launches = [
        launch
        for launch in result.launches
        if launch.role is Role.PROFILE and launch.profile and launch.status is not Status.FAILED
    ]
    if not launches:
        return None
    launch = launches[-1]
    profile = launch.profile
    if profile is None:
        return None
    placement: Counter[str] = Counter()
    for part in profile.parts:
        placement[part.unit] += part.operators
    slowed = launch.figure_ns / 1e6 if launch.figure_ns else None
    usual = median(result.figures_ms) if result.figures_ms else None
    return CaseProfile(
        placement=dict(placement.most_common()),
        on_processor=frozenset(part.name for part in profile.parts if _on_processor(part)),
        subgraphs=sum(not part.op and not _on_processor(part) for part in profile.parts),
        accelerated=_accelerated(profile.parts, result.record),
        layers=[*_heaviest(profile.layers, "us"), *_heaviest(profile.layers, "cycles")],
        unattributed_us=profile.unattributed_us,
        overhead=slowed / usual if slowed and usual else None,
    )


@dataclass(frozen=True)
class LayerChange:
    """A layer in two profiles; none on a side that has no layer of its name."""

    now: Heavy | None
    then: Heavy | None

    @property
    def name(self) -> str:
        """What both call it."""
        return (self.now or self.then or _NOTHING).name

    @property
    def measure(self) -> Unit:
        """What it is measured in."""
        return (self.now or self.then or _NOTHING).measure

    @property
    def change(self) -> float:
        """How much its cost rose, in the unit of its measure; what is new rose from nothing."""
        return (self.now or _NOTHING).cost - (self.then or _NOTHING).cost


@dataclass(frozen=True)
class LayerChanges:
    """What differs between two profiles of a case.

    Attributes
    ----------
    layers
        By how much they changed, the largest first; those in microseconds before those in cycles.
    left, returned
        The names of the operators that only now the processor runs, and that it did before.
    """

    layers: list[LayerChange]
    left: list[str]
    returned: list[str]


def layer_changes(now: CaseProfile, then: CaseProfile) -> LayerChanges:
    """Compare a case's layers with an earlier profile of it.

    Each side is one launch: a change points at a layer to look at, and is no verdict.
    """
    changes = []
    measures: tuple[Unit, ...] = ("us", "cycles")
    for measure in measures:
        sides = [
            {layer.name: layer for layer in profile.layers if layer.measure == measure}
            for profile in (now, then)
        ]
        found = [LayerChange(*(side.get(name) for side in sides)) for name in sides[0] | sides[1]]
        changes += sorted(found, key=lambda each: -abs(each.change))
    return LayerChanges(
        changes,
        left=sorted(now.on_processor - then.on_processor),
        returned=sorted(then.on_processor - now.on_processor),
    )


def _on_processor(part: Part) -> bool:
    return "cpu" in part.unit.lower()


def _accelerated(parts: Sequence[Part], record: CaseRecord) -> float | None:
    """Return which share of the multiply-accumulates no processor ran.

    What an accelerator was handed as a whole is not opened at run time: so it is all but what the
    operators on the processor have.
    """
    left = [part for part in parts if _on_processor(part)]
    if not parts or len(left) == len(parts):
        return 0.0 if parts else None
    plan = record.artifact.partition if record.artifact else None
    known = plan.operators if plan else {}
    multiplying = [part for part in left if not part.op or _MULTIPLIES.search(part.op)]
    if not multiplying:
        return 1.0
    whole = sum(known.values())
    if not whole or not all(part.name in known for part in multiplying):
        return None
    return 1 - sum(known[part.name] for part in multiplying) / whole


def _heaviest(layers: Sequence[Layer], measure: Unit) -> list[Heavy]:
    costs = [
        (layer, float(cost)) for layer in layers if (cost := getattr(layer, measure)) is not None
    ]
    total = sum(cost for _, cost in costs)
    return [
        Heavy(layer.name, layer.op, layer.unit, cost, cost / total if total else 0.0, measure)
        for layer, cost in sorted(costs, key=lambda pair: -pair[1])
    ]
