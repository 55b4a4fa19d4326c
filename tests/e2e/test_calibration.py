"""The lab measured by what is known beforehand: calibration, as a user runs it."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.e2e

MODEL = """
title: Calibration
licence: Apache-2.0
source: {{kind: calibration, {source}}}
inputs:
  - {{name: x, shape: [1, 8]}}
"""

CAMPAIGN = """
matrix:
  - {{models: [{models}], devices: [local], engines: [{engines}]}}
launches: 1
protocol:
  warmup: {{min_samples: 2, min_seconds: 0, max_samples: 5}}
  sampling: {{min_samples: 5, min_seconds: 0, max_samples: 5}}
  time_limit: 5
  redo_budget: 0
  memory_launches: 0
"""

# What is wrong with it, to what a run makes of it: status, category, and words of the reason.
FAULTS = {
    "sound": ("", ("ok", None, "")),
    "slow": ("slow: {from: 1, factor: 3}", ("ok", None, "")),
    "nan": ("nan: true", ("invalid", None, "wrong outputs: output 0 for seed 1 has NaN")),
    "crash": ("fail: {at: 3, how: crash}", ("failed", "engine", "crashed with SIGSEGV")),
    "unloadable": ("fail: {how: error}", ("failed", "engine", "told to fail")),
    "silent": ("fail: {at: 3, how: exit}", ("failed", "runner", "before it had finished")),
    "hanging": ("fail: {at: 3, how: hang}", ("failed", "timeout", "stopped at its limit of 5 s")),
}


@pytest.fixture
def model(lab):
    def write(name, source):
        path = lab.root / "models" / f"{name}.yaml"
        path.write_text(MODEL.format(source=source), encoding="utf-8")

    return write


def test_the_campaign_of_this_repository_measures_what_was_asked(lab, board):
    path = lab.root / "campaigns" / "calibration.yaml"
    content = path.read_text(encoding="utf-8").replace("launches: 5", "launches: 2")
    content = re.sub(r"devices: \[.*\]", f"devices: [local, {board}]", content)
    path.write_text(content, encoding="utf-8")
    lab("run", path)
    run = lab.show()
    cases = {case["id"]: case["case"] for case in run["cases"]}
    assert {case["device"] for case in cases.values()} == {"local", board}
    assert {case["state"] for case in run["cases"]} == {"measured"}
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert launch["runner"].startswith("native ")
        if cases[launch["case_id"]]["model"] == "calibration_spin":
            assert min(launch["samples_ns"]) >= 2_000_000
            assert launch["first_load"]["first_ms"] >= 2
            assert launch["vmhwm_bytes"] >= 10_000_000


def test_every_fault_is_told_from_the_others(lab, model):
    for name, (fault, _) in FAULTS.items():
        model(name, ", ".join(filter(None, ["spin_us: 500", fault])))
    path = lab.campaign(CAMPAIGN.format(models=", ".join(FAULTS), engines="calibration"), "faults")
    lab("run", path, code=3)
    run = lab.show()
    names = {case["id"]: case["case"]["model"] for case in run["cases"]}
    for launch in run["launches"]:
        name = names[launch["case_id"]]
        status, category, reason = FAULTS[name][1]
        assert (name, launch["status"], launch["category"]) == (name, status, category)
        assert reason in (launch["reason"] or "")
        if name == "slow":
            assert min(launch["samples_ns"]) >= 1_500_000
    assert set(names.values()) == set(FAULTS)
    # What may not happen again is tried again, and ends likewise.
    assert sum(launch["attempt"] == 0 for launch in run["launches"]) == len(FAULTS)


def test_a_network_and_calibration_are_not_mixed_up(lab, model):
    model("spin", "spin_us: 500")
    content = CAMPAIGN.format(models="spin, ppocr_v4_cls", engines="calibration, onnxruntime")
    path = lab.campaign(content, "mixed")
    planned = json.loads(lab("plan", path, "--json"))["cases"]
    refused = {(case["model"], case["engine"]): case["refused"] for case in planned}
    assert refused["spin", "calibration"] is refused["ppocr_v4_cls", "onnxruntime"] is None
    assert refused["spin", "onnxruntime"] == "engine 'onnxruntime' cannot run spin"
    assert refused["ppocr_v4_cls", "calibration"]
    lab("run", path, "--only", "spin", code=3)
    states = {case["case"]["engine"]: case["state"] for case in lab.show()["cases"]}
    assert states == {"calibration": "measured", "onnxruntime": "refused"}
