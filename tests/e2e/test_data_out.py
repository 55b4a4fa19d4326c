"""What a user does with results, on a real run of this machine: pytest, audit, history, export."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import harness

pytestmark = pytest.mark.e2e

MODEL = """
title: Calibration
licence: Apache-2.0
source: {{kind: calibration, spin_us: {spin_us}}}
inputs:
  - {{name: x, shape: [1, 8]}}
"""

TEST = """
import os
import pytest

SHORT = {
    "warmup": {"min_samples": 5, "min_seconds": 0, "max_samples": 20},
    "sampling": {"min_samples": 20, "min_seconds": 0, "max_samples": 20},
    "time_limit": 20,
}

@pytest.mark.edge_case(
    model="plugin_spin", device="local", engine="calibration", launches=3, protocol=SHORT,
    wait_s=600,
)
def test_spin(edge_measurement):
    assert 2 <= edge_measurement.latency_ms.center < float(os.environ["LIMIT_MS"])

@pytest.mark.edge_case(model="plugin_spin", device="local", engine="onnxruntime", wait_s=600)
def test_of_another_engine(edge_measurement):
    pass
"""


def test_a_regression_test_in_three_lines_and_what_it_leaves(lab, tmp_path):
    model = lab.root / "models" / "plugin_spin.yaml"
    (lab.root / "test_spin.py").write_text(TEST)

    def session(spin_us, limit_ms, *arguments):
        model.write_text(MODEL.format(spin_us=spin_us))
        options = ["-p", "no:cacheprovider", "--rootdir", lab.root, "--junitxml", "junit.xml"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, "test_spin.py", *arguments],
            cwd=lab.root, env=lab.environment | {"LIMIT_MS": limit_ms}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    said = session(2000, "1e6", "--benchmark-only", "--benchmark-json", tmp_path / "out.json")
    assert "1 passed, 1 error" in said.stdout, said.stdout + said.stderr
    assert "engine 'onnxruntime' cannot run plugin_spin" in said.stdout
    (entry,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert entry["stats"]["rounds"] == 3
    assert min(entry["stats"]["data"]) >= 2e-3
    slow = session(5000, "3", "-k", "test_spin", "-p", "no:benchmark")
    assert "1 failed" in slow.stdout, slow.stdout + slow.stderr
    runs = [run for run in json.loads(lab("results", "list", "--json")) if "spin" in run["id"]]
    slower, faster = runs[0]["id"], runs[1]["id"]

    findings = json.loads(lab("audit", faster, "--json"))[0]["findings"]
    assert {found["severity"] for found in findings} <= {"note", "warning"}
    lab("export", faster, slower, "--level", "sample", "-o", tmp_path / "samples.parquet")
    samples = harness.load_results(tmp_path / "samples.parquet")
    timed = samples[samples.counted & (samples.phase == "timed")].groupby("run")
    assert dict(timed.size()) == {faster: 60, slower: 60}
    assert timed.latency_ns.min()[slower] >= 5e6
    case = json.loads(lab("history", "plugin_spin", "--json"))
    (history,) = [each for each in case if "calibration" in each["label"]]
    assert [point["run"] for point in history["points"]] == [faster, slower]
