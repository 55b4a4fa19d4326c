"""What recorded launches say of the gate and of other rules: nothing had changed between them.

A comparison is one case of a later session against the first session's. Recordings are made by
:mod:`benchmarks.detection.record`.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.detection import rules
from benchmarks.detection.record import FORMAT, evenly
from benchmarks.detection.simulation import Launches
from benchmarks.detection.simulation import Trial as Given
from benchmarks.detection.study import Share
from harness.analysis.comparison import Ratio, Verdict, judge, ratio, suspected
from harness.analysis.comparisons import Finding
from harness.core.records import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

QUIET: Final = 0.01
"""A case whose launches of one session vary no more is to be found unchanged."""

OURS: Final = "ours"
CHANGED: Final = (Verdict.REGRESSED, Verdict.IMPROVED)


@dataclass(frozen=True)
class Recorded:
    """Launches of one case in one session.

    Attributes
    ----------
    figures
        Of those that went well, in ns, in order.
    samples
        Of each of them, in ns.
    failed
        What the others came to.
    """

    figures: list[float]
    samples: list[list[int]]
    failed: list[str]

    @cached_property
    def launches(self) -> Launches:
        """Logarithms, as rules take them; of each launch as many inferences as the shortest has."""
        n = min(map(len, self.samples))
        inferences = np.log([evenly(samples, n) for samples in self.samples])
        return Launches(np.log(self.figures)[None], inferences[None])


@dataclass(frozen=True)
class Trial:
    """A case of a later session against the first: what the gate said, and what it was given.

    Attributes
    ----------
    verdict, findings
        As ``harness check`` told them when it was recorded.
    why
        What it is, where it is neither changed nor unchanged.
    fresh
        Figures of the candidate and of the baseline, in turns; none where stored launches sufficed.
    """

    campaign: str
    case: str
    emulated: bool
    session: int
    baseline: Recorded
    candidate: Recorded
    fresh: tuple[list[float], list[float]] | None
    verdict: Verdict
    findings: list[Finding]
    why: str

    @property
    def alarms(self) -> list[Finding]:
        """Every quantity that was said to have changed, though nothing had."""
        return [each for each in self.findings if each.verdict in CHANGED]

    @property
    def latency(self) -> Finding | None:
        """What was found of its latency; none where it could not be compared."""
        return next((each for each in self.findings if each.quantity == "latency"), None)

    @property
    def shift(self) -> float:
        """The session's latency over the first session's, of stored launches."""
        return ratio(self.candidate.figures, self.baseline.figures).center

    def ours(self, effect: float) -> Verdict | None:
        """Return the gate's verdict on latency if the candidate had been slower by an effect.

        None where that would have taken fresh launches, and none were made.
        """
        slower = 1 + effect
        stored = ratio(_times(self.candidate.figures, slower), self.baseline.figures)
        if judge(stored) is Verdict.UNCHANGED and not suspected(stored):
            return Verdict.UNCHANGED
        if self.fresh is None:
            return None
        candidate, baseline = self.fresh
        return judge(ratio(_times(candidate, slower), baseline, paired=True))

    def others(self, effect: float) -> dict[str, bool]:
        """Return which other rules would raise an alarm at an effect."""
        slower = math.log1p(effect)
        now, then = self.candidate.launches, self.baseline.launches
        moved = Launches(now.figures + slower, now.inferences + slower)
        given = Given(then, moved, then.figures, moved.figures)
        return {name: bool(rule(given)[0]) for name, rule in rules.OTHERS.items()}


@dataclass(frozen=True)
class Recording:
    """A series.

    Attributes
    ----------
    sessions
        The files' content.
    cases
        Campaign and case to its launches, by session.
    emulated
        The cases that ran on emulated boards.
    """

    sessions: list[dict]
    cases: dict[tuple[str, str], dict[int, Recorded]]
    emulated: set[str]
    trials: list[Trial]

    @property
    def busy(self) -> bool:
        return any(session["busy"] for session in self.sessions)

    def variation(self, case: tuple[str, str]) -> float:
        """Return how launches of one session vary: the spread within sessions, pooled."""
        logs = [np.log(each.figures) for each in self.cases[case].values() if len(each.figures) > 1]
        freedom = sum(len(each) - 1 for each in logs)
        squares = sum(float(((each - each.mean()) ** 2).sum()) for each in logs)
        return math.sqrt(squares / freedom) if freedom else math.nan

    def quiet(self, campaign: str | None = None) -> list[Trial]:
        """Return the comparisons of cases that vary by at most 1 %."""
        return [
            each
            for each in self.trials
            if campaign in (None, each.campaign)
            and self.variation((each.campaign, each.case)) <= QUIET
        ]


def load(folder: Path) -> Recording | None:
    """Return a recording, or none where there is none."""
    sessions = [json.loads(path.read_text(encoding="utf-8")) for path in _files(folder)]
    if not sessions:
        return None
    wrong = {session["format"] for session in sessions} - {FORMAT}
    if wrong:
        raise ValueError(f"{folder}: recordings of format {wrong}, and not {FORMAT}")
    cases: dict[tuple[str, str], dict[int, Recorded]] = defaultdict(dict)
    emulated = set()
    for session in sessions:
        for run in session["runs"]:
            for each in run["cases"]:
                case = Case.model_validate(each["case"])
                cases[run["campaign"], case.label][session["session"]] = _recorded(each)
                # A board that did not come is not among a run's devices.
                if session["devices"].get(case.device, {}).get("emulated"):
                    emulated.add(case.label)
    trials = [
        trial
        for session in sessions
        for run in session["runs"]
        if run["gate"]
        for trial in _trials(session, run, cases, emulated)
    ]
    return Recording(sessions, dict(cases), emulated, trials)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("session-*.json"))


def _recorded(case: dict) -> Recorded:
    launches = sorted(case["launches"], key=lambda launch: launch["slot"])
    good = [launch for launch in launches if launch["status"] == "ok" and launch["figure_ns"]]
    failed = [
        f"{launch['status']}: {launch['reason']}" for launch in launches if launch["status"] != "ok"
    ]
    return Recorded(
        [launch["figure_ns"] for launch in good], [launch["samples_ns"] for launch in good], failed
    )


def _trials(session: dict, run: dict, cases: dict, emulated: set[str]) -> Iterable[Trial]:
    gate = run["gate"]
    sides: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for each in gate["fresh"]:
        case = Case.model_validate(each["case"])
        sides[case.model_copy(update={"side": "candidate"}).label][case.side] = _in_blocks(each)
    for told in gate["comparisons"]:
        label = told["case"]
        by_session = cases[run["campaign"], label]
        fresh = sides.get(label)
        both = (fresh["candidate"], fresh["baseline"]) if fresh and len(fresh) == 2 else None
        if both:
            shared = sorted(both[0].keys() & both[1].keys())
            both = tuple([side[slot] for slot in shared] for side in both)
        why = told["unconfirmable"] or "; ".join(each["reason"] for each in told["refusals"])
        if not gate["decided"]:
            why = "fresh launches were not made within the time"
        yield Trial(
            campaign=run["campaign"],
            case=label,
            emulated=label in emulated,
            session=session["session"],
            baseline=by_session[0],
            candidate=by_session[session["session"]],
            fresh=both if told["confirmed_by"] else None,
            verdict=Verdict(told["verdict"]),
            findings=[_finding(each) for each in told["findings"]],
            why=why,
        )


def _in_blocks(case: dict) -> dict[int, float]:
    return {
        launch["slot"]: launch["figure_ns"]
        for launch in case["launches"]
        if launch["status"] == "ok"
    }


def _finding(told: dict) -> Finding:
    update = {"ratio": Ratio(**told["ratio"]), "verdict": Verdict(told["verdict"])}
    return Finding(**{**told, **update})


def _times(figures: Sequence[float], factor: float) -> list[float]:
    return [factor * figure for figure in figures]


@dataclass(frozen=True)
class Row:
    """What a rule says of comparisons at an effect; of so many, as it could tell."""

    rule: str
    effect: float
    alarms: int
    of: int

    @property
    def share(self) -> Share:
        return Share.of(np.arange(self.of) < self.alarms)


def by_rule(trials: Sequence[Trial], effects: Iterable[float]) -> list[Row]:
    """Return how many alarms each rule raises, on the same launches.

    A comparison that our gate could not have decided for want of fresh launches counts for none.
    """
    rows = []
    for effect in effects:
        told = [(each, each.ours(effect)) for each in trials if _compared(each)]
        told = [(each, verdict) for each, verdict in told if verdict is not None]
        if not told:
            continue
        ours = sum(verdict is Verdict.REGRESSED for _, verdict in told)
        rows.append(Row(OURS, effect, ours, len(told)))
        others = [each.others(effect) for each, _ in told]
        rows += [Row(name, effect, sum(each[name] for each in others), len(told))
                 for name in rules.OTHERS]  # fmt: skip
    return rows


def _compared(trial: Trial) -> bool:
    return min(len(trial.candidate.figures), len(trial.baseline.figures)) > 1
