"""What an artifact's identity covers, where shapes vary."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from harness.engines import ENGINES
from harness.models.manifest import Manifest, Model
from harness.models.recipes import recipe


def model(shape, dynamic):
    manifest = Manifest(
        title="t",
        licence="l",
        source={"kind": "paddle.vision", "function": "f"},
        inputs=[{"name": "x", "shape": shape, "dynamic": dynamic}],
    )
    return Model(name="m", manifest=manifest)


@pytest.mark.parametrize(
    ("shape", "dynamic", "other"),
    [
        ([1, 3, 48, 320], {}, [1, 3, 48, 320]),
        ([1, 3, 48, 320], {0: [1, 8]}, [1, 3, 48, 320]),  # of batches ncnn knows by itself
        ([1, 3, 48, 320], {3: [32, 640]}, [1, 3, 48, 640]),
        ([1, 3, 48, 640], {3: [32, 640]}, [1, 3, 48, 32]),
        ([1, 3, 48, 320], {3: [320, 320]}, [1, 3, 48, 320]),
    ],
)
def test_ncnns_converter_is_shown_which_axes_vary(shape, dynamic, other):
    options = recipe(model(shape, dynamic), "ncnn").options
    assert options["inputs"][0]["shape"] == shape
    assert options["other_inputs"][0]["shape"] == other


@pytest.mark.parametrize("artifact_format", ["onnx", "mnn", "ncnn"])
def test_one_artifact_serves_all_shapes(artifact_format):
    varying = model([1, 3, 48, 320], {3: [32, 640]})
    shapes = {"x": [1, 3, 48, 160]}
    usual = recipe(varying, artifact_format)
    assert recipe(varying, artifact_format, shapes=shapes).id == usual.id
    assert recipe(varying, "reference", shapes=shapes).id != recipe(varying, "reference").id


@pytest.mark.parametrize("part", ["device.py", "stages/opt.py"])
def test_the_identity_covers_the_engines_scripts_and_its_part_on_the_device(
    part, tmp_path, monkeypatch
):
    lite = ENGINES.get("paddle-lite")
    folder = shutil.copytree(lite.folder, tmp_path / "engine")
    moved = replace(lite, folder=folder)
    made = lite.recipe

    def recipe_in_copy(request):
        answer = made(request)
        return replace(answer, stage=folder / answer.stage.relative_to(lite.folder))

    object.__setattr__(moved, "recipe", recipe_in_copy)
    monkeypatch.setitem(ENGINES.plugins, "paddle-lite", moved)
    monkeypatch.setattr("harness.models.recipes.engine_of", lambda _: moved)
    fixed = model([1, 3, 48, 320], {})

    def identity():
        return recipe(fixed, "nb", "x86", precision="int8").id

    before = identity()
    assert before == identity()
    with (folder / part).open("a") as file:
        file.write("# changed\n")
    assert identity() != before
