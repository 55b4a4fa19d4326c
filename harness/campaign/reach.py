"""From the devices that a campaign names to those that can be launched on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.campaign import reasons
from harness.campaign.launch import DeviceBusyError, Launcher
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.locks import hold_host
from harness.campaign.on_device import Absent, Joined, OnDevice
from harness.campaign.prepare import EngineOn, prepare, too_large
from harness.campaign.recovery import note
from harness.core.errors import LabError, SpecificationError
from harness.core.records import DeviceEventKind, DeviceRecord
from harness.lab import reasons as lab_reasons
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.lab.leases import Lease, LeasedError, me
from harness.lab.power import boot_id
from harness.lab.probe import probe
from harness.lab.runners import engine_version, faults, load_runner, missing_libraries
from harness.lab.verdicts import of_device
from harness.lab.workdir import check_workdir
from harness.models.manifest import load_model
from harness.native.supervisor import supervisor
from harness.transports.base import ConnectionLostError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from harness.campaign.prepare import Prepared
    from harness.core.reason import Reason
    from harness.core.records import Case, CaseRecord, Protocol, Repeats
    from harness.lab.inventory import Device
    from harness.lab.probe import Facts
    from harness.lab.runners import RegisteredRunner
    from harness.lab.supervisor import DeviceSupervisor
    from harness.models.manifest import Model
    from harness.results.store import Store
    from harness.transports.base import Transport
    from harness.workspace import Workspace

__all__ = ["Bench", "Claim", "Lab"]


@dataclass(frozen=True)
class Lab:
    """What a set of cases names in a workspace: its devices, models and registered runners."""

    devices: dict[str, Device]
    models: dict[str, Model]
    runners: dict[str, RegisteredRunner]

    @classmethod
    def of(cls, workspace: Workspace, cases: Sequence[tuple[Case, Repeats]]) -> Lab:
        """Load what the cases name.

        Raises
        ------
        SpecificationError
            A file of a device, a model or a registered runner is wrong, or there is none.
        """
        names = sorted({case.device for case, _ in cases})
        models = sorted({case.model for case, _ in cases})
        devices = {name: load_device(workspace, name) for name in names}
        engines = [devices[case.device].spec.engines.get(case.engine) for case, _ in cases]
        runners = sorted({engine.runner for engine in engines if engine and engine.runner})
        return cls(
            devices=devices,
            models={name: load_model(workspace, name) for name in models},
            runners={name: load_runner(workspace, name) for name in runners},
        )


@dataclass(frozen=True)
class Claim:
    """What a run asks its devices' leases with, and how long it waits for each."""

    id: str
    campaign: str
    wait_s: float

    def lease(
        self,
        device: str,
        supervisor: DeviceSupervisor,
        stack: ExitStack,
        progress: Callable[[str], None],
    ) -> Lease:
        """Take a device's lease, which is given back at the end."""
        lease = Lease(supervisor, self.id, f"{me()} ({self.campaign})")

        def give_back() -> None:
            with suppress(TransportError):
                try:
                    lease.release()
                except ConnectionLostError:
                    lease.release()  # over a new link: else others wait until it ends by itself

        # Before it is taken: who is interrupted while waiting leaves the queue.
        stack.callback(give_back)
        try:
            lease.take(self.wait_s, lambda held: progress(f"waiting for {device}: {held}"))
        except LeasedError as error:
            raise LeasedError(lab_reasons.LEASED_DEVICE(device=device, why=error.reason)) from None
        return lease


@dataclass
class Bench:
    """The devices of a run: those that were reached, and why others were not.

    Parameters
    ----------
    stack
        On leaving it, leases are given back, and hosts and connections let go.
    run_id
        Of the run that is resumed: its launches may be under way on the devices.

    Attributes
    ----------
    records
        Name to what is stored of each, reached or not.
    unreachable
        Name to why it was not.
    engines
        Device and engine to what is there of it.
    """

    workspace: Workspace
    lab: Lab
    stack: ExitStack
    claim: Claim
    run_id: str | None
    progress: Callable[[str], None]
    limits: Limits = LIMITS
    reached: dict[str, OnDevice] = field(default_factory=dict)
    records: dict[str, DeviceRecord] = field(default_factory=dict)
    unreachable: dict[str, LabError] = field(default_factory=dict)
    engines: dict[tuple[str, str], EngineOn] = field(default_factory=dict)

    def reach_all(self, store: Store) -> None:
        """Reach all devices; those that cannot be are put down with the reason.

        Raises
        ------
        SpecificationError
            A device's host key is not trusted, or it is not what its file says.
        LabError
            Another run is measuring there, or none can be reached, and none be power-cycled.
        """
        for host in sorted({device.host for device in self.lab.devices.values()}):
            hold_host(self.stack, self.workspace, host, self.claim.wait_s, self.progress)
        for name, device in self.lab.devices.items():
            self.progress(f"reaching {name}")
            try:
                self._reach(device)
            except SpecificationError:
                raise
            except LabError as error:
                self.unreachable[name] = error
                self.records[name] = _record(device, {})
                if not isinstance(error, LeasedError | DeviceBusyError):
                    note(store, name, DeviceEventKind.UNREACHABLE, detail=error.reason)
        hopeful = [each for each in self.unreachable if self.lab.devices[each].spec.power_cycle]
        if self.unreachable and not self.reached and not hopeful:
            raise next(iter(self.unreachable.values()))

    def absent(
        self,
        cases: Sequence[tuple[Case, Repeats]],
        protocol: Protocol,
    ) -> dict[str, Absent]:
        """Return the devices that were not reached, as a run goes on to try them."""
        return {
            name: Absent(
                self.lab.devices[name],
                self.unreachable[name],
                self._joining(
                    self.lab.devices[name],
                    [(case, repeats) for case, repeats in cases if case.device == name],
                    protocol,
                ),
                self._asking(self.lab.devices[name]),
            )
            for name in self.unreachable
        }

    def prepare(
        self, cases: Sequence[tuple[Case, Repeats]], protocol: Protocol
    ) -> tuple[list[CaseRecord], dict[str, Prepared]]:
        """Build what cases need; see :func:`harness.campaign.prepare.prepare`.

        When a run begins, what does not fit into its device's memory is refused. A resumed run
        has measured there already: less available memory is no reason to end it.
        """
        lab = self.lab
        records, prepared = prepare(
            cases, lab.devices, lab.models, self.engines, protocol, self.progress
        )
        for index, record in enumerate(records if self.run_id is None else ()):
            device = self.records.get(record.case.device)
            if record.refused or not (record.artifact and device):
                continue
            if reason := too_large(record.artifact, device.facts):
                records[index] = record.model_copy(update={"refused": reason})
                del prepared[record.case.id]
        return records, prepared

    def _joining(
        self, device: Device, cases: Sequence[tuple[Case, Repeats]], protocol: Protocol
    ) -> Callable[[], Joined]:
        def join() -> Joined:
            # While others are measured: neither waited for nor told step by step.
            late = replace(self, claim=replace(self.claim, wait_s=0.0), progress=lambda _: None)
            late._reach(device)  # noqa: SLF001 - of its own class
            records, prepared = late.prepare(cases, protocol)
            on, record = late.reached[device.name], late.records[device.name]
            return Joined(on, record, records, prepared)

        return join

    def _asking(self, device: Device) -> Callable[[], str]:
        def answers() -> str:
            with connect(self.workspace, device) as transport:
                return boot_id(transport)

        return answers

    def _reach(self, device: Device) -> None:
        transport = self.stack.enter_context(connect(self.workspace, device))
        pythons = {engine.python for engine in device.spec.engines.values() if engine.python}
        facts = probe(transport, sorted(pythons), device.spec.library_folders)
        _refuse_stranger(device, facts)
        check_workdir(transport, device)
        program = supervisor(device.spec.abi, self.progress)
        launcher = Launcher(transport, device.workdir, program, limits=self.limits)
        launcher.lease = self.claim.lease(
            device.name, launcher.supervisor, self.stack, self.progress
        )
        _refuse_company(launcher, device, self.run_id)
        _, judged = of_device(self.workspace, device.spec, facts)
        for engine, spec in device.spec.engines.items():
            runner = self.lab.runners.get(spec.runner or "")
            self.engines[device.name, engine] = EngineOn(
                runner,
                _unfit(runner, engine, device, facts, transport) if runner else [],
                engine_version(engine, runner, spec.python, facts),
                {
                    verdict.backend: verdict.against
                    for verdict in judged
                    if verdict.engine == engine and verdict.state == "not usable"
                },
            )
        drivers = facts.model_dump_json(include={"npus", "kernel", "kernel_build"})
        on = OnDevice(device, transport, launcher, drivers, boot_id=facts.boot_id)
        self.reached[device.name] = on
        self.records[device.name] = _record(
            device, facts.model_dump(mode="json", exclude_none=True)
        )


def _record(device: Device, facts: dict[str, object]) -> DeviceRecord:
    return DeviceRecord(
        name=device.name,
        description=device.spec.description,
        transport=device.spec.transport,
        host=device.host,
        emulated=device.emulated,
        device_class=device.spec.device_class,
        facts=facts,
        conditions=device.spec.conditions.model_dump(mode="json", exclude_defaults=True),
    )


def _refuse_stranger(device: Device, facts: Facts) -> None:
    """Refuse a device that is not what its file says: it would get artifacts for another ABI."""
    if facts.abi is not None and facts.abi != device.spec.abi:
        raise SpecificationError(
            f"{device.name}: its file says '{device.spec.abi}', but it is '{facts.abi}'",
            hint=f"correct 'abi' in devices/{device.name}.yaml, or its address",
        )


def _unfit(
    runner: RegisteredRunner, engine: str, device: Device, facts: Facts, transport: Transport
) -> list[Reason]:
    """Say why a registered runner must not be pushed to a device; nothing where it may."""
    if runner.spec.engine != engine:
        return [reasons.OTHER_ENGINE(engine=runner.spec.engine, asked=engine)]
    missing = missing_libraries(transport, runner, device.spec.library_folders)
    return faults(runner, facts, missing)


def _refuse_company(launcher: Launcher, device: Device, run_id: str | None) -> None:
    """Refuse a device that is busy for another run; launches of this one are joined later."""
    foreign = [
        launch
        for launch in launcher.living()
        if run_id is None or not launch.startswith(f"{run_id}-")
    ]
    if foreign:
        raise DeviceBusyError(reasons.COMPANY(device=device.name, launch=foreign[0][:80]))
