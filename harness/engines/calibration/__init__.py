"""Calibration: no inference engine, but one whose figures are known beforehand.

Its runner is the harness's own and static: it is there for every ABI, with nothing to register.
"""

from pathlib import Path

from harness.engines.base import Engine, Format, Native

__all__ = ["PLUGIN"]

PLUGIN = Engine(
    name="calibration",
    api_version=1,
    title="Calibration",
    profiles=False,
    folder=Path(__file__).parent,
    format="calibration",
    formats=(
        Format(
            name="calibration",
            roles={"model": "model.json"},
            precisions=("fp32",),
            usual=True,
        ),
    ),
    in_python=(),
    native=Native(static=True),
    brought=True,
    made_by="the harness",
)
