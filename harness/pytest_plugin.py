"""The pytest plugin: a regression test of a model on a device, in three lines.

It is loaded into every pytest session of an environment that has edge-harness, and does nothing
there, and imports nothing, unless a test asks for ``edge_measurement``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.analysis.cases import CaseResult
    from harness.analysis.summary import Estimate
    from harness.core.records import Case, Launch, Run
    from harness.workspace import Workspace

__all__ = ["Measurement"]

MARKER: Final = "edge_case"
FIXTURE: Final = "edge_measurement"
AXES: Final = {
    "model": "models", "device": "devices", "engine": "engines", "backend": "backends",
    "precision": "precisions", "threads": "threads", "cpus": "cpus", "batch": "batches",
    "shapes": "shapes", "model_cache": "model_caches", "busy_cpus": "busy_cpus",
    "scenario": "scenarios", "callers": "callers", "instances": "instances",
}  # fmt: skip
"""What a marker says of its case, and the campaign's axis that it is a value of."""
SETTINGS: Final = ("launches", "protocol", "wait_s")


@dataclass(frozen=True)
class Measurement:
    """What a case's launches gave.

    Attributes
    ----------
    run
        The id under which the results are stored: ``harness report RUN`` renders them.
    latency_ms
        The geometric mean over launches (``center``) with its 95 % interval (``low``, ``high``),
        which takes two launches.
    figures_ms
        Each launch's figure.
    first_load_ms
        From the start of the process to the first result, from a cold page cache if a launch began
        with one; the median. None where no launch tells it.
    memory_mb
        The median of the peak resident sets, in MB (10⁶ bytes).
    values
        Every quantity that is known and has no states, by the name and unit that its column has in
        exports (``cpu_ms``), in that unit.
    result
        All else: the launches themselves, among others.
    """

    run: str
    case: Case
    latency_ms: Estimate
    figures_ms: tuple[float, ...]
    first_load_ms: float | None
    memory_mb: float | None
    values: Mapping[str, float]
    result: CaseResult

    def __str__(self) -> str:
        from harness.core.text import count, interval, milliseconds

        known = self.latency_ms
        ends = interval(known.low, known.high) if known.low and known.high else "no interval"
        return f"{milliseconds(known.center)} [{ends}], {count(known.n, 'launch')}"


class _LaunchClock:
    """A clock for pytest-benchmark by which each round takes as long as a launch's figure.

    There is no call for times that were taken elsewhere. But the timer can be chosen, and a round
    of ``pedantic`` looks at it twice: it begins at 0 and ends at the figure.
    """

    __name__ = "edge_harness_launch_figure"  # what is written into the JSON as the timer

    def __init__(self) -> None:
        self._ticks: Iterator[float] = iter(())

    def show(self, figures_s: Sequence[float]) -> None:
        """Set what the rounds are to take, in seconds."""
        self._ticks = (tick for figure in figures_s for tick in (0.0, figure))

    def __call__(self) -> float:
        return next(self._ticks)


_CLOCK = pytest.StashKey[_LaunchClock]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    settings = ", ".join([*AXES, *SETTINGS])
    config.addinivalue_line(
        "markers", f"{MARKER}({settings}): what {FIXTURE} measures: one case, on a device"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a test that measures one of pytest-benchmark's, if that is here.

    It has to be known before anything is selected (``--benchmark-only``) or set up: the timer is
    an option of its marker.
    """
    names: list[str] | None = getattr(item, "fixturenames", None)
    if (
        names is None
        or FIXTURE not in names
        or not item.config.pluginmanager.hasplugin("benchmark")
    ):
        return
    clock = item.stash[_CLOCK] = _LaunchClock()
    marker = item.get_closest_marker("benchmark")
    options = {**(marker.kwargs if marker else {}), "timer": clock}
    item.add_marker(pytest.mark.benchmark(**options), append=False)
    if "benchmark" not in names:
        names.append("benchmark")  # last: what could not be measured is no benchmark


@pytest.fixture
def edge_measurement(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Measurement:
    """Measure the case of the test's ``edge_case`` marker, and return what came of it.

    It is done in the test's setup: where the lab fails, or the results are not valid, the test is
    an *error*, and neither passed nor failed.
    """
    from harness.core.errors import HarnessError, SpecificationError
    from harness.workspace import Workspace

    item = request.node
    marker = item.get_closest_marker(MARKER)
    fault = ""
    try:
        if marker is None or marker.args:
            example = f'@pytest.mark.{MARKER}(model="…", device="…", engine="…")'
            raise SpecificationError(f"{FIXTURE} needs a marker that names a case", hint=example)
        workspace = Workspace.find(None if _named_workspace() else item.path.parent)
        campaign = tmp_path_factory.mktemp("edge") / f"{_name(item.name)}.yaml"
        campaign.write_text(_campaign(item.nodeid, marker.kwargs), encoding="utf-8")
        run = _measured(workspace, campaign, float(marker.kwargs.get("wait_s", 0)))
        measurement = _measurement(run)
    except HarnessError as error:
        hint = f"\n  try: {error.hint}" if error.hint else ""
        fault = f"{type(error).__name__}: {error.message}{hint}"
    if fault:  # out of the clause: without a traceback of what it was
        pytest.fail(fault, pytrace=False)
    clock = item.stash.get(_CLOCK, None)
    if clock is not None:
        _enter(request.getfixturevalue("benchmark"), clock, measurement, run)
    return measurement


def _named_workspace() -> bool:
    import os

    from harness.workspace import ENVIRONMENT_VARIABLE

    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


def _name(test: str) -> str:
    """Return a test's name as one that runs and launches can have."""
    return "pytest-" + (re.sub(r"[^A-Za-z0-9]+", "-", test).strip("-")[:40] or "test")


def _campaign(description: str, said: dict[str, Any]) -> str:
    """Return a campaign of one case; JSON is YAML, too."""
    from harness.core.errors import SpecificationError
    from harness.core.yamlfile import nearest

    for name in said:
        if name not in AXES and name not in SETTINGS:
            raise SpecificationError(
                f"{MARKER} has no '{name}'", hint=nearest(name, [*AXES, *SETTINGS])
            )
    block = {axis: [said[name]] for name, axis in AXES.items() if name in said}
    campaign = {"description": description, "matrix": [block]}
    campaign |= {name: said[name] for name in ("launches", "protocol") if name in said}
    try:
        return json.dumps(campaign)
    except TypeError as error:
        raise SpecificationError(f"{MARKER}: {error}") from None


def _measured(workspace: Workspace, campaign: Path, wait_s: float) -> Run:
    from harness import api

    class Told(api.Observer):
        """Prints what pytest shows of a test that is an error."""

        def begun(self, run: Run, launches: Mapping[str, int], warnings: Sequence[str]) -> None:
            del launches
            print(f"run {run.id}", *warnings, sep="\n")  # noqa: T201

        def ended(self, host: str, launch: Launch) -> None:
            print(f"{host}: {launch.name}: {launch.status} {launch.reason}")  # noqa: T201

    return api.measure(campaign, workspace=workspace, wait_s=wait_s, observer=Told())


def _measurement(run: Run) -> Measurement:
    """Return what came of a run's one case.

    Raises
    ------
    LabError, ResultsError
        It could not be measured, or not validly: why.
    """
    from harness.analysis.cases import State, case_results
    from harness.core.errors import LabError, ResultsError
    from harness.quantities import quantities

    (result,) = case_results(run)
    known, label = result.latency_ms, result.record.case.label
    if known is None:
        kind = ResultsError if result.state in (State.INVALID, State.WRONG) else LabError
        raise kind(
            f"{label}: {result.state}: {result.reason}", hint=f"harness results logs {run.id}"
        )
    if result.lacking:
        raise LabError(
            f"{label}: {result.lacking} of {len(result.record.roles)} launches are missing",
            hint=f"harness results logs {run.id} --failed",
        )
    loads = {state: parts["total"].median for state, parts in result.first_loads_ms.items()}
    return Measurement(
        run=run.id,
        case=result.record.case,
        latency_ms=known,
        figures_ms=tuple(result.figures_ms),
        first_load_ms=loads.get("cold", next(iter(loads.values()), None)),
        memory_mb=median(result.memory_bytes) / 1e6 if result.memory_bytes else None,
        values={
            each.column: values[""].value
            for each in quantities()
            if "" in (values := result.values(each))
        },
        result=result,
    )


def _enter(benchmark: Any, clock: _LaunchClock, measurement: Measurement, run: Run) -> None:  # noqa: ANN401
    """Enter a measurement into pytest-benchmark's table: a round for each launch.

    This is all that knows of pytest-benchmark: its ``timer`` and ``pedantic``, both public.
    """
    case, known = measurement.case, measurement.latency_ms
    device = next(each for each in run.devices if each.name == case.device)
    benchmark.extra_info |= dict(measurement.values) | {
        "edge_harness": run.harness_version,
        "run": run.id,
        "case": case.id,
        "label": case.label,
        "device": case.device,
        "emulated": device.emulated,
        "latency_ms": known.center,
        "latency_low_ms": known.low,
        "latency_high_ms": known.high,
        "first_load_ms": measurement.first_load_ms,
        "memory_mb": measurement.memory_mb,
    }
    clock.show([figure / 1e3 for figure in measurement.figures_ms])
    benchmark.pedantic(lambda: None, rounds=known.n, iterations=1)
