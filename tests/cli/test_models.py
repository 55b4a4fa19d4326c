from __future__ import annotations

import json

import pytest

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


def test_a_target_for_a_format_without_one_is_a_usage_error(cli, network):
    said = cli("models", "build", "--format", "onnx", "--target", "arm")
    assert said.code == 2
    assert "onnx is not built for --target arm" in said.err
