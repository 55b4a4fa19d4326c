"""The latency of one inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.core.quantity import MILLISECONDS, Column, Quantity

if TYPE_CHECKING:
    from harness.core.records import Launch

MARGIN: Final = 0.03
"""What change of latency counts: 3 %."""


def _of(launch: Launch) -> float | None:
    return launch.figure_ns / 1e6 if launch.figure_ns else None


PLUGIN = Quantity(
    name="latency",
    api_version=1,
    title="latency",
    label="Latency",
    unit=MILLISECONDS,
    of=_of,
    margin=MARGIN,
    tracked=True,
    expect="latency_ms",
    higher="slower",
    lower="faster",
    section="latency",
    place=10,
    columns=(
        Column("samples", int, lambda launch: len(launch.samples_ns)),
        Column("inferences", int, lambda launch: launch.inferences),
        Column("warmup_samples", int, lambda launch: len(launch.warmup_ns)),
        Column("warmup_reason", str, lambda launch: launch.warmup_reason),
    ),
)
