"""The CPU time of one inference, over all threads of the runner."""

from __future__ import annotations

from harness.core.quantity import MILLISECONDS, Quantity, Summary

PLUGIN = Quantity(
    name="cpu",
    api_version=1,
    title="CPU time",
    label="CPU time",
    unit=MILLISECONDS,
    of=lambda launch: launch.cpu_ms_per_inference,
    summary=Summary.MEDIAN,
    section="latency",
    place=20,
)
