"""A fleet's state in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.fleet.centre import Centre

__all__ = ["metrics"]


def metrics(centre: Centre) -> list[str]:
    """Return the lines of a text file for Prometheus."""
    agents, jobs = centre.agents(), centre.jobs(ended=False)
    devices = centre.devices().values()
    now = datetime.now(UTC)
    waiting = [job for job in jobs if job.state == "waiting"]
    shares = Counter((job.agent, job.state) for job in jobs)
    oldest = max(((now - job.submitted).total_seconds() for job in waiting), default=0.0)
    lines: list[str] = []
    lines += _family(
        "edge_fleet_agent_up", "Whether an agent was heard of within the last minute.",
        (({"agent": each.name, "version": each.harness}, int(each.alive)) for each in agents),
    )  # fmt: skip
    lines += _family(
        "edge_fleet_device_up", "Whether a device's agent was heard of within the last minute.",
        (
            (
                {
                    "device": each.device.name, "agent": each.agent.name,
                    "class": each.device.spec.device_class or "", "soc": each.device.spec.soc or "",
                },
                int(each.agent.alive),
            )
            for each in devices
        ),
    )  # fmt: skip
    lines += _family(
        "edge_fleet_shares", "Shares that have not ended.",
        (({"agent": agent, "state": state}, n) for (agent, state), n in sorted(shares.items())),
    )  # fmt: skip
    lines += _family(
        "edge_fleet_shares_stalled", "Shares whose agent is gone.",
        [({}, sum(job.state == "measuring" and not job.alive for job in jobs))],
    )  # fmt: skip
    lines += _family(
        "edge_fleet_oldest_waiting_seconds", "How long the oldest share waits.", [({}, oldest)]
    )
    lines += _family(
        "edge_fleet_launches", "Launches that are stored, by the planner's estimate.",
        [({}, centre.launches_stored())],
    )  # fmt: skip
    return lines


def _family(
    name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        said = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels.items())
        yield f"{name}{{{said}}} {value:g}" if said else f"{name} {value:g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
