"""Verdicts: each thing that a backend needs, there, missing and unknown."""

from __future__ import annotations

import json

import pytest

from harness.lab.classes import load_class
from harness.lab.inventory import DeviceSpec
from harness.lab.probe import Clock, Facts, Library, Npu, Python, Unit
from harness.lab.verdicts import RunnerState, verdicts
from harness.report.language import language


def library(name, version=None):
    return {name: Library(path=f"/usr/lib/{name}", version=version)}


def spec_of(device_class, abi, engine, **extra):
    content = {
        "transport": "ssh", "address": "board", "abi": abi, "class": device_class,
        "engines": {engine: {"runner": "ours"}}, **extra,
    }  # fmt: skip
    return DeviceSpec.model_validate(content).with_class_defaults()


def judge(device_class, facts, spec, runners, engine, backend):
    [found] = [
        verdict
        for verdict in verdicts(load_class(device_class), facts, spec, runners)
        if (verdict.engine, verdict.backend) == (engine, backend)
    ]
    return found


# What a board would tell on which all is well: composed for these tests, not recorded.
RV1126 = Facts(
    soc="rockchip,rv1126",
    root=True,
    npus=(Npu(driver="galcore", version="6.4.6.5.351518", node="/dev/galcore", accessible=True),),
    libraries={
        **library("libOpenVX.so"),
        **library("libGAL.so"),
        **library("librknn_runtime.so", "1.7.1"),
    },
)
SHIPPED = frozenset({"libnnadapter.so", "libverisilicon_timvx.so", "libtim-vx.so"})
LITE = {"ours": RunnerState("paddle-lite", SHIPPED)}


def timvx(facts=RV1126, runners=LITE, spec=None):
    spec = spec or spec_of("rockchip-nnadapter", "armv7hf-linux", "paddle-lite")
    return judge("rockchip-nnadapter", facts, spec, runners, "paddle-lite", "npu:verisilicon_timvx")


def galcore(**changes):
    npu = RV1126.npus[0].model_copy(update=changes)
    return RV1126.model_copy(update={"npus": (npu,)})


def test_timvx_is_usable_where_all_is_there():
    verdict = timvx()
    assert (verdict.state, verdict.reasons, verdict.todo) == ("usable", (), ())
    assert "the kernel driver Galcore 6.4.6.5.351518" in verdict.found


@pytest.mark.parametrize(
    ("facts", "state", "reason", "todo"),
    [
        (
            galcore(version="6.4.3.p0"),
            "not usable",
            "the kernel driver Galcore is 6.4.3.p0; Paddle Lite 2.13 knows 6.4.6.5 for Rockchip",
            "take the board's firmware that has that version",
        ),
        (galcore(version="6.4.6.50"), "not usable", "Galcore is 6.4.6.50", "firmware"),
        (
            galcore(version=None),
            "unknown",
            "Galcore is there, but its version could not be read",
            "as root: dmesg | grep Galcore",
        ),
        (galcore(accessible=False), "not usable", "/dev/galcore may not be read", "as root"),
        (galcore(node=None, accessible=None), "unknown", "no device file", "ls -l /dev"),
        (RV1126.model_copy(update={"npus": ()}), "not usable", "Galcore is not there", "firmware"),
        (
            RV1126.model_copy(update={"libraries": library("libOpenVX.so")}),
            "not usable",
            "libGAL.so is neither on the device nor beside the runner",
            "libGAL.so: it is VeriSilicon's",
        ),
        (
            RV1126.model_copy(update={"soc": None}),
            "unknown",
            "the device does not say what chip it has",
            "'soc'",
        ),
        (
            RV1126.model_copy(update={"soc": "rockchip,rk1806"}),
            "not usable",
            "it is for rk1808, rv1109, rv1126, and the device is rockchip,rk1806",
            "'soc'",
        ),
    ],
)
def test_timvx_says_the_one_thing_that_is_wrong(facts, state, reason, todo):
    verdict = timvx(facts)
    assert verdict.state == state
    [said] = verdict.reasons
    assert reason in said
    assert todo in verdict.todo[0]


@pytest.mark.parametrize(
    ("runners", "reason"),
    [
        ({}, "runner 'ours' is not registered in this workspace"),
        ({"ours": RunnerState("onnxruntime", SHIPPED)}, "runner 'ours' is one of onnxruntime"),
        (
            {"ours": RunnerState("paddle-lite", SHIPPED, ("it needs glibc 2.31",))},
            "runner 'ours': it needs glibc 2.31",
        ),
    ],
)
def test_a_runner_that_will_not_do_is_part_of_what_is_missing(runners, reason):
    verdict = timvx(runners=runners)
    assert verdict.state == "not usable"
    assert reason in verdict.reasons


def test_an_engine_or_backend_that_the_file_does_not_have_is_told():
    no_engine = spec_of("rockchip-nnadapter", "armv7hf-linux", "onnxruntime")
    found = timvx(spec=no_engine)
    assert "the device's file names no runner for paddle-lite" in found.reasons
    (todo,) = [each for each in found.todo if "engines:" in each]
    assert "engines: {paddle-lite: {python: PATH}} there" in todo
    assert todo.endswith("docs/devices/rockchip-nnadapter.md")
    engines = {"paddle-lite": {"runner": "ours", "backends": {"cpu": {}}}}
    cpu_only = spec_of("rockchip-nnadapter", "armv7hf-linux", "paddle-lite", engines=engines)
    assert "does not list it" in timvx(spec=cpu_only).reasons[0]


def test_rockchip_npu_wants_its_firmware_and_warns_of_its_age():
    ddk = {name: library(name)[name] for name in ("librknpu_ddk.so", "librockchip_npu.so")}
    spec = spec_of("rockchip-nnadapter", "armv7hf-linux", "paddle-lite")

    def judged(runtime):
        libraries = {**RV1126.libraries, **ddk, **library("librknn_runtime.so", runtime)}
        facts = RV1126.model_copy(update={"libraries": libraries})
        return judge("rockchip-nnadapter", facts, spec, LITE, "paddle-lite", "npu:rockchip_npu")

    assert judged("1.5.1").state == "usable"
    assert "up to 2.12" in judged("1.5.1").caution
    assert "1.4.0; 1.5.1 or newer is needed" in judged("1.4.0").reasons[0]


RK3588 = Facts(
    soc="rockchip,rk3588",
    npus=(Npu(driver="rknpu", version="0.9.6", node="/dev/dri/renderD129", accessible=True),),
    libraries=library("librknnrt.so", "2.3.0"),
    clocks={
        "fdab0000.npu": Clock(current_hz=1_000_000_000, max_hz=1_000_000_000),
        "dmc": Clock(current_hz=528_000_000, max_hz=2_112_000_000),
        "fb000000.gpu": Clock(current_hz=300_000_000),
    },
)


PLAIN = RunnerState("rknn")


def rknn(facts=RK3588, runner=PLAIN):
    spec = spec_of("rockchip-rknn", "arm64-linux", "rknn")
    return judge("rockchip-rknn", facts, spec, {"ours": runner}, "rknn", "npu:rknpu")


def test_rknn_is_usable_and_its_clocks_are_told():
    verdict = rknn()
    assert verdict.state == "usable"
    assert verdict.found == (
        "runner ours",
        "the kernel driver RKNPU 0.9.6",
        "/dev/dri/renderD129",
        "/usr/lib/librknnrt.so 2.3.0",
        "NPU at 1000 of 1000 MHz",
        "DDR at 528 of 2112 MHz",
    )


def rk3588(**changes):
    return RK3588.model_copy(update=changes)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        (rk3588(npus=(Npu(driver="rocket"),)), "not usable", "the mainline driver rocket"),
        (rk3588(npus=()), "not usable", "the kernel driver RKNPU is not there"),
        (rk3588(libraries={}), "not usable", "librknnrt.so is neither on the device nor beside"),
        (rk3588(libraries=library("librknnrt.so", "1.4.0")), "not usable", "1.4.0; 1.5 or newer"),
        (rk3588(libraries=library("librknnrt.so")), "unknown", "does not tell its version"),
        (rk3588(soc="rockchip,rv1106"), "not usable", "librknnmrt.so"),
    ],
)
def test_rknn_says_the_one_thing_that_is_wrong(facts, state, reason):
    verdict = rknn(facts)
    assert verdict.state == state
    [said] = verdict.reasons
    assert reason in said


def test_a_runtime_beside_the_runner_is_as_good_as_the_devices():
    runner = RunnerState("rknn", frozenset({"librknnrt.so"}))
    assert rknn(rk3588(libraries={}), runner).state == "usable"


KIRIN = Facts(soc="kirin990", root=True, npus=(Npu(driver="hiai", version="100.510.010.010"),))
HIAI = RunnerState(
    "paddle-lite",
    frozenset(
        {
            "libnnadapter.so", "libhuawei_kirin_npu.so", "libhiai.so", "libhiai_ir.so",
            "libhiai_ir_build.so",
        }
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "usable", None),
        ({"root": False}, "not usable", "it needs root, and we are not"),
        ({"root": None}, "unknown", "it needs root, and who we are there is unknown"),
        ({"npus": (Npu(driver="hiai", version="100.320.10"),)}, "not usable", "HiAI is 100.320.10"),
        ({"npus": ()}, "not usable", "HiAI is not there"),
        ({"soc": "kirin970"}, "not usable", "and the device is kirin970"),
    ],
)
def test_a_kirin_needs_its_chip_root_and_a_ddk(changes, state, reason):
    verdict = judge(
        "android",
        KIRIN.model_copy(update=changes),
        spec_of("android", "android-arm64", "paddle-lite"),
        {"ours": HIAI},
        "paddle-lite",
        "npu:huawei_kirin_npu",
    )
    assert verdict.state == state
    assert reason is None or reason in verdict.reasons[0]


@pytest.mark.parametrize(
    ("name", "soc", "right", "wrong"),
    [
        ("amlogic-npu", "amlogic,a311d", "6.4.4.3.310723AAA", "6.4.6.5"),
        ("nxp-npu", "fsl,imx8mp", "6.4.3.p1.305572", "6.4.3.p2"),
    ],
)
def test_each_vendors_galcore_is_another(name, soc, right, wrong):
    libraries = {**RV1126.libraries, **{each: library(each)[each] for each in SHIPPED}}
    spec = spec_of(name, "arm64-linux", "paddle-lite")

    def state(version):
        facts = galcore(version=version).model_copy(update={"soc": soc, "libraries": libraries})
        return judge(name, facts, spec, LITE, "paddle-lite", "npu:verisilicon_timvx").state

    assert (state(right), state(wrong)) == ("usable", "not usable")


# As a board of Qualcomm's would tell: composed, not recorded.
RB3 = Facts(
    soc="qcom,qcm6490",
    npus=(Npu(driver="fastrpc", node="/dev/fastrpc-cdsp", accessible=True),),
    libraries=library("libcdsprpc.so"),
    pythons=(Python(path="/opt/qnn/bin/python", engines={"onnxruntime": "1.32.0"}),),
    units=(Unit(engine="onnxruntime", backend="npu:qnn", usable=True, said="finds an NPU"),),
)
QNN = {"engines": {"onnxruntime": {"python": "/opt/qnn/bin/python", "backends": {"npu:qnn": {}}}}}
NO_NPU = Unit(engine="onnxruntime", backend="npu:qnn", usable=False, said="finds no NPU")


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "usable", None),
        ({"npus": (), "units": (NO_NPU,)}, "not usable", "finds no NPU"),
        ({"npus": ()}, "not usable", "the kernel driver FastRPC is not there"),
        ({"libraries": {}}, "not usable", "libcdsprpc.so is neither"),
        ({"soc": "qcom,qrb5165"}, "not usable", "its Hexagon is a V66"),
    ],
)
def test_a_hexagon_needs_its_driver_and_what_its_runtime_finds(changes, state, reason):
    spec = spec_of("qualcomm-hexagon", "arm64-linux", "onnxruntime", **QNN)
    facts = RB3.model_copy(update=changes)
    verdict = judge("qualcomm-hexagon", facts, spec, {}, "onnxruntime", "npu:qnn")
    assert verdict.state == state
    assert reason is None or any(reason in said for said in verdict.reasons)


def test_without_a_class_nothing_is_guessed_of_an_npu():
    engines = {
        "onnxruntime": {"python": "/usr/bin/python3"},
        "paddle-lite": {"runner": "ours", "backends": {"npu:qualcomm_qnn": {}}},
        "calibration": {},
    }
    content = {"transport": "ssh", "address": "b", "abi": "arm64-linux", "engines": engines}
    spec = DeviceSpec.model_validate(content)
    python = Python(path="/usr/bin/python3", engines={"onnxruntime": "1.21.0"})
    found = verdicts(None, Facts(pythons=(python,)), spec, LITE)
    assert [verdict.state for verdict in found] == ["usable", "unknown", "usable"]
    without = Python(path="/usr/bin/python3")
    for pythons, said in (((), "does not start"), ((without,), "has no package of onnxruntime")):
        [first, *_] = verdicts(None, Facts(pythons=pythons), spec, LITE)
        assert first.state == "not usable"
        assert said in first.reasons[0]


def test_what_speaks_for_and_against_it_are_reasons_in_every_language():
    verdict = timvx(facts=RV1126.model_copy(update={"npus": (), "root": None}), runners={})
    codes = {reason.code for reason in (*verdict.speaks_for, *verdict.against)}
    assert codes >= {"backend.not-registered", "backend.no-driver", "backend.no-library"}
    chinese = language("zh-CN")
    for reason in verdict.against:
        assert chinese.say(reason) != str(reason)
    assert json.loads(json.dumps(verdict.as_json()))["reasons"] == list(verdict.reasons)
