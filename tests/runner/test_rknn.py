"""RKNN in the Python runner, on a double of RKNN-Toolkit-Lite2: no such hardware is here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.core.contract import InputSpec

FAILED = 1


@pytest.fixture
def rknn_job(job):
    inputs = [
        InputSpec(name="image", shape=(2, 3, 4, 5), low=-1),
        InputSpec(name="ids", dtype="int64", shape=(2, 7), high=100),
    ]
    changes = {
        "engine": "rknn",
        "backend": "npu:rknpu",
        "files": {"model": "m.rknn"},
        "inputs": inputs,
    }
    return job.model_copy(update=changes)


@pytest.fixture
def start(launch):
    def begin(job, **behaviour):
        return launch(job, {"m.rknn": json.dumps(behaviour)})

    return begin


def test_a_launch_on_the_npu(rknn_job, start, runner):
    ended = start(rknn_job)
    assert ended.returncode == 0, ended.stderr
    hello, loaded = ended["hello"], ended["loaded"]
    assert hello.engine_version is None
    assert hello.build["rknn-toolkit-lite2"] == "9.9"
    assert hello.build["timed"] == "inputs, run and outputs"
    assert loaded.engine_version == "9.9.double (0000000@2026-01-01T00:00:00)"
    assert loaded.build == {"driver": "rknnrt: 0.9.double"}
    outputs = [event for event in ended.sequence if event.event == "outputs"]
    assert len(outputs) == 2 * len(rknn_job.check_seeds)
    for event in outputs:
        spec = rknn_job.inputs[event.index].model_dump()
        fed = runner.make_input(spec, event.seed, event.index).astype(np.float32)
        value = np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)
        np.testing.assert_array_equal(value, 2 * fed + 1)


@pytest.mark.parametrize("version", [None, "unheard of"])
def test_versions_that_it_does_not_tell_are_absent(rknn_job, start, version):
    ended = start(rknn_job, version=version)
    assert ended.returncode == 0, ended.stderr
    assert ended["loaded"].engine_version is None
    assert ended["loaded"].build == {}


def test_cores(rknn_job, start):
    job = rknn_job.model_copy(update={"options": {"core_mask": "0_1_2"}})
    assert start(job)["hello"].build["core_mask"] == "0_1_2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "cpu"}, "has the backends npu:rknpu, not 'cpu'"),
        ({"threads": 2}, "2 threads: RKNN has none to set"),
        ({"options": {"core_mask": "3"}}, "core_mask cannot be '3': auto, 0, 1, 2, 0_1, 0_1_2"),
        ({"options": {"perf_detail": "on"}}, "no option 'perf_detail'"),
    ],
)
def test_a_job_that_cannot_be_done(rknn_job, start, changes, message):
    ended = start(rknn_job.model_copy(update=changes))
    assert (ended.returncode, ended.names) == (FAILED, ["error"])
    assert ended["error"].kind == "BadJob"
    assert message in ended["error"].message


@pytest.mark.parametrize(
    ("behaviour", "options", "message"),
    [
        ({"init": -1}, {}, "loading the model: RuntimeError: init_runtime returned -1"),
        ({"cores": 1}, {"core_mask": "0"}, "init_runtime returned -1: the launch's log has"),
        ({"inference": "fails"}, {}, "running the first time: RuntimeError: inference failed"),
    ],
)
def test_what_the_toolkit_only_prints_is_an_error(rknn_job, start, behaviour, options, message):
    ended = start(rknn_job.model_copy(update={"options": options}), **behaviour)
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert message in ended["error"].message


def test_a_model_that_is_none(rknn_job, launch):
    ended = launch(rknn_job, {"m.rknn": "none"})
    assert "load_rknn returned -1" in ended["error"].message


def test_a_python_without_the_toolkit(rknn_job, launch, tmp_path):
    ended = launch(rknn_job, {"m.rknn": "{}"}, path=tmp_path)
    assert ended["error"].kind == "EngineMissing"
    assert "has no module 'rknnlite'" in ended["error"].message
