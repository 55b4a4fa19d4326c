from __future__ import annotations

import json

import pytest

from harness.core.reason import ENGLISH
from harness.engines import get
from harness.lab.inventory import DeviceSpec

ENGINE = get("rknn")


def device(soc):
    return DeviceSpec(transport="ssh", address="board", abi="arm64-linux", soc=soc)


@pytest.mark.parametrize(
    ("soc", "target"),
    [
        ("rk3588", "rk3588"),
        ("rockchip,rk3588s", "rk3588"),  # as a device tree says it
        ("Rockchip RK3566", "rk3566"),
        ("RK3568B2", "rk3568"),
    ],
)
def test_an_artifact_is_built_for_the_devices_chip(soc, target):
    assert ENGINE.lacks(device(soc), "npu:rknpu") is None
    assert ENGINE.target(device(soc)) == target


@pytest.mark.parametrize(
    ("soc", "said"),
    [
        (None, "the device's soc is not a supported one"),
        ("bcm2712", "the device's soc 'bcm2712' is not a supported one"),
        ("rk3399", "the device's soc 'rk3399' is not a supported one"),
        ("rockchip,rv1106", "the small runtime of rv1106 (librknnmrt.so)"),
    ],
)
def test_a_chip_that_it_does_not_measure_on(soc, said):
    assert said in str(ENGINE.lacks(device(soc), "npu:rknpu"))


def test_it_does_not_measure_on_the_processor():
    assert str(ENGINE.lacks(device("rk3588"), "cpu")) == "rknn is measured on npu:rknpu only"


@pytest.mark.parametrize(
    ("content", "version", "refused"),
    [
        (b"2.5.0(compiler version: 2.5.0 (74ea630ce@2026", "2.3.0", True),
        (b"2.5.0(compiler version: 2.5.0 (74ea630ce@2026", "2.5.0", False),
        (b"2.5.0(compiler version: 2.5.0 (74ea630ce@2026", "2.10", False),  # numbers, no text
        (b"2.5.0(compiler version: 2.5.0 (74ea630ce@2026", None, False),
        (b"RKNN, and nothing of a compiler", "1.5.0", False),
    ],
)
def test_a_runtime_older_than_the_compiler_is_refused(tmp_path, content, version, refused):
    model = tmp_path / "model.rknn"
    model.write_bytes(bytes(5000) + content)
    reason = ENGINE.refuse(device("rk3588"), {"model": model}, "npu:rknpu", version)
    assert (reason is not None) == refused
    if reason:
        assert "compiled by RKNN-Toolkit2 2.5.0, and the device's librknnrt.so is older" in str(
            reason
        )
        assert "--lib librknnrt.so" in ENGLISH.hint(reason)


MODEL = """\
title: small
licence: Apache-2.0
source: {kind: paddle.vision, function: mobilenet_v1}
inputs: [{name: x, shape: [1, 3, 32, 32]}]
"""
CAMPAIGN = """\
matrix:
  - {models: [small], devices: [known, other], engines: [rknn], backends: ["npu:rknpu"]}
"""


def test_a_plan_refuses_the_device_that_it_cannot_measure_and_keeps_the_others(workspace, cli):
    (workspace.models / "small.yaml").write_text(MODEL)
    for name, soc in (("known", "rk3588"), ("other", "bcm2712")):
        device = f"transport: local\nabi: x86_64-linux\nsoc: {soc}\n"
        engine = "engines: {rknn: {python: p, backends: {'npu:rknpu': {}}}}\n"
        (workspace.devices / f"{name}.yaml").write_text(device + engine)
    (workspace.campaigns / "npu.yaml").write_text(CAMPAIGN)
    said = cli("plan", workspace.campaigns / "npu.yaml", "--json")
    known, other = json.loads(said.out)["cases"]
    assert known["refused"] is None
    assert (known["backend"], known["precision"]) == ("npu:rknpu", "fp16")
    assert "the device's soc 'bcm2712' is not a supported one" in other["refused"]
