"""From a campaign's cases to what can be launched: artifacts built, interpreters found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import engines
from harness.campaign import reasons
from harness.campaign.kept import keep
from harness.campaign.launch import Handling
from harness.campaign.plan import Slot
from harness.campaign.runners import AwayRunner, ForeignRunner, NativeRunner, PythonRunner
from harness.campaign.traffic import asked, longer_s, uncallable
from harness.core.contract import MAX_SAMPLES, PROTOCOL, Job, Sampling, WarmupPolicy
from harness.core.errors import HarnessError, unexpected
from harness.core.reason import plain
from harness.core.records import CaseRecord, Role
from harness.lab.conditions.spec import Conditions
from harness.lab.inventory import BackendSpec
from harness.lab.runners import EDGE_RUNNER
from harness.models import build, environments, npm, operations, recipes
from harness.models.inspection import inspected
from harness.models.toolchain import ToolchainError
from harness.native.build import build as build_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.campaign.runners import Runner
    from harness.core.reason import Reason
    from harness.core.records import ArtifactRecord, Case, Protocol, Repeats
    from harness.lab.inventory import Device, EngineSpec
    from harness.lab.runners import RegisteredRunner
    from harness.models.artifacts import Artifact
    from harness.models.manifest import Model, Shapes
    from harness.models.operations import Operations

__all__ = [
    "EngineOn",
    "Prepared",
    "ShapeSwitch",
    "prepare",
    "refusal",
    "runner_on",
    "shapes_of",
    "too_large",
]

PROFILED = (
    WarmupPolicy(min_samples=2, min_seconds=0.0, max_samples=2),
    Sampling(min_samples=10, min_seconds=0.0, max_samples=10),
)
"""Warm-up and sampling of a profile: few, for engines keep a record of each operator."""


@dataclass(frozen=True)
class ShapeSwitch:
    """Shapes that a case's launches switch to, all inputs', and the reference outputs for them.

    Attributes
    ----------
    check_file
        As for :class:`Prepared`.
    """

    shapes: Mapping[str, tuple[int, ...]]
    reference: Mapping[int, list[NDArray[Any]]]
    check_file: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A case with all that its launches need on this side.

    Attributes
    ----------
    reference
        Check seed to the model's reference outputs.
    settings
        Of its backend, by the device's file.
    shapes
        Of its inputs, where they are not those of the model's file.
    changes
        What its launches that measure switch to once they have their samples.
    check_file
        With the inputs of the check seeds, where they are not made of these.
    excluded
        Why, by its probe, the device cannot use the case's backend; empty where it may.
    is_checked
        Whether outputs are asked for and checked.
    """

    case: Case
    model: Model
    artifact: Artifact
    runner: Runner
    reference: Mapping[int, list[NDArray[Any]]]
    settings: BackendSpec = field(default_factory=BackendSpec)
    conditions: Conditions = field(default_factory=Conditions)
    shapes: Shapes | None = None
    changes: Sequence[ShapeSwitch] = ()
    check_file: Path | None = None
    excluded: Sequence[Reason] = ()
    is_checked: bool = True

    @property
    def check_files(self) -> dict[str, Path]:
        """What a job names as its ``check_files``, by name in a launch's folder."""
        found = [self.check_file, *(change.check_file for change in self.changes)]
        return {f"check-{n}.bin": path for n, path in enumerate(found) if path}

    def handling(self, slot: Slot, protocol: Protocol) -> Handling:
        """Return what the supervisor does for one launch."""
        memory = slot.role is Role.MEMORY
        return Handling(
            variables=self.settings.variables,
            fresh_cache=slot.role is Role.FILL,
            drop_caches=protocol.drop_caches and protocol.page_cache_of(slot.slot) == "evict",
            pss_every_ms=protocol.pss_every_ms if memory else None,
            conditions=self.conditions,
            busy_cpus=self.case.busy_cpus,
        )

    def job(self, launch: str, slot: Slot, protocol: Protocol, rate: float | None = None) -> Job:
        """Return the job of one launch, but for the model cache's folder.

        Parameters
        ----------
        rate
            Of requests, that a search found.
        """
        manifest = self.model.manifest
        profile = slot.role is Role.PROFILE
        warmup, sampling = PROFILED if profile else (protocol.warmup, protocol.sampling)
        sustained_s = protocol.sustained_s if slot.role is Role.MEASURE else None
        if sustained_s is not None:
            sampling = Sampling(
                min_samples=1,
                min_seconds=sustained_s,
                max_samples=MAX_SAMPLES,
                max_seconds=sustained_s,
            )
        traffic = asked(self.case, slot.role, sampling, slot.position, rate)
        changes = self.changes if slot.role is Role.MEASURE else ()
        interface = self.artifact.record.interface
        inputs = recipes.taken(manifest.fed(self.shapes), interface)
        job = Job(
            protocol=PROTOCOL if profile or traffic or (interface and interface.as_float32) else 1,
            launch=launch,
            engine=self.case.engine,
            backend=self.case.backend,
            files=dict(self.artifact.roles),
            precision=self.case.precision,
            inputs=inputs,
            as_float32=interface.as_float32 if interface else [],
            outputs=interface.outputs if interface else [],
            check_seeds=manifest.check_seeds if self.is_checked else [],
            check_files=[*self.check_files][: 1 + len(changes)],
            threads=self.case.threads,
            affinity=list(self.case.cpus) if self.case.cpus is not None else None,
            warmup=warmup,
            sampling=sampling,
            sustained=sustained_s is not None,
            shape_changes=[
                {spec.name: each.shapes[spec.name] for spec in inputs} for each in changes
            ],
            profile=profile,
            traffic=traffic,
            time_limit=protocol.time_limit + (sustained_s or 0.0) + longer_s(traffic),
            page_cache=protocol.page_cache_of(slot.slot),
            options=self.settings.options,
        )
        return self.runner.adapt(job)

    def deployed(self, protocol: Protocol) -> dict[str, Any]:
        """Return what of its record says how to launch it again, and keep the runner's bytes."""
        job = self.job("any", Slot(self.case.id, 0, 0), protocol)
        with self.runner.files(job) as found:
            hashes = {name: keep(path) for name, path in found.items()}
        engine_from = None
        if isinstance(self.runner, PythonRunner):
            engine_from = self.runner.environment or self.runner.interpreter
        return {"runner_files": hashes, "engine_from": engine_from}


@dataclass(frozen=True)
class EngineOn:
    """An engine on a device.

    Attributes
    ----------
    runner
        The registered runner that measures it there; none where a Python does.
    faults
        Why that runner cannot run there; nothing where it can.
    version
        Of the engine, where it is known before it runs.
    excluded
        Backend to why the device cannot use it, by its probe.
    away
        Whether the device is another lab's, which has the runner.
    """

    runner: RegisteredRunner | None = None
    faults: Sequence[Reason] = ()
    version: str | None = None
    excluded: Mapping[str, Sequence[Reason]] = field(default_factory=dict)
    away: bool = False


def prepare(
    cases: Sequence[tuple[Case, Repeats]],
    devices: Mapping[str, Device],
    models: Mapping[str, Model],
    found: Mapping[tuple[str, str], EngineOn],
    protocol: Protocol,
    progress: Callable[[str], None],
) -> tuple[list[CaseRecord], dict[str, Prepared]]:
    """Build what cases need and refuse those that must not run.

    Parameters
    ----------
    found
        Device and engine to what is there of it.
    protocol
        Says how many memory passes there are, and whether shapes are changed.

    Returns
    -------
    records
        Every case, with its artifact or the reason for its refusal.
    prepared
        Case id to what its launches need, for the cases that were not refused.

    Raises
    ------
    HarnessError
        No case could be prepared, and an environment or an artifact could not be made, or a model
        cannot be used so.
    """
    records: list[CaseRecord] = []
    prepared: dict[str, Prepared] = {}
    errors: list[HarnessError] = []
    for case, repeats in cases:
        record = CaseRecord(
            case=case,
            memory_launches=protocol.memory_launches,
            profile_launches=protocol.profile_launches,
            **repeats.model_dump(),
        )
        device, model = devices[case.device], models[case.model]
        others = _turns(case, [each for each, _ in cases]) if protocol.shape_changes else []
        try:
            ready = _prepare(case, device, model, found, others, progress)
            update = _recorded(ready, protocol, progress)
        except _RefusedError as refusal:
            update = {"artifact": refusal.artifact, "refused": refusal.reason}
        except HarnessError as error:
            errors.append(error)
            update = {"refused": reasons.NOT_BUILT(why=error.reason)}
        except Exception as error:  # noqa: BLE001 - one case never ends the others
            update = {"refused": reasons.NOT_BUILT(why=plain(unexpected(error)))}
        else:
            prepared[case.id] = ready
        records.append(record.model_copy(update=update))
    if errors and not prepared:
        raise errors[0]
    return records, prepared


def _recorded(
    ready: Prepared, protocol: Protocol, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return what a case's record has of how it is launched."""
    counted = count_operations(ready.model, progress, ready.shapes)
    if ready.artifact.record.format == "nb":  # its subgraphs are of the Paddle program's layers
        count_operations(ready.model, progress, ready.shapes, recipes.PADDLE_PROGRAM)
    return {
        "artifact": inspected(ready.model, ready.artifact, ready.shapes),
        "options": ready.settings.options,
        "variables": ready.settings.variables,
        "shape_changes": [dict(each.shapes) for each in ready.changes],
        **ready.deployed(protocol),
        **({} if _profiles(ready) else {"profile_launches": 0}),
        "macs": counted.macs if counted else None,
    }


def _profiles(ready: Prepared) -> bool:
    return ready.runner.profiles and engines.get(ready.case.engine).profiles


def _turns(case: Case, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that differ in shape only, from the next one round to the case itself."""
    alike = [each for each in cases if each.at_any_shape == case.at_any_shape]
    place = alike.index(case) + 1
    return [*alike[place:], *alike[:place]] if len(alike) > 1 else []


def too_large(artifact: ArtifactRecord, facts: Mapping[str, Any]) -> Reason | None:
    """Say why an artifact cannot fit into a device's memory, or nothing where it may.

    The estimate is a lower bound: weights as they are stored, and where a compiler told it, its
    memory for intermediate results. What the engine itself takes comes on top.

    Parameters
    ----------
    facts
        What probing told of the device (see ``harness.lab.probe.Facts``), as JSON.
    """
    available, total = facts.get("memory_available_bytes"), facts.get("memory_total_bytes")
    told = artifact.partition
    weights = (told.weight_bytes if told else None) or artifact.size_bytes
    needed = weights + ((told.memory_bytes if told else None) or 0)
    if available is None or needed <= available:
        return None
    return reasons.TOO_LARGE(needed=needed, available=available, total=total or None)


def count_operations(
    model: Model,
    progress: Callable[[str], None],
    shapes: Shapes | None = None,
    program: str = "any",
) -> Operations | None:
    """Return what one inference of a model computes; nothing where that cannot be counted.

    It is only shown alongside the figures, and no reason not to measure.
    """
    try:
        return operations.count(model, shapes=shapes, program=program, progress=progress)
    except ToolchainError as error:
        progress(f"the operations of {model.name} are unknown: {error.message}")
        return None


def refusal(case: Case, device: Device, model: Model) -> Reason | None:
    """Say why a case cannot be measured, by the files of its device and model alone."""
    spec = device.spec.engines.get(case.engine)
    if spec is None:
        return reasons.NO_ENGINE(device=device.name, engine=case.engine)
    return next(_refusals(case, device, model, spec), None)


def _refusals(case: Case, device: Device, model: Model, spec: EngineSpec) -> Iterator[Reason]:
    engine = engines.get(case.engine)
    loads = engine.format_on(case.backend)
    if loads not in recipes.targets(model):
        yield reasons.NO_MODEL(model=model.name, engine=case.engine)
    if case.backend not in spec.backends:
        yield reasons.NO_BACKEND(device=device.name, backend=case.backend, engine=case.engine)
    elif name := spec.backends[case.backend].environment or spec.environment:
        environments.get(name)  # one that does not exist is a fault of the device's file
    if lacking := engine.lacks(device.spec, case.backend):
        yield lacking
    precisions = engine.precisions_on(device.spec, case.backend)
    if case.precision not in precisions:
        yield reasons.PRECISION(
            engine=case.engine,
            precisions=precisions,
            backend=case.backend,
            device=device.name,
            precision=case.precision,
        )
    if loads in recipes.targets(model):
        target = engine.target(device.spec, case.backend)
        built = recipes.precisions(model, loads, target)
        if built and case.precision not in built:
            yield reasons.NOT_BUILT_IN(model=model.name, built=built, precision=case.precision)
    if spec.runner is None and engine.in_python and case.backend not in engine.in_python:
        yield reasons.PYTHON_BACKEND(backend=case.backend)
    if case.model_cache == "kept" and not engine.keeps_models(case.backend):
        yield reasons.NO_MODEL_CACHE(engine=case.engine, backend=case.backend)


class _RefusedError(Exception):
    """A case must not run; its artifact may have been built."""

    def __init__(self, reason: Reason, artifact: ArtifactRecord | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.artifact = artifact


def _prepare(
    case: Case,
    device: Device,
    model: Model,
    found: Mapping[tuple[str, str], EngineOn],
    others: Sequence[Case],
    progress: Callable[[str], None],
) -> Prepared:
    if refused := refusal(case, device, model):
        raise _RefusedError(refused)
    settings = device.spec.engines[case.engine].backends[case.backend]
    there = found.get((device.name, case.engine), EngineOn())
    if there.runner and there.faults:
        raise _RefusedError(reasons.RUNNER_UNFIT(runner=there.runner.name, why=there.faults))
    engine = engines.get(case.engine)
    target = engine.target(device.spec, case.backend)
    shapes = shapes_of(case, model)
    artifact = build.build(
        model,
        engine.format_on(case.backend),
        target,
        shapes=shapes,
        precision=case.precision,
        progress=progress,
    )
    if refused := engine.refuse(device.spec, artifact.paths, case.backend, there.version):
        raise _RefusedError(refused, inspected(model, artifact, shapes))
    reference = build.reference(model, shapes=shapes, progress=progress)
    check_file = build.check_inputs(model, shapes=shapes, progress=progress)
    runner: Runner = AwayRunner()
    if not there.away:
        runner = runner_on(case, device, there.runner, reference, check_file, progress)
    if refused := _of_fixed_shapes(artifact, shapes):
        raise _RefusedError(refused, inspected(model, artifact, shapes))
    if refused := runner.lacks(case, settings) or next(uncallable(case, runner), None):
        raise _RefusedError(refused, inspected(model, artifact, shapes))
    excluded = there.excluded.get(case.backend, ())
    if excluded:
        why = "; ".join(map(str, excluded))
        progress(
            f"{case.label}: the probe says that {device.name} cannot use {case.backend}: {why}"
        )
    changes = []
    fixed = artifact.record.interface and artifact.record.interface.fixed_shapes
    changes_shapes = engine.changes_shapes(device.spec, case.backend) and runner.changes_shapes
    if changes_shapes and not fixed and case.scenario == "single":
        for other in others:
            wanted = shapes_of(other, model)
            inputs = {spec.name: spec.shape for spec in model.manifest.fed(wanted)}
            outputs = build.reference(model, shapes=wanted, progress=progress)
            checks = build.check_inputs(model, shapes=wanted, progress=progress)
            changes.append(ShapeSwitch(inputs, outputs, checks))
    return Prepared(
        case,
        model,
        artifact,
        runner,
        reference,
        settings,
        device.spec.conditions,
        shapes=shapes,
        changes=changes,
        check_file=check_file,
        excluded=excluded,
    )


def _of_fixed_shapes(artifact: Artifact, shapes: Shapes | None) -> Reason | None:
    """Say why an artifact cannot take a case's shapes, or return none."""
    interface = artifact.record.interface
    fixed = interface is not None and interface.fixed_shapes
    return reasons.FIXED_SHAPES() if fixed and shapes is not None else None


def shapes_of(case: Case, model: Model) -> Shapes | None:
    """Return the shapes of a case's inputs, where they are not those of the model's file."""
    return model.manifest.batched(case.batch, dict(case.shapes) if case.shapes else None)


def runner_on(
    case: Case,
    device: Device,
    registered: RegisteredRunner | None,
    reference: Mapping[int, list[NDArray[Any]]],
    check_file: Path | None,
    progress: Callable[[str], None],
) -> Runner:
    """Return what measures a case on a device, by the device's file.

    Parameters
    ----------
    registered
        The runner that its file names, where it names one.
    reference, check_file
        As for :class:`Prepared`.

    Raises
    ------
    HarnessError
        It cannot be built, or its environment cannot be made.
    """
    spec = device.spec.engines[case.engine]
    if spec.built_in:
        return NativeRunner(build_runner(case.engine, device.spec.abi, progress=progress))
    if registered is None:
        npm.device_files(engines.get(case.engine), progress)
        return _python_runner(spec, spec.backends[case.backend], progress)
    if registered.spec.tool != EDGE_RUNNER:
        tool, _ = engines.tools()[registered.spec.tool]
        return ForeignRunner(tool, registered, next(iter(reference.values())), check_file)
    return NativeRunner(registered.program, registered.libraries)


def _python_runner(
    spec: EngineSpec, settings: BackendSpec, progress: Callable[[str], None]
) -> PythonRunner:
    name = settings.environment or spec.environment
    if settings.python or name is None:
        return PythonRunner(str(settings.python or spec.python))
    python = environments.python(name, progress)
    return PythonRunner(str(python), f"{name}@{environments.get(name).digest}")
