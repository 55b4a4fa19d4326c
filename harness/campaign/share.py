"""One host's share of a run: a value, which can be sent to where the host is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import field_serializer

from harness.campaign.plan import Slot, order
from harness.core.records import CaseRecord, Category, Launch, Protocol, Record, Role, Status
from harness.lab.inventory import DeviceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.records import Run
    from harness.lab.inventory import Device

__all__ = ["Attempt", "Share", "is_unread", "shares"]


class Attempt(Record):
    """What of a launch decides on others; the whole of it is stored, and may be large."""

    case_id: str
    slot: int
    role: Role
    status: Status
    figure_ns: float | None
    unread: bool

    @classmethod
    def of(cls, launch: Launch) -> Attempt:
        """Return what a launch is to those after it."""
        return cls(
            case_id=launch.case_id,
            slot=launch.slot,
            role=launch.role,
            status=launch.status,
            figure_ns=launch.figure_ns,
            unread=is_unread(launch),
        )


def is_unread(launch: Launch) -> bool:
    """Whether a launch's end, or its outputs, were not read: they may still be on its device."""
    if launch.status is not Status.FAILED:
        return False
    return launch.exit is None or launch.category is Category.CONNECTION


class Share(Record):
    """All of a run that one host measures.

    Attributes
    ----------
    run
        The run's id, by which its launches go on their devices.
    seed
        Of the order in which a second stage is made.
    cases
        With their artifacts and runners, whose files are known by hash.
    slots
        The launches that are planned, in their order.
    devices
        By name; they share the host's processors.
    attempts
        What the run has of these launches already, in the order of their making.
    """

    run: str
    host: str
    seed: int
    protocol: Protocol
    cases: list[CaseRecord]
    slots: list[Slot]
    devices: dict[str, DeviceSpec]
    attempts: list[Attempt]

    @field_serializer("devices")
    def _as_in_files(self, devices: dict[str, DeviceSpec]) -> dict[str, Any]:
        said: dict[str, Any] = {"by_alias": True, "exclude_none": True, "exclude_defaults": True}
        return {name: spec.model_dump(mode="json", **said) for name, spec in devices.items()}


def shares(run: Run, devices: Mapping[str, Device]) -> list[Share]:
    """Return a run's shares, one for each host.

    Parameters
    ----------
    run
        With the launches that it already has.
    devices
        Name to device: all that the run has cases for.
    """
    made = [Attempt.of(each) for each in sorted(run.launches, key=lambda each: each.attempt)]
    found = []
    for host in sorted({device.host for device in devices.values()}):
        its = {name: each.spec for name, each in devices.items() if each.host == host}
        cases = [record for record in run.cases if record.case.device in its]
        ids = {record.case.id for record in cases}
        found.append(
            Share(
                run=run.id,
                host=host,
                seed=run.seed,
                protocol=run.protocol,
                cases=cases,
                slots=order(cases, host, run.seed),
                devices=its,
                attempts=[each for each in made if each.case_id in ids],
            )
        )
    return found
