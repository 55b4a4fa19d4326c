"""What may be compared with what, and what else differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.analysis.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.analysis.cases import CaseResult
    from harness.core.records import DeviceRecord, ModelRecord, Run

__all__ = ["CHANGES", "Side", "differences", "engine_of", "not_a_contrast", "not_a_regression"]

CHANGES: Final = ("clocks", "device", "engine", "kernel")
"""What may be declared to be the change that a comparison is to judge."""


class Side:
    """A case of a run, with what the run knows of its device and model.

    Attributes
    ----------
    name
        What to call it to people: the run's or baseline's.
    """

    def __init__(self, run: Run, result: CaseResult, name: str | None = None) -> None:
        self.run = run
        self.result = result
        self.name = name or run.id
        case = result.record.case
        self.device: DeviceRecord | None = _named(run.devices, case.device)
        self.model: ModelRecord | None = _named(run.models, case.model)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the device told of itself."""
        return self.device.facts if self.device else {}


def _named(records: Iterable[Any], name: str) -> Any:  # noqa: ANN401 - of one kind or the other
    return next((record for record in records if record.name == name), None)


def not_a_regression(
    candidate: Side, baseline: Side, changes: Iterable[str] = ()
) -> Iterator[tuple[str, str]]:
    """Say why a case's launches cannot be judged against earlier ones of the same case.

    Parameters
    ----------
    changes
        Which of :data:`CHANGES` are what is to be judged, and so may differ.

    Yields
    ------
    kind, reason
        One of :data:`CHANGES`, or ``input``, ``estimator``, ``protocol``, ``outputs``; and a
        sentence.
    """
    allowed = set(changes)
    found = [
        *_unlike_instance(candidate, baseline),
        *(("kernel", reason) for reason in _unlike(candidate, baseline, _kernel, "kernel")),
        *(("clocks", reason) for reason in _unlike(candidate, baseline, _clocks, "clocks")),
        *(("engine", reason) for reason in _unlike(candidate, baseline, engine_of, "engine")),
        *_unlike_figures(candidate, baseline),
    ]
    yield from (each for each in found if each[0] not in allowed)


def not_a_contrast(candidate: Side, baseline: Side) -> Iterator[tuple[str, str]]:
    """Say why two cases of one model cannot be set against each other: kind and reason."""
    a, b = candidate.result.record.case, baseline.result.record.case
    if a.model != b.model:
        yield "model", f"{a.model} and {b.model} are two models"
    simulated = [side.result.simulated for side in (candidate, baseline)]
    if bool(simulated[0]) != bool(simulated[1]):
        yield "simulated", "one accelerator is simulated, and a simulator's times are no hardware's"
    emulated = [bool(side.device and side.device.emulated) for side in (candidate, baseline)]
    if emulated[0] != emulated[1]:
        yield "emulated", "one device is emulated, and an emulator's times are no device's"
    yield from _unlike_figures(candidate, baseline)
    for side in (candidate, baseline):
        if side.result.counted and not side.result.checked:
            yield "outputs", f"the outputs of {side.result.record.case.label} were not checked"


def differences(candidate: Side, baseline: Side) -> list[str]:
    """Return what differs between two cases, in a few words each."""
    a, b = (
        side.result.record.case.model_dump(mode="json", exclude={"model", "side"})
        for side in (candidate, baseline)
    )
    found = [f"{key}: {b[key]} → {a[key]}" for key in a if a[key] != b[key]]
    found += _unlike(candidate, baseline, _kernel, "kernel")
    found += _unlike(candidate, baseline, _clocks, "clocks")
    if a["engine"] == b["engine"]:
        found += _unlike(candidate, baseline, engine_of, "engine")
    found += _unlike(candidate, baseline, _runner, "runner")
    for what in ("warmup", "sampling"):
        if getattr(candidate.run.protocol, what) != getattr(baseline.run.protocol, what):
            found.append(f"the protocol's {what}")
    artifacts = [side.result.record.artifact for side in (candidate, baseline)]
    if all(artifacts) and len({artifact.id for artifact in artifacts if artifact}) > 1:
        found.append("artifact")
    return found


def _unlike_instance(candidate: Side, baseline: Side) -> Iterator[tuple[str, str]]:
    """Tell whether both ran on one device, which its serial number tells, or its machine id."""
    now, then = Instance.of(candidate.facts), Instance.of(baseline.facts)
    name = candidate.result.record.case.device
    key = now.key(then)
    if key is None:
        yield "device", f"{name} tells no serial number or machine id: it may be another device"
    elif getattr(now, key) != getattr(then, key):
        what = key.replace("_", " ")
        yield (
            "device",
            f"{name} is another device: {what} {getattr(then, key)} → {getattr(now, key)}",
        )


def _unlike_figures(candidate: Side, baseline: Side) -> Iterator[tuple[str, str]]:
    """Tell what makes figures mean different things."""
    sides = (candidate, baseline)
    models = [side.model for side in sides]
    if models[0] and models[1] and models[0].inputs != models[1].inputs:
        yield "input", f"{models[0].name} was fed other inputs (names, shapes or ranges)"
    estimators = [{launch.estimator for launch in side.result.counted} for side in sides]
    if all(estimators) and estimators[0] != estimators[1]:
        now, then = (", ".join(sorted(each)) for each in estimators)
        yield "estimator", f"a launch's figure is its {then} on one side, its {now} on the other"
    sustained = [side.run.protocol.sustained_s for side in sides]
    if sustained[0] != sustained[1]:
        yield "protocol", f"launches of {sustained[1] or 'no'} and of {sustained[0] or 'no'} s"


def _unlike(candidate: Side, baseline: Side, what: Any, name: str) -> list[str]:  # noqa: ANN401
    """Say that something known of both sides differs."""
    now, then = what(candidate), what(baseline)
    return [f"{name}: {then} → {now}"] if now and then and now != then else []


def _kernel(side: Side) -> str:
    """Return the kernel's version and build, which with the machine id stand for the image."""
    return " ".join(filter(None, (side.facts.get("kernel"), side.facts.get("kernel_build"))))


def _clocks(side: Side) -> str:
    """Return governors and the range of the clocks, as they were when the run began."""
    words = []
    for group in side.facts.get("cpus", ()):
        if group.get("governor") or group.get("max_khz"):
            limits = f"{group.get('min_khz', '?')}-{group.get('max_khz', '?')} kHz"
            words.append(f"{group.get('core', 'CPU')} {group.get('governor', '')} {limits}")
    for name, clock in sorted(side.facts.get("clocks", {}).items()):
        words.append(f"{name} {clock.get('governor', '')} ≤ {clock.get('max_hz', '?')} Hz")
    return ", ".join(words)


def engine_of(side: Side) -> str:
    """Return the engine's version and build, as launches told it; empty where none did."""
    told = {
        ", ".join(
            filter(
                None,
                (
                    launch.engine_version,
                    *(f"{name} {value}" for name, value in sorted(launch.build.items())),
                ),
            )
        )
        for launch in side.result.counted
    }
    return " or ".join(sorted(filter(None, told)))


def _runner(side: Side) -> str:
    return " or ".join(sorted({launch.runner for launch in side.result.counted if launch.runner}))
