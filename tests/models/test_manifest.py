from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.contract import InputSpec
from harness.core.errors import SpecificationError
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
        (("inputs:", "check_seeds: [1, 2, 2]\ninputs:"), r"a seed appears twice"),
        (("[1, 4]", "[1, 4]\n    dynamic: {2: [1, 8]}"), r"shape \[1, 4\] has no axis 2"),
        (("[1, 4]", "[1, 4]\n    dynamic: {1: [5, 8]}"), r"4 of axis 1 is not within \[5, 8\]"),
        (("[1, 4]", "[1, 4]\n    dynamic: {1: [0, 8]}"), r"dynamic\.1\.0"),
    ],
)
def test_a_fault_names_file_line_and_nearest_name(workspace, change, fault):
    write(workspace, MANIFEST.replace(*change))
    with pytest.raises(SpecificationError, match=fault):
        load_model(workspace, "linear")


@pytest.fixture
def varying(workspace):
    write(workspace, MANIFEST + "    dynamic:\n      1: [2, 8]\n    low: -1.0\n")
    return load_model(workspace, "linear").manifest


def test_axes_that_vary_are_declared_and_have_a_usual_extent(varying):
    (spec,) = varying.inputs
    assert spec.exported_shape == [1, -1]
    assert varying.fed() == [InputSpec(name="x", shape=(1, 4), low=-1.0)]
    assert varying.fed({"x": [1, 8]}) == [InputSpec(name="x", shape=(1, 8), low=-1.0)]


@pytest.mark.parametrize(
    ("shapes", "fault"),
    [
        ({"x": [1, 9]}, r"'x' takes from 2 to 8 in axis 1: \[1, 9\] does not fit"),
        ({"x": [2, 4]}, r"'x' takes only 1 in axis 0"),
        ({"x": [1]}, r"'x' has 2 axes: \[1\] does not fit"),
        ({"y": [1, 4]}, r"no input 'y'"),
    ],
)
def test_a_shape_that_a_model_does_not_take_is_refused(varying, shapes, fault):
    with pytest.raises(SpecificationError, match=fault):
        varying.fed(shapes)
