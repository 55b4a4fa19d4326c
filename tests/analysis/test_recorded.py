"""Recorded series against themselves."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.detection.recorded import load, summary, trials
from tests.analysis.conftest import make_case


def write(folder, session, figures, *, busy=False):
    launches = [
        {"slot": slot, "position": slot, "status": "ok", "figure_ns": figure, "samples_ns": []}
        for slot, figure in enumerate(figures)
    ]
    content = {
        "session": session,
        "busy": busy,
        "cases": [
            {"case": make_case().model_dump(mode="json"), "state": "measured", "launches": launches}
        ],
    }
    (folder / f"session-{session}.json").write_text(json.dumps(content))


def test_sessions_that_differ_raise_no_alarm(tmp_path, capsys):
    random = np.random.default_rng(3)
    for session, level in enumerate((1e6, 1.04e6, 1e6)):
        write(tmp_path, session, (level * np.exp(random.normal(0, 0.003, 29))).tolist())
    series, busy = load(tmp_path)
    found = list(trials(series))
    assert not busy
    assert [each.sessions for each in found] == [(0, 1), (0, 2), (1, 2)]
    assert [each.fresh for each in found] == [True, False, True]
    assert {str(each.verdict) for each in found} == {"unchanged"}
    assert "3 comparisons, 0 false alarms. Of 3 with a spread of at most 1 %, 3" in summary(found)


def test_what_is_missing_or_busy_is_told(tmp_path, capsys):
    write(tmp_path, 0, [1e6] * 29)
    write(tmp_path, 1, [1e6] * 10, busy=True)
    series, busy = load(tmp_path)
    assert busy
    assert list(trials(series)) == []
    assert "too few launches" in capsys.readouterr().out
