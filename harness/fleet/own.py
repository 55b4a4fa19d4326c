"""What of a share a lab takes from whoever sent it, and what it takes from its own files.

Models, their artifacts, reference outputs and how often to measure come from the submitter. How a
device is reached and switched, which program measures there, with which interpreter, environment
and options: that is the lab's alone. So nothing that a submitter writes is run as a command.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from harness.campaign import reasons as campaign_reasons
from harness.campaign.elsewhere import wanted
from harness.campaign.kept import keep
from harness.campaign.plan import order
from harness.campaign.prepare import refusal, runner_on
from harness.campaign.runners import ForeignRunner, PythonRunner
from harness.campaign.share import Attempt, Share
from harness.campaign.traffic import uncallable
from harness.core.contract import Job
from harness.core.errors import HarnessError, LabError
from harness.core.records import Record, Run
from harness.core.text import visible
from harness.fleet import reasons
from harness.lab.runners import load_runner
from harness.models import artifacts, cache
from harness.models.formats import roles
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.campaign.share import Kit
    from harness.core.records import ArtifactRecord, CaseRecord
    from harness.fleet.centre import Centre, Claimed
    from harness.lab.inventory import Device
    from harness.workspace import Workspace

__all__ = ["Sent", "fetch", "own"]

_FETCHING: Final = threading.Lock()


class Sent(Record):
    """What travels: a host's share, and its part of the run, without launches."""

    run: Run
    share: Share


def own(
    share: Share,
    run: Run,
    workspace: Workspace,
    devices: Mapping[str, Device],
    agent: str,
    progress: Callable[[str], None],
) -> Share:
    """Return a share as its lab measures it.

    Parameters
    ----------
    run
        Its part of the run, as far as it was measured.
    devices
        The lab's, by name.

    Raises
    ------
    LabError
        None of its devices is the lab's any more.
    """
    known = {record.case.id: record for record in run.cases}
    cases, kits = [], dict(share.kits)
    for sent in share.cases:
        record = known.get(sent.case.id, sent)
        kit = share.kits.get(record.case.id)
        device = devices.get(record.case.device)
        if kit is None or record.refused is not None:
            cases.append(record)
            continue
        try:
            if device is None:
                lacking = reasons.NO_DEVICE(agent=agent, device=record.case.device)
                raise LabError(lacking)
            if refused := refusal(record.case, device, share.models[record.case.model]):
                raise LabError(refused)
            update, kits[record.case.id] = _equipped(record, kit, device, workspace, progress)
        except HarnessError as error:
            why = error.reason
            if device is not None and not isinstance(error, LabError):
                why = campaign_reasons.NOT_BUILT(why=why)
            update = {"refused": why}
            del kits[record.case.id]
        cases.append(record.model_copy(update=update))
    its = {name: devices[name].spec for name in share.devices if name in devices}
    if not its:
        raise LabError(reasons.NO_DEVICE(agent=agent, device=", ".join(sorted(share.devices))))
    made = sorted(run.launches, key=lambda launch: launch.attempt)
    return share.model_copy(
        update={
            "cases": cases,
            "kits": kits,
            "devices": its,
            "slots": order(cases, share.host, share.seed),
            "attempts": [Attempt.of(launch) for launch in made],
        }
    )


def _equipped(
    record: CaseRecord,
    kit: Kit,
    device: Device,
    workspace: Workspace,
    progress: Callable[[str], None],
) -> tuple[dict[str, Any], Kit]:
    """Return what a case's record and kit have of a lab's own files."""
    case = record.case
    spec = device.spec.engines[case.engine]
    settings = spec.backends[case.backend]
    registered = load_runner(workspace, spec.runner) if spec.runner else None
    # What a foreign tool prints is read by reference outputs that come with the share.
    runner = runner_on(case, device, registered, {0: []}, None, progress)
    if refused := runner.lacks(case, settings) or next(uncallable(case, runner), None):
        raise LabError(refused)
    engine_from, interpreter, foreign = None, "", None
    if isinstance(runner, PythonRunner):
        interpreter = runner.interpreter
        engine_from = runner.environment or runner.interpreter
    if isinstance(runner, ForeignRunner):
        foreign = runner.registered
        tool = {foreign.spec.tool: foreign.program, **foreign.libraries}
        hashes = {name: keep(path) for name, path in tool.items()}
    else:
        with runner.files(
            Job.model_construct(launch="", engine=case.engine, files={}, inputs=[])
        ) as files:
            hashes = {name: keep(path) for name, path in files.items()}
    then = (record.runner_files, record.engine_from, record.options, record.variables)
    if case.side == "baseline" and then != (
        hashes, engine_from, settings.options, settings.variables,
    ):  # fmt: skip
        raise LabError(reasons.CHANGED(device=case.device))
    update = {
        "options": settings.options,
        "variables": settings.variables,
        "runner_files": hashes,
        "engine_from": engine_from,
        **({} if runner.profiles else {"profile_launches": 0}),
    }
    return update, kit.model_copy(
        update={
            "interpreter": interpreter,
            "registered": foreign.name if foreign else "",
            "runner": foreign.spec if foreign else None,
        }
    )


def fetch(share: Share, claimed: Claimed, centre: Centre, progress: Callable[[str], None]) -> None:
    """Get a share's artifacts from the centre into this agent's cache, verified.

    Raises
    ------
    AwayError
        The centre is away.
    LabError
        They are not what the share says.
    """
    sent = {file.sha256: file for file in claimed.files}
    for artifact in wanted(share).artifacts.values():
        _check(artifact)
        folder = cache_dir() / "artifacts" / artifact.id
        with _FETCHING:  # another host's share may need the same
            found = artifacts.read(folder)
            if not (found and found.record.files == artifact.files and artifacts.unchanged(found)):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / artifacts.RECORD).unlink(missing_ok=True)
                for name, digest in artifact.files.items():
                    if digest not in sent:
                        raise LabError(reasons.NOT_SENT(why=f"{artifact.id[:12]} lacks {name}"))
                    progress(f"fetching {visible(name)} ({sent[digest].size / 1e6:.1f} MB)")
                    centre.fetch(claimed.id, sent[digest], folder / name)
                # Last: without it there is no artifact.
                record = artifact.model_dump_json()
                (folder / artifacts.RECORD).write_text(record, encoding="utf-8")
        cache.mark_used(folder)
    cache.make_room(progress)


def _check(artifact: ArtifactRecord) -> None:
    """Refuse what would leave the cache's folder, or is no artifact of ours."""
    files = roles(artifact.format)
    if not (artifact.id.isalnum() and files and {*artifact.files} == {*files.values()}):
        raise LabError(reasons.NOT_SENT(why=f"artifact {artifact.id[:12]} has no sound record"))
