"""Many artifacts at once, with the stage that needs no toolchain: an environment is a stand-in."""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from harness.core.errors import SpecificationError
from harness.engines import model_files
from harness.models import environments
from harness.models.batch import (
    Wanted,
    build_many,
    parse_targets,
    usual_targets,
    wanted_of,
    workers,
)
from harness.models.formats import target_names
from harness.models.manifest import Manifest, Model, load_models
from harness.models.toolchain import ToolchainError, UnusableArtifactError
from harness.workspace import Workspace


def packaged(name, file="click/core.py"):
    manifest = {
        "title": "Two files of click",
        "licence": "BSD-3-Clause",
        "source": {
            "kind": "package",
            "environment": "rapidocr",
            "model": file,
            "params": "click/utils.py",
        },
        "inputs": [{"name": "x", "shape": [1, 4]}],
    }
    return Model(name=name, manifest=Manifest.model_validate(manifest))


def unchecked(model, artifact, progress):
    return None


@pytest.fixture
def this_environment(monkeypatch, cache):
    monkeypatch.setattr(environments, "python", lambda name, progress: Path(sys.executable))
    return cache


build_two = partial(build_many, jobs=2, progress=lambda _: None)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("arm", [("nb", "arm")]),
        ("rockchip_npu, x86", [("nb", "rockchip_npu,arm"), ("nb", "x86")]),
        ("opencl", [("nb", "opencl,arm")]),
        ("rknn:rk3588,onnx,onnx", [("rknn", "rk3588"), ("onnx", "any")]),
    ],
)
def test_targets_by_their_names(text, kinds):
    assert parse_targets(text) == kinds


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        ("arm,rockchip_nqu", "unknown target 'rockchip_nqu'", "did you mean 'rockchip_npu'?"),
        ("rk3588", "unknown target 'rk3588'", "did you mean 'rknn:rk3588'?"),
        (" , ", "no target given", "valid: "),
    ],
)
def test_an_unknown_target_offers_the_nearest(text, fault, hint):
    with pytest.raises(SpecificationError, match=fault) as caught:
        parse_targets(text)
    assert caught.value.hint.startswith(hint)


def test_every_name_is_one_that_can_be_asked_for():
    models = load_models(Workspace(Path(__file__).parents[2])).values()
    alone = {each.name for each, _ in model_files().values() if each.alone}
    for name, kind in target_names().items():
        assert parse_targets(name) == [kind]
        assert kind[0] in alone or wanted_of(models, [kind]), name
    assert ("rknn", "rk3588") not in usual_targets()


def test_a_format_that_a_model_is_not_built_in_is_left_out():
    models = load_models(Workspace(Path(__file__).parents[2]))
    chosen = [models["calibration_spin"], models["mobilenet_v1"]]
    wanted = wanted_of(chosen, parse_targets("onnx,calibration"))
    assert [(each.model.name, each.label) for each in wanted] == [
        ("calibration_spin", "calibration"),
        ("mobilenet_v1", "onnx"),
    ]


def test_one_that_fails_stops_no_other_and_says_why(this_environment):
    wanted = [
        Wanted(packaged("good"), "pdmodel", "any"),
        Wanted(packaged("bad", "click/nothing.py"), "pdmodel", "any"),
        Wanted(packaged("unknown"), "nb", "armm"),
    ]
    good, bad, unknown = build_two(wanted, check=unchecked)
    assert "'armm'" in unknown.reason
    assert not unknown.failed
    assert bad.failed
    assert (good.wanted.model.name, good.cached, good.reason) == ("good", False, "")
    assert good.artifact.path("model").is_file()
    assert (bad.artifact, bad.cached) == (None, False)
    assert "no installed package has the file 'click/nothing.py'" in bad.reason
    good, bad = build_two(wanted[:2], check=unchecked)
    assert (good.cached, bad.artifact) == (True, None)


def test_what_cannot_be_checked_is_built_and_says_why(this_environment):
    def broken(model, artifact, progress):
        raise ToolchainError("the engine's environment cannot be made")

    (outcome,) = build_two([Wanted(packaged("net"), "pdmodel", "any")], check=broken)
    assert outcome.artifact.path("model").is_file()
    assert outcome.check is None
    assert outcome.reason == "the engine's environment cannot be made"


def test_what_an_engine_cannot_run_has_failed(this_environment):
    def broken(model, artifact, progress):
        raise UnusableArtifactError("mnn cannot run it")

    (outcome,) = build_two([Wanted(packaged("net"), "pdmodel", "any")], check=broken)
    assert (outcome.failed, outcome.reason) == (True, "mnn cannot run it")


def test_an_error_that_nobody_foresaw_stops_no_other(this_environment):
    def broken(model, artifact, progress):
        if model.name == "bad":
            raise ValueError("all input arrays must have the same shape")

    wanted = [Wanted(packaged(name), "pdmodel", "any") for name in ("bad", "good")]
    bad, good = build_two(wanted, check=broken)
    assert bad.reason.startswith("internal error: ValueError: all input arrays must have the same")
    assert "test_batch.py:" in bad.reason
    assert (good.reason, good.failed) == ("", False)


def test_models_are_built_side_by_side(this_environment):
    meeting = threading.Barrier(2, timeout=60)

    def both_at_once(model, artifact, progress):
        meeting.wait()

    wanted = [Wanted(packaged(name), "pdmodel", "any") for name in ("one", "two")]
    assert all(outcome.artifact for outcome in build_two(wanted, check=both_at_once))


def test_two_that_want_the_same_artifact_make_it_once(this_environment):
    steps = []
    wanted = [Wanted(packaged(name), "pdmodel", "any") for name in ("one", "two")]
    outcomes = build_many(wanted, check=unchecked, jobs=2, progress=steps.append)
    assert outcomes[0].artifact == outcomes[1].artifact
    assert len([step for step in steps if "(take)" in step]) == 1


def test_an_interruption_ends_the_tools_and_leaves_nothing(this_environment, monkeypatch, tmp_path):
    begun = tmp_path / "begun"
    hangs = tmp_path / "python"  # a stand-in for a tool that does not end, with a child
    hangs.write_text(
        f"#!/bin/sh\nsleep 600 &\necho $! > {begun}.part\nmv {begun}.part {begun}\nwait\n"
    )
    hangs.chmod(0o755)
    monkeypatch.setattr(environments, "python", lambda name, progress: hangs)

    def interrupted(model, artifact, progress):
        while not begun.exists():
            pass
        raise KeyboardInterrupt

    # The first needs no environment, and its check is where Ctrl-C is heard.
    models = load_models(Workspace(Path(__file__).parents[2]))
    wanted = [
        Wanted(models["calibration_spin"], "calibration", "any"),
        Wanted(packaged("hanging"), "pdmodel", "any"),
        Wanted(packaged("never", "click/types.py"), "pdmodel", "any"),
    ]
    with pytest.raises(KeyboardInterrupt):
        build_two(wanted, check=interrupted)
    child = Path(f"/proc/{begun.read_text().strip()}/stat")
    assert not child.exists() or child.read_text().split()[2] in "ZX"
    left = [path.name for path in (this_environment / "artifacts").iterdir()]
    assert not [name for name in left if name.endswith(".partial")]


@pytest.mark.parametrize(("gigabytes", "most"), [(1, 1), (64, 2)])
def test_workers_fit_processors_and_memory(monkeypatch, gigabytes, most):
    class Memory:
        available = gigabytes << 30

    monkeypatch.setattr("harness.models.batch.psutil.virtual_memory", Memory)
    monkeypatch.setattr("harness.models.batch.os.sched_getaffinity", lambda _: {0, 1})
    assert workers() == most
