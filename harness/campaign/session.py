"""A run's beginning and resumption: devices reached, artifacts built, the run recorded."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness import __version__
from harness.analysis.expectations import fits
from harness.campaign.again import UnconfirmableError, again
from harness.campaign.execute import Execution
from harness.campaign.launch import Launcher
from harness.campaign.on_device import OnDevice
from harness.campaign.prepare import RegisteredOn, count_operations, prepare
from harness.campaign.spec import load_campaign
from harness.devices.connect import connect
from harness.devices.inventory import load_device
from harness.devices.leases import Lease, me
from harness.devices.probe import probe
from harness.devices.runners import faults, load_runner, missing_libraries
from harness.errors import LabError, ResultsError, SpecificationError
from harness.models.manifest import load_model
from harness.native.supervisor import supervisor
from harness.results.schema import CaseRecord, DeviceRecord, ModelRecord, Repeats, Run
from harness.results.store import CONFIRMING
from harness.revisions import revision
from harness.transport.base import TransportError
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from harness.campaign.execute import Observer
    from harness.campaign.kept import KeptFiles
    from harness.campaign.prepare import Prepared
    from harness.campaign.spec import Campaign
    from harness.devices.inventory import Device
    from harness.devices.probe import Facts
    from harness.devices.runners import RegisteredRunner
    from harness.devices.supervisor import DeviceSupervisor
    from harness.models.manifest import Model
    from harness.results.schema import Case, Protocol
    from harness.results.store import Store
    from harness.transport.base import Transport
    from harness.workspace import Workspace

__all__ = ["Confirmation", "Lab", "Session", "begin", "confirm", "is_running", "resume", "select"]


def select(campaign: Campaign, only: Sequence[str]) -> list[tuple[Case, Repeats]]:
    """Return a campaign's cases and their numbers of launches.

    Parameters
    ----------
    only
        Shell patterns; a case is kept if each of them fits its model, device, engine or backend.

    Raises
    ------
    SpecificationError
        No case is left.
    """
    cases = [(case, repeats) for case, repeats in campaign.cases() if fits(case, only)]
    if not cases:
        names = {name for case, _ in campaign.cases() for name in _names(case)}
        raise SpecificationError(
            f"no case fits --only {' --only '.join(only)}",
            hint=f"patterns are matched against: {', '.join(sorted(names))}",
        )
    return cases


def _names(case: Case) -> tuple[str, ...]:
    return case.model, case.device, case.engine, case.backend, case.precision


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
class Session:
    """A run that is ready to be measured.

    Attributes
    ----------
    warnings
        What the user should know before: devices that cannot be reached.
    """

    run: Run
    execution_of: Callable[[Observer], Execution]
    warnings: list[str]


@contextmanager
def begin(  # noqa: PLR0913 - what a user may ask of a run
    workspace: Workspace,
    path: Path,
    store: Store,
    *,
    only: Sequence[str] = (),
    seed: int | None = None,
    wait_s: float = 0.0,
    progress: Callable[[str], None],
) -> Iterator[Session]:
    """Begin a new run of a campaign; on leaving, its leases are given back and all is closed.

    Parameters
    ----------
    wait_s
        How long to wait for devices that others have, in the order of coming.

    Raises
    ------
    SpecificationError
        The campaign, or what it names, is wrong; or a device's host key is not trusted.
    LabError
        No device can be reached, another run is measuring there, or an environment or artifact
        cannot be made.
    """
    campaign = load_campaign(workspace, path)
    cases = select(campaign, only)
    lab = Lab.of(workspace, cases)
    started = datetime.now(UTC)
    with ExitStack() as stack:
        run_id = f"{path.stem}-{started:%Y%m%d-%H%M%S}"
        claim = _Claim(f"{run_id}-{secrets.token_hex(4)}", path.stem, wait_s)
        bench = _reach(workspace, lab, stack, claim, run_id=None, progress=progress)
        records, prepared = _prepare(cases, lab, bench, campaign.protocol, progress)
        run = Run(
            id=run_id,
            campaign=path.stem,
            description=campaign.description,
            specification=path.read_text(encoding="utf-8"),
            seed=secrets.randbelow(1 << 31) if seed is None else seed,
            started=started,
            harness_version=__version__,
            revision=revision(workspace.root) or None,
            lease=claim.id,
            protocol=campaign.protocol,
            expectations=campaign.expect,
            devices=bench.records,
            models=_model_records(lab.models.values(), prepared.values(), progress),
            cases=records,
        )
        run = store.create(run)
        _own(stack, workspace, run.id)
        yield _session(run, prepared, bench, store, workspace)


@contextmanager
def resume(
    workspace: Workspace,
    run_id: str,
    store: Store,
    *,
    wait_s: float = 0.0,
    progress: Callable[[str], None],
) -> Iterator[Session]:
    """Go on with a run: what it has is kept, what failed or is missing is measured.

    Raises
    ------
    ResultsError
        An artifact, or a backend's settings, are not those that the run began with.
    SpecificationError, LabError
        As for :func:`begin`.
    """
    with ExitStack() as stack:
        _own(stack, workspace, run_id)
        run = store.load(run_id)
        if run.confirms is not None:
            raise SpecificationError(
                f"run {run_id} decided suspicions of another run, and is not gone on with",
                hint=f"harness check --baseline NAME --run {run.confirms}",
            )
        cases = [(record.case, _repeats(record)) for record in run.cases]
        lab = Lab.of(workspace, cases)
        # By the same name: what a controller that was killed still holds is this run's.
        claim = _Claim(run.lease or run_id, run.campaign, wait_s)
        bench = _reach(workspace, lab, stack, claim, run_id=run_id, progress=progress)
        records, prepared = _prepare(cases, lab, bench, run.protocol, progress)
        for before, now in zip(run.cases, records, strict=True):
            if before.artifact and now.artifact and before.artifact.id != now.artifact.id:
                raise ResultsError(
                    f"{now.case.label}: its artifact is not the one that run {run_id} began with",
                    hint="the model, a build stage or a tool has changed: start a new run",
                )
            if not (before.refused or now.refused) and (before.options, before.variables) != (
                now.options,
                now.variables,
            ):
                raise ResultsError(
                    f"{now.case.label}: its backend's options or variables are not those that run "
                    f"{run_id} began with",
                    hint=f"correct devices/{now.case.device}.yaml, or start a new run",
                )
        stages = zip(run.cases, records, strict=True)
        records = [now.model_copy(update={"more": before.more}) for before, now in stages]
        known = {record.name: record for record in bench.records if record.facts}
        run = run.model_copy(
            update={
                "cases": records,
                "devices": [known.get(record.name, record) for record in run.devices],
                "finished": None,
            }
        )
        store.update(run)
        yield _session(run, prepared, bench, store, workspace)


@dataclass(frozen=True)
class Confirmation:
    """Fresh launches that decide suspicions.

    Attributes
    ----------
    session
        Of a run in which each case stands twice, as it is today and as the baseline has it; none
        where no case of the baseline can be launched again.
    unconfirmable
        Case id to why it cannot.
    """

    session: Session | None
    unconfirmable: dict[str, str]


@contextmanager
def confirm(  # noqa: PLR0913 - both sides, and what a user may ask
    workspace: Workspace,
    candidate: Run,
    baseline: Run,
    case_ids: Collection[str],
    store: Store,
    *,
    blocks: int,
    kept: KeptFiles,
    wait_s: float = 0.0,
    progress: Callable[[str], None],
) -> Iterator[Confirmation]:
    """Begin a run that launches cases anew, a candidate and its baseline in turns.

    Parameters
    ----------
    case_ids
        Of the cases, which both runs have.
    blocks
        How many launches of either side; each block has one of either in random order.
    kept
        Where the baseline's files are.

    Raises
    ------
    ResultsError
        A case is not what the candidate measured: its artifact or runner has changed since.
    SpecificationError, LabError
        As for :func:`begin`.
    """
    wanted = [record for record in candidate.cases if record.case.id in case_ids]
    then = {record.case.id: record for record in baseline.cases}
    cases = [(record.case, Repeats(launches=blocks)) for record in wanted]
    lab = Lab.of(workspace, cases)
    protocol = candidate.protocol.model_copy(update={"memory_launches": 0, "shape_changes": False})
    started = datetime.now(UTC)
    with ExitStack() as stack:
        run_id = f"check-{candidate.campaign[:40]}-{started:%Y%m%d-%H%M%S}"
        claim = _Claim(f"{run_id}-{secrets.token_hex(4)}", candidate.campaign, wait_s)
        bench = _reach(workspace, lab, stack, claim, run_id=None, progress=progress)
        records, prepared = _prepare(cases, lab, bench, protocol, progress)
        for measured, now in zip(wanted, records, strict=True):
            _refuse_another(measured, now, candidate.id)
        models = _model_records(lab.models.values(), prepared.values(), progress)
        unconfirmable = {
            record.case.id: record.refused for record in records if record.refused is not None
        }
        both: list[CaseRecord] = []
        for record in records:
            ready = prepared.pop(record.case.id, None)
            if ready is None:
                continue
            old = then[record.case.id]
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-harness-")))
            known = [_of_name(each, record.case.model) for each in (baseline.models, models)]
            try:
                ready_then = again(old, record, known, ready, kept, folder)
            except UnconfirmableError as error:
                unconfirmable[record.case.id] = str(error)
                continue
            update = {"case": ready_then.case, "launches": blocks, "memory_launches": 0}
            update |= {"precision": None, "more": None, "refused": None, "left_out": ""}
            both += [record, old.model_copy(update=update)]
            prepared |= {record.case.id: ready, ready_then.case.id: ready_then}
        if not both:
            yield Confirmation(None, unconfirmable)
            return
        run = candidate.model_copy(
            update={
                "id": run_id,
                "campaign": f"{CONFIRMING}{candidate.campaign}",
                "seed": secrets.randbelow(1 << 31),
                "started": started,
                "finished": None,
                "lease": claim.id,
                "confirms": candidate.id,
                "protocol": protocol,
                "expectations": [],
                "devices": bench.records,
                "models": models,
                "cases": both,
                "launches": [],
            }
        )
        session = _session(store.create(run), prepared, bench, store, workspace)
        yield Confirmation(session, unconfirmable)


def _refuse_another(measured: CaseRecord, now: CaseRecord, run_id: str) -> None:
    """Refuse a case that is not what was measured: its launches would decide on another one."""
    if now.refused is not None:
        return
    changed = []
    if measured.artifact and now.artifact and measured.artifact.id != now.artifact.id:
        changed.append("artifact")
    if measured.runner_files != now.runner_files:
        changed.append("runner")
    if (measured.options, measured.variables) != (now.options, now.variables):
        changed.append("backend's options or variables")
    if changed:
        raise ResultsError(
            f"{now.case.label}: its {' and '.join(changed)} changed since run {run_id}",
            hint="measure and check in one: harness check --baseline NAME CAMPAIGN",
        )


def _of_name(records: Iterable[ModelRecord], name: str) -> ModelRecord | None:
    return next((record for record in records if record.name == name), None)


@dataclass(frozen=True)
class _Claim:
    """What a run asks its devices' leases with, and how long it waits for each."""

    id: str
    campaign: str
    wait_s: float

    def lease(
        self, supervisor: DeviceSupervisor, stack: ExitStack, progress: Callable[[str], None]
    ) -> Lease:
        """Take a device's lease, which is given back at the end."""
        lease = Lease(supervisor, self.id, f"{me()} ({self.campaign})")

        def give_back() -> None:
            with suppress(TransportError):
                lease.release()

        # Before it is taken: who is interrupted while waiting leaves the queue.
        stack.callback(give_back)
        lease.take(self.wait_s, progress)
        return lease


@dataclass(frozen=True)
class _Bench:
    """The devices of a run: those that can be reached, and why others cannot.

    Attributes
    ----------
    runners
        Device and engine to the registered runner that measures it there.
    """

    reached: dict[str, OnDevice]
    records: list[DeviceRecord]
    unreachable: dict[str, str]
    runners: dict[tuple[str, str], RegisteredOn]


def _reach(
    workspace: Workspace,
    lab: Lab,
    stack: ExitStack,
    claim: _Claim,
    *,
    run_id: str | None,
    progress: Callable[[str], None],
) -> _Bench:
    for host in sorted({device.host for device in lab.devices.values()}):
        _hold(stack, workspace, host, claim.wait_s, progress)
    bench = _Bench({}, [], {}, {})
    errors: list[LabError] = []
    for name, device in lab.devices.items():
        progress(f"reaching {name}")
        facts = {}
        try:
            transport = stack.enter_context(connect(workspace, device))
            pythons = {engine.python for engine in device.spec.engines.values() if engine.python}
            probed = probe(transport, sorted(pythons))
            _refuse_stranger(device, probed)
            facts = probed.model_dump(mode="json", exclude_none=True)
            program = supervisor(device.spec.abi, progress)
            launcher = Launcher(transport, device.workdir, program)
            launcher.lease = claim.lease(launcher.supervisor, stack, progress)
            _refuse_company(launcher, device, run_id)
            for engine, spec in device.spec.engines.items():
                if runner := lab.runners.get(spec.runner or ""):
                    fault = _unfit(runner, engine, probed, transport)
                    bench.runners[name, engine] = RegisteredOn(runner, fault)
            drivers = {"npus", "kernel", "kernel_build"}
            bench.reached[name] = OnDevice(
                device,
                transport,
                launcher,
                probed.model_dump_json(include=drivers),
                boot_id=probed.boot_id,
            )
        except SpecificationError:
            raise
        except LabError as error:
            errors.append(error)
            hint = f" (try: {error.hint})" if error.hint else ""
            bench.unreachable[name] = f"{error.message}{hint}"
        bench.records.append(
            DeviceRecord(
                name=name,
                description=device.spec.description,
                transport=device.spec.transport,
                host=device.host,
                emulated=device.emulated,
                device_class=device.spec.device_class,
                facts=facts,
                conditions=device.spec.conditions.model_dump(mode="json", exclude_defaults=True),
            )
        )
    if errors and not bench.reached:
        raise errors[0]
    return bench


def is_running(workspace: Workspace, run_id: str) -> bool:
    """Whether a controller of this machine measures a run at the moment."""
    try:
        with _run_lock(workspace, run_id):
            return False
    except Timeout:
        return True


def _run_lock(workspace: Workspace, run_id: str) -> FileLock:
    folder = workspace.state / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    # Hashed: a user may have typed anything.
    return FileLock(folder / f"run-{sha256(run_id.encode()).hexdigest()[:16]}.lock", timeout=0)


def _own(stack: ExitStack, workspace: Workspace, run_id: str) -> None:
    """Keep other controllers from going on with a run."""
    try:
        stack.enter_context(_run_lock(workspace, run_id))
    except Timeout:
        raise LabError(
            f"run {run_id} is being measured by another controller",
            hint="wait until it ends: harness results list",
        ) from None


def _hold(
    stack: ExitStack,
    workspace: Workspace,
    host: str,
    wait_s: float,
    progress: Callable[[str], None],
) -> None:
    """Keep other controllers of this user off a host while we measure on it."""
    # This machine is one host for all workspaces; the name of another is the workspace's own.
    folder = (cache_dir() if host == "this-machine" else workspace.state) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{host}.lock", timeout=0)
    try:
        try:
            stack.enter_context(lock)
        except Timeout:
            if not wait_s:
                raise
            progress(f"waiting for host '{host}', on which another run is measuring")
            stack.enter_context(lock.acquire(timeout=wait_s))
    except Timeout:
        raise LabError(
            f"another run is measuring on host '{host}'",
            hint="wait for it: harness run --wait 30m; two at once would spoil both",
        ) from None


def _refuse_stranger(device: Device, facts: Facts) -> None:
    """Refuse a device that is not what its file says: it would get artifacts for another ABI."""
    if facts.abi is not None and facts.abi != device.spec.abi:
        raise SpecificationError(
            f"{device.name}: its file says '{device.spec.abi}', and it is '{facts.abi}'",
            hint=f"correct 'abi' in devices/{device.name}.yaml, or its address",
        )


def _unfit(runner: RegisteredRunner, engine: str, facts: Facts, transport: Transport) -> str:
    """Say why a registered runner must not be pushed to a device, or nothing."""
    if runner.spec.engine != engine:
        return f"it measures {runner.spec.engine}, not {engine}"
    return "; ".join(faults(runner, facts, missing_libraries(transport, runner)))


def _refuse_company(launcher: Launcher, device: Device, run_id: str | None) -> None:
    """Refuse a device that is busy for another run; launches of this one are joined later."""
    foreign = [
        launch
        for launch in launcher.living()
        if run_id is None or not launch.startswith(f"{run_id}-")
    ]
    if foreign:
        raise LabError(
            f"{device.name}: a launch of another run is under way there ({foreign[0][:80]})",
            hint="wait until it ends (its time limit is enforced there), "
            "or go on with that run: harness run --resume",
        )


def _prepare(
    cases: Sequence[tuple[Case, Repeats]],
    lab: Lab,
    bench: _Bench,
    protocol: Protocol,
    progress: Callable[[str], None],
) -> tuple[list[CaseRecord], dict[str, Prepared]]:
    records, prepared = prepare(cases, lab.devices, lab.models, bench.runners, protocol, progress)
    for index, record in enumerate(records):
        if record.case.device in bench.unreachable:
            reason = f"not reached: {bench.unreachable[record.case.device]}"
            records[index] = record.model_copy(update={"refused": reason})
    return records, prepared


def _session(
    run: Run, prepared: dict[str, Prepared], bench: _Bench, store: Store, workspace: Workspace
) -> Session:
    def execution_of(observer: Observer) -> Execution:
        return Execution(run, prepared, bench.reached, store, observer, folder=workspace.root)

    warnings = [f"{name}: {reason}" for name, reason in bench.unreachable.items()]
    return Session(run, execution_of, warnings)


def _repeats(record: CaseRecord) -> Repeats:
    return Repeats.model_validate(record.model_dump(include=set(Repeats.model_fields)))


def _model_records(
    models: Iterable[Model], prepared: Collection[Prepared], progress: Callable[[str], None]
) -> list[ModelRecord]:
    records = []
    for model in models:
        manifest = model.manifest
        # Of a model of which nothing is measured nothing may be built, either.
        measured = any(ready.model.name == model.name for ready in prepared)
        counted = count_operations(model, progress) if measured else None
        records.append(
            ModelRecord(
                name=model.name,
                title=manifest.title,
                source=manifest.source.label,
                licence=manifest.licence,
                inputs=manifest.fed(),
                parameters=counted.parameters if counted else None,
                macs=counted.macs if counted else None,
            )
        )
    return records
