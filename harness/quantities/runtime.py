"""What the engine's runtime says that it holds of the device's memory."""

from __future__ import annotations

from harness.core.quantity import BYTES, Quantity, Summary

PLUGIN = Quantity(
    name="runtime",
    api_version=1,
    title="memory of the engine's runtime",
    label="Runtime's own",
    unit=BYTES,
    of=lambda launch: launch.runtime_bytes,
    summary=Summary.HIGHEST,
    section="memory",
    place=70,
)
