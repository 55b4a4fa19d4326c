from __future__ import annotations

import json
import re

import pytest

from harness.cli.building import complete_targets
from harness.core.records import OutputCheck
from harness.models.toolchain import ToolchainError

MANIFEST = """\
title: A network
licence: Apache-2.0
source:
  kind: paddle.vision
  function: mobilenet_v1
inputs:
  - name: image
    shape: [1, 3, 32, 32]
"""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def network(workspace):
    (workspace.models / "network.yaml").write_text(MANIFEST)


def test_list_as_json_says_what_is_there_and_that_nothing_is_built(cli, network):
    said = cli("models", "list", "--json")
    assert said.code == 0
    [model] = json.loads(said.out)
    assert model["name"] == "network"
    assert model["inputs"][0]["shape"] == [1, 3, 32, 32]
    assert model["artifacts"] == []


def test_list_shows_names_inputs_and_licences(cli, network):
    said = cli("models", "list")
    assert "network" in said.out
    assert "image 1×3×32×32 float32 in [0, 1)" in said.out
    assert "Apache-2.0" in said.out


def test_show_says_how_to_build(cli, network):
    said = cli("models", "show", "network")
    assert "paddle.vision.models.mobilenet_v1" in said.out
    assert "harness models build network" in said.out


@pytest.mark.parametrize("command", ["show", "build"])
def test_an_unknown_model_offers_the_nearest(cli, network, command):
    said = cli("models", command, "netwrk")
    assert said.code == 2
    assert said.out == ""
    assert "unknown model 'netwrk'" in said.err
    assert "did you mean 'network'?" in said.err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--targets", "armm"], "unknown target 'armm'"),
        (["network", "--all"], "name models or pass --all, not both"),
        (["--targets", "calibration"], "none of these models has artifacts for these targets"),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(cli, network, arguments, fault):
    said = cli("models", "build", *arguments)
    assert said.code == 2
    assert fault in said.err


CALIBRATION = """\
title: No network
licence: Apache-2.0
source: {kind: calibration, spin_us: 10}
inputs:
  - {name: x, shape: [1, 4]}
"""


@pytest.fixture
def calibration(workspace):
    (workspace.models / "spin.yaml").write_text(CALIBRATION)


def test_the_table_says_what_was_built_and_what_was_there(cli, calibration):
    said = cli("models", "build", "--all")
    assert said.code == 0
    assert re.search(r"(?m)^spin +calibration +[0-9a-f]{12} .* built +not run here", said.out)
    assert "1 built, 0 there already; outputs of 0 checked, 0 wrong; 0 refused" in said.out
    assert "0 built, 1 there already" in cli("models", "build", "spin").out


def test_what_is_refused_is_in_the_table_with_its_reason(cli, calibration, workspace):
    manifest = CALIBRATION.replace("{kind: calibration, spin_us: 10}", GIVEN)
    (workspace.models / "given.yaml").write_text(manifest)
    said = cli("models", "build", "--targets", "pdmodel,calibration")
    assert said.code == 3
    assert "1 built, 0 there already; outputs of 0 checked, 0 wrong; 1 refused" in said.out
    assert re.search(r"(?m)^given pdmodel: model 'given': .* is not there; add the", said.out)
    refused = json.loads(cli("models", "build", "given", "--targets", "pdmodel", "--json").out)[0]
    assert (refused["state"], refused["artifact"], refused["outputs"]) == ("refused", None, None)
    assert refused["hint"] == "add the model's file again: harness models add FILE"


GIVEN = (
    f"{{kind: file, format: paddle, model: {'a' * 64}, params: {'b' * 64}, origin: net.pdmodel}}"
)


def test_wrong_outputs_are_named_and_have_an_exit_code(cli, calibration, monkeypatch):
    wrong = OutputCheck(passed=False, reason="output 0 for seed 1 has NaN", tolerance=0.001)
    monkeypatch.setattr("harness.models.here.check_here", lambda *_, **__: wrong)
    said = cli("models", "build", "spin")
    assert said.code == 4
    assert re.search(r"^spin .* WRONG *$", said.out, re.MULTILINE)
    assert "spin calibration: output 0 for seed 1 has NaN" in said.out


def test_what_could_not_be_checked_is_no_success(cli, calibration, monkeypatch):
    def broken(*_, **__):
        raise ToolchainError("environment onnxruntime failed: no network")

    monkeypatch.setattr("harness.models.here.check_here", broken)
    said = cli("models", "build", "spin")
    assert said.code == 3
    assert re.search(r"(?m)^spin .* built +NOT CHECKED *$", said.out)
    assert "spin calibration: environment onnxruntime failed: no network" in said.out


def test_targets_complete_after_a_comma():
    offered = complete_targets(None, None, "arm,rock")
    assert [item.value for item in offered] == ["arm,rockchip_npu"]
