"""Recorded series against themselves: what is kept of sessions, and the page's part on them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.detection import record, recorded
from benchmarks.detection.recorded_page import NONE, section
from harness.analysis.comparison import Verdict
from harness.analysis.gate import gate
from harness.cli.results import run_as_json
from harness.core.reason import plain
from harness.core.records import Status
from harness.report.verdicts import gate_as_json
from tests.analysis.conftest import make_case, make_run

CASES = {"d": make_case(), "e": make_case("paddle-lite")}


def series(random, level, spread=0.003, n=5):
    figures = level * np.exp(random.normal(0, spread, n))
    samples = [[int(1e6 * each * factor) for factor in (0.99, 1.0, 1.01)] for each in figures]
    return {"figure_ms": figures.tolist(), "samples_ns": samples}


def measured(random, levels, **more):
    return make_run({CASES[name]: series(random, level, **more) for name, level in levels.items()})


def sides(random, name, levels, n=12):
    """Return a run of fresh launches: a candidate, and its baseline."""
    then = CASES[name].model_copy(update={"side": "baseline"})
    return make_run(
        {
            CASES[name]: series(random, levels[0], n=n),
            then: series(random, levels[1], n=n),
        },
        name="fresh",
    )


def session(folder, number, run, *, gate=None, busy=False):
    """Write a session's file as the recorder does."""
    shown = {**run_as_json(run), "status": 0}
    content = {
        "format": record.FORMAT,
        "session": number,
        "started": f"2026-01-0{number + 1}T03:04:05+00:00",
        "finished": f"2026-01-0{number + 1}T03:14:05+00:00",
        "others_percent": 50.0 if busy else 1.0,
        "busy": busy,
        "devices": {each["name"]: record._device(each) for each in shown["devices"]},
        "runs": [{**record._run(shown), "gate": gate}],
    }
    (folder / f"session-{number}.json").write_text(json.dumps(content))


def judged(run, baseline, fresh=None):
    """Return what the recorder keeps of a gate."""
    found = gate(run, baseline, "first")
    if fresh:
        found = found.settled(fresh, {})
    kept = record._cases(run_as_json(fresh), samples=0) if fresh else []
    return {"decided": True, "fresh": kept, **gate_as_json(found)}


@pytest.fixture
def recording(tmp_path):
    """Three sessions; the second is 4 % slower in one case, and fresh launches say it is not."""
    random = np.random.default_rng(3)
    first = measured(random, {"d": 10.0, "e": 20.0})
    session(tmp_path, 0, first)
    second = measured(random, {"d": 10.4, "e": 20.0})
    fresh = sides(random, "d", (10.4, 10.4))
    session(tmp_path, 1, second, gate=judged(second, first, fresh))
    third = measured(random, {"d": 10.0, "e": 20.0})
    session(tmp_path, 2, third, gate=judged(third, first))
    return recorded.load(tmp_path)


def test_sessions_that_differ_raise_no_alarm(recording):
    assert [each.session for each in recording.trials] == [1, 1, 2, 2]
    assert {each.verdict for each in recording.trials} == {Verdict.UNCHANGED}
    assert [each.fresh is not None for each in recording.trials] == [True, False, False, False]
    assert recording.trials[0].shift == pytest.approx(1.04, abs=0.01)
    assert not any(each.alarms for each in recording.trials)
    assert len(recording.quiet("c")) == 4
    assert recording.quiet("another") == []


def test_the_other_rules_are_given_the_same_launches(recording):
    rows = {row.rule: (row.alarms, row.of) for row in recorded.by_rule(recording.trials, [0.0])}
    assert rows["ours"] == (0, 4)
    assert rows["ours, without fresh launches"] == (1, 4)
    assert rows["fixed 5 % on the mean"] == (0, 4)
    assert rows["t-test on inferences"][0] >= 1


def test_a_slowdown_is_found_where_fresh_launches_can_tell(recording):
    rows = {row.rule: (row.alarms, row.of) for row in recorded.by_rule(recording.trials, [0.1])}
    # Three comparisons have no fresh launches, and stored ones do not suffice at +10 %.
    assert rows["ours"] == (1, 1)
    assert rows["fixed 5 % on the mean"] == (1, 1)


def test_the_page_lists_every_alarm_session_and_failed_launch(recording, tmp_path):
    text = section(recording, tmp_path)
    assert "4 comparisons: 4 unchanged." in text
    assert "No quantity of any comparison was said to have changed." in text
    assert "stored +4.0 %" in text.replace("+4.1", "+4.0").replace("+3.9", "+4.0")
    assert (tmp_path / "detection-recorded.svg").read_text().startswith("<svg")
    alarmed = recording.trials[0]
    (latency,) = [each for each in alarmed.findings if each.quantity == "latency"]
    found = [replace(latency, verdict=Verdict.REGRESSED)]
    alarmed = replace(alarmed, findings=found, verdict=Verdict.REGRESSED)
    text = section(replace(recording, trials=[alarmed]), tmp_path)
    assert "1 comparison: 1 regressed." in text
    assert "- m · d · onnxruntime, session 2: latency" in text
    assert "12 fresh launches of either side" in text


def test_what_failed_was_busy_or_undecided_is_told(tmp_path):
    random = np.random.default_rng(4)
    first = measured(random, {"d": 10.0})
    session(tmp_path, 0, first)
    second = measured(random, {"d": 11.0})
    failed = {"status": Status.FAILED, "reason": plain("it crashed"), "figure_ns": None}
    second.launches[4] = second.launches[4].model_copy(update=failed)
    told = judged(second, first)
    told["decided"] = False
    session(tmp_path, 1, second, gate=told, busy=True)
    found = recorded.load(tmp_path)
    assert found.busy
    (trial,) = found.trials
    assert (trial.verdict, trial.ours(0.0)) == (Verdict.INCONCLUSIVE, None)
    text = section(found, tmp_path)
    assert "The machine was busy" in text
    assert "session 2: a launch failed: it crashed" in text
    assert "fresh launches were not made within the time" in text


def test_a_board_that_did_not_come_is_told(tmp_path):
    random = np.random.default_rng(5)
    first = measured(random, {"d": 10.0})
    session(tmp_path, 0, first)
    second = measured(random, {"d": 10.0}).model_copy(update={"launches": [], "devices": []})
    session(tmp_path, 1, second, gate=judged(second, first))
    found = recorded.load(tmp_path)
    (trial,) = found.trials
    assert trial.verdict is Verdict.INVALID
    assert f"**invalid**, {trial.why}" in section(found, tmp_path)
    assert recorded.by_rule(found.trials, [0.0]) == []


def test_without_a_recording_the_page_says_so(tmp_path):
    assert recorded.load(tmp_path) is None
    assert section(None, tmp_path) == NONE


def test_another_format_is_refused(tmp_path):
    (tmp_path / "session-0.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="format"):
        recorded.load(tmp_path)


def test_samples_are_kept_evenly_spread():
    assert record.evenly(list(range(100)), 5) == [0, 25, 50, 74, 99]
    assert record.evenly([1, 2], 5) == [1, 2]
