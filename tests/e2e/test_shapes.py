"""Shapes and batches as a user asks for them, measured on this machine."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.e2e

MODEL = """
title: Calibration of any length
licence: Apache-2.0
source: {kind: calibration, spin_us: 200}
inputs:
  - {name: x, shape: [1, 8], dynamic: {0: [1, 4], 1: [4, 64]}}
"""

CAMPAIGN = """
matrix:
  - models: [lengths]
    devices: [local]
    engines: [calibration]
    batches: [1, 2]
    shapes: [null, {x: [1, 16]}]
launches: 1
protocol:
  warmup: {min_samples: 2, min_seconds: 0, max_samples: 5}
  sampling: {min_samples: 5, min_seconds: 0, max_samples: 5}
  memory_launches: 0
  shape_changes: true
"""


def test_every_shape_is_measured_checked_and_changed_to(lab):
    (lab.root / "models" / "lengths.yaml").write_text(MODEL, encoding="utf-8")
    path = lab.campaign(CAMPAIGN, "shapes")
    printed = lab("run", path)
    run = lab.show()
    cases = {(case["case"]["batch"], bool(case["case"]["shapes"])): case for case in run["cases"]}
    shapes = {(1, False): [1, 8], (1, True): [1, 16], (2, False): [2, 8], (2, True): [2, 16]}
    assert set(cases) == set(shapes)
    for key, case in cases.items():
        (launch,) = (each for each in run["launches"] if each["case_id"] == case["id"])
        assert (launch["status"], launch["outputs"]["passed"]) == ("ok", True)
        changes = launch["shape_changes"]
        assert changes[-1]["shapes"] == {"x": shapes[key]}
        assert sorted(each["shapes"]["x"] for each in changes) == sorted(shapes.values())
        assert all(each["first_ms"] >= 0.2 for each in changes)
        assert case["after_change_ms"]["new"]["change"]["n"] == 3
        assert case["after_change_ms"]["again"]["change"]["n"] == 1
    assert "After a change to" in printed
    assert "batch 2 · x 1×16" in printed


def test_a_shape_that_the_model_does_not_take_is_refused_before_anything(lab):
    (lab.root / "models" / "lengths.yaml").write_text(MODEL, encoding="utf-8")
    path = lab.campaign(CAMPAIGN.replace("[1, 16]", "[1, 65]"), "shapes")
    lab("run", path, code=2)
    lab("plan", path, code=2)
