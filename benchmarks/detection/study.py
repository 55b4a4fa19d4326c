"""The study: every rule in every cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import binomtest

from benchmarks.detection import rules
from benchmarks.detection.simulation import Cell, grid, trial
from harness.analysis.gate import FRESH

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAUNCHES: Final = 5
REPETITIONS: Final = 5000
SEED: Final = 20261125


@dataclass(frozen=True)
class Share:
    """A share of repetitions, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, which: NDArray[np.bool_]) -> Share:
        count = int(which.sum())
        interval = binomtest(count, which.size).proportion_ci(0.95, method="wilson")
        return cls(count / which.size, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Found:
    """What came of a cell: the alarms of each rule, and what else ours said."""

    cell: Cell
    alarms: dict[str, Share]
    improved: Share
    unchanged: Share
    fresh: Share


def study(repetitions: int = REPETITIONS, blocks: int = FRESH, seed: int = SEED) -> list[Found]:
    """Try every rule in every cell, each on launches of its own."""
    found = []
    for number, cell in enumerate(grid()):
        random = np.random.default_rng([seed, number])
        given = trial(random, cell, repetitions, LAUNCHES, blocks)
        ours = rules.ours(given)
        alarms = {"ours": Share.of(ours.regressed)}
        alarms |= {name: Share.of(rule(given)) for name, rule in rules.OTHERS.items()}
        found.append(
            Found(
                cell=cell,
                alarms=alarms,
                improved=Share.of(ours.improved),
                unchanged=Share.of(ours.unchanged),
                fresh=Share.of(ours.fresh),
            )
        )
    return found
