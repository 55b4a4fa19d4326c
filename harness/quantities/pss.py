"""The proportional set size, by memory passes."""

from __future__ import annotations

from harness.core.quantity import BYTES, Quantity, Summary
from harness.core.records import Role

PLUGIN = Quantity(
    name="pss",
    api_version=1,
    title="proportional set size",
    label="PSS peak",
    unit=BYTES,
    of=lambda launch: launch.pss_bytes,
    role=Role.MEMORY,
    summary=Summary.HIGHEST,
    section="memory",
    place=50,
)
