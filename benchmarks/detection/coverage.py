"""Whether 95 % intervals cover 95 % of the time: after two stages, and of ratios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import stdtrit

from benchmarks.detection.rules import paired, welch
from benchmarks.detection.simulation import MODE, MODE_SHARE, SHAPES, VARIATIONS, Cell, session

if TYPE_CHECKING:
    from collections.abc import Iterator

PILOTS: Final = 5
PRECISION: Final = 0.02
MOST: Final = 30
BLOCKS: Final = "ratio in blocks"
TWO_STAGES: Final = "two stages"
OF_RUNS: Final = "ratio of two runs"
ORDINARY: Final = "two stages, with the interval of all launches"
BINS: Final = ((5, 5), (6, 10), (11, 20), (21, 30))


@dataclass(frozen=True)
class Coverage:
    """How often an interval covered.

    Attributes
    ----------
    what
        Two stages, a ratio of different runs, a ratio in blocks.
    covered, of
        Repetitions.
    by_launches
        First and last number of launches to the same, where they vary.
    """

    what: str
    shape: str
    variation: float
    covered: int
    of: int
    launches: float
    by_launches: dict[tuple[int, int], tuple[int, int]]

    @property
    def near_normal(self) -> bool:
        """Whether the spread is nearly normal; drift is no spread, but blocks take it out."""
        return self.shape == "normal" or (self.shape == "drift" and self.what == BLOCKS)


def truth(cell: Cell) -> float:
    """Return the mean of the logarithms, over all launches that there could be."""
    return float(np.log1p(MODE)) * MODE_SHARE if cell.shape == "bimodal" else 0.0


def _sampled(random: np.random.Generator, cell: Cell, repetitions: int):
    """Make launches as two-stage sampling does: which were made, their mean, and Stein's t s."""
    levels = session(random, cell, repetitions, np.zeros((1, MOST)))
    pilots = levels[:, :PILOTS].std(-1, ddof=1) * stdtrit(PILOTS - 1, 0.975)
    needed = np.ceil((pilots / np.log1p(PRECISION)) ** 2).astype(int)
    n = np.clip(needed, PILOTS, MOST)
    made = np.arange(MOST)[None, :] < n[:, None]
    return levels, n, made, (levels * made).sum(-1) / n, pilots


def two_stages(random: np.random.Generator, cell: Cell, repetitions: int) -> Coverage:
    """Cover a case's latency after two-stage sampling, as harness.analysis.summary has it."""
    _, n, _, center, pilots = _sampled(random, cell, repetitions)
    covered = np.abs(center - truth(cell)) <= pilots / np.sqrt(n)
    return _result(TWO_STAGES, cell, covered, n)


def ordinary(random: np.random.Generator, cell: Cell, repetitions: int) -> Coverage:
    """The same with the interval that all launches together give, which we do not use."""
    levels, n, made, center, _ = _sampled(random, cell, repetitions)
    spread = np.sqrt((((levels - center[:, None]) * made) ** 2).sum(-1) / (n - 1))
    covered = np.abs(center - truth(cell)) <= stdtrit(n - 1, 0.975) * spread / np.sqrt(n)
    return _result(ORDINARY, cell, covered, n)


def ratio_of_runs(random: np.random.Generator, cell: Cell, repetitions: int, n: int) -> Coverage:
    """Cover the ratio of two runs of one session each."""
    times = np.zeros((1, n)) if cell.shape != "drift" else np.linspace(0, 1, n)[None, :]
    sides = (session(random, cell, repetitions, times) for _ in range(2))
    center, error, freedom = welch(*sides)
    covered = np.abs(center) <= stdtrit(freedom, 0.975) * error
    return _result(OF_RUNS, cell, covered, np.full(repetitions, n))


def ratio_in_blocks(random: np.random.Generator, cell: Cell, repetitions: int, n: int) -> Coverage:
    """Cover the ratio of launches in turns."""
    first = random.random((repetitions, n)) < 0.5
    place = 2 * np.arange(n)[None, :]
    both = np.concatenate([place + ~first, place + first], axis=1) / (2 * n - 1)
    levels = session(random, cell, repetitions, both)
    center, error, freedom = paired(levels[:, :n], levels[:, n:])
    covered = np.abs(center) <= stdtrit(freedom, 0.975) * error
    return _result(BLOCKS, cell, covered, np.full(repetitions, n))


def every(random: np.random.Generator, repetitions: int, blocks: int) -> Iterator[Coverage]:
    for shape in SHAPES:
        for variation in VARIATIONS:
            cell = Cell(variation, 0.0, shape, 0.0)
            if shape != "drift":  # what changes meanwhile has no one latency to cover
                yield two_stages(random, cell, repetitions)
                yield ordinary(random, cell, repetitions)
            yield ratio_of_runs(random, cell, repetitions, PILOTS)
            yield ratio_in_blocks(random, cell, repetitions, blocks)


def _result(what, cell, covered, n) -> Coverage:
    by_launches = {}
    for low, high in BINS:
        here = (n >= low) & (n <= high)
        if here.any():
            by_launches[low, high] = (int(covered[here].sum()), int(here.sum()))
    return Coverage(
        what=what,
        shape=cell.shape,
        variation=cell.variation,
        covered=int(covered.sum()),
        of=len(covered),
        launches=float(n.mean()),
        by_launches=by_launches,
    )
