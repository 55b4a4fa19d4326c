"""One host's share of a run: a value, which can be sent to where the host is.

Here, the controller's threads measure shares. Elsewhere::

    sent = pack(share, prepared).model_dump_json()     # where the run was begun
    ...                                                # the files that wanted(share) names follow
    share = Share.model_validate_json(sent)            # where the devices are
    with receive(share, workspace, store, ...) as means:
        for launch in measure(share, means):
            ...                                        # store it, then ask for the next

``pack``, ``wanted`` and ``receive`` are of :mod:`harness.campaign.elsewhere`, ``measure`` is of
:mod:`harness.campaign.host`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_serializer

from harness.campaign.plan import Slot, order
from harness.core.records import (
    ArtifactRecord,
    CaseRecord,
    Category,
    Launch,
    Protocol,
    Record,
    Role,
    Status,
)
from harness.lab.inventory import DeviceSpec
from harness.lab.runners import RunnerSpec
from harness.models.manifest import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.records import Run
    from harness.lab.inventory import Device

__all__ = ["Attempt", "Checks", "Kit", "Share", "is_unread", "shares"]

_AS_IN_FILES: dict[str, Any] = {
    "mode": "json",
    "by_alias": True,
    "exclude_none": True,
    "exclude_defaults": True,
}


class Attempt(Record):
    """What of a launch decides on others; the whole of it is stored, and may be large.

    Attributes
    ----------
    rate
        What it found for launches to confirm.
    """

    case_id: str
    slot: int
    role: Role
    status: Status
    figure_ns: float | None
    rate: float | None = None
    unread: bool

    @classmethod
    def of(cls, launch: Launch) -> Attempt:
        """Return what a launch is to those after it."""
        searched = launch.traffic.search if launch.traffic else None
        return cls(
            case_id=launch.case_id,
            slot=launch.slot,
            role=launch.role,
            status=launch.status,
            figure_ns=launch.figure_ns,
            rate=searched.rate if searched else None,
            unread=is_unread(launch),
        )


def is_unread(launch: Launch) -> bool:
    """Whether a launch's end, or its outputs, were not read: they may still be on its device."""
    if launch.status is not Status.FAILED:
        return False
    return launch.exit is None or launch.category is Category.CONNECTION


class Checks(Record):
    """What outputs are checked against, at some shapes of a model's inputs.

    Attributes
    ----------
    shapes
        Input to shape; none where they are those of the model's file.
    reference
        The artifact with the reference outputs; none where they are the inputs themselves.
    inputs
        The artifact with the inputs; none where they are made of the check seeds.
    """

    shapes: dict[str, tuple[int, ...]] | None = None
    reference: ArtifactRecord | None = None
    inputs: ArtifactRecord | None = None


class Kit(Record):
    """What a case's launches need beside its record, by value or by hash.

    Attributes
    ----------
    checks
        At the case's own shapes.
    changes
        At the shapes that its launches switch to.
    is_checked
        Whether outputs are checked at all.
    interpreter
        Of the Python runner; empty where another one measures.
    registered, runner
        The registered runner's name and file; none where another one measures.
    """

    checks: Checks
    changes: list[Checks] = Field(default_factory=list)
    is_checked: bool = True
    interpreter: str = ""
    registered: str = ""
    runner: RunnerSpec | None = None


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
    models
        By name, without their folders; only where it is sent.
    kits
        Case id to what its launches need; only where it is sent, of cases that are measured.
    """

    run: str
    host: str
    seed: int
    protocol: Protocol
    cases: list[CaseRecord]
    slots: list[Slot]
    devices: dict[str, DeviceSpec]
    attempts: list[Attempt]
    models: dict[str, Model] = Field(default_factory=dict)
    kits: dict[str, Kit] = Field(default_factory=dict)

    @field_serializer("devices", "models")
    def _as_in_files(self, named: Mapping[str, DeviceSpec | Model]) -> dict[str, Any]:
        return {name: each.model_dump(**_AS_IN_FILES) for name, each in named.items()}


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
