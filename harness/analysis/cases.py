"""What came of a case: whether it has a valid latency, and which launches count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from harness.analysis.summary import estimate, first_load
from harness.results.schema import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.summary import Estimate, Range
    from harness.results.schema import CaseRecord, Launch, Run

__all__ = ["CaseResult", "State", "case_results"]

NS_PER_MS: Final = 1e6
INVALID_SHARE: Final = 1 / 3
"""A case of which more than this share of launches were invalid is itself invalid."""


class State(StrEnum):
    """What came of a case."""

    MEASURED = "measured"
    WRONG = "outputs wrong"
    INVALID = "invalid"
    FAILED = "failed"
    REFUSED = "refused"
    MISSING = "not measured"


@dataclass(frozen=True)
class CaseResult:
    """A case, its launches in the order in which they were made, and what they amount to."""

    record: CaseRecord
    launches: Sequence[Launch]

    @cached_property
    def state(self) -> State:
        """What came of it; there is a latency only where it is ``MEASURED``."""
        if self.record.refused is not None:
            return State.REFUSED
        if not self.launches:
            return State.MISSING
        if self.wrong:
            return State.WRONG
        statuses = Counter(launch.status for launch in self.launches)
        if statuses[Status.INVALID] > INVALID_SHARE * len(self.launches):
            return State.INVALID
        return State.MEASURED if statuses[Status.OK] else State.FAILED

    @property
    def reason(self) -> str:
        """Why there is no latency, in a sentence; empty where there is one."""
        match self.state:
            case State.MEASURED:
                return ""
            case State.REFUSED:
                return self.record.refused or ""
            case State.MISSING:
                return "no launch was made"
            case State.WRONG:
                return self.wrong[0].reason
            case State.INVALID:
                bad = self.of(Status.INVALID)
                share = f"{len(bad)} of {len(self.launches)} launches were invalid"
                return f"{share}: {bad[0].reason}"
            case State.FAILED:
                return f"no launch succeeded: {self.launches[0].reason}"

    @property
    def wrong(self) -> list[Launch]:
        """The launches that did not pass the output check."""
        return [launch for launch in self.launches if launch.outputs and not launch.outputs.passed]

    def of(self, status: Status) -> list[Launch]:
        """Return its launches of one status."""
        return [launch for launch in self.launches if launch.status is status]

    @cached_property
    def counted(self) -> list[Launch]:
        """The launches that its latency is of."""
        return self.of(Status.OK) if self.state is State.MEASURED else []

    @cached_property
    def figures_ms(self) -> list[float]:
        """The latency of every launch that counts, in milliseconds."""
        return [launch.figure_ns / NS_PER_MS for launch in self.counted if launch.figure_ns]

    @cached_property
    def latency_ms(self) -> Estimate | None:
        """The latency over launches, in milliseconds."""
        return estimate(self.figures_ms) if self.figures_ms else None

    @property
    def checked(self) -> bool:
        """Whether every launch that counts passed the output check."""
        return bool(self.counted) and all(launch.outputs for launch in self.counted)

    @cached_property
    def first_loads_ms(self) -> dict[str, dict[str, Range]]:
        """The first load by the page cache's state, then by part, in milliseconds."""
        return first_load(launch.first_load for launch in self.counted if launch.first_load)

    @property
    def memory_bytes(self) -> list[int]:
        """The peak memory (VmHWM) of every launch that counts, in bytes."""
        return [found.vmhwm_bytes for found in self.counted if found.vmhwm_bytes is not None]


def case_results(run: Run) -> list[CaseResult]:
    """Return what came of each case of a run, in its order."""
    return [CaseResult(record, run.of_case(record.case.id)) for record in run.cases]
