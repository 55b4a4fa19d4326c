"""An emulated board; and figures beside their bounds, which are printed at the end of the run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.lab.emulated.board import Board
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Figure:
    """What was measured, what it may be, and whether it is; none where it has no bound."""

    name: str
    value: str
    bound: str
    kept: bool | None
    how: str

    def __str__(self) -> str:
        verdict = {True: "kept", False: "MISSED", None: "-"}[self.kept]
        return f"{verdict:<6}  {self.name:<45} {self.value:<28} {self.bound}   ({self.how})"


_FIGURES = pytest.StashKey[list[Figure]]()


def pytest_configure(config):
    config.stash[_FIGURES] = []


@pytest.fixture
def record(request):
    """Record figures; the benchmark fails in the end where a bound is missed, with all printed."""
    missed = []

    def keep(figure: Figure) -> None:
        request.config.stash[_FIGURES].append(figure)
        if figure.kept is False:
            missed.append(f"{figure.name}: {figure.value}, and not {figure.bound}")

    yield keep
    assert not missed, "; ".join(missed)


@pytest.fixture
def at_most(record):
    """Record a figure with its upper bound; without one it is only reported."""

    def measured(name: str, value: float, unit: str, bound: float | None, how: str) -> None:
        kept = None if bound is None else value <= bound
        limit = "no bound" if bound is None else f"at most {bound:g} {unit}".rstrip()
        record(Figure(name, f"{value:.3g} {unit}", limit, kept, how))

    return measured


@pytest.fixture
def within(record):
    """Record the interval of a ratio, which must lie within a margin around 1."""

    def measured(name: str, ratio, margin: float, how: str) -> None:
        kept = 1 - margin <= ratio.low and ratio.high <= 1 + margin
        value = f"{ratio.center:.4f} [{ratio.low:.4f}, {ratio.high:.4f}]"
        record(Figure(name, value, f"within 1 ± {margin:g}", kept, how))

    return measured


@pytest.fixture
def workspace(tmp_path):
    """A copy of this repository's devices and models."""
    for folder in ("devices", "models"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    return Workspace(tmp_path)


@pytest.fixture
def board(workspace):
    """The emulated board, booted."""
    board = Board(workspace, "qemu-arm64")
    board.up(print)  # builds the image where there is none
    yield board
    board.down()


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.section("figures and their bounds")
    for figure in config.stash[_FIGURES]:
        terminalreporter.write_line(str(figure))
