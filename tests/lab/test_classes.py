"""Device classes: the shipped files, and what they add to a device's own."""

from __future__ import annotations

from typing import get_args

import pytest

from harness.core.errors import SpecificationError
from harness.lab.classes import class_names, detect, library_names, load_class
from harness.lab.inventory import ABI, BackendSpec, EngineSpec, load_device


@pytest.mark.parametrize("name", class_names())
def test_what_a_class_says_is_what_a_device_file_may_say(name):
    known = load_class(name)
    assert set(known.abis) <= set(get_args(ABI))
    for backends in known.engines.values():
        backend_specs = {
            backend: BackendSpec(options=spec.options, variables=spec.variables)
            for backend, spec in backends.items()
        }
        assert EngineSpec(runner="r", backends=backend_specs).backends == backend_specs


@pytest.mark.parametrize(
    ("abi", "told", "found"),
    [
        ("arm64-linux", ["radxa,rock-5b", "rockchip,rk3588"], "rockchip-rknn"),
        ("arm64-linux", ["rockchip,rk3588s"], "rockchip-rknn"),
        ("armv7hf-linux", ["rockchip,rv1126"], "rockchip-nnadapter"),
        ("arm64-linux", ["rockchip,rv1126b"], "arm-linux"),  # another NPU
        ("arm64-linux", ["khadas,vim3", "amlogic,a311d", "amlogic,g12b"], "amlogic-npu"),
        ("arm64-linux", ["fsl,imx8mp-evk", "fsl,imx8mp"], "nxp-npu"),
        ("arm64-linux", ["qcom,qcs6490-rb3gen2", "qcom,qcm6490"], "qualcomm-hexagon"),
        ("arm64-linux", ["qcom,sa8775p-ride", "qcom,sa8775p"], "qualcomm-hexagon"),
        ("arm64-linux", ["thundercomm,db845c", "qcom,sdm845"], "arm-linux"),
        ("android-arm64", ["QTI SM8650"], "android"),
        ("arm64-linux", ["raspberrypi,4-model-b", "brcm,bcm2711"], "arm-linux"),
        ("android-arm64", ["kirin990"], "android"),
        ("android-arm64", ["rockchip rk3588"], "android"),  # RKNN there is not supported
        ("x86_64-linux", [None], "x86-linux"),
        (None, ["rockchip,rk3588"], None),
    ],
)
def test_a_device_is_of_the_class_that_its_chip_is_in(abi, told, found):
    assert detect(abi, told) == found


DEVICE = """\
transport: ssh
address: root@board
abi: arm64-linux
class: rockchip-nnadapter
engines:
  paddle-lite:
    runner: lite
"""


def test_a_short_file_has_what_its_class_knows(workspace):
    (workspace.devices / "board.yaml").write_text(DEVICE)
    backends = load_device(workspace, "board").spec.engines["paddle-lite"].backends
    assert list(backends) == ["cpu", "npu:verisilicon_timvx", "npu:rockchip_npu"]
    assert backends["npu:verisilicon_timvx"].variables == {
        "VIV_VX_ENABLE_GRAPH_TRANSFORM": "-pcq:1",
        "VIV_VX_SET_PER_CHANNEL_ENTROPY": "100",
    }


def test_what_the_file_says_goes_before_its_class(workspace):
    own = """\
    backends:
      npu:verisilicon_timvx:
        variables: {VIV_VX_SET_PER_CHANNEL_ENTROPY: "50", LD_LIBRARY_PATH: "/opt/npu:/opt/sdk"}
      npu:qualcomm_qnn: {}
"""
    (workspace.devices / "board.yaml").write_text(DEVICE + own)
    spec = load_device(workspace, "board").spec
    backends = spec.engines["paddle-lite"].backends
    assert list(backends) == ["npu:verisilicon_timvx", "npu:qualcomm_qnn"]
    assert backends["npu:verisilicon_timvx"].variables == {
        "VIV_VX_ENABLE_GRAPH_TRANSFORM": "-pcq:1",
        "VIV_VX_SET_PER_CHANNEL_ENTROPY": "50",
        "LD_LIBRARY_PATH": "/opt/npu:/opt/sdk",
    }
    assert backends["npu:qualcomm_qnn"] == BackendSpec()
    assert spec.library_folders == ["/opt/npu", "/opt/sdk"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "class: rockchip-rkn",
            "unknown device class 'rockchip-rkn'; did you mean 'rockchip-rknn'",
        ),
        ("clas: arm-linux", "unknown key 'clas'; did you mean 'class'?"),
    ],
)
def test_a_wrong_class_is_named_with_the_nearest(workspace, line, said):
    (workspace.devices / "board.yaml").write_text(DEVICE.replace("class: rockchip-nnadapter", line))
    with pytest.raises(SpecificationError, match=r"board\.yaml:4: ") as caught:
        load_device(workspace, "board")
    assert said in caught.value.message


def test_the_libraries_that_probing_looks_for_are_safe_words_of_a_shell():
    assert library_names()
    assert all(name.replace("-", "").replace("_", "").replace(".", "").isalnum()
               for name in library_names())  # fmt: skip
