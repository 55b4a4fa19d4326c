"""Cases compared, by every quantity that has a margin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.analysis import reasons
from harness.analysis.cases import case_results
from harness.analysis.comparable import (
    CHANGES,
    Side,
    differences,
    engine_of,
    memory_clock_unknown,
    not_a_contrast,
    not_a_regression,
)
from harness.analysis.comparison import (
    Verdict,
    adjusted,
    chance,
    judge,
    ratio,
    suspected,
)
from harness.core.quantity import Summary
from harness.quantities import quantities
from harness.quantities import quantity as declared
from harness.quantities.latency import PLUGIN as LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.analysis.cases import CaseResult
    from harness.analysis.comparison import Ratio
    from harness.core.quantity import Quantity
    from harness.core.reason import Reason
    from harness.core.records import Run

__all__ = [
    "COMPARED",
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

COMPARED: Final = tuple(each for each in quantities() if each.margin is not None)
"""The quantities of which a verdict is formed."""

_BY_TITLE: Final = {each.title: each for each in COMPARED}
_AS_DECLARED: Final[Mapping[str, float]] = {}

SHARE_THAT_COUNTS: Final = 0.05
"""A part that changes by less of its whole than this has not changed."""

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
        Its title: ``latency``, ``first load: init``.
    state
        That the launches were made in; of a first load the page cache's.
    candidate, baseline
        The geometric means, in ``unit``.
    verdict
        None for a contrast: there is nothing to get worse.
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
        """The quantity, with its state."""
        return f"{self.quantity} ({self.state})" if self.state else self.quantity

    @property
    def declared(self) -> Quantity:
        """The declaration of its quantity."""
        return _BY_TITLE[self.quantity]

    @property
    def decides(self) -> bool:
        """Whether it counts for its case: a part is noisier than its whole, which decides."""
        return not self.declared.whole

    def text(self, value: float) -> str:
        """Return a value of its quantity with the unit."""
        return self.declared.text(value)


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
        Why suspicions could not be decided on fresh launches; else none.
    """

    candidate: Side
    baseline: Side
    contrast: bool
    refusals: list[tuple[str, Reason]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    confirmed_by: str | None = None
    unconfirmable: Reason | None = None

    @property
    def undecided(self) -> bool:
        """Whether fresh launches of both sides are to decide it.

        Where something is suspected; where the latency, or another quantity with an interval,
        cannot be told; and where stored launches must not be compared, since device, kernel or
        clocks are others, but fresh ones may.
        """
        if self.contrast or self.confirmed_by:
            return False
        if self.refusals:
            return all(kind in ENVIRONMENT for kind, _ in self.refusals)
        return any(
            finding.suspected
            or (
                finding.declared.summary is Summary.INTERVAL
                and finding.verdict is Verdict.INCONCLUSIVE
            )
            for finding in self.findings
            if finding.decides
        )

    @property
    def label(self) -> str:
        """The candidate's case in words."""
        return self.candidate.result.record.case.label

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its findings' verdicts; none for a contrast that was made.

        Of first loads only a total that has changed counts: they vary so much that they often are
        undecided, and are then shown as inconclusive without making the case so. Their parts are
        shown, to say where a change of the total is, and decide nothing.
        """
        if self.refusals:
            return Verdict.INVALID
        found = {
            finding.verdict
            for finding in self.findings
            if finding.decides
            and (finding.verdict is not Verdict.INCONCLUSIVE or finding.declared.decisive)
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
    """Return what may be compared of a case: a quantity's name and state to its figures.

    Quantities that are not above 0, or that several sources told, are left out.
    """
    return {
        (each.name, state): values
        for each in COMPARED
        if len(result.sources(each)) == 1
        for state, values in result.figures(each).items()
        if values and min(values) > 0
    }


def compare(
    candidate: Side,
    baseline: Side,
    *,
    contrast: bool = False,
    changes: Iterable[str] = (),
    paired: bool = False,
    margins: Mapping[str, float] = _AS_DECLARED,
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
        Title of a quantity to the change that counts, where it is not the declared one.
    """
    empty = [
        (
            "missing",
            reasons.MISSING(
                side=side.name, case=side.result.record.case.label, why=side.result.reason
            ),
        )
        for side in (candidate, baseline)
        if not side.result.counted
    ]
    if contrast:
        refusals = empty or list(not_a_contrast(candidate, baseline))
    else:
        refusals = empty or list(not_a_regression(candidate, baseline, changes))
    differs = differences(candidate, baseline)
    if unknown := memory_clock_unknown(candidate, baseline):
        differs.append(str(unknown))
    result = Comparison(candidate, baseline, contrast, refusals, differs)
    if refusals:
        return result
    if paired:
        candidate, baseline = _blocks(candidate, baseline)
    now, then = figures(candidate.result), figures(baseline.result)
    pilots = (None, None) if paired else (candidate.result.pilots, baseline.result.pilots)
    findings = []
    for name, state in (key for key in now if key in then):
        quantity = declared(name)
        values = now[name, state], then[name, state]
        in_pairs = paired and len(values[0]) == len(values[1])
        found = ratio(
            *values,
            paired=in_pairs,
            pilots=pilots if quantity is LATENCY else (None, None),
        )
        margin = _margin(quantity, state, then, margins)
        verdict = None if contrast else judge(found, margin, quantity.better)
        suspicion = not contrast and _suspicious(quantity, found, margin)
        if suspicion and not paired:
            verdict = Verdict.INCONCLUSIVE
        findings.append(
            Finding(
                quantity=quantity.title,
                state=state,
                unit=quantity.unit.name,
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
    quantity: Quantity,
    state: str,
    baseline: Mapping[tuple[str, str], Sequence[float]],
    margins: Mapping[str, float],
) -> float:
    """Return what change of a quantity counts: of a small part only what matters to the total."""
    margin = margins.get(quantity.title, quantity.margin or 0.0)
    if not quantity.whole:
        return margin
    total, part = baseline[quantity.whole, state], baseline[quantity.name, state]
    share = (sum(part) / len(part)) / (sum(total) / len(total))
    return max(margin, SHARE_THAT_COUNTS / share)


def _suspicious(quantity: Quantity, found: Ratio, margin: float) -> bool:
    """Tell whether fresh launches are called for; of what does not decide not by noise alone."""
    told = found.low is not None and found.high is not None and not found.low <= 1 <= found.high
    return suspected(found, margin) and (told or quantity.decisive)


def _note(found: Ratio) -> str:
    if found.method == "few":
        return "too few launches for an interval"
    if found.method == "constant":
        return "the same in every launch of a side"
    return ""


def settle(
    stored: Comparison, fresh: Comparison | None, unconfirmable: Reason | None = None
) -> Comparison:
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
        reason = reasons.ENGINE_GONE(then=then, now=again)
        return replace(stored, unconfirmable=reason)
    return replace(
        stored,
        refusals=fresh.refusals,
        findings=fresh.findings,
        confirmed_by=fresh.candidate.run.id,
    )


def compare_sides(run: Run, margins: Mapping[str, float] = _AS_DECLARED) -> dict[str, Comparison]:
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
    margins: Mapping[str, float] = _AS_DECLARED,
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
        if finding.verdict and finding.decides
    )
    return sum(each for each in chances if each is not None)
