"""What came of a case: whether it has a valid latency, and which launches count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from harness.analysis import reasons
from harness.analysis.summary import Range, estimate, summarised
from harness.core.records import Role, Status
from harness.quantities import cpu, first_load, latency, peak_memory, pss, runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.analysis.summary import Estimate, Value
    from harness.core.quantity import Quantity
    from harness.core.reason import Reason
    from harness.core.records import CaseRecord, DeviceMemory, Launch, Run

__all__ = ["CaseResult", "State", "case_results"]

NS_PER_MS: Final = 1e6
ROUNDING: Final = 1e-9
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
    """A case, its launches in the order in which they were made, and what they amount to.

    Launches that fill a model cache and memory passes are no measurements: they count for what they
    are for, and where their outputs are wrong.
    """

    record: CaseRecord
    launches: Sequence[Launch]

    @cached_property
    def state(self) -> State:
        """What came of it; there is a latency only where it is ``MEASURED``."""
        if self.record.refused is not None:
            return State.REFUSED
        if self.wrong:
            return State.WRONG
        if not self.measuring:
            return State.FAILED if self._unfilled else State.MISSING
        statuses = Counter(launch.status for launch in self.measuring)
        if statuses[Status.INVALID] > INVALID_SHARE * len(self.measuring):
            return State.INVALID
        return State.MEASURED if statuses[Status.OK] else State.FAILED

    @property
    def reason(self) -> Reason | None:
        """Why there is no latency; none where there is one."""
        match self.state:
            case State.MEASURED:
                return None
            case State.REFUSED:
                return self.record.refused
            case State.MISSING:
                return self.record.left_out or reasons.NO_LAUNCH()
            case State.WRONG:
                return self.wrong[0].reason
            case State.INVALID:
                bad = self.of(Status.INVALID)
                return reasons.INVALID(
                    invalid=len(bad), launches=len(self.measuring), why=_why(bad[0])
                )
            case State.FAILED:
                first = (self.measuring or self.launches)[0]
                failed = reasons.NO_SUCCESS if self.measuring else reasons.NOT_FILLED
                return failed(why=_why(first))

    @cached_property
    def unmade(self) -> int:
        """How many of its planned launches were never made."""
        made = {launch.slot for launch in self.launches}
        return sum(slot not in made for slot in range(len(self.record.roles)))

    @cached_property
    def lacking(self) -> int:
        """How many of its planned launches failed in the end, or were never made."""
        last = {launch.slot: launch.status for launch in self.launches}
        return self.unmade + sum(status is Status.FAILED for status in last.values())

    @cached_property
    def measuring(self) -> list[Launch]:
        """The launches that measure."""
        return [launch for launch in self.launches if launch.role is Role.MEASURE]

    @property
    def _unfilled(self) -> bool:
        """Whether the last try to fill its model cache came to nothing."""
        fills = [launch for launch in self.launches if launch.role is Role.FILL]
        return bool(fills) and fills[-1].status is not Status.OK

    @property
    def simulated(self) -> str | None:
        """What stood in for its accelerator, a simulator or software driver: no times of any."""
        return next((launch.simulated for launch in self.launches if launch.simulated), None)

    @property
    def wrong(self) -> list[Launch]:
        """The launches that did not pass the output check."""
        return [launch for launch in self.launches if launch.outputs and not launch.outputs.passed]

    def of(self, status: Status) -> list[Launch]:
        """Return its measuring launches of one status."""
        return [launch for launch in self.measuring if launch.status is status]

    @cached_property
    def counted(self) -> list[Launch]:
        """The launches that its latency is of, by slot: those of the first stage first."""
        if self.state is not State.MEASURED:
            return []
        return sorted(self.of(Status.OK), key=lambda launch: launch.slot)

    @property
    def pilots(self) -> int | None:
        """How many of these fixed, in two-stage sampling, how many more there are; else none."""
        if self.record.precision is None:
            return None
        return sum(launch.slot < self.record.launches for launch in self.counted)

    def launches_for(self, quantity: Quantity) -> Sequence[Launch]:
        """Return the launches that a quantity is of."""
        return self.counted if quantity.role is Role.MEASURE else self._valid(quantity.role)

    def figures(self, quantity: Quantity) -> dict[str, list[float]]:
        """Return a quantity's figures, one a launch that tells it, by the launches' state."""
        found = self._figures.get(quantity.name)
        if found is None:
            found = quantity.figures(self.launches_for(quantity))
            self._figures[quantity.name] = found
        return found

    @cached_property
    def _figures(self) -> dict[str, dict[str, list[float]]]:
        return {}

    def sources(self, quantity: Quantity) -> frozenset[str]:
        """Return who took a quantity's figures."""
        told = (each for each in self.launches_for(quantity) if quantity.figure(each) is not None)
        return frozenset(map(quantity.source, told))

    def estimate(self, quantity: Quantity) -> Estimate | None:
        """Return the estimate of a quantity without states; none without figures above 0."""
        figures = self.figures(quantity).get("", [])
        if not figures or min(figures) <= 0:
            return None
        return estimate(figures, pilots=self.pilots if quantity is latency.PLUGIN else None)

    def values(self, quantity: Quantity) -> dict[str, Value]:
        """Return what a quantity comes to, by the launches' state."""
        pilots = self.pilots if quantity is latency.PLUGIN else None
        return {
            state: summarised(figures, quantity.summary, pilots=pilots)
            for state, figures in self.figures(quantity).items()
        }

    @cached_property
    def figures_ms(self) -> list[float]:
        """The latency of every launch that counts, in milliseconds."""
        return self.figures(latency.PLUGIN).get("", [])

    @cached_property
    def latency_ms(self) -> Estimate | None:
        """The latency over launches, in milliseconds."""
        return self.estimate(latency.PLUGIN)

    @property
    def precision_reached(self) -> bool | None:
        """Whether the latency is as precise as two-stage sampling was to make it; else none."""
        known = self.latency_ms
        if self.record.precision is None or known is None or known.high is None:
            return None
        return known.high / known.center <= (1 + self.record.precision) * (1 + ROUNDING)

    @property
    def checked(self) -> bool:
        """Whether every launch that counts passed an output check that could have failed it."""
        return bool(self.counted) and all(
            launch.outputs and launch.outputs.decides for launch in self.counted
        )

    @cached_property
    def first_loads_ms(self) -> dict[str, dict[str, Range]]:
        """The first load by the page cache's state, then by part, in milliseconds."""
        return _first_loads(self.counted)

    @cached_property
    def filling_ms(self) -> dict[str, dict[str, Range]]:
        """The same of the launches that filled its model cache."""
        return _first_loads(self.fills)

    @property
    def fills(self) -> list[Launch]:
        """The launches that filled its model cache, and went well."""
        return self._valid(Role.FILL)

    @property
    def cpu_ms(self) -> list[float]:
        """The CPU time per inference of every launch that counts and tells it, in milliseconds."""
        return self.figures(cpu.PLUGIN).get("", [])

    @property
    def memory_bytes(self) -> list[float]:
        """The peak memory (VmHWM) of every launch that counts, in bytes."""
        return self.figures(peak_memory.PLUGIN).get("", [])

    @property
    def memory_sources(self) -> frozenset[str]:
        """Who read the peak memory of the launches that count: ``runner``, ``supervisor``."""
        return self.sources(peak_memory.PLUGIN)

    @property
    def memory_passes(self) -> list[Launch]:
        """Its memory passes that went well."""
        return self._valid(Role.MEMORY)

    @property
    def pss_bytes(self) -> float | None:
        """The highest proportional set size of its memory passes."""
        return max(self.figures(pss.PLUGIN).get("", []), default=None)

    @property
    def device_memory(self) -> DeviceMemory | None:
        """How much more of the device's memory was in use: of the memory pass with most of it."""
        found = [launch.device_memory for launch in self.memory_passes if launch.device_memory]
        return max(found, key=lambda each: each.available_bytes or 0, default=None)

    @property
    def runtime_bytes(self) -> float | None:
        """What the engine's runtime says that it holds of the device's memory: the highest."""
        return max(self.figures(runtime.PLUGIN).get("", []), default=None)

    def _valid(self, role: Role) -> list[Launch]:
        if self.state is not State.MEASURED:
            return []
        return [each for each in self.launches if each.role is role and each.status is Status.OK]


def _first_loads(launches: Iterable[Launch]) -> dict[str, dict[str, Range]]:
    """Return first loads by state, then by part (or ``total``), in milliseconds.

    Medians and extremes: the parts of a first load are few and skewed.
    """
    launches = list(launches)
    whole = first_load.PLUGIN
    found: dict[str, dict[str, Range]] = {state: {} for state in whole.figures(launches)}
    for quantity in (*whole.parts, whole):
        for state, figures in quantity.figures(launches).items():
            found[state]["total" if quantity is whole else quantity.key] = Range.of(figures)
    return found


def _why(launch: Launch) -> Reason:
    return launch.reason or reasons.UNEXPLAINED()


def case_results(run: Run) -> list[CaseResult]:
    """Return what came of each case of a run, in its order."""
    launches: dict[str, list[Launch]] = {}
    for launch in sorted(run.launches, key=lambda launch: (launch.started, launch.attempt)):
        launches.setdefault(launch.case_id, []).append(launch)
    return [CaseResult(record, launches.get(record.case.id, [])) for record in run.cases]
