"""Stored cases launched again: by hash, or not at all."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.campaign.again import UnconfirmableError, again
from harness.campaign.kept import KeptFiles, keep
from harness.campaign.prepare import Prepared
from harness.campaign.runners import NativeRunner, PythonRunner
from harness.core.records import ArtifactRecord, Case, CaseRecord, ModelRecord
from harness.models.artifacts import Artifact
from harness.models.manifest import Manifest, Model

MODEL = ModelRecord(name="m", title="", source="s", licence="", inputs=[])
OTHER = MODEL.model_copy(update={"source": "another"})


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return a stored case, the same today, and where the stored one's files are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "files"
    kept.mkdir()
    then, script = tmp_path / "model.onnx", tmp_path / "old_runner.py"
    then.write_bytes(b"then")
    script.write_text("old")
    manifest = Manifest(
        title="t",
        licence="l",
        source={"kind": "paddle.vision", "function": "f"},
        inputs=[{"name": "x", "shape": [1, 2]}],
    )
    case = Case(model="m", device="d", engine="onnxruntime")
    stored = CaseRecord(
        case=case,
        launches=5,
        artifact=ArtifactRecord(
            id="a" * 64, format="onnx", target="any", size_bytes=4,
            files={"model.onnx": keep(then, kept)},
        ),
        runner_files={"edge_runner.py": keep(script, kept)},
        engine_from="onnxruntime@" + "b" * 64,
        options={"power_mode": "0"},
        variables={"A": "b"},
    )  # fmt: skip
    today = stored.model_copy(
        update={"runner_files": {"edge_runner.py": "c" * 64}, "options": {}, "variables": {}}
    )
    now = Prepared(
        case=case,
        model=Model(name="m", manifest=manifest),
        artifact=Artifact(stored.artifact, tmp_path, {"model": "model.onnx"}),
        runner=PythonRunner("/env/python", "onnxruntime@" + "b" * 64),
        reference={},
    )

    def launch_again(stored=stored, today=today, models=(MODEL, MODEL), **more):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        prepared = replace(now, **more)
        return again(stored, today, models, prepared, KeptFiles([kept]), folder)

    launch_again.stored, launch_again.today, launch_again.kept = stored, today, kept
    return launch_again


def test_a_case_is_launched_with_its_own_artifact_runner_and_options(lab):
    found = lab()
    assert found.case.side == "baseline"
    assert found.case.id != lab.stored.case.id
    assert found.artifact.path("model").read_bytes() == b"then"
    assert found.runner.interpreter == "/env/python"
    with found.runner.files(SimpleNamespace(traffic=None)) as files:
        assert files["edge_runner.py"].read_text() == "old"
    assert found.settings.options == {"power_mode": "0"}
    assert found.settings.variables == {"A": "b"}
    assert found.is_checked


def test_the_same_runner_is_used_as_it_is(lab):
    same = lab.stored.model_copy(update={"options": {}})
    assert not lab(today=same).runner.kept


def test_outputs_of_another_model_are_not_checked_against_todays(lab):
    assert not lab(models=(OTHER, MODEL)).is_checked


def test_inputs_that_are_given_are_not_asked_of_an_earlier_runner(lab, tmp_path):
    assert not lab(check_file=tmp_path).is_checked
    same = lab.stored.model_copy(update={"options": {}})
    assert lab(today=same, check_file=tmp_path).is_checked


def test_a_file_that_is_gone_or_spoilt(lab):
    (path,) = (lab.kept / digest for digest in lab.stored.artifact.files.values())
    path.write_bytes(b"other")
    with pytest.raises(
        UnconfirmableError, match=r"its artifact aaaaaaaaaaaa \(model.onnx\) was not"
    ):
        lab()
    path.unlink()
    with pytest.raises(UnconfirmableError, match="was not kept"):
        lab()


def test_a_runner_that_is_gone(lab):
    (lab.kept / lab.stored.runner_files["edge_runner.py"]).unlink()
    with pytest.raises(UnconfirmableError, match=r"its runner was not kept: edge_runner\.py"):
        lab()
    unknown = lab.stored.model_copy(update={"runner_files": {}})
    with pytest.raises(UnconfirmableError, match="its runner was not kept"):
        lab(unknown)


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "/etc/passwd", "", "."])
def test_a_digest_that_is_a_path(lab, digest):
    stored = lab.stored.model_copy(update={"runner_files": {"edge_runner.py": digest}})
    with pytest.raises(UnconfirmableError, match="its runner was not kept"):
        lab(stored)


def test_an_environment_that_is_gone(lab, tmp_path):
    stored = lab.stored.model_copy(update={"engine_from": "onnxruntime@" + "d" * 64})
    with pytest.raises(UnconfirmableError, match="its environment onnxruntime with the lock ddd"):
        lab(stored)
    python = tmp_path / "cache/edge-harness/environments/onnxruntime-py3.11-dddddddddddd/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert lab(stored).runner.interpreter == str(python)


def test_an_interpreter_is_never_taken_from_the_baseline(lab):
    stored = lab.stored.model_copy(update={"engine_from": "/tmp/evil"})
    assert lab(stored, runner=PythonRunner("/usr/bin/python3")).runner.interpreter == (
        "/usr/bin/python3"
    )


def test_a_native_runner_and_one_of_another_kind(lab, tmp_path):
    native = lab.stored.model_copy(
        update={"runner_files": {"edge-runner": lab.stored.runner_files["edge_runner.py"]}}
    )
    program = NativeRunner(tmp_path / "new")
    found = lab(native, runner=program)
    assert found.runner.program.read_text() == "old"
    with pytest.raises(UnconfirmableError, match="different kind of runner"):
        lab(native)
