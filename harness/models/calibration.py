"""Models for the engine ``calibration``: what an inference takes is known beforehand.

The runner reads them as JSON; ``docs/native-runners.md`` says what each setting makes it do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from harness.core.yamlfile import Spec

if TYPE_CHECKING:
    from typing import Any, Self

__all__ = ["CalibrationSource"]

# The runner's own bounds, so that what it would refuse is refused here, with file and line.
Count = Annotated[int, Field(ge=0, le=10**13)]
Factor = Annotated[float, Field(ge=0, le=1e6)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Milliseconds = Annotated[float, Field(ge=0, le=3.6e6)]


class Warmup(Spec):
    """Inference n (from 0) takes 1 + extra / e^(n/decay) times as long."""

    extra: Factor
    decay: Annotated[float, Field(ge=1e-3, le=1e6)]


class Slow(Spec):
    """From one inference on, each takes so many times as long."""

    model_config = ConfigDict(serialize_by_alias=True)

    begin: Count = Field(alias="from")
    factor: Factor


class Throttle(Spec):
    """For a while, inferences take so many times as long."""

    after_s: Seconds
    for_s: Seconds
    factor: Factor


class Fail(Spec):
    """What it fails of at an inference; without one, while it loads."""

    at: Count | None = None
    how: Literal["crash", "hang", "error", "exit"]


class CalibrationSource(Spec):
    """Inferences of known duration and memory, with faults where they are asked for.

    Attributes
    ----------
    spin_us, work
        One of them. An inference takes so many microseconds of the clock, never less; or so
        many steps of work.
    memory_bytes
        Touched while loading, and kept.
    load_ms, first_ms
        Loading takes no less; the first inference takes so much more.
    nan
        Float outputs are NaN.
    """

    kind: Literal["calibration"]
    spin_us: Annotated[float, Field(gt=0, le=3.6e9)] | None = None
    work: Annotated[Count, Field(gt=0)] | None = None
    memory_bytes: Annotated[int, Field(ge=0, lt=1 << 30)] = 0
    load_ms: Milliseconds = 0
    first_ms: Milliseconds = 0
    warmup: Warmup | None = None
    slow: Slow | None = None
    throttle: Throttle | None = None
    fail: Fail | None = None
    nan: bool = False

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.spin_us is None) == (self.work is None):
            raise ValueError("give either 'spin_us' or 'work'")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What is set, as the runner reads it."""
        return self.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)

    @property
    def label(self) -> str:
        """The source in words, for people."""
        return f"calibration {json.dumps(self.settings)}"
