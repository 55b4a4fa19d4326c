"""Launches made up, of devices whose faults are known: what gates are tried on.

The grid was fixed before anything was tuned. A launch's figure is, on the logarithm, the sum of

- its session's (boot's) effect, normal: all launches of a session have it in common;
- drift: over a session figures go up or down in a straight line, by up to 3 % in all;
- its own effect, of the cell's launch variation: normal, or with an exponential tail upwards;
- in bimodal cells +5 % in one launch of five, beside the normal effect;
- the effect that is to be found, of a candidate.

Its inferences vary around it by 1 %. A baseline and a candidate are of two sessions; fresh launches
of both are of a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VARIATIONS: Final = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
SESSIONS: Final = (0.0, 0.01)
SHAPES: Final = ("normal", "drift", "bimodal", "skewed")
EFFECTS: Final = (0.0, 0.03, 0.05, 0.10)

INFERENCES: Final = 30
WITHIN: Final = 0.01
DRIFT: Final = 0.03
MODE: Final = 0.05
MODE_SHARE: Final = 0.2


@dataclass(frozen=True)
class Cell:
    """One cell of the grid."""

    variation: float
    session: float
    shape: str
    effect: float

    @property
    def bounded(self) -> bool:
        """Whether the gate's bound on false alarms is to hold in it."""
        return self.variation <= 0.02


def grid() -> Iterator[Cell]:
    for values in product(VARIATIONS, SESSIONS, SHAPES, EFFECTS):
        yield Cell(*values)


@dataclass(frozen=True)
class Launches:
    """Launches of many repetitions: logarithms of figures, and of the single inferences.

    Attributes
    ----------
    figures
        Repetitions × launches: the median of each launch's inferences.
    inferences
        Repetitions × launches × inferences.
    """

    figures: NDArray[np.float64]
    inferences: NDArray[np.float64]


def session(
    random: np.random.Generator, cell: Cell, repetitions: int, times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what launches of one session have on top of their model's latency.

    Parameters
    ----------
    times
        When in the session each launch is made, 0 to 1; broadcast against repetitions × launches.
    """
    shape = (repetitions, times.shape[-1])
    level = random.normal(0, cell.session, (repetitions, 1)) if cell.session else 0.0
    if cell.shape == "skewed":
        own = cell.variation * (random.exponential(1, shape) - 1)
    else:
        own = random.normal(0, cell.variation, shape)
    if cell.shape == "bimodal":
        own += np.log1p(MODE) * (random.random(shape) < MODE_SHARE)
    if cell.shape == "drift":
        own += random.uniform(-DRIFT, DRIFT, (repetitions, 1)) * times
    return level + own


def measured(random: np.random.Generator, levels: NDArray[np.float64]) -> Launches:
    """Return launches of which the levels are known."""
    noise = random.normal(0, WITHIN, (*levels.shape, INFERENCES))
    inferences = levels[..., None] + noise
    return Launches(np.median(inferences, axis=-1), inferences)


@dataclass(frozen=True)
class Trial:
    """What a gate is given: stored launches of two sessions, and fresh ones of a third."""

    baseline: Launches
    candidate: Launches
    fresh_baseline: NDArray[np.float64]
    fresh_candidate: NDArray[np.float64]


def trial(
    random: np.random.Generator, cell: Cell, repetitions: int, launches: int, blocks: int
) -> Trial:
    """Make up a trial of a cell.

    Parameters
    ----------
    launches
        Of the baseline, and of the candidate.
    blocks
        Of fresh launches, one of either side in each, in random order.
    """
    effect = np.log1p(cell.effect)
    times = np.linspace(0, 1, launches)[None, :]
    baseline = measured(random, session(random, cell, repetitions, times))
    candidate = measured(random, session(random, cell, repetitions, times) + effect)
    # Both sides of a block in random order: which comes first moves it along the drift.
    first = random.random((repetitions, blocks)) < 0.5
    place = 2 * np.arange(blocks)[None, :]
    ours, its = place + ~first, place + first
    both = np.concatenate([ours, its], axis=1) / (2 * blocks - 1)
    fresh = measured(random, session(random, cell, repetitions, both)).figures
    return Trial(baseline, candidate, fresh[:, blocks:], fresh[:, :blocks] + effect)
