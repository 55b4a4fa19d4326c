"""Cases compared: by latency, each part of the first load, and peak memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.analysis.cases import case_results
from harness.analysis.comparable import (
    CHANGES,
    Side,
    differences,
    engine_of,
    not_a_contrast,
    not_a_regression,
)
from harness.analysis.comparison import (
    MARGIN,
    Verdict,
    adjusted,
    chance,
    judge,
    ratio,
    suspected,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.analysis.comparison import Ratio
    from harness.core.records import FirstLoad, Run

__all__ = [
    "MARGINS",
    "Comparison",
    "Finding",
    "alarms_expected",
    "compare",
    "compare_runs",
    "compare_sides",
    "contrasts",
    "figures",
    "settle",
    "with_adjusted_p",
]

PARTS: Final = ("process", "import", "read", "init", "first")
MARGINS: Final[Mapping[str, float]] = {
    "latency": MARGIN,
    "first load": 0.1,
    "peak memory": 0.03,
    **{f"first load: {part}": 0.2 for part in PARTS},
}
"""What change of each quantity counts."""

SHARE_THAT_COUNTS: Final = 0.05
"""A part of the first load that changes by less of the total than this has not changed."""

DECISIVE: Final = frozenset({"latency", "peak memory"})
"""Quantities that make a case inconclusive where they are."""

ENVIRONMENT: Final = frozenset({"clocks", "device", "kernel"})
"""Kinds of refusal that launches of both sides at one time and place do not meet."""

_ORDER = (
    Verdict.REGRESSED,
    Verdict.INVALID,
    Verdict.INCONCLUSIVE,
    Verdict.IMPROVED,
    Verdict.UNCHANGED,
)


@dataclass(frozen=True)
class Finding:
    """What came of one quantity of two cases.

    Attributes
    ----------
    quantity
        ``latency``, ``first load``, one of its parts (``first load: init``), ``peak memory``.
    state
        Of a first load: the page cache's state.
    candidate, baseline
        The geometric means, in ``unit``.
    verdict
        Less is better for all of them. None for a contrast: there is nothing to get worse.
    suspected
        Whether it is a suspicion, which only fresh launches decide.
    fresh
        Whether it is of launches that were made for that, of both sides in turns.
    adjusted_p
        The ratio's p-value, adjusted by Holm for all that were compared with it.
    note
        What to know of it, in a sentence.
    """

    quantity: str
    state: str
    unit: str
    candidate: float
    baseline: float
    ratio: Ratio
    margin: float
    verdict: Verdict | None
    suspected: bool = False
    fresh: bool = False
    adjusted_p: float | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The quantity, with the page cache's state."""
        return f"{self.quantity} ({self.state})" if self.state else self.quantity


@dataclass(frozen=True)
class Comparison:
    """Two cases.

    Attributes
    ----------
    contrast
        Whether they are two ways to run a model, instead of one way at two times.
    refusals
        Kind and reason of what makes them incomparable; then there are no findings.
    differences
        What else differs.
    confirmed_by
        The run of fresh launches that its findings are of; else none.
    unconfirmable
        Why suspicions could not be decided on fresh launches; else empty.
    """

    candidate: Side
    baseline: Side
    contrast: bool
    refusals: list[tuple[str, str]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    confirmed_by: str | None = None
    unconfirmable: str = ""

    @property
    def undecided(self) -> bool:
        """Whether fresh launches of both sides are to decide it.

        Where something is suspected; where the latency cannot be told; and where stored launches
        must not be compared, since device, kernel or clocks are others, but fresh ones may.
        """
        if self.contrast or self.confirmed_by:
            return False
        if self.refusals:
            return all(kind in ENVIRONMENT for kind, _ in self.refusals)
        latency = self.of("latency")
        unclear = latency is not None and latency.verdict is Verdict.INCONCLUSIVE
        return unclear or any(finding.suspected for finding in self.findings)

    @property
    def label(self) -> str:
        """The candidate's case in words."""
        return self.candidate.result.record.case.label

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its findings' verdicts; none for a contrast that was made.

        Of first loads only what has changed counts: they vary so much that they often cannot be
        told, and then stand there as inconclusive without making the case so.
        """
        if self.refusals:
            return Verdict.INVALID
        found = {
            finding.verdict
            for finding in self.findings
            if finding.verdict is not Verdict.INCONCLUSIVE or finding.quantity in DECISIVE
        }
        return next((verdict for verdict in _ORDER if verdict in found), None)

    @property
    def emulated(self) -> bool:
        """Whether the candidate's device is emulated."""
        return bool(self.candidate.device and self.candidate.device.emulated)

    def of(self, quantity: str) -> Finding | None:
        """Return the finding of a quantity; of first loads the first state's."""
        return next((each for each in self.findings if each.quantity == quantity), None)


def figures(result: CaseResult) -> dict[tuple[str, str], list[float]]:
    """Return what may be compared of a case: quantity and state to one figure a launch.

    Latency and first loads are in milliseconds, peak memory in bytes. A part that no launch told,
    or that took no time, is left out.
    """
    found: dict[tuple[str, str], list[float]] = {("latency", ""): result.figures_ms}
    loads: dict[str, list[FirstLoad]] = {}
    for launch in result.counted:
        if launch.first_load:
            loads.setdefault(launch.first_load.state, []).append(launch.first_load)
    for state, group in sorted(loads.items()):
        complete = [load for load in group if load.process_ms is not None] or group
        found["first load", state] = [load.total_ms for load in complete]
        for part in PARTS:
            told = [getattr(load, f"{part}_ms") for load in group]
            found[f"first load: {part}", state] = [value for value in told if value is not None]
    if len(result.memory_sources) == 1:
        found["peak memory", ""] = [float(size) for size in result.memory_bytes]
    return {key: values for key, values in found.items() if values and min(values) > 0}


def compare(
    candidate: Side,
    baseline: Side,
    *,
    contrast: bool = False,
    changes: Iterable[str] = (),
    paired: bool = False,
    margins: Mapping[str, float] = MARGINS,
) -> Comparison:
    """Compare two cases.

    Parameters
    ----------
    contrast
        Whether they are two ways to run a model; else one case at two times.
    changes
        Which of :data:`harness.analysis.comparable.CHANGES` are the change to judge.
    paired
        Whether launches of the same slot come from one block, of both sides in turns.
    margins
        Quantity to the change that counts.
    """
    empty = [
        ("missing", f"{side.name}: {side.result.record.case.label}: {side.result.reason}")
        for side in (candidate, baseline)
        if not side.result.counted
    ]
    if contrast:
        refusals = empty or list(not_a_contrast(candidate, baseline))
    else:
        refusals = empty or list(not_a_regression(candidate, baseline, changes))
    result = Comparison(candidate, baseline, contrast, refusals, differences(candidate, baseline))
    if refusals:
        return result
    if paired:
        candidate, baseline = _blocks(candidate, baseline)
    now, then = figures(candidate.result), figures(baseline.result)
    pilots = (None, None) if paired else (candidate.result.pilots, baseline.result.pilots)
    findings = []
    for quantity, state in now.keys() & then.keys():
        values = now[quantity, state], then[quantity, state]
        in_pairs = paired and len(values[0]) == len(values[1])
        found = ratio(
            *values,
            paired=in_pairs,
            pilots=pilots if quantity == "latency" else (None, None),
        )
        margin = _margin(quantity, state, then, margins)
        verdict = None if contrast else judge(found, margin)
        suspicion = not contrast and _suspicious(quantity, found, margin)
        if suspicion and not paired:
            verdict = Verdict.INCONCLUSIVE
        findings.append(
            Finding(
                quantity=quantity,
                state=state,
                unit="bytes" if quantity == "peak memory" else "ms",
                candidate=ratio(values[0], [1.0]).center,
                baseline=ratio(values[1], [1.0]).center,
                ratio=found,
                margin=margin,
                verdict=verdict,
                suspected=suspicion,
                fresh=paired,
                note=_note(found) or ("suspected" if suspicion and not paired else ""),
            )
        )
    order = list(MARGINS)
    findings.sort(key=lambda each: (order.index(each.quantity), each.state))
    return replace(result, findings=findings)


def _blocks(candidate: Side, baseline: Side) -> tuple[Side, Side]:
    """Keep the launches whose block has a good one of either side, in the blocks' order."""
    by_slot = [
        {launch.slot: launch for launch in side.result.counted} for side in (candidate, baseline)
    ]
    common = sorted(by_slot[0].keys() & by_slot[1].keys())
    kept = []
    for side, launches in zip((candidate, baseline), by_slot, strict=True):
        result = replace(side.result, launches=[launches[slot] for slot in common])
        kept.append(Side(side.run, result, side.name))
    return kept[0], kept[1]


def _margin(
    quantity: str,
    state: str,
    baseline: Mapping[tuple[str, str], Sequence[float]],
    margins: Mapping[str, float],
) -> float:
    """Return what change of a quantity counts: of a small part only what matters to the total."""
    margin = margins.get(quantity, MARGINS[quantity])
    if not quantity.startswith("first load: "):
        return margin
    total, part = baseline["first load", state], baseline[quantity, state]
    share = (sum(part) / len(part)) / (sum(total) / len(total))
    return max(margin, SHARE_THAT_COUNTS / share)


def _suspicious(quantity: str, found: Ratio, margin: float) -> bool:
    """Tell whether fresh launches are called for; of first loads not by their noise alone."""
    told = found.low is not None and found.high is not None and not found.low <= 1 <= found.high
    return suspected(found, margin) and (told or quantity in DECISIVE)


def _note(found: Ratio) -> str:
    if found.method == "few":
        return "too few launches for an interval"
    if found.method == "constant":
        return "the same in every launch of a side"
    return ""


def settle(stored: Comparison, fresh: Comparison | None, unconfirmable: str = "") -> Comparison:
    """Return a comparison as fresh launches decide it.

    Parameters
    ----------
    stored
        Of stored launches.
    fresh
        Of the same case, of launches made in turns; none where there are none.
    unconfirmable
        Why there are none.
    """
    if fresh is None:
        return replace(stored, unconfirmable=unconfirmable)
    then, again = engine_of(stored.baseline), engine_of(fresh.baseline)
    if then and again and then != again:
        reason = f"the baseline's engine is not to be had: it was {then}, and is {again}"
        return replace(stored, unconfirmable=reason)
    return replace(
        stored,
        refusals=fresh.refusals,
        findings=fresh.findings,
        confirmed_by=fresh.candidate.run.id,
    )


def compare_sides(run: Run, margins: Mapping[str, float] = MARGINS) -> dict[str, Comparison]:
    """Compare the sides of a run of fresh launches; by the candidate's case id.

    A case of which only one side can be told is left out.
    """
    results = {result.record.case: result for result in case_results(run)}
    found = {}
    for case, result in results.items():
        other = results.get(case.model_copy(update={"side": "baseline"}))
        if case.side == "candidate" and other is not None:
            found[case.id] = compare(
                Side(run, result),
                Side(run, other),
                # That it is the baseline's own is seen to where it can be told.
                changes=CHANGES,
                paired=True,
                margins=margins,
            )
    return found


def compare_runs(
    candidate: Run,
    baseline: Run,
    *,
    results: Sequence[CaseResult] | None = None,
    changes: Iterable[str] = (),
    names: tuple[str | None, str | None] = (None, None),
    margins: Mapping[str, float] = MARGINS,
) -> list[Comparison]:
    """Compare the cases that two runs have in common, in the candidate's order.

    Parameters
    ----------
    results
        The candidate's, where they are known.
    names
        What to call the candidate and the baseline.
    """
    then = {result.record.case.id: result for result in case_results(baseline)}
    return with_adjusted_p(
        [
            compare(
                Side(candidate, result, names[0]),
                Side(baseline, then[result.record.case.id], names[1]),
                changes=changes,
                margins=margins,
            )
            for result in results or case_results(candidate)
            if result.record.case.id in then
        ]
    )


HOW: Final = frozenset({"engine", "precision", "threads", "cpus", "model_cache"})
"""Of a case, what goes with how it is computed, and so with its backend."""


def contrasts(run: Run, axis: str, candidate: str, baseline: str) -> list[tuple[Side, Side]]:
    """Return the pairs of a run's cases that differ in one axis, for :func:`compare`.

    Backends and engines are set against each other as they are used: where no case of the other
    has the same threads, precision and, for backends, engine, all of its cases are paired that have
    the same model, device and input.

    Parameters
    ----------
    axis
        ``backend``, ``device``, ``engine`` or ``precision``.
    candidate, baseline
        Its two values.
    """
    results = case_results(run)
    loose = HOW | {"backend"} if axis in ("backend", "engine") else frozenset()
    pairs = []
    for result in results:
        if getattr(result.record.case, axis) != candidate:
            continue
        for ignored in (frozenset(), loose):
            others = [
                other
                for other in results
                if getattr(other.record.case, axis) == baseline
                and _key(other, {axis, *ignored}) == _key(result, {axis, *ignored})
            ]
            pairs += [(Side(run, result), Side(run, other)) for other in others]
            if others or not loose:
                break
    return pairs


def _key(result: CaseResult, ignored: set[str]) -> dict[str, object]:
    return result.record.case.model_dump(exclude=ignored)


def with_adjusted_p(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with p-values adjusted for all that they compare together."""
    told = [
        finding.ratio.p
        for comparison in comparisons
        for finding in comparison.findings
        if finding.ratio.p is not None
    ]
    left = iter(adjusted(told))
    return [
        replace(
            comparison,
            findings=[
                each if each.ratio.p is None else replace(each, adjusted_p=next(left))
                for each in comparison.findings
            ],
        )
        for comparison in comparisons
    ]


def alarms_expected(comparisons: Sequence[Comparison]) -> float:
    """Return how many false alarms there would be on average if nothing had changed.

    By the launches' own spread (see :func:`harness.analysis.comparison.chance`). For one comparison
    it bounds the probability of any.
    """
    chances = (
        chance(finding.ratio, finding.margin)
        for comparison in comparisons
        for finding in comparison.findings
        if finding.verdict
    )
    return sum(each for each in chances if each is not None)
