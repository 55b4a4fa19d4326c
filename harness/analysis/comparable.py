"""What may be compared with what, and what else differs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.analysis import reasons
from harness.analysis.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.analysis.cases import CaseResult
    from harness.core.reason import Code, Reason
    from harness.core.records import DeviceRecord, Launch, ModelRecord, Run

__all__ = [
    "CHANGES",
    "Side",
    "device_clocks",
    "differences",
    "engine_of",
    "memory_clock_unknown",
    "not_a_contrast",
    "not_a_regression",
]

CHANGES: Final = ("clocks", "device", "engine", "kernel")
"""What may be declared to be the change that a comparison is to judge."""


_MEMORY: Final = re.compile("dmc|ddr|memory|emc|bus", re.IGNORECASE)
"""The memory's clock, as devfreq and debugfs call it."""
_SAME_CLOCK: Final = 0.01
"""Clocks nearer than this share are one: drivers round."""


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
) -> Iterator[tuple[str, Reason]]:
    """Say why a case's launches cannot be judged against earlier ones of the same case.

    Parameters
    ----------
    changes
        Which of :data:`CHANGES` are what is to be judged, and so may differ.

    Yields
    ------
    kind, reason
        One of :data:`CHANGES`, or ``input``, ``estimator``, ``protocol``, ``outputs``; and why.
    """
    allowed = set(changes)
    found = [
        *_unlike_instance(candidate, baseline),
        *(("kernel", why) for why in _unlike(candidate, baseline, _kernel, reasons.KERNEL)),
        *(("clocks", why) for why in _unlike(candidate, baseline, _clocks, reasons.CLOCKS)),
        *(("clocks", why) for why in _unlike_device_clocks(candidate, baseline)),
        *(("engine", why) for why in _unlike(candidate, baseline, engine_of, reasons.ENGINE)),
        *_unlike_figures(candidate, baseline),
    ]
    yield from (each for each in found if each[0] not in allowed)


def not_a_contrast(candidate: Side, baseline: Side) -> Iterator[tuple[str, Reason]]:
    """Say why two cases of one model cannot be set against each other: kind and reason."""
    a, b = candidate.result.record.case, baseline.result.record.case
    if a.model != b.model:
        yield "model", reasons.OTHER_MODEL(one=a.model, other=b.model)
    simulated = [side.result.simulated for side in (candidate, baseline)]
    if bool(simulated[0]) != bool(simulated[1]):
        yield "simulated", reasons.SIMULATED()
    emulated = [bool(side.device and side.device.emulated) for side in (candidate, baseline)]
    if emulated[0] != emulated[1]:
        yield "emulated", reasons.EMULATED()
    yield from _unlike_figures(candidate, baseline)
    for side in (candidate, baseline):
        if side.result.counted and not side.result.checked:
            yield "outputs", reasons.UNCHECKED(case=side.result.record.case.label)


def differences(candidate: Side, baseline: Side) -> list[str]:
    """Return what differs between two cases, in a few words each."""
    a, b = (
        side.result.record.case.model_dump(mode="json", exclude={"model", "side"})
        for side in (candidate, baseline)
    )
    found = [f"{key}: {b[key]} → {a[key]}" for key in a if a[key] != b[key]]
    found += map(str, _unlike(candidate, baseline, _kernel, reasons.KERNEL))
    found += map(str, _unlike(candidate, baseline, _clocks, reasons.CLOCKS))
    found += map(str, _unlike_device_clocks(candidate, baseline))
    if a["engine"] == b["engine"]:
        found += map(str, _unlike(candidate, baseline, engine_of, reasons.ENGINE))
    found += map(str, _unlike(candidate, baseline, _runner, reasons.RUNNER))
    for what in ("warmup", "sampling"):
        if getattr(candidate.run.protocol, what) != getattr(baseline.run.protocol, what):
            found.append(f"the protocol's {what}")
    artifacts = [side.result.record.artifact for side in (candidate, baseline)]
    if all(artifacts) and len({artifact.id for artifact in artifacts if artifact}) > 1:
        found.append("artifact")
    return found


def _unlike_instance(candidate: Side, baseline: Side) -> Iterator[tuple[str, Reason]]:
    """Tell whether both ran on one device, which its serial number tells, or its machine id."""
    now, then = Instance.of(candidate.facts), Instance.of(baseline.facts)
    name = candidate.result.record.case.device
    key = now.key(then)
    if key is None:
        yield "device", reasons.NO_IDENTITY(device=name)
    elif getattr(now, key) != getattr(then, key):
        other = reasons.OTHER_INSTANCE[key]
        yield "device", other(device=name, then=getattr(then, key), now=getattr(now, key))


def _unlike_figures(candidate: Side, baseline: Side) -> Iterator[tuple[str, Reason]]:
    """Tell what makes figures mean different things."""
    sides = (candidate, baseline)
    models = [side.model for side in sides]
    if models[0] and models[1] and models[0].inputs != models[1].inputs:
        yield "input", reasons.INPUTS(model=models[0].name)
    estimators = [{launch.estimator for launch in side.result.counted} for side in sides]
    if all(estimators) and estimators[0] != estimators[1]:
        now, then = (", ".join(sorted(each)) for each in estimators)
        yield "estimator", reasons.ESTIMATOR(then=then, now=now)
    sustained = [side.run.protocol.sustained_s for side in sides]
    if sustained[0] != sustained[1]:
        yield "protocol", reasons.DURATION(then=sustained[1] or 0, now=sustained[0] or 0)


def _unlike(candidate: Side, baseline: Side, what: Any, why: Code) -> list[Reason]:  # noqa: ANN401
    """Say that something known of both sides differs."""
    now, then = what(candidate), what(baseline)
    return [why(then=then, now=now)] if now and then and now != then else []


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


def _unlike_device_clocks(candidate: Side, baseline: Side) -> Iterator[Reason]:
    """Say which clocks of NPU, GPU and memory were others while launches ran, of cases there."""
    if not _accelerated(candidate) and not _accelerated(baseline):
        return
    now, then = (device_clocks(side.result.counted) for side in (candidate, baseline))
    both = [name for name in now if name in then and not _near(now[name], then[name])]
    if both:
        yield reasons.DEVICE_CLOCKS(
            then=", ".join(_in_mhz(name, then[name]) for name in both),
            now=", ".join(_in_mhz(name, now[name]) for name in both),
        )


def memory_clock_unknown(candidate: Side, baseline: Side) -> Reason | None:
    """Say where the memory's clock is not known, which decides what an accelerator reaches."""
    without = [
        side.name
        for side in (baseline, candidate)
        if _accelerated(side) and not any(map(_MEMORY.search, device_clocks(side.result.counted)))
    ]
    names = ", ".join(dict.fromkeys(without))
    return reasons.MEMORY_CLOCK_UNKNOWN(sides=names) if without else None


def _accelerated(side: Side) -> bool:
    stands_in = side.result.simulated is not None or bool(side.device and side.device.emulated)
    return side.result.record.case.backend != "cpu" and not stands_in


def device_clocks(launches: Iterable[Launch]) -> dict[str, tuple[int, int]]:
    """Return the lowest and highest clock of NPU, GPU and memory while launches ran, in kHz."""
    found: dict[str, list[int]] = {}
    for launch in launches:
        for reading in launch.environment:
            if reading.phase == "during":
                for name, khz in (reading.npu_khz | reading.clocks_khz).items():
                    found.setdefault(name, []).append(khz)
    return {name: (min(seen), max(seen)) for name, seen in sorted(found.items())}


def _near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(abs(a - b) <= _SAME_CLOCK * max(a, b) for a, b in zip(one, other, strict=True))


def _in_mhz(name: str, ends: tuple[int, int]) -> str:
    low, high = (f"{khz / 1e3:g}" for khz in ends)
    return f"{name} {low if low == high else f'{low} to {high}'} MHz"


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
