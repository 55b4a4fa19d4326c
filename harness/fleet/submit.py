"""A campaign, sent to the labs that have its devices."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from harness import __version__
from harness.campaign.elsewhere import pack, wanted
from harness.campaign.prepare import EngineOn, prepare
from harness.campaign.reach import Lab
from harness.campaign.session import (
    both_sides,
    confirming,
    confirming_id,
    confirming_protocol,
    model_records,
    new_claim,
    new_run,
    select,
)
from harness.campaign.share import shares
from harness.campaign.spec import load_campaign
from harness.core.errors import LabError, ResultsError, SpecificationError
from harness.core.records import DeviceRecord, Repeats
from harness.core.text import count as counted
from harness.fleet.centre import FORMAT
from harness.fleet.own import Sent
from harness.lab.labels import NobodyHasError
from harness.models.manifest import load_model
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.campaign.kept import KeptFiles
    from harness.campaign.prepare import Prepared
    from harness.campaign.share import Share
    from harness.campaign.spec import Campaign
    from harness.core.reason import Reason
    from harness.core.records import ArtifactRecord, CaseRecord, Run
    from harness.fleet.centre import Centre, FleetDevice
    from harness.workspace import Workspace

__all__ = ["AgentAwayError", "Suspicions", "confirm", "submit"]

LOOK_S: Final = 5.0


class AgentAwayError(LabError):
    """The agent that has a device was not heard of."""


def submit(  # noqa: PLR0913 - what a user may ask of a run
    workspace: Workspace,
    path: Path,
    centre: Centre,
    *,
    only: Sequence[str] = (),
    seed: int | None = None,
    devices_within_s: float = 0.0,
    priority: int = 0,
    deadline_s: float | None = None,
    progress: Callable[[str], None],
) -> Run:
    """Build what a campaign needs, send it, and let its labs know; nothing is measured here.

    Parameters
    ----------
    devices_within_s
        How long to wait, in s, for agents that have the devices; by default not at all.
    deadline_s
        After which what is not measured is given up, in s.

    Returns
    -------
    Run
        As it was sent, without launches.

    Raises
    ------
    SpecificationError
        The campaign is wrong, or nobody has what it asks for.
    LabError
        The centre or an agent cannot take it, or nothing could be built.
    """
    campaign, fleet = _awaited(workspace, path, centre, devices_within_s, progress)
    cases = select(campaign, only)
    asked = sorted({case.device for case, _ in cases})
    _refuse_other_formats(asked, fleet)
    lab = Lab(
        devices={name: fleet[name].device for name in asked},
        models={name: load_model(workspace, name) for name in {case.model for case, _ in cases}},
        runners={},
    )
    away = {(case.device, case.engine): EngineOn(away=True) for case, _ in cases}
    records, prepared = prepare(cases, lab.devices, lab.models, away, campaign.protocol, progress)
    if not prepared:
        raise SpecificationError(f"no case of {path.name} can be measured: {records[0].refused}")
    started = datetime.now(UTC)
    identity = f"{path.stem}-{started:%Y%m%d-%H%M%S}"
    run = new_run(
        workspace, path, campaign, new_claim(identity, path.stem), identity, started, seed,
        devices=[_record(fleet[name]) for name in asked],
        models=model_records(lab.models.values(), prepared.values(), progress),
        cases=records,
    )  # fmt: skip
    return _dispatch(run, prepared, fleet, centre, priority, deadline_s, progress)


@dataclass(frozen=True)
class Suspicions:
    """Fresh launches that decide suspicions, sent to labs.

    Attributes
    ----------
    run
        None where no case of the baseline can be launched again.
    unconfirmable
        Case id to why it cannot.
    """

    run: Run | None
    unconfirmable: dict[str, Reason]


def confirm(  # noqa: PLR0913 - both sides, and how they are sent
    workspace: Workspace,
    candidate: Run,
    baseline: Run,
    case_ids: Collection[str],
    centre: Centre,
    *,
    blocks: int,
    kept: KeptFiles,
    priority: int = 0,
    deadline_s: float | None = None,
    progress: Callable[[str], None],
) -> Suspicions:
    """Send a run that launches cases again, a candidate and its baseline in turns.

    A lab measures both with its present runner. Where that, or its settings, are not those of the
    baseline, it cannot be launched again.

    Parameters
    ----------
    case_ids, blocks, kept
        As for :func:`harness.campaign.session.confirm`.

    Raises
    ------
    ResultsError
        A case's artifact is not what the candidate measured.
    SpecificationError, LabError
        As for :func:`submit`.
    """
    fleet = centre.devices()
    wanted = [record for record in candidate.cases if record.case.id in case_ids]
    names = sorted({record.case.device for record in wanted})
    if gone := [name for name in names if name not in fleet]:
        raise LabError(f"no lab has a device '{gone[0]}' any more", hint="harness fleet lists all")
    _refuse_other_formats(names, fleet)
    cases = [(record.case, Repeats(launches=blocks)) for record in wanted]
    devices = {name: fleet[name].device for name in names}
    models = {name: load_model(workspace, name) for name in {case.model for case, _ in cases}}
    away = {(case.device, case.engine): EngineOn(away=True) for case, _ in cases}
    protocol = confirming_protocol(candidate)
    records, prepared = prepare(cases, devices, models, away, protocol, progress)
    today = [_as_measured(now, was) for now, was in zip(records, wanted, strict=True)]
    known = model_records(models.values(), prepared.values(), progress)
    started = datetime.now(UTC)
    identity = confirming_id(candidate, started)
    with ExitStack() as stack:
        sides = both_sides(today, prepared, baseline, known, kept, stack)
        if not sides.cases:
            return Suspicions(None, sides.unconfirmable)
        run = candidate.model_copy(
            update={
                **confirming(
                    candidate, identity, new_claim(identity, candidate.campaign).id, started
                ),
                "protocol": protocol,
                "devices": [_record(fleet[name]) for name in names],
                "models": known,
                "cases": sides.cases,
            }
        )
        sent = _dispatch(run, sides.prepared, fleet, centre, priority, deadline_s, progress)
        return Suspicions(sent, sides.unconfirmable)


def _as_measured(now: CaseRecord, was: CaseRecord) -> CaseRecord:
    """Return a case as it is built today, with what its lab measured it with."""
    if now.artifact and was.artifact and now.artifact.id != was.artifact.id:
        raise ResultsError(
            f"{now.case.label}: its artifact changed since it was measured",
            hint="measure and check in one: harness check --submit --baseline NAME CAMPAIGN",
        )
    of_the_lab = ("runner_files", "engine_from", "options", "variables")
    return now.model_copy(update={name: getattr(was, name) for name in of_the_lab})


def _dispatch(  # noqa: PLR0913, PLR0917 - a run, and how it is sent
    run: Run,
    prepared: Mapping[str, Prepared],
    fleet: Mapping[str, FleetDevice],
    centre: Centre,
    priority: int,
    deadline_s: float | None,
    progress: Callable[[str], None],
) -> Run:
    """Send a run's shares with their files; return it with the id that it got."""
    identity = run.id
    devices = {each.name: fleet[each.name].device for each in run.devices}
    files: dict[str, dict[str, Any]] = {}
    for number in count(2):
        packed = [pack(share, prepared) for share in shares(run, devices)]
        packed = [share for share in packed if share.kits]
        if not files:
            files = _send(packed, prepared, centre, progress)
        sent = [_sent(share, run, fleet, files) for share in packed]
        if centre.submit(run, sent, priority, deadline_s):
            return run
        run = run.model_copy(update={"id": f"{identity}.{number}"})
    raise AssertionError  # count() does not end


def _awaited(
    workspace: Workspace,
    path: Path,
    centre: Centre,
    within_s: float,
    progress: Callable[[str], None],
) -> tuple[Campaign, dict[str, FleetDevice]]:
    """Return a campaign with its devices' names, and the fleet, once agents have all of them."""
    until = time.monotonic() + within_s
    while True:
        fleet = centre.devices()
        try:
            return _load(workspace, path, fleet), fleet
        except (AgentAwayError, NobodyHasError) as error:
            if time.monotonic() >= until:
                raise
            progress(f"waiting for devices: {error.message}")
        time.sleep(min(LOOK_S, max(0.0, until - time.monotonic())))


def _load(workspace: Workspace, path: Path, fleet: Mapping[str, FleetDevice]) -> Campaign:
    specs = {name: each.device.spec for name, each in fleet.items()}
    alive = {name: spec for name, spec in specs.items() if fleet[name].agent.alive}
    try:
        return load_campaign(workspace, path, alive)
    except NobodyHasError:
        raise
    except SpecificationError:
        # Either it is wrong, or names devices whose agents are away.
        named = load_campaign(workspace, path, specs)
        away = sorted({case.device for case, _ in named.cases()} - alive.keys())
        if not away:
            raise
        agent = fleet[away[0]].agent
        raise AgentAwayError(
            f"{away[0]}: its agent {agent.name} was last heard of at {agent.seen:%Y-%m-%d %H:%M} "
            "UTC",
            hint="start it (harness agent), or wait for it: --devices-within 2h",
        ) from None


def _refuse_other_formats(names: Iterable[str], fleet: Mapping[str, FleetDevice]) -> None:
    """Refuse devices whose agents understand other shares than are sent from here."""
    for name in names:
        agent = fleet[name].agent
        if agent.format != FORMAT:
            older = "it" if agent.format < FORMAT else "this harness"
            raise LabError(
                f"{name}: its agent {agent.name} runs edge-harness {agent.harness}, which takes "
                f"other shares than {__version__} sends",
                hint=f"upgrade {older}, or ask for another device",
            )


def _record(device: FleetDevice) -> DeviceRecord:
    spec = device.device.spec
    return DeviceRecord(
        name=device.device.name,
        description=spec.description,
        transport=spec.transport,
        host=device.device.host,
        emulated=device.device.emulated,
        device_class=spec.device_class,
        facts={},
        conditions=spec.conditions.model_dump(mode="json", exclude_defaults=True),
    )


def _send(
    packed: Sequence[Share],
    prepared: Mapping[str, Prepared],
    centre: Centre,
    progress: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Send all artifacts; return what each file is made of, by its hash."""
    limit = centre.limit_bytes()
    paths: dict[str, Path] = {}
    for share in packed:
        its: dict[str, Path] = {}
        here = {prepared[name].artifact.record.id: prepared[name].artifact for name in share.kits}
        for artifact in wanted(share).artifacts.values():
            folder = cache_dir() / "artifacts" / artifact.id
            folder = here[artifact.id].folder if artifact.id in here else folder
            its |= {digest: folder / name for name, digest in artifact.files.items()}
        size = sum(path.stat().st_size for path in its.values())
        if size > limit:
            raise SpecificationError(
                f"{share.host}: its files have {size / 1e6:.0f} MB, and the centre takes "
                f"{limit / 1e6:.0f} MB",
                hint="measure fewer models at once, or let the owner of the centre raise its "
                "limit: harness store init --limit",
            )
        paths |= its
    progress(f"sending {counted(len(paths), 'file')}")
    return {
        file.sha256: {"sha256": file.sha256, "size": file.size, "chunks": list(file.chunks)}
        for file in centre.send(paths)
    }


def _sent(
    share: Share,
    run: Run,
    fleet: Mapping[str, FleetDevice],
    files: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    device = fleet[next(iter(share.devices))]
    artifacts: Collection[ArtifactRecord] = wanted(share).artifacts.values()
    hashes = {digest for artifact in artifacts for digest in artifact.files.values()}
    its_cases: list[CaseRecord] = share.cases
    part = run.model_copy(
        update={
            "cases": its_cases,
            "devices": [each for each in run.devices if each.name in share.devices],
            "models": [],
        }
    )
    return {
        "id": f"{run.id}/{share.host}",
        "agent": device.agent.name,
        "host": device.host,
        "format": FORMAT,
        "harness": __version__,
        "content": Sent(run=part, share=share).model_dump_json(),
        "files": [files[digest] for digest in sorted(hashes)],
        "cases": {record.case.id: record.case.device for record in its_cases},
    }
