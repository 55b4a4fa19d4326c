"""The runner's peak resident set (VmHWM)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.quantity import BYTES, Column, Quantity, Summary

if TYPE_CHECKING:
    from harness.core.records import Launch


def _source(launch: Launch) -> str:
    # Of runs stored before this was recorded, it is the runner.
    return launch.vmhwm_source or "runner"


PLUGIN = Quantity(
    name="peak_memory",
    api_version=1,
    title="peak memory",
    label="Peak memory",
    unit=BYTES,
    of=lambda launch: launch.vmhwm_bytes,
    source=_source,
    summary=Summary.MEDIAN,
    margin=0.03,
    expect="memory_mb",
    section="memory",
    place=40,
    columns=(Column("peak_memory_source", str, lambda launch: launch.vmhwm_source),),
)
