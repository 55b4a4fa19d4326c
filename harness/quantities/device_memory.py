"""How much less memory the device had available during a memory pass; may be below 0."""

from __future__ import annotations

from harness.core.quantity import BYTES, Quantity, Summary
from harness.core.records import Role

PLUGIN = Quantity(
    name="device_memory",
    api_version=1,
    title="device memory",
    label="Device: more in use",
    unit=BYTES,
    of=lambda launch: launch.device_memory.available_bytes if launch.device_memory else None,
    role=Role.MEMORY,
    summary=Summary.HIGHEST,
    section="memory",
    place=60,
)
