"""What our gate finds and misses, beside what others use, against its bounds; writes the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.conftest import Figure
from benchmarks.detection import coverage, page, recorded, study
from benchmarks.detection.record import MOST_SAMPLES, RECORDING
from harness.analysis.comparison import Verdict
from harness.analysis.gate import FRESH

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def found():
    return study.study()


@pytest.fixture(scope="module")
def covered():
    return list(coverage.every(np.random.default_rng(study.SEED), 20_000, FRESH))


def worst(cells, rule="ours"):
    return max(cells, key=lambda each: each.alarms[rule].value)


def in_words(each):
    cell = each.cell
    return f"{cell.shape}, session {100 * cell.session:g} %, variation {100 * cell.variation:g} %"


def figures(found, covered):
    """Return the figures that have bounds."""
    quiet = [each for each in found if each.cell.effect == 0 and each.cell.variation <= 0.02]
    alarm = worst(quiet)
    yield Figure(
        "false alarms of the gate, worst cell up to 2 %",
        f"{100 * alarm.alarms['ours'].value:.2f} % [{100 * alarm.alarms['ours'].low:.2f}, "
        f"{100 * alarm.alarms['ours'].high:.2f}]",
        "at most 1 %",
        alarm.alarms["ours"].high <= 0.01,
        in_words(alarm),
    )
    slower = [each for each in found if each.cell.effect == 0.05 and each.cell.variation <= 0.015]
    missed = min(slower, key=lambda each: each.alarms["ours"].value)
    yield Figure(
        "+5 % found by the gate, worst cell up to 1.5 %",
        f"{100 * missed.alarms['ours'].value:.1f} %",
        "at least 95 %",
        missed.alarms["ours"].value >= 0.95,
        in_words(missed),
    )
    for what in (coverage.TWO_STAGES, coverage.OF_RUNS, coverage.BLOCKS):
        near = [each for each in covered if each.what == what and each.near_normal]
        shares = [100 * each.covered / each.of for each in near]
        yield Figure(
            f"coverage in near-normal cells: {what}",
            f"{min(shares):.1f} to {max(shares):.1f} %",
            "93 to 97 %",
            min(shares) >= 93 and max(shares) <= 97,
            f"{len(near)} cells",
        )


def of_recording(recording):
    """Return the figures of recorded launches; without a recording there is one that says so."""
    if recording is None:
        yield Figure("recorded sessions", "none", "at least 3", None, "benchmarks.detection.record")
        return
    sessions = len(recording.sessions)
    yield Figure(
        "recorded sessions",
        str(sessions),
        "at least 3, on a quiet machine",
        sessions >= 3 and not recording.busy,
        recording.sessions[0]["started"][:10],
    )
    yield from of_quiet(recording)
    cases = recording.trials
    alarmed = [each for each in cases if each.alarms]
    yield Figure(
        "recorded comparisons with a false alarm",
        f"{len(alarmed)} of {len(cases)}",
        "each is listed",
        None,
        "in any quantity: latency, first load and its parts, peak memory",
    )


def of_quiet(recording):
    """Return which comparisons of cases that vary by at most 1 % found them unchanged."""
    for name, quiet in (("demo cases", recording.quiet("demo")), ("cases", recording.quiet())):
        found = [each.latency is not None and each.latency.verdict for each in quiet]
        unchanged = found.count(Verdict.UNCHANGED)
        share = unchanged / len(quiet) if quiet else None
        said = "none is quiet" if share is None else f"{unchanged} of {len(quiet)}"
        yield Figure(
            f"quiet {name} with their latency found unchanged",
            said,
            "at least 90 %",
            None if share is None else share >= 0.9,
            "a case's launches vary by at most 1 %",
        )
    quiet = recording.quiet()
    unchanged = sum(each.verdict is Verdict.UNCHANGED for each in quiet)
    yield Figure(
        "quiet cases found unchanged in every quantity",
        f"{unchanged} of {len(quiet)}",
        "no bound",
        None,
        "peak memory, first load and its parts, too, these of fewer launches",
    )


def test_the_gate(found, covered, record):
    recording = recorded.load(RECORDING)
    kept = [*figures(found, covered), *of_recording(recording)]
    verdicts = {True: ", kept", False: ", **missed**", None: ""}
    bounds = [
        f"- {each.name}: **{each.value}** ({each.how}); bound: {each.bound}{verdicts[each.kept]}"
        for each in kept
    ]
    setting = {
        "LAUNCHES": study.LAUNCHES,
        "BLOCKS": FRESH,
        "REPETITIONS": study.REPETITIONS,
        "SAMPLES": MOST_SAMPLES,
    }
    page.write(DOCS, found, covered, recording, bounds, setting)
    for figure in kept:
        record(figure)
