"""A host's share, measured by another process than the one that began its run.

It is sent as JSON (see :mod:`harness.campaign.share`). What is large follows by hash: whoever
measures has it in the user's cache before.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import engines
from harness.campaign import reasons
from harness.campaign.again import DIGEST_SHOWN, UnconfirmableError, artifact_of
from harness.campaign.host import Means
from harness.campaign.kept import KeptFiles, cached
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.prepare import EngineOn, Prepared, ShapeSwitch, shapes_of
from harness.campaign.reach import Bench, Claim, Lab
from harness.campaign.recovery import Recovery, note
from harness.campaign.runners import ForeignRunner, NativeRunner, PythonRunner
from harness.campaign.share import Checks, Kit
from harness.core.records import DeviceEventKind
from harness.lab.inventory import BackendSpec, Device
from harness.lab.runners import EDGE_RUNNER, RegisteredRunner
from harness.models import artifacts, build, environments
from harness.models.calibration import CalibrationSource
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.campaign.observer import Observer
    from harness.campaign.runners import Runner
    from harness.campaign.share import Share
    from harness.core.records import (
        ArtifactRecord,
        Case,
        CaseRecord,
        DeviceRecord,
        Protocol,
        Repeats,
    )
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes
    from harness.results.store import Store
    from harness.workspace import Workspace

__all__ = ["CacheNeeds", "pack", "receive", "wanted"]


@dataclass(frozen=True)
class CacheNeeds:
    """What has to be in the cache where a share is measured.

    Attributes
    ----------
    artifacts
        Those that are built, by their ids: folders of ``artifacts/``.
    files
        SHA-256 of runners' files: names in ``kept/``.
    """

    artifacts: Mapping[str, ArtifactRecord]
    files: frozenset[str]


def pack(share: Share, prepared: Mapping[str, Prepared]) -> Share:
    """Return a share with all that it takes elsewhere.

    Parameters
    ----------
    prepared
        Case id to what its launches need here.

    Raises
    ------
    UnconfirmableError
        Reference outputs are not in the cache any more.
    """
    ready = {each.case.id: prepared.get(each.case.id) for each in share.cases}
    models = {
        each.model.name: each.model.model_copy(update={"folder": None})
        for each in ready.values()
        if each
    }
    kits = {name: _kit(each) for name, each in ready.items() if each}
    return share.model_copy(update={"models": models, "kits": kits})


def wanted(share: Share) -> CacheNeeds:
    """Return what a packed share needs of the cache."""
    found: dict[str, ArtifactRecord] = {}
    files = set()
    for record in share.cases:
        if kit := share.kits.get(record.case.id):
            each = [checks.reference for checks in (kit.checks, *kit.changes)]
            each += [checks.inputs for checks in (kit.checks, *kit.changes)]
            found |= {artifact.id: artifact for artifact in (*each, record.artifact) if artifact}
            files |= {*record.runner_files.values()}
            if kit.runner:
                files |= {kit.runner.program, *kit.runner.libraries.values()}
    return CacheNeeds(found, frozenset(files))


@contextmanager
def receive(  # noqa: PLR0913 - what an execution has, and where the share is
    share: Share,
    workspace: Workspace,
    store: Store,
    observer: Observer,
    *,
    claim: Claim,
    record: Callable[[Sequence[CaseRecord], DeviceRecord | None], None],
    has_ended: Callable[[str], bool],
    limits: Limits = LIMITS,
    progress: Callable[[str], None],
) -> Iterator[Means]:
    """Reach a share's devices from here; on leaving, leases are given back and links closed.

    Parameters
    ----------
    share
        As :func:`pack` returned it. It may name other devices' files than it came with: what
        ``devices`` has is used.
    workspace
        Has the known host keys and boards, and locks against other runs of this machine.
    store
        Takes the devices' events.
    record, has_ended
        As for :class:`harness.campaign.host.Means`; the first is told of each device that was
        reached, too.

    Raises
    ------
    SpecificationError, LabError
        As for :func:`harness.campaign.session.begin`.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-harness-"))
        devices = {name: Device(name=name, spec=spec) for name, spec in share.devices.items()}
        runners = {
            kit.registered: RegisteredRunner(kit.registered, kit.runner, cache_dir() / "kept")
            for kit in share.kits.values()
            if kit.runner
        }
        lab = Lab(devices, share.models, runners)
        bench = _Bench(
            workspace, lab, stack, claim, share.run, progress, limits,
            share=share, folder=Path(scratch),
        )  # fmt: skip
        bench.reach_all(store)
        measured = [each for each in share.cases if each.case.id in share.kits]
        cases = [(each.case, each) for each in measured]
        records, prepared = bench.prepare(cases, share.protocol)
        absent = bench.absent(cases, share.protocol)
        for name in bench.reached:
            note(store, name, DeviceEventKind.REACHED, run=share.run)
            record([each for each in records if each.case.device == name], bench.records[name])
        stop = threading.Event()
        recovery = Recovery(
            share.run,
            workspace.root,
            store,
            observer,
            is_over=stop.is_set,
            return_s=share.protocol.wait_for_device_s,
        )
        for name, each in absent.items():
            recovery.absent(name, each.error.reason)
        yield Means(
            prepared=prepared,
            devices=bench.reached,
            absent=absent,
            recovery=recovery,
            observer=observer,
            record=record,
            has_ended=has_ended,
            pause=stop.wait,
            stop=stop,
            left_out={each.case.id: each.refused for each in records if each.refused is not None},
        )


@dataclass
class _Bench(Bench):
    """The devices of a share; what is launched there was built elsewhere."""

    share: Share = field(kw_only=True)
    folder: Path = field(kw_only=True)

    def prepare(
        self, cases: Sequence[tuple[Case, Repeats]], protocol: Protocol
    ) -> tuple[list[CaseRecord], dict[str, Prepared]]:
        """Take what cases need from the cache; a case for which it is not there is refused."""
        del protocol
        known = {record.case.id: record for record in self.share.cases}
        records, prepared = [], {}
        for case, _ in cases:
            record = known[case.id]
            try:
                prepared[case.id] = self._unpack(record)
            except UnconfirmableError as error:
                record = record.model_copy(update={"refused": reasons.NOT_BUILT(why=error.reason)})
            records.append(record)
        return records, prepared

    def _unpack(self, record: CaseRecord) -> Prepared:
        case, kit = record.case, self.share.kits[record.case.id]
        model = self.share.models[case.model]
        shapes = shapes_of(case, model)
        there = self.engines.get((case.device, case.engine), EngineOn())
        reference, check_file = _checked(model, kit.checks, shapes)
        changes = []
        for each in kit.changes:
            inputs = {spec.name: spec.shape for spec in model.manifest.fed(each.shapes)}
            changes.append(ShapeSwitch(inputs, *_checked(model, each, each.shapes)))
        folder = self.folder / case.id
        folder.mkdir(exist_ok=True)
        kept = cached()
        return Prepared(
            case,
            model,
            artifact_of(record, kept, folder),
            self._runner(record, kit, kept, reference, check_file),
            reference,
            BackendSpec(options=record.options, variables=record.variables),
            self.lab.devices[case.device].spec.conditions,
            shapes=shapes,
            changes=changes,
            check_file=check_file,
            excluded=there.excluded.get(case.backend, ()),
            is_checked=kit.is_checked,
        )

    def _runner(
        self,
        record: CaseRecord,
        kit: Kit,
        kept: KeptFiles,
        reference: Mapping[int, list[NDArray[Any]]],
        check_file: Path | None,
    ) -> Runner:
        if kit.runner and kit.runner.tool != EDGE_RUNNER:
            tool, _ = engines.tools()[kit.runner.tool]
            registered = self.lab.runners[kit.registered]
            return ForeignRunner(tool, registered, next(iter(reference.values())), check_file)
        found = {name: kept.get(digest) for name, digest in record.runner_files.items()}
        files = {name: path for name, path in found.items() if path}
        if len(files) < len(found):
            raise UnconfirmableError(reasons.RUNNER_GONE(files=sorted(found.keys() - files.keys())))
        if not kit.interpreter:
            return NativeRunner.of(files)
        interpreter, environment = kit.interpreter, ""
        name, at, _ = (record.engine_from or "").partition("@")
        if at:  # of ours, which is elsewhere on each machine
            environment = record.engine_from or ""
            interpreter = str(environments.python(name, self.progress))
        return PythonRunner(interpreter, environment, files)


def _kit(ready: Prepared) -> Kit:
    model, runner = ready.model, ready.runner
    registered = runner.registered if isinstance(runner, ForeignRunner) else None
    return Kit(
        checks=_checks(model, ready.shapes, ready.check_file),
        changes=[_checks(model, each.shapes, each.check_file) for each in ready.changes],
        is_checked=ready.is_checked,
        interpreter=runner.interpreter if isinstance(runner, PythonRunner) else "",
        registered=registered.name if registered else "",
        runner=registered.spec if registered else None,
    )


def _checks(model: Model, shapes: Shapes | None, check_file: Path | None) -> Checks:
    reference = None
    if not isinstance(model.manifest.source, CalibrationSource):
        found = build.find(model, "reference", shapes=shapes)
        if found is None:
            raise UnconfirmableError(reasons.ARTIFACT_GONE(artifact=model.name, file="reference"))
        reference = found.record
    inputs = artifacts.read(check_file.parent) if check_file else None
    return Checks(
        shapes=dict(shapes) if shapes else None,
        reference=reference,
        inputs=inputs.record if inputs else None,
    )


def _checked(
    model: Model, checks: Checks, shapes: Shapes | None
) -> tuple[Mapping[int, list[NDArray[Any]]], Path | None]:
    """Return the reference outputs at some shapes, and the file with the inputs they are for."""
    reference = _cached(checks.reference) if checks.reference else None
    inputs = _cached(checks.inputs) if checks.inputs else None
    values = build.read_reference(model, reference, shapes)
    return values, inputs.path("inputs") if inputs else None


def _cached(record: ArtifactRecord) -> Artifact:
    found = artifacts.read(cache_dir() / "artifacts" / record.id)
    if found is None or found.record.files != record.files or not artifacts.unchanged(found):
        artifact = record.id[:DIGEST_SHOWN]
        raise UnconfirmableError(reasons.ARTIFACT_GONE(artifact=artifact, file=record.format))
    return found
