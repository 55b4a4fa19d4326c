"""The order of launches."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.plan import order
from harness.campaign.share import shares
from harness.core.records import Case, CaseRecord, Protocol, Run
from harness.lab.inventory import Device, DeviceSpec

DEVICES = {
    name: Device(
        name=name,
        spec=DeviceSpec(transport="ssh", abi="arm64-linux", **more),
    )
    for name, more in {
        "emulated": {"board": "b"},
        "other-emulated": {"board": "c"},
        "real": {"address": "root@real"},
    }.items()
}


def _cases(*launches):
    return [
        CaseRecord(case=Case(model=f"m{n}", device=device, engine="e"), launches=count)
        for n, count in enumerate(launches)
        for device in DEVICES
    ]


def _run(cases, seed):
    return Run(
        id="r", campaign="c", description="", specification="", seed=seed,
        started=datetime(2026, 1, 1, tzinfo=UTC), harness_version="0", protocol=Protocol(),
        devices=[], models=[], cases=cases,
    )  # fmt: skip


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 1 << 31))
def test_every_launch_once_in_blocks_of_one_each(launches, seed):
    cases = _cases(*launches)
    plan = {share.host: share.slots for share in shares(_run(cases, seed), DEVICES)}
    assert set(plan) == {"this-machine", "real"}  # emulated boards share this machine
    for slots in plan.values():
        assert [slot.position for slot in slots] == list(range(len(slots)))
        assert [slot.slot for slot in slots] == sorted(slot.slot for slot in slots)
    found = sorted((slot.case_id, slot.slot) for slots in plan.values() for slot in slots)
    wanted = sorted((record.case.id, n) for record in cases for n in range(record.launches))
    assert found == wanted


def test_caches_are_filled_before_and_what_disturbs_comes_after():
    kept = Case(model="k", device="real", engine="e", model_cache="kept")
    cases = [
        CaseRecord(case=kept, launches=2, memory_launches=1, profile_launches=2),
        CaseRecord(case=Case(model="m", device="real", engine="e"), launches=3, memory_launches=2),
    ]
    slots = order(cases, "real", 1)
    roles = [slot.role.value for slot in slots]
    assert roles == ["fill"] + ["measure"] * 5 + ["memory"] * 3 + ["profile"] * 2
    assert len({(slot.case_id, slot.slot) for slot in slots}) == 11


def test_the_seed_decides_the_order():
    cases = _cases(3, 3, 3)
    assert order(cases, "real", 1) == order(cases, "real", 1)
    assert order(cases, "real", 1) != order(cases, "real", 2)


def test_refused_cases_have_no_launches():
    cases = [record.model_copy(update={"refused": "no"}) for record in _cases(3)]
    assert order(cases, "real", 1) == []
