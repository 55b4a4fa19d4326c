"""How a device fared, by the results database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.core.records import (
    Case,
    CaseRecord,
    Category,
    DeviceEvent,
    DeviceEventKind,
    Launch,
    Protocol,
    Run,
    Status,
)
from harness.lab.health import health
from harness.results.sqlite import SqliteStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CASE = Case(model="m", device="d", engine="e")


@pytest.fixture
def store(tmp_path):
    with SqliteStore(tmp_path / "results.sqlite") as opened:
        yield opened


def a_run(store, run_id, day, *statuses):
    run = Run(
        id=run_id, campaign="c", description="", specification="", seed=1,
        started=NOW + timedelta(days=day), harness_version="0", protocol=Protocol(), devices=[],
        models=[], cases=[CaseRecord(case=CASE, launches=9)],
    )  # fmt: skip
    store.create(run)
    for slot, status in enumerate(statuses):
        failed = status is Status.FAILED
        store.add(
            run_id,
            Launch(
                id=f"{run_id}-{slot}", case_id=CASE.id, slot=slot, attempt=0, position=0,
                started=run.started + timedelta(minutes=slot), status=status,
                category=Category.TIMEOUT if failed else None,
            ),
        )  # fmt: skip


def an_event(store, kind, day, run=None, device="d"):
    at = NOW + timedelta(days=day)
    store.note(DeviceEvent(device=device, at=at, kind=kind, run=run, detail="why"))


def test_runs_are_told_apart_and_summed(store):
    an_event(store, DeviceEventKind.REACHED, 0, "r0")
    a_run(store, "r0", 0, Status.OK, Status.OK, Status.FAILED)
    a_run(store, "r1", 1, Status.OK, Status.INVALID)
    an_event(store, DeviceEventKind.POWER_CYCLED, 1, "r1")
    an_event(store, DeviceEventKind.UNREACHABLE, 2)
    found = health(store)["d"]
    assert [each.run for each in found.runs] == ["", "r1", "r0"]
    assert found.runs[1].launches == {"ok": 1, "invalid": 1}
    assert found.runs[2].failures == {"timeout": 1}
    assert found.last_seen == NOW + timedelta(days=1, minutes=1)
    assert found.in_words == (
        "3 of 5 launches succeeded, 1 timeout, 1 unreachable, 1 power-cycled, 1 invalid"
    )


def test_only_the_newest_runs_count_in_words(store):
    a_run(store, "bad", 0, Status.FAILED, Status.FAILED)
    for number in range(10):
        a_run(store, f"good{number}", 1 + number, Status.OK)
    assert health(store)["d"].in_words == "10 of 10 launches succeeded"


def test_a_device_that_only_failed_was_not_seen(store):
    a_run(store, "r0", 0, Status.FAILED)
    an_event(store, DeviceEventKind.UNREACHABLE, 1, device="other")
    assert health(store)["d"].last_seen is None
    assert health(store)["other"].in_words == "1 unreachable"


def test_of_nothing_nothing_is_known(store):
    assert health(store) == {}
