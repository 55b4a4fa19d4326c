"""What was compiled by a newer tool than the device's runtime is refused before it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.full]  # RKNN-Toolkit2 compiles

DEVICE = """\
transport: local
abi: x86_64-linux
soc: rockchip,rk3588
engines:
  rknn: {runner: old, backends: {"npu:rknpu": {}}}
"""
CAMPAIGN = """\
matrix:
  - models: [mobilenet_v1_025_96]
    devices: [made-up]
    engines: [rknn]
    backends: ["npu:rknpu"]
"""


def test_an_older_runtime_than_the_compiler_is_refused(lab, tmp_path):
    """The device is no Rockchip's: neither its runner nor the runtime's double gets to run."""
    runtime = tmp_path / "librknnrt.so"
    program = Path(sys.executable).resolve().read_bytes()
    runtime.write_bytes(program + b"\0librknnrt version: 2.3.0 (c949ad889d@2024-11-07)\0")
    usual = ["--engine", "rknn", "--abi", "x86_64-linux", "--name", "old"]
    lab("runners", "add", "edge-runner", sys.executable, *usual, "--lib", runtime)
    (lab.root / "devices/made-up.yaml").write_text(DEVICE, encoding="utf-8")
    lab("run", lab.campaign(CAMPAIGN), code=3)
    (case,) = lab.show()["cases"]
    assert "compiled by RKNN-Toolkit2 2.5.0" in case["refused"]
    assert "librknnrt.so is older: 2.3.0" in case["refused"]
    assert case["artifact"]["partition"]["tool"] == "RKNN-Toolkit2 2.5.0"
