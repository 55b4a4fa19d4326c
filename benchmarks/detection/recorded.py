"""Recorded launches against themselves (A/A): every alarm of the gate is a false one.

    python -m benchmarks.detection.recorded DIR

Each session's first launches are a baseline, and those of each later session a candidate. Where
they do not say "unchanged", the rest of the candidate's session, dealt out in turns to two sides of
equal content, stand for the fresh launches. Nothing is left out; what is too short is told.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.detection.study import LAUNCHES
from harness.analysis.comparison import Verdict, judge, ratio, suspected
from harness.analysis.gate import FRESH
from harness.results.schema import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

QUIET = 0.01


@dataclass(frozen=True)
class Trial:
    """One case of two sessions.

    Attributes
    ----------
    spread
        Between launches of the candidate's session.
    fresh
        Whether stored launches did not suffice.
    """

    case: str
    sessions: tuple[int, int]
    spread: float
    verdict: Verdict
    fresh: bool


def load(folder: Path) -> tuple[dict[str, dict[int, list[float]]], bool]:
    """Return each case's figures by session, and whether any session's machine was busy."""
    found: dict[str, dict[int, list[float]]] = defaultdict(dict)
    busy = False
    for path in sorted(folder.glob("session-*.json")):
        session = json.loads(path.read_text(encoding="utf-8"))
        busy |= session["busy"]
        for each in session["cases"]:
            label = Case.model_validate(each["case"]).label
            launches = sorted(each["launches"], key=lambda launch: launch["slot"])
            figures = [launch["figure_ns"] for launch in launches if launch["status"] == "ok"]
            found[label][session["session"]] = figures
    return found, busy


def trials(series: dict[str, dict[int, Sequence[float]]]) -> Iterator[Trial]:
    for case, sessions in sorted(series.items()):
        for first, second in combinations(sorted(sessions), 2):
            then, now = sessions[first], sessions[second]
            if len(then) < LAUNCHES or len(now) < LAUNCHES + 2 * FRESH:
                print(f"{case}: sessions {first} and {second} have too few launches")
                continue
            stored = ratio(now[:LAUNCHES], then[:LAUNCHES])
            verdict, fresh = judge(stored), False
            if verdict is not Verdict.UNCHANGED or suspected(stored):
                rest = now[LAUNCHES : LAUNCHES + 2 * FRESH]
                verdict, fresh = judge(ratio(rest[::2], rest[1::2], paired=True)), True
            spread = float(np.log(now).std(ddof=1))
            yield Trial(case, (first, second), spread, verdict, fresh)


def summary(found: Iterable[Trial]) -> str:
    lines = ["| case | sessions | spread | fresh | verdict |", "|---|---|---|---|---|"]
    found = list(found)
    for each in found:
        sessions = f"{each.sessions[0]} and {each.sessions[1]}"
        fresh = "yes" if each.fresh else ""
        lines.append(
            f"| {each.case} | {sessions} | {100 * each.spread:.2f} % | {fresh} | {each.verdict} |"
        )
    alarms = [each for each in found if each.verdict in (Verdict.REGRESSED, Verdict.IMPROVED)]
    quiet = [each for each in found if each.spread <= QUIET]
    unchanged = sum(each.verdict is Verdict.UNCHANGED for each in quiet)
    told = (
        f"{len(found)} comparisons, {len(alarms)} false alarms. Of {len(quiet)} with a spread of "
        f"at most {100 * QUIET:g} %, {unchanged} were found unchanged."
    )
    return "\n".join([*lines, "", told])


def main() -> None:
    series, busy = load(Path(sys.argv[1]))
    if busy:
        print("**The machine was busy: these figures try the code, and say nothing else.**\n")
    print(summary(trials(series)))


if __name__ == "__main__":
    main()
