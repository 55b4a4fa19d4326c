"""The queue of launches: what is next, and what an end does to it. No device, no clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.campaign.queue import Queue
from harness.campaign.share import shares
from harness.core.reason import plain
from harness.core.records import Case, CaseRecord, Category, Launch, Protocol, Role, Run, Status
from harness.core.supervision import Exit
from harness.lab.inventory import Device, DeviceSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "one"
DEVICES = {
    name: Device(
        name=name, spec=DeviceSpec(transport="ssh", abi="arm64-linux", address="a", host=HOST)
    )
    for name in ("here", "there")
}


def case(model, device="here", launches=2, **more):
    cached = Case(model=model, device=device, engine="e", model_cache=more.pop("cache", "none"))
    return CaseRecord(case=cached, launches=launches, **more)


def run_of(*cases, launches=(), redo_budget=1):
    return Run(
        id="r", campaign="c", description="", specification="", seed=1, started=NOW,
        harness_version="0", protocol=Protocol(redo_budget=redo_budget), devices=[], models=[],
        cases=list(cases), launches=list(launches),
    )  # fmt: skip


END = Exit(reason="exited", wall_s=1.0, status=1, left_behind=0, log_bytes=0)


def launch(slot, attempt=0, status=Status.OK, category=None, figure_ns=1000.0, end=None):
    return Launch(
        id=f"r-{slot.case_id}-{slot.slot}-{attempt}", case_id=slot.case_id, slot=slot.slot,
        attempt=attempt, position=slot.position, role=slot.role, started=NOW, status=status,
        category=category, figure_ns=figure_ns, exit=end,
    )  # fmt: skip


def on_none(_):
    return False


def take(queue, away=on_none, now=0.0):
    return queue.next(now, away)


def test_what_ends_well_is_off_the_queue_and_what_failed_stays():
    queue = Queue(*shares(run_of(case("m")), DEVICES))
    first = take(queue)
    queue.ended(first, launch(first, status=Status.FAILED, category=Category.TIMEOUT))
    assert take(queue) == first
    assert (queue.tries(first), queue.attempts(first)) == (1, 1)
    queue.ended(first, launch(first, attempt=1))
    assert take(queue) != first
    assert (queue.tries(first), queue.went_well(first.case_id)) == (0, True)
    assert len(queue.left()) == 1


@pytest.mark.parametrize(("budget", "holds"), [(1, True), (0, False)])
def test_what_is_invalid_stays_within_the_budget(budget, holds):
    queue = Queue(*shares(run_of(case("m"), redo_budget=budget), DEVICES))
    slot = take(queue)
    queue.ended(slot, launch(slot, status=Status.INVALID))
    assert queue.holds(slot) is holds


def test_what_is_postponed_waits_while_others_are_made():
    queue = Queue(*shares(run_of(case("m"), case("n")), DEVICES))
    first = take(queue)
    queue.postpone(first, until=5.0)
    assert take(queue).case_id != first.case_id
    queue.leave_out_case(take(queue).case_id, "no")
    assert take(queue) is None
    assert queue.due_in_s(0.0, on_none) == [5.0, 5.0]
    assert take(queue, now=5.0) == first


def test_a_device_that_is_put_aside_is_passed_over_and_may_be_left_out():
    queue = Queue(*shares(run_of(case("m"), case("m", "there")), DEVICES))
    assert queue.case_of(take(queue, {"here"}.__contains__)).device == "there"
    queue.leave_out_device("here", plain("it is gone"))
    assert queue.devices() == {"there"}
    assert list(queue.left_out.values()) == [plain("it is gone")]


def test_nothing_is_measured_before_its_model_cache_is_filled():
    queue = Queue(*shares(run_of(case("m", cache="kept")), DEVICES))
    fill = take(queue)
    assert fill.role is Role.FILL
    queue.postpone(fill, until=5.0)
    assert take(queue) is None
    queue.ended(fill, launch(fill))
    assert take(queue, now=5.0).role is Role.MEASURE
    queue.refill("here")
    queue.refill("there")
    assert take(queue, now=5.0) == fill
    assert len(queue.left()) == 3


def test_a_launch_that_may_have_gone_on_keeps_its_name():
    queue = Queue(*shares(run_of(case("m")), DEVICES))
    slot = take(queue)
    name = queue.name(slot)
    queue.ended(slot, launch(slot, status=Status.FAILED, category=Category.CONNECTION))
    assert queue.name(slot) == name
    assert not queue.is_settled(name)
    # Its end was read, and its outputs were not; or what was answered made no sense.
    broken_off = {"status": Status.FAILED, "category": Category.CONNECTION, "end": END}
    queue.ended(slot, launch(slot, attempt=1, **broken_off))
    queue.ended(slot, launch(slot, attempt=2, status=Status.FAILED, category=Category.DEPLOY))
    assert queue.name(slot) == name
    read = {"status": Status.FAILED, "category": Category.ENGINE, "end": END}
    queue.ended(slot, launch(slot, attempt=3, **read))
    assert queue.name(slot) != name
    assert queue.is_settled(name)
    assert not queue.is_settled(queue.name(slot))
    assert not queue.is_settled("r-of-somebody-else")


def test_what_a_run_has_is_not_queued_again():
    planned = Queue(*shares(run_of(case("m", launches=3)), DEVICES)).left()
    good, bad = launch(planned[0]), launch(planned[1], status=Status.FAILED)
    queue = Queue(*shares(run_of(case("m", launches=3), launches=[good, bad]), DEVICES))
    assert queue.left() == planned[1:]
    queue.put_first({queue.name(planned[2])})
    assert take(queue) == planned[2]


def test_a_second_stage_is_queued_whole_where_another_case_was_refused_meanwhile():
    """As of a device that joins late, and on which one case turns out to be impossible."""
    sampling = {"precision": 0.01, "max_launches": 9, "launches": 3}
    records = [case("m", **sampling), case("n", "there", **sampling)]
    queue = Queue(*shares(run_of(*records), DEVICES))
    refused = [records[0], records[1].model_copy(update={"refused": "no engine"})]
    queue.leave_out_case(records[1].case.id, "no engine")
    for n, slot in enumerate(queue.left()):
        queue.ended(slot, launch(slot, figure_ns=1000.0 + 500 * (n % 2)))
    asked = queue.asked_for(refused)
    assert [each.more for each in asked] == [6, None]
    assert queue.second_stage(asked) == 6
    assert [slot.slot for slot in queue.left()] == [3, 4, 5, 6, 7, 8]
