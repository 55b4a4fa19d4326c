"""Engines beside Paddle's, from the model to the checked outputs, here and on the ARM board."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.e2e

CAMPAIGN = """
matrix:
  - models: [mobilenet_v1_025_96]
    devices: [local]
    engines: [onnxruntime, openvino, mnn, ncnn]
  - models: [mobilenet_v1_025_96]
    devices: [qemu-arm64]
    engines: [mnn, ncnn]
launches: 1
protocol:
  warmup: {min_samples: 1, min_seconds: 0, max_samples: 3}
  sampling: {min_samples: 3, min_seconds: 0, max_samples: 3}
  memory_launches: 0
"""


def test_one_model_in_every_engine(lab, board):
    lab("run", lab.campaign(CAMPAIGN, "engines"))
    run = lab.show()
    cases = {case["id"]: case["case"] for case in run["cases"]}
    assert {case["state"] for case in run["cases"]} == {"measured"}
    formats = {case["case"]["engine"]: case["artifact"]["format"] for case in run["cases"]}
    assert formats == {"onnxruntime": "onnx", "openvino": "onnx", "mnn": "mnn", "ncnn": "ncnn"}
    versions = {}
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert launch["build"]["threads"] == "1"
        case = cases[launch["case_id"]]
        versions.setdefault(case["engine"], set()).add(launch["engine_version"])
    assert len(versions["mnn"]) == len(versions["ncnn"]) == 1  # the same here and on the board
