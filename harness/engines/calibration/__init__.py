"""Calibration: no inference engine, but one whose figures are known beforehand.

Its runner is the harness's own and static: it is there for every ABI, with nothing to register.
"""

from harness.engines.base import Engine

__all__ = ["CALIBRATION"]

CALIBRATION = Engine(name="calibration", format="calibration", in_python=None)
