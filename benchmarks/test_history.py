"""Changes in histories: how often one is found where there is none, and where there is one.

Simulated, with fixed seeds: five launches a run, lognormal about the run's own level, which is
lognormal about the case's. The grid is the table of docs/history.md.
"""

from __future__ import annotations

import random

import pytest

from harness.analysis.history import change_points

SERIES = 200
LAUNCHES = 5
STEP = 0.05
GRID = [(5, 0.01), (10, 0.01), (30, 0.01), (10, 0.02), (30, 0.02)]


def series(rng, runs, launch, session, at=None):
    found = []
    for run in range(runs):
        center = rng.lognormvariate(0, session) * (1 + STEP if at is not None and run >= at else 1)
        found.append([center * rng.lognormvariate(0, launch) for _ in range(LAUNCHES)])
    return found


@pytest.mark.parametrize(("runs", "launch"), GRID)
@pytest.mark.parametrize("session", [0.01, 0.02])
def test_changes(at_most, runs, launch, session):
    rng = random.Random(f"{runs} {launch} {session}")
    expected = session == 0.01  # the spread of runs that is reckoned with
    alarms = sum(bool(change_points(series(rng, runs, launch, session))) for _ in range(SERIES))
    found = {}
    for name, at in (("middle", runs // 2), ("newest run", runs - 1)):
        all_changes = (change_points(series(rng, runs, launch, session, at)) for _ in range(SERIES))
        found[name] = sum(any(c.index == at for c in changes) for changes in all_changes) / SERIES
    what = f"{runs} runs ±{session:.0%}, launches ±{launch:.0%}"
    how = f"{SERIES} series"
    at_most(f"{what}: false", 100 * alarms / SERIES, "%", 2 if expected else None, how)
    for name, share in found.items():
        at_most(f"{what}: +5 % in the {name}", 100 * share, "%", None, how)
