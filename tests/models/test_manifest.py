from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecificationError
from harness.models.manifest import load_model, load_models
from harness.workspace import Workspace

MANIFEST = """\
title: A linear layer
licence: Apache-2.0
source:
  kind: paddle.vision
  function: mobilenet_v1
  arguments:
    scale: 0.25
inputs:
  - name: x
    shape: [1, 4]
"""


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path)


def write(workspace, text):
    (workspace.models / "linear.yaml").write_text(text)


def test_the_models_of_this_repository_are_valid():
    models = load_models(Workspace(Path(__file__).parents[2]))
    assert {"mobilenet_v1_025_96", "ppocr_v4_cls"} <= set(models)
    assert all(model.manifest.licence == "Apache-2.0" for model in models.values())


def test_an_unknown_model_offers_the_nearest(workspace):
    write(workspace, MANIFEST)
    with pytest.raises(SpecificationError, match="unknown model 'liner'") as caught:
        load_model(workspace, "liner")
    assert caught.value.hint == "did you mean 'linear'?"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            ("licence:", "license:"),
            r"linear\.yaml:2: unknown key 'license'; did you mean 'licence'",
        ),
        (
            ("    shape", "    shap"),
            r"linear\.yaml:10: unknown key 'inputs\.0\.shap'; did you mean",
        ),
        (("paddle.vision", "torch"), r"linear\.yaml:3: source"),
        (("[1, 4]", "[1, four]"), r"linear\.yaml:10: inputs\.0\.shape\.1"),
        (("inputs:", "check_seeds: [1, 2]\ninputs:"), r"linear\.yaml:8: check_seeds"),
        (("inputs:", "check_seeds: [1, 2, 2]\ninputs:"), r"a seed stands here twice"),
    ],
)
def test_a_fault_names_file_line_and_nearest_name(workspace, change, fault):
    write(workspace, MANIFEST.replace(*change))
    with pytest.raises(SpecificationError, match=fault):
        load_model(workspace, "linear")
