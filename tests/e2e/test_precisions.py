"""The same model in fp32 and int8, in three engines of this machine, one of which is wrong."""

from __future__ import annotations

import subprocess

import pytest

from harness.models import environments
from tests.models.test_quantize import DRAW

pytestmark = pytest.mark.e2e

CAMPAIGN = """
matrix:
  - models: [mobilenet_v1_025_96]
    devices: [local]
    engines: [paddle-inference, onnxruntime, paddle-lite]
    precisions: [fp32, int8]
launches: 1
protocol:
  warmup: {min_samples: 1, min_seconds: 0, max_seconds: 1}
  sampling: {min_samples: 5, min_seconds: 0}
  memory_launches: 0
  redo_budget: 0
"""


@pytest.fixture(scope="module")
def cases(lab):
    """Return what was found: engine and precision to the case with its launch."""
    path = lab.campaign(CAMPAIGN, "precisions")
    printed = lab("run", path, code=4)  # a part of its results is invalid
    assert "NaN" in printed
    run = lab.show()
    launches = {launch["case_id"]: launch for launch in run["launches"]}
    return {
        (case["case"]["engine"], case["case"]["precision"]): case | {"launch": launches[case["id"]]}
        for case in run["cases"]
    }


@pytest.mark.parametrize("engine", ["paddle-inference", "onnxruntime"])
def test_int8_is_measured_checked_and_tells_its_drift(cases, engine):
    found = cases[engine, "int8"]
    assert found["state"] == "measured"
    assert found["latency_ms"]
    assert found["launch"]["outputs"]["passed"]
    assert found["launch"]["outputs"]["relative_error"] > 0.01  # it is not fp32 in disguise
    assert 0.95 < found["artifact"]["drift"]["cosine"] < 0.9999
    assert any(kernel.endswith("/int8") for kernel in found["artifact"]["partition"]["kernels"])


def test_the_runner_says_that_its_kernels_are_int8(cases):
    built = {
        precision: cases["paddle-inference", precision]["launch"]["build"]["int8"]
        for precision in ("fp32", "int8")
    }
    assert built == {"fp32": "off", "int8": "on"}


def test_paddle_lite_on_x86_is_measured_in_fp32(cases):
    assert cases["paddle-lite", "fp32"]["state"] == "measured"
    assert cases["paddle-lite", "fp32"]["artifact"]["drift"] is None


def test_wrong_outputs_have_a_reason_and_no_latency(cases):
    """Paddle Lite's int8 kernels for x86 return NaN."""
    wrong = cases["paddle-lite", "int8"]
    assert wrong["state"] == "outputs wrong"
    assert wrong["latency_ms"] is None
    assert wrong["launch"]["status"] == "invalid"
    assert wrong["launch"]["outputs"]["reason"].endswith("has NaN or infinite values")
    assert wrong["launch"]["samples_ns"]  # what it measured is kept, and counts for nothing
    assert "NaN" in wrong["reason"]
    assert "NaN" in wrong["artifact"]["drift"]["fault"]


WITH_IMAGES = """
title: MobileNetV1 that images calibrate
licence: Apache-2.0
source: {kind: paddle.vision, function: mobilenet_v1, arguments: {scale: 0.25}, seed: 0}
inputs:
  - {name: image, shape: [1, 3, 96, 96], dynamic: {0: [1, 2]}, low: -1, high: 1}
quantization: {images: photographs, held_out: 4}
"""


def test_what_images_calibrate_is_checked_on_others_of_them_at_every_shape(lab):
    photographs = lab.root / "models" / "photographs"
    photographs.mkdir()
    python = environments.python("paddle", print)
    subprocess.run([python, "-c", DRAW, photographs, "9"], check=True)
    (lab.root / "models" / "with_images.yaml").write_text(WITH_IMAGES, encoding="utf-8")
    assert "3 held-out images of photographs" in lab("models", "show", "with_images")
    content = CAMPAIGN.replace("mobilenet_v1_025_96", "with_images").replace(
        "[paddle-inference, onnxruntime, paddle-lite]", "[onnxruntime]\n    batches: [1, 2]"
    )
    lab("run", lab.campaign(content + "  shape_changes: true\n", "with-images"))
    run = lab.show()
    assert len(run["cases"]) == 4
    assert {case["state"] for case in run["cases"]} == {"measured"}
    for launch in run["launches"]:
        assert launch["outputs"]["passed"]
        assert len(launch["shape_changes"]) == 2
