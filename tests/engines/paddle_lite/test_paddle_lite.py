from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import SpecificationError
from harness.engines import get
from harness.lab.inventory import DeviceSpec

DATA = Path(__file__).parents[2] / "data" / "nb"
ENGINE = get("paddle-lite")


def device(abi):
    return DeviceSpec(transport="ssh", address="board", abi=abi)


def refuse(abi, name, backend="cpu"):
    return ENGINE.refuse(device(abi), {"model": DATA / f"{name}.nb"}, backend)


@pytest.mark.parametrize(
    ("abi", "target"),
    [("x86_64-linux", "x86"), ("arm64-linux", "arm"), ("armv7hf-linux", "arm")],
)
def test_a_device_runs_the_nb_file_of_its_processor(abi, target):
    assert ENGINE.target(device(abi)) == target
    assert refuse(abi, f"linear-{target}") is None


@pytest.mark.parametrize(
    ("abi", "name", "found"),
    [
        ("x86_64-linux", "linear-arm", "arm"),
        ("arm64-linux", "linear-x86", "x86"),
        ("arm64-linux", "linear-opencl", "opencl"),
        ("arm64-linux", "linear-nnadapter", "arm, nnadapter"),
    ],
)
def test_an_nb_file_of_another_processor_is_refused_with_the_reason(abi, name, found):
    reason = str(refuse(abi, name))
    assert f"kernels are for {found}, " in reason
    assert f"runs those for {ENGINE.target(device(abi))}" in reason


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (None, None),
        ("v2.13-rc", None),
        ("2.13rc0", None),  # as the wheel says it
        ("2.13", "the runner's Paddle Lite is 2.13:"),
        ("v2.12", "made by opt v2.13-rc, and the runner's Paddle Lite is v2.12"),
    ],
)
def test_an_nb_file_by_the_opt_of_another_version_is_refused(version, said):
    model = {"model": DATA / "linear-arm.nb"}
    reason = ENGINE.refuse(device("arm64-linux"), model, version=version)
    assert reason is None if said is None else said in str(reason)


def test_an_npu_gets_a_target_of_its_own_and_must_have_a_part_of_the_model():
    backend = "npu:verisilicon_timvx"
    assert ENGINE.lacks(device("arm64-linux"), backend) is None
    assert ENGINE.target(device("arm64-linux"), backend) == "verisilicon_timvx,arm"
    assert refuse("arm64-linux", "linear-nnadapter", backend) is None
    assert "everything would run on the CPU" in str(refuse("arm64-linux", "linear-arm", backend))


@pytest.mark.parametrize(
    ("abi", "backend", "said"),
    [
        ("arm64-linux", "npu:verisilicon_tim", "an NNAdapter device 'verisilicon_tim'"),
        ("x86_64-linux", "npu:verisilicon_timvx", "for Arm processors, and the device is x86_64"),
        ("arm64-linux", "gpu", "no runner of the harness uses"),
    ],
)
def test_a_backend_that_cannot_be_measured(abi, backend, said):
    assert said in str(ENGINE.lacks(device(abi), backend))


def test_other_engines_are_measured_on_the_cpu():
    lacking = get("litert").lacks(device("arm64-linux"), "npu:verisilicon_timvx")
    assert str(lacking) == "litert is measured on the CPU only"


def test_what_is_no_nb_file_is_an_error(tmp_path):
    path = tmp_path / "model.nb"
    path.write_text("hello")
    with pytest.raises(SpecificationError, match=r"not a usable \.nb file"):
        ENGINE.refuse(device("arm64-linux"), {"model": path})
