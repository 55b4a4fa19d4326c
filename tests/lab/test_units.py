"""What an engine's runtime on a device says of accelerators, with interpreters that are doubles."""

from __future__ import annotations

import sys

import pytest

from harness.lab.inventory import DeviceSpec
from harness.lab.probe import Facts, Python, Unit
from harness.lab.units import ask
from harness.lab.verdicts import verdicts
from harness.transports.local.transport import LocalTransport

NPU = ("onnxruntime", "npu:qnn")


@pytest.fixture
def told(tmp_path):
    """Ask an interpreter that only prints something."""

    def asking(script):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        (unit,) = ask(LocalTransport(), {NPU: str(python)})
        return unit.usable, unit.said

    return asking


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo noise; printf 'npu:qnn\\tyes\\tan NPU\\n'", (True, "an NPU")),
        ("printf 'npu:qnn\\tno\\tfinds no NPU\\n'", (False, "finds no NPU")),
        ("printf 'gpu\\tyes\\tanother\\n'", (None, "it said nothing")),
        ("echo 'Segmentation fault' >&2; exit 139", (None, "Segmentation fault")),
        ("printf 'npu:qnn\\tperhaps\\tx\\n'", (None, "it said nothing")),
        ("printf 'npu:qnn\\tno\\t\\033[31mred\\n'", (False, "[31mred")),
        ("exit 0", (None, "it said nothing")),
    ],
)
def test_an_answer(told, script, found):
    assert told(script) == found


def test_an_endless_answer_is_cut(told):
    usable, said = told("yes | head -c 3000000 >&2")
    assert (usable, said) == (None, "y")


def test_an_interpreter_that_is_not_there(told):
    (unit,) = ask(LocalTransport(), {NPU: "/nowhere/python"})
    assert unit.usable is None


@pytest.mark.parametrize(
    ("engine", "backend", "missing"),
    [
        ("onnxruntime", "npu:qnn", "onnxruntime"),
        ("ncnn", "gpu", "ncnn"),
        ("openvino", "npu:intel", "openvino"),
    ],
)
def test_an_interpreter_without_the_engine_says_what_is_missing(engine, backend, missing):
    """This Python has no engine."""
    (unit,) = ask(LocalTransport(), {(engine, backend): sys.executable})
    assert (unit.usable, unit.said) == (False, f"{sys.executable} has no module '{missing}'")


def test_an_engine_that_cannot_say_it_is_not_asked():
    assert ask(LocalTransport(), {("mnn", "gpu:opencl"): sys.executable}) == ()


@pytest.mark.parametrize(
    ("usable", "state"), [(True, "usable"), (False, "not usable"), (None, "unknown")]
)
def test_a_verdict_is_what_the_runtime_found(usable, state):
    engines = {"onnxruntime": {"python": "/p", "backends": {"npu:qnn": {}}}}
    content = {"transport": "ssh", "address": "b", "abi": "arm64-linux", "engines": engines}
    facts = Facts(
        pythons=(Python(path="/p", engines={"onnxruntime": "1.32.0"}),),
        units=(Unit(engine="onnxruntime", backend="npu:qnn", usable=usable, said="the words"),),
    )
    (found,) = verdicts(None, facts, DeviceSpec.model_validate(content), {})
    assert found.state == state
    assert any("the words" in said for said in (*found.found, *found.reasons))
