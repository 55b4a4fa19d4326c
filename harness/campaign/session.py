"""A run's beginning and resumption: devices reached, artifacts built, the run recorded."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import __version__
from harness.analysis.expectations import fits, names
from harness.campaign import reasons
from harness.campaign.again import UnconfirmableError, again
from harness.campaign.execute import Execution
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.locks import hold_run
from harness.campaign.prepare import count_operations
from harness.campaign.reach import Bench, Claim, Lab
from harness.campaign.recovery import note
from harness.campaign.spec import load_campaign
from harness.core.errors import ResultsError, SpecificationError
from harness.core.records import CaseRecord, DeviceEventKind, ModelRecord, Repeats, Run
from harness.core.revisions import revision
from harness.results.store import CONFIRMING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from harness.campaign.kept import KeptFiles
    from harness.campaign.observer import Observer
    from harness.campaign.on_device import Absent
    from harness.campaign.prepare import Prepared
    from harness.campaign.spec import Campaign
    from harness.core.reason import Reason
    from harness.core.records import Case, DeviceRecord, Protocol
    from harness.models.manifest import Model
    from harness.results.store import Store
    from harness.workspace import Workspace

__all__ = [
    "Confirmation",
    "Session",
    "Sides",
    "begin",
    "both_sides",
    "confirm",
    "confirming",
    "confirming_id",
    "confirming_protocol",
    "model_records",
    "new_claim",
    "new_run",
    "resume",
    "select",
]


def select(campaign: Campaign, only: Sequence[str]) -> list[tuple[Case, Repeats]]:
    """Return a campaign's cases and their numbers of launches.

    Parameters
    ----------
    only
        Shell patterns; a case is kept if each of them fits its model, device, engine, backend,
        precision or scenario.

    Raises
    ------
    SpecificationError
        No case is left.
    """
    cases = [(case, repeats) for case, repeats in campaign.cases() if fits(case, only)]
    if not cases:
        known = {name for case, _ in campaign.cases() for name in names(case)}
        raise SpecificationError(
            f"no case matches --only {' --only '.join(only)}",
            hint=f"patterns are matched against: {', '.join(sorted(known))}",
        )
    return cases


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
    limits: Limits = LIMITS,
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
        claim = new_claim(run_id, path.stem, wait_s)
        bench = Bench(workspace, lab, stack, claim, None, progress, limits)
        bench.reach_all(store)
        records, prepared = bench.prepare(cases, campaign.protocol)
        run = new_run(
            workspace, path, campaign, claim, run_id, started, seed,
            devices=list(bench.records.values()),
            models=model_records(lab.models.values(), prepared.values(), progress),
            cases=records,
        )  # fmt: skip
        run = store.create(run)
        hold_run(stack, workspace, run.id)
        yield _session(run, prepared, bench, store, bench.absent(cases, run.protocol))


def new_claim(run_id: str, campaign: str, wait_s: float = 0.0) -> Claim:
    """Return the claim of a new run on its devices, by which no other run has them."""
    return Claim(f"{run_id}-{secrets.token_hex(4)}", campaign, wait_s)


def new_run(  # noqa: PLR0913, PLR0917 - what a run is
    workspace: Workspace,
    path: Path,
    campaign: Campaign,
    claim: Claim,
    run_id: str,
    started: datetime,
    seed: int | None,
    *,
    devices: list[DeviceRecord],
    models: list[ModelRecord],
    cases: list[CaseRecord],
) -> Run:
    """Return a run of a campaign that has no launches yet.

    Parameters
    ----------
    path
        The campaign's file.
    seed
        Of the launches' order; drawn where there is none.
    """
    return Run(
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
        expectations=campaign.expectations,
        devices=devices,
        models=models,
        cases=cases,
    )


@contextmanager
def resume(
    workspace: Workspace,
    run_id: str,
    store: Store,
    *,
    wait_s: float = 0.0,
    limits: Limits = LIMITS,
    progress: Callable[[str], None],
) -> Iterator[Session]:
    """Resume a run: keep what it has, measure what failed or is missing.

    Raises
    ------
    ResultsError
        An artifact, or a backend's settings, are not those that the run began with.
    SpecificationError, LabError
        As for :func:`begin`.
    """
    with ExitStack() as stack:
        hold_run(stack, workspace, run_id)
        run = store.load(run_id)
        if run.confirms is not None:
            raise SpecificationError(
                f"run {run_id} cannot be resumed: it decided suspected changes of another run",
                hint=f"harness check --baseline NAME --run {run.confirms}",
            )
        cases = [(record.case, _repeats(record)) for record in run.cases]
        lab = Lab.of(workspace, cases)
        # By the same name: what a controller that was killed still holds is this run's.
        claim = Claim(run.lease or run_id, run.campaign, wait_s)
        bench = Bench(workspace, lab, stack, claim, run_id, progress, limits)
        bench.reach_all(store)
        records, prepared = bench.prepare(cases, run.protocol)
        for before, now in zip(run.cases, records, strict=True):
            if before.artifact and now.artifact and before.artifact.id != now.artifact.id:
                raise ResultsError(
                    f"{now.case.label}: its artifact has changed since run {run_id} began",
                    hint="the model, a build stage or a tool has changed: start a new run",
                )
            if not (before.refused or now.refused) and (before.options, before.variables) != (
                now.options,
                now.variables,
            ):
                raise ResultsError(
                    f"{now.case.label}: its backend's options or variables have changed since"
                    f" run {run_id} began",
                    hint=f"correct devices/{now.case.device}.yaml, or start a new run",
                )
        stages = zip(run.cases, records, strict=True)
        records = [now.model_copy(update={"more": before.more}) for before, now in stages]
        known = {name: record for name, record in bench.records.items() if record.facts}
        run = run.model_copy(
            update={
                "cases": records,
                "devices": [known.get(record.name, record) for record in run.devices],
                "finished": None,
            }
        )
        store.update(run)
        yield _session(run, prepared, bench, store, bench.absent(cases, run.protocol))


@dataclass(frozen=True)
class Confirmation:
    """Fresh launches that decide suspicions.

    Attributes
    ----------
    session
        Of a run in which each case is twice, as it is today and as the baseline has it; none
        where no case of the baseline can be launched again.
    unconfirmable
        Case id to why it cannot.
    """

    session: Session | None
    unconfirmable: dict[str, Reason]


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
    limits: Limits = LIMITS,
    progress: Callable[[str], None],
) -> Iterator[Confirmation]:
    """Begin a run that launches cases again, a candidate and its baseline in turns.

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
    cases = [(record.case, Repeats(launches=blocks)) for record in wanted]
    lab = Lab.of(workspace, cases)
    protocol = confirming_protocol(candidate)
    started = datetime.now(UTC)
    with ExitStack() as stack:
        run_id = confirming_id(candidate, started)
        claim = new_claim(run_id, candidate.campaign, wait_s)
        bench = Bench(workspace, lab, stack, claim, None, progress, limits)
        bench.reach_all(store)
        records, prepared = bench.prepare(cases, protocol)
        records = [_refused_where_absent(record, bench) for record in records]
        for measured, now in zip(wanted, records, strict=True):
            _refuse_another(measured, now, candidate.id)
        models = model_records(lab.models.values(), prepared.values(), progress)
        found = both_sides(records, prepared, baseline, models, kept, stack)
        if not found.cases:
            yield Confirmation(None, found.unconfirmable)
            return
        run = candidate.model_copy(
            update={
                **confirming(candidate, run_id, claim.id, started),
                "protocol": protocol,
                "devices": list(bench.records.values()),
                "models": models,
                "cases": found.cases,
            }
        )
        session = _session(store.create(run), found.prepared, bench, store, {})
        yield Confirmation(session, found.unconfirmable)


_ONLY_MEASURED: Final = {"memory_launches": 0, "profile_launches": 0}


def confirming_protocol(candidate: Run) -> Protocol:
    """Return the protocol by which suspicions about a run are decided."""
    return candidate.protocol.model_copy(update={**_ONLY_MEASURED, "shape_changes": False})


def confirming_id(candidate: Run, started: datetime) -> str:
    """Return the id of a run that decides suspicions about another."""
    return f"check-{candidate.campaign[:40]}-{started:%Y%m%d-%H%M%S}"


def confirming(candidate: Run, run_id: str, lease: str, started: datetime) -> dict[str, Any]:
    """Return in what a run that decides suspicions differs from the one that they are of."""
    return {
        "id": run_id,
        "campaign": f"{CONFIRMING}{candidate.campaign}",
        "seed": secrets.randbelow(1 << 31),
        "started": started,
        "finished": None,
        "lease": lease,
        "confirms": candidate.id,
        "expectations": [],
        "launches": [],
    }


@dataclass(frozen=True)
class Sides:
    """Cases as they are today and as a baseline has them.

    Attributes
    ----------
    unconfirmable
        Case id to why it cannot be launched as it was.
    """

    cases: list[CaseRecord]
    prepared: dict[str, Prepared]
    unconfirmable: dict[str, Reason]


def both_sides(
    records: Sequence[CaseRecord],
    prepared: Mapping[str, Prepared],
    baseline: Run,
    models: Sequence[ModelRecord],
    kept: KeptFiles,
    stack: ExitStack,
) -> Sides:
    """Return both sides of cases, which are launched in turns.

    Parameters
    ----------
    records, prepared
        The cases as they are today.
    models
        As they are today.
    stack
        Removes temporary folders.
    """
    then = {record.case.id: record for record in baseline.cases}
    found = Sides([], {}, {})
    for record in records:
        if record.refused is not None:
            found.unconfirmable[record.case.id] = record.refused
        ready = prepared.get(record.case.id)
        if ready is None:
            continue
        old = then[record.case.id]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-harness-")))
        known = [_of_name(each, record.case.model) for each in (baseline.models, models)]
        try:
            ready_then = again(old, record, known, ready, kept, folder)
        except UnconfirmableError as error:
            found.unconfirmable[record.case.id] = error.reason
            continue
        update = {"case": ready_then.case, "launches": record.launches, **_ONLY_MEASURED}
        update |= {"precision": None, "more": None, "refused": None, "left_out": None}
        found.cases.extend([record, old.model_copy(update=update)])
        found.prepared.update({record.case.id: ready, ready_then.case.id: ready_then})
    return found


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


def _refused_where_absent(record: CaseRecord, bench: Bench) -> CaseRecord:
    if record.case.device not in bench.unreachable:
        return record
    reason = reasons.NOT_REACHED(why=bench.unreachable[record.case.device].reason)
    return record.model_copy(update={"refused": reason})


def _session(
    run: Run,
    prepared: dict[str, Prepared],
    bench: Bench,
    store: Store,
    absent: Mapping[str, Absent],
) -> Session:
    for name in bench.reached:
        note(store, name, DeviceEventKind.REACHED, run=run.id)

    def execution_of(observer: Observer) -> Execution:
        return Execution(
            run,
            prepared,
            bench.reached,
            store,
            observer,
            absent=absent,
            folder=bench.workspace.root,
        )

    warnings = [f"{name}: {error.with_hint}" for name, error in bench.unreachable.items()]
    return Session(run, execution_of, warnings)


def _repeats(record: CaseRecord) -> Repeats:
    return Repeats.model_validate(record.model_dump(include=set(Repeats.model_fields)))


def model_records(
    models: Iterable[Model], prepared: Collection[Prepared], progress: Callable[[str], None]
) -> list[ModelRecord]:
    """Return what a run records of models."""
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
