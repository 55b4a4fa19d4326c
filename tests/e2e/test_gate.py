"""The gate as CI uses it: a slowdown is caught, confirmed by fresh launches, and named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import harness

pytestmark = pytest.mark.e2e

# Short inferences, so that the median is of those that nothing interrupts, however busy it is here.
MODEL = """
title: Gate
licence: Apache-2.0
source: {{kind: calibration, spin_us: {spin}, memory_bytes: {memory}}}
inputs:
  - {{name: x, shape: [1, 8]}}
"""

CAMPAIGN = """
matrix:
  - {models: [gate], devices: [local], engines: [calibration]}
launches: 5
protocol:
  warmup: {min_samples: 2, min_seconds: 0, max_samples: 5}
  sampling: {min_samples: 200, min_seconds: 0, max_samples: 200}
  time_limit: 20
  memory_launches: 0
"""


@pytest.fixture
def gate(lab):
    def write(spin=200, memory=10_000_000):
        content = MODEL.format(spin=spin, memory=memory)
        (lab.root / "models" / "gate.yaml").write_text(content, encoding="utf-8")

    write()
    path = lab.campaign(CAMPAIGN, "gate")
    lab("run", path, "--wait", "10m")
    lab("baseline", "set", "good")
    return write


def test_a_slowdown_is_caught_confirmed_and_named(lab, gate):
    gate(spin=400)
    check = ("check", "--baseline", "good", "--wait", "10m", "--json")
    found = json.loads(lab(*check, "--junit", "c.xml", "--markdown", "c.md", code=1))
    (suite,) = ET.fromstring((lab.root / "c.xml").read_text())
    message = suite.find("testcase/failure").attrib["message"]
    assert re.search(r"latency \+\d+\.\d+ % \[.*\], 12 fresh launches of either side", message)
    assert "❌ regressed" in (lab.root / "c.md").read_text()
    (comparison,) = found["comparisons"]
    latency = comparison["findings"][0]
    assert (latency["verdict"], latency["fresh"], latency["ratio"]["n"]) == ("regressed", True, 12)
    # Others may be busy on this machine: its size is about right, and stands with its interval.
    assert 1.5 < latency["ratio"]["center"] < 2.7
    assert latency["ratio"]["low"] > 1
    fresh = lab.show(comparison["confirmed_by"])
    assert fresh["confirms"] == found["run"]
    assert {case["case"]["side"] for case in fresh["cases"]} == {"candidate", "baseline"}
    lab("run", "--resume", comparison["confirmed_by"], code=2)
    # What is measured is judged again without measuring it; the other way round it is better.
    again = json.loads(lab(*check, "--run", found["run"], code=1))
    assert again["comparisons"][0]["confirmed_by"] != comparison["confirmed_by"]
    lab("baseline", "set", "slow", found["run"])
    gate()
    improved = json.loads(lab("check", "--baseline", "slow", "--wait", "10m", "--json"))
    assert improved["comparisons"][0]["findings"][0]["verdict"] == "improved"


def test_a_slowdown_of_the_runner_itself_is_caught_and_confirmed(lab, gate, tmp_path, monkeypatch):
    """The runner's source is changed: what it is built to runs in turns with the baseline's."""
    shutil.copytree(Path(harness.__file__).parent, tmp_path / "harness")
    source = tmp_path / "harness" / "engines" / "calibration" / "runner.cc"
    text = source.read_text(encoding="utf-8")
    slower = text.replace("settings_.spin_us * factor", "1.5 * settings_.spin_us * factor")
    assert slower != text
    source.write_text(slower, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = json.loads(lab("check", "--baseline", "good", "--wait", "10m", "--json", code=1))
    (comparison,) = found["comparisons"]
    latency = comparison["findings"][0]
    assert (latency["verdict"], latency["fresh"]) == ("regressed", True)
    assert 1.2 < latency["ratio"]["low"] < latency["ratio"]["center"] < 2
    now, then = lab.show(comparison["confirmed_by"])["cases"]
    assert now["artifact"] == then["artifact"]
    assert now["runner_files"] != then["runner_files"]


def test_more_memory_is_a_regression_though_nothing_varies(lab, gate):
    gate(memory=12_000_000)
    found = json.loads(lab("check", "--baseline", "good", "--wait", "10m", "--json", code=1))
    findings = {each["quantity"]: each for each in found["comparisons"][0]["findings"]}
    assert findings["peak memory"]["verdict"] == "regressed"
    assert findings["peak memory"]["ratio"]["low"] > 1.1


def test_without_the_baselines_artifact_nothing_is_confirmed(lab, gate):
    for path in (lab.root / "baselines" / "files").iterdir():
        path.unlink()
    gate(spin=400)
    path = lab.root / "baselines" / "good.json"
    text = path.read_text()
    artifact = json.loads(text)["run"]["cases"][0]["artifact"]
    # As on a machine that never built it, and has never seen its files.
    text = text.replace(artifact["id"], "0" * 64)
    path.write_text(text)
    found = json.loads(lab("check", "--baseline", "good", "--wait", "10m", "--json"))
    (comparison,) = found["comparisons"]
    assert comparison["verdict"] == "inconclusive"
    assert comparison["unconfirmable"] == "its artifact 000000000000 (model.json) was not kept"
    lab("check", "--baseline", "good", "--run", found["run"], "--strict", code=4)
