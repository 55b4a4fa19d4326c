"""An NPU and a GPU for real, as far as a machine without either goes: by their vendors' runtimes.

Qualcomm's runtime computes on x86-64 in its simulator, ncnn's Vulkan on Mesa's software driver.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.analysis.advice import Leaning, Rule, Worth, advise
from harness.analysis.cases import State, case_results
from harness.analysis.layers import profile_of
from harness.api import results
from harness.core.records import Role, Status
from harness.lab.connect import connect
from harness.lab.inventory import load_device
from harness.workspace import Workspace

pytestmark = pytest.mark.e2e

HARDMAX = Path(__file__).parents[1] / "data" / "onnx" / "hardmax.onnx"
QUICK = """\
launches: 2
protocol:
  memory_launches: 0
  profile_launches: 1
  warmup: { min_samples: 1, min_seconds: 0, max_samples: 2, max_seconds: 2 }
  sampling: { min_samples: 2, min_seconds: 0.1, max_seconds: 5 }
"""
ACCELERATORS = f"""\
matrix:
  - {{models: [mobilenet_v1_025_96], devices: [local], engines: [onnxruntime]}}
  - models: [mobilenet_v1_025_96]
    devices: [local]
    engines: [onnxruntime]
    backends: ["npu:qnn"]
    model_caches: [none, kept]
  - {{models: [mobilenet_v1_025_96], devices: [local], engines: [ncnn], backends: [gpu]}}
{QUICK}"""
FALLBACK = f"""\
matrix:
  - {{models: [hardmax], devices: [local], engines: [onnxruntime], backends: ["npu:qnn"]}}
{QUICK}"""
SLOW = """\
matrix:
  - {models: [ppocr_v4_cls], devices: [local], engines: [onnxruntime], backends: ["npu:qnn"]}
launches: 1
protocol: {time_limit: 1, memory_launches: 0, redo_budget: 0}
"""


@pytest.fixture(scope="module")
def measured(lab):
    path = lab.root / "campaigns" / "npu.yaml"
    path.write_text(ACCELERATORS)
    lab("run", path, "--wait", "10m")
    return results(workspace=lab.root)


def by_setting(run):
    return {result.record.case.setting: result for result in case_results(run)}


def test_outputs_are_right_on_the_npu_and_the_gpu(measured):
    found = by_setting(measured)
    assert len(found) == 4
    assert all(result.state is State.MEASURED and result.checked for result in found.values())


def test_what_stood_in_is_recorded_and_nothing_of_it_is_ranked(measured):
    found = by_setting(measured)
    assert found["onnxruntime"].simulated is None
    assert found["onnxruntime/npu:qnn · int8"].simulated == "Qualcomm HTP simulator"
    assert "llvmpipe" in (found["ncnn/gpu"].simulated or "")


def test_every_launch_says_which_unit_got_its_operators(measured):
    for setting, result in by_setting(measured).items():
        unit = result.record.case.backend.partition(":")[0]
        for launch in result.counted:
            assert unit == "cpu" or launch.units[unit] > 0, setting


def test_a_tiny_model_on_a_simulator_gets_no_verdict_on_speed(measured):
    (advice,) = advise(measured)
    found = {each.rule: each for each in advice.findings}
    assert advice.subject.simulated == "Qualcomm HTP simulator"
    assert found[Rule.SHORT].leaning is Leaning.CPU
    assert found[Rule.COVERAGE].facts["share"] == 1.0
    assert found[Rule.LATENCY].facts == {"why": "simulated"}
    assert advice.verdict is Worth.UNDECIDED


def test_a_compiled_model_is_kept_and_loaded_again(measured):
    kept = by_setting(measured)["onnxruntime/npu:qnn · int8 · model cache kept"]
    (fill,) = [launch for launch in kept.launches if launch.role is Role.FILL]
    assert fill.status is Status.OK
    assert fill.units["npu"] > kept.counted[0].units["npu"] == 1  # the whole model, compiled


def test_a_net_that_leaves_the_npu_in_the_middle_says_so(lab):
    lab("models", "add", HARDMAX, "--licence", "MIT")
    path = lab.root / "campaigns" / "fallback.yaml"
    path.write_text(FALLBACK)
    # In int8 another element may be the largest: the check says so, and the launch is kept.
    lab("run", path, "--wait", "10m", code=4)
    run = results(workspace=lab.root)
    (result,) = case_results(run)
    assert result.state is State.WRONG
    (advice,) = advise(run)
    found = {each.rule: each for each in advice.findings}
    assert advice.verdict is Worth.UNLIKELY
    assert found[Rule.OUTPUTS].leaning is Leaning.CPU
    assert found[Rule.SUBGRAPHS].facts["number"] == 2
    assert "Hardmax" in str(found[Rule.COVERAGE].facts["left"])
    assert profile_of(result).accelerated == 1.0  # a Hardmax multiplies nothing
    units = result.launches[0].units
    assert units["npu"] > 0
    assert units["cpu"] > 2  # quantizing the input, dequantizing the output, and Hardmax
    profiled = [launch for launch in result.launches if launch.role is Role.PROFILE]
    assert "Hardmax" in profiled[0].profile.model_dump_json()


def test_a_simulator_slower_than_the_time_limit_is_a_timeout_by_name(lab):
    path = lab.root / "campaigns" / "slow.yaml"
    path.write_text(SLOW)
    lab("run", path, "--wait", "10m", code=3)
    (result,) = case_results(results(workspace=lab.root))
    assert str(result.launches[0].reason).startswith("stopped at its limit of 1 s, after '")


QNN_ON_BOARD = """\
set -e
rm -rf /data/qnn
mkdir -p /data/qnn/packages
tar -xf - -C /data/qnn/packages
cat >/data/qnn/python <<'END'
#!/bin/sh
PYTHONPATH=/data/qnn/packages exec /usr/bin/python3.11 "$@"
END
chmod +x /data/qnn/python
"""


@pytest.mark.full
def test_a_board_without_a_dsp_has_no_npu_by_qualcomms_own_runtime(lab, board, tmp_path):
    """The plugin's wheel for arm64 weighs 90 MB."""
    packages = tmp_path / "packages"
    wheel = ["onnxruntime-qnn==2.7.0", "--python-platform", "aarch64-manylinux_2_34"]
    target = ["--no-deps", "--python-version", "3.11", "--target", packages]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--only-binary", ":all:"]
    subprocess.run([*uv, *wheel, *target], check=True)
    with tarfile.open(tmp_path / "packages.tar", "w") as tar:
        tar.add(packages, ".")
    path = lab.root / "devices" / f"{board}.yaml"
    text = path.read_text().replace(
        "onnxruntime: { python: /usr/bin/python3.11 }",
        "onnxruntime:\n    python: /usr/bin/python3.11\n"
        "    backends: {cpu: {}, npu:qnn: {python: /data/qnn/python}}",
    )
    other = lab.root / "devices" / "with-plugin.yaml"
    other.write_text(text)
    workspace = Workspace(lab.root)
    with connect(workspace, load_device(workspace, "with-plugin")) as transport:
        sent = (tmp_path / "packages.tar").read_bytes()
        done = transport.run(["sh", "-c", QNN_ON_BOARD], stdin=sent, timeout=600)
        assert done.returncode == 0, done.stderr
    try:
        (probed,) = json.loads(lab("devices", "probe", "with-plugin", "--json"))
    finally:
        other.unlink()
    (verdict,) = [each for each in probed["verdicts"] if each["backend"] == "npu:qnn"]
    assert verdict["state"] == "not usable"
    assert "Qualcomm's runtime (onnxruntime-qnn 2.7.0) finds no NPU" in verdict["reasons"]
