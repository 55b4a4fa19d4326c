"""What a launch's runner wrote and its supervisor saw, as its record has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.analysis.memory import device_memory, thin
from harness.analysis.summary import launch_figure
from harness.campaign.traffic import measured_traffic
from harness.core import contract
from harness.core.records import Estimator, FirstLoad, Measured, Profile, Role, ShapeChange
from harness.lab.conditions.throttling import throttling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.contract import Event, Job
    from harness.core.supervision import Supervision

__all__ = ["measured", "sampled_s"]


def measured(events: Sequence[Event], outside: Supervision, job: Job, role: Role) -> Measured:
    """Return what a launch's events and its supervisor say of it, however far it came.

    Parameters
    ----------
    role
        What the launch was for.
    """
    npu = job.backend.startswith("npu")
    told = [event for event in events if isinstance(event, contract.EnvironmentEvent)]
    return Measured(
        **_of_runner(events, outside),
        **(_samples(events) | measured_traffic(events, job)),
        **_memory(events, outside, role),
        # What runners of version 1 read of sensors counts where the supervisor read nothing.
        environment=outside.environment or told,
        throttling=throttling(
            outside.environment,
            job.affinity,
            npu=npu,
            held_khz=outside.conditions.clocks_khz if outside.conditions else None,
        ),
        conditions=outside.conditions,
        exit=outside.exit,
    )


def sampled_s(found: Measured) -> float:
    """Return how long a launch sampled, in s, by samples that may be some of many."""
    samples = found.samples_ns
    made = found.inferences or len(samples)
    return sum(samples) / 1e9 * made / len(samples) if samples else 0.0


def _of_runner(events: Sequence[Event], outside: Supervision) -> dict[str, Any]:
    found: dict[str, Any] = {}
    dropped = outside.started is not None and outside.started.caches_dropped
    parts: dict[str, Any] = {"libraries": "cold" if dropped else "unknown"}
    changes: list[ShapeChange] = []
    profile: dict[str, Any] = {}
    for event in events:
        match event:
            case contract.Hello():
                found["engine_version"] = event.engine_version
                found["runner"] = f"{event.runner} {event.runner_version}"
                found["build"] = event.build
                found["clock"] = event.clock
                parts |= {"process_ms": event.process_ms, "import_ms": event.import_ms}
            case contract.Loaded():
                parts |= event.model_dump(include={"read_ms", "init_ms", "page_cache"})
                found["engine_version"] = event.engine_version or found.get("engine_version")
                found["build"] = found.get("build", {}) | event.build
                found |= {"units": event.units, "simulated": event.simulated}
            # A runner that skips a part breaks no rule of the parser, but has no first load.
            case contract.First() if {"import_ms", "read_ms"} <= parts.keys():
                found["first_load"] = FirstLoad(**parts, first_ms=event.ms)
            case contract.Warmup():
                found |= {"warmup_ns": event.ns, "warmup_reason": event.reason}
            case contract.Placement():
                profile["parts"] = event.parts
            case contract.Layers():
                profile["layers"] = event.layers
                profile["inferences"] = event.inferences
                profile["unattributed_us"] = event.unattributed_us
            case contract.ShapeChanged():
                timed = event.model_dump(include={"shapes", "set_ms", "first_ms"})
                changes.append(ShapeChange(**timed, samples_ns=event.ns))
            case _:
                pass
    found["profile"] = Profile(**profile) if profile else None
    found["shape_changes"] = changes
    return found


def _samples(events: Sequence[Event]) -> dict[str, Any]:
    """Return what says how long an inference took: samples, or the mean of a foreign tool."""
    batches = [event for event in events if isinstance(event, contract.Samples)]
    if samples := [ns for batch in batches for ns in batch.ns]:
        made = sum(
            len(batch.ns) if batch.inferences is None else batch.inferences for batch in batches
        )
        spent = [batch.cpu_ms for batch in batches if batch.cpu_ms is not None]
        return {
            "samples_ns": samples,
            "inferences": made,
            "figure_ns": launch_figure(samples),
            "window_ns": _window(events),
            "cpu_ms_per_inference": sum(spent) / made
            if len(spent) == len(batches) and made
            else None,
        }
    for event in events:
        if isinstance(event, contract.Mean):
            return {"figure_ns": event.ns, "estimator": Estimator.MEAN}
    return {}


def _window(events: Sequence[Event]) -> tuple[int, int] | None:
    """Return when sampling began and ended: from the event before it to its own last."""
    times = [event.t_ns for event in events if isinstance(event, contract.Samples)]
    begun = next((event.t_ns for event in events if isinstance(event, contract.Warmup)), None)
    ended = times[-1] if times else None
    return None if begun is None or ended is None else (begun, ended)


def _memory(events: Sequence[Event], outside: Supervision, role: Role) -> dict[str, Any]:
    found: dict[str, Any] = {}
    told = next((event for event in events if isinstance(event, contract.Memory)), None)
    if told:
        found = {"vmhwm_bytes": told.vmhwm_bytes, "vmhwm_source": "runner"}
        found["runtime_bytes"] = told.runtime_bytes
    elif outside.exit and outside.exit.vmhwm_bytes is not None:
        found = {"vmhwm_bytes": outside.exit.vmhwm_bytes, "vmhwm_source": "supervisor"}
    if role is Role.MEMORY:
        series = [(reading.ms, reading.bytes) for reading in outside.pss]
        found |= {
            "pss_bytes": max((size for _, size in series), default=None),
            "pss_series": thin(series),
            "device_memory": device_memory(outside.environment),
        }
    return found
