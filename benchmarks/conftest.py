"""Figures beside their bounds: collected by the benchmarks, printed at the end of the run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it may be at most."""

    name: str
    value: float
    unit: str
    bound: float
    how: str

    @property
    def kept(self) -> bool:
        return self.value <= self.bound


_FIGURES = pytest.StashKey[list[Figure]]()


def pytest_configure(config):
    config.stash[_FIGURES] = []


@pytest.fixture
def at_most(request):
    """Record a figure with its upper bound; the benchmark fails where it is missed."""

    def record(name: str, value: float, unit: str, bound: float, how: str) -> None:
        figure = Figure(name, value, unit, bound, how)
        request.config.stash[_FIGURES].append(figure)
        assert figure.kept, f"{name}: {value:.3g} {unit}, above its bound of {bound:g} {unit}"

    return record


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.section("figures and their bounds")
    for figure in config.stash[_FIGURES]:
        verdict = "kept  " if figure.kept else "MISSED"
        terminalreporter.write_line(
            f"{verdict}  {figure.name:<42} {figure.value:>8.3g} {figure.unit:<3}"
            f" at most {figure.bound:g} {figure.unit}   ({figure.how})"
        )
