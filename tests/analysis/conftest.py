"""Runs made of figures: what analysis works on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.core.records import (
    Case,
    CaseRecord,
    DeviceRecord,
    FirstLoad,
    Launch,
    ModelRecord,
    OutputCheck,
    Protocol,
    Run,
    Status,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = {"machine_id": "a" * 32, "kernel": "6.1.0", "kernel_build": "#1"}


def make_case(engine="onnxruntime", **more):
    return Case(**({"model": "m", "device": "d", "engine": engine} | more))


def make_run(figures, *, name="run", facts=FACTS, emulated=False, inputs=(), **protocol):
    """Return a run with a launch for each figure (in ms) of each case.

    Parameters
    ----------
    figures
        Case to figures; or to a mapping of launches' fields to values, one a launch.
    """
    records, launches = [], []
    for case, values in figures.items():
        columns = values if isinstance(values, dict) else {"figure_ms": values}
        count = len(next(iter(columns.values())))
        records.append(CaseRecord(case=case, launches=count))
        for slot in range(count):
            fields = {key: column[slot] for key, column in columns.items()}
            milliseconds = fields.pop("figure_ms", 10.0)
            launches.append(
                Launch(
                    **(
                        {
                            "id": f"{name}-{case.id}-{slot}", "case_id": case.id, "slot": slot,
                            "attempt": 0, "position": slot,
                            "started": NOW + timedelta(minutes=len(launches)),
                            "status": Status.OK, "figure_ns": milliseconds * 1e6,
                            "engine_version": "1.0",
                            "outputs": OutputCheck(passed=True, tolerance=1e-3),
                        }
                        | fields
                    )
                )
            )  # fmt: skip
    names = dict.fromkeys(case.model for case in figures)
    return Run(
        id=name, campaign="c", description="", specification="", seed=1, started=NOW,
        harness_version="0", protocol=Protocol(**protocol), cases=records, launches=launches,
        models=[
            ModelRecord(name=each, title="", source="", licence="", inputs=list(inputs))
            for each in names
        ],
        devices=[
            DeviceRecord(
                name=each, description="", transport="ssh", host=each, emulated=emulated,
                facts=facts,
            )
            for each in dict.fromkeys(case.device for case in figures)
        ],
    )  # fmt: skip


def load(total=100.0, **parts):
    values = {"process_ms": 10.0, "import_ms": 50.0, "read_ms": 5.0, "init_ms": 25.0} | parts
    rest = total - sum(values.values())
    return FirstLoad(page_cache="cold", first_ms=rest, **values)


@pytest.fixture
def runs():
    """Return what makes a run of figures."""
    return make_run
