"""What became of a long launch: its first minute against its last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from harness.core.contract import EnvironmentEvent
    from harness.core.records import Launch

__all__ = ["Course", "course", "since_sampling_s"]

WINDOW_S: Final = 60.0
WINDOW_SHARE: Final = 0.2
"""Of a launch shorter than five minutes, instead of a minute."""


@dataclass(frozen=True)
class Course:
    """A launch at its beginning and at its end.

    Attributes
    ----------
    window_s
        How much of it either is, in seconds.
    first_ms, last_ms
        Median latency, in milliseconds.
    first_c, last_c
        The hottest of the temperatures, in degrees Celsius, at the start and at the last reading
        during it; none where the device has no sensor.
    """

    window_s: float
    first_ms: float
    last_ms: float
    first_c: float | None
    last_c: float | None


def since_sampling_s(launch: Launch, reading: EnvironmentEvent) -> float | None:
    """Return how long a launch had sampled when its sensors were read, in s; below 0 before.

    Both are on the device's clock. In version 1 of the runner contract samples have no times: then
    it is by what came before them, as far as is known.
    """
    if launch.window_ns and reading.t_ns is not None:
        return (reading.t_ns - launch.window_ns[0]) / 1e9
    if reading.ms is None:
        return None
    loaded_ms = launch.first_load.total_ms if launch.first_load else 0.0
    return (reading.ms - loaded_ms - sum(launch.warmup_ns) / 1e6) / 1e3


def course(launch: Launch) -> Course | None:
    """Return a launch's course; none where it has no samples.

    A launch of very many inferences keeps evenly spaced ones as samples, so that each stands for
    as many: the time between two of them is not lost.
    """
    if not launch.samples_ns:
        return None
    ms = np.asarray(launch.samples_ns, dtype=float) / 1e6
    stands_for = (launch.inferences or ms.size) / ms.size
    ended_s = np.cumsum(ms) / 1e3 * stands_for
    window_s = min(WINDOW_S, WINDOW_SHARE * float(ended_s[-1]))
    hottest = [
        max(reading.temperatures_c.values())
        for reading in launch.environment
        if reading.phase != "after" and reading.temperatures_c
    ]
    first = ms[: max(1, int(np.searchsorted(ended_s, window_s, side="right")))]
    last = ms[min(ms.size - 1, int(np.searchsorted(ended_s, ended_s[-1] - window_s))) :]
    return Course(
        window_s=window_s,
        first_ms=float(np.median(first)),
        last_ms=float(np.median(last)),
        first_c=hottest[0] if hottest else None,
        last_c=hottest[-1] if hottest else None,
    )
