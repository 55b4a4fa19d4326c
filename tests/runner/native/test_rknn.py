"""The runner of RKNN, run against a double of librknnrt.so: no such hardware is here."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from harness.core.contract import InputSpec

pytestmark = pytest.mark.e2e  # the toolchain environments compile the runner

FAILED = 1
MODEL = """\
RKNN-DOUBLE rk3588
input image nhwc 0 2 4 5 3
input ids undefined 8 2 7
output y0 nchw 2 3 4 5
output y1 undefined 2 7
"""


@pytest.fixture
def rknn_job(job):
    inputs = [
        InputSpec(name="image", shape=(2, 3, 4, 5), low=-1),
        InputSpec(name="ids", dtype="int64", shape=(2, 7), high=100),
    ]
    files = {"model": "model.rknn", "library": "librknnrt.so"}
    changes = {"engine": "rknn", "backend": "npu:rknpu", "files": files, "inputs": inputs}
    return job.model_copy(update=changes)


@pytest.fixture
def start(rknn, rknn_library, launch):
    def begin(job, more="", *, model=MODEL):
        return launch(rknn, job, {"model.rknn": model + more, "librknnrt.so": rknn_library})

    return begin


def values(ended, event):
    return np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)


def test_a_launch_on_the_npu(rknn_job, start, runner):
    ended = start(rknn_job)
    assert ended.returncode == 0, ended.stderr
    assert "layers" not in ended.names
    build = ended["hello"].build
    assert ended["hello"].engine_version is None
    assert (build["timed"], build["core_mask"]) == ("rknn_run", "auto")
    loaded = ended["loaded"]
    assert loaded.engine_version.startswith("9.9.double (")
    assert loaded.build == {
        "driver": "0.9.double",
        "weight_bytes": "1000",
        "internal_bytes": "200",
    }
    assert ended["memory"].runtime_bytes == 5000
    assert [event.name for event in ended.outputs] == ["y0", "y1"] * 3
    for event in ended.outputs:
        spec = rknn_job.inputs[event.index].model_dump()
        fed = runner.make_input(spec, event.seed, event.index).astype(np.float32)
        assert event.dtype == "float32"
        np.testing.assert_array_equal(values(ended, event), 2 * fed + 1)


def test_inputs_go_to_their_names_in_any_order(rknn_job, start, runner):
    inputs = list(reversed(rknn_job.inputs))
    ended = start(rknn_job.model_copy(update={"inputs": inputs, "check_seeds": [1]}))
    fed = runner.make_input(inputs[1].model_dump(), 1, 1)
    np.testing.assert_array_equal(values(ended, ended.outputs[0]), 2 * fed + 1)


def test_what_the_runtime_does_not_tell_is_absent(rknn_job, start):
    ended = start(rknn_job, "no_memory\nno_version\n")
    assert ended.returncode == 0, ended.stderr
    assert ended["loaded"].engine_version is None
    assert ended["loaded"].build == {}
    assert ended["memory"].runtime_bytes is None


def test_layers_where_the_job_asks_for_them(rknn_job, start):
    ended = start(rknn_job.model_copy(update={"protocol": 2, "profile": True}))
    assert ended.returncode == 0, ended.stderr
    assert [(row.name, row.op, row.unit, row.us) for row in ended["layers"].layers] == [
        ("InputOperator:input", "InputOperator", "CPU", 4),
        ("", "Conv", "NPU", 390),
    ]


def test_nan_is_returned_as_it_is(rknn_job, start):
    ended = start(rknn_job, "nan\n")
    assert ended.returncode == 0
    assert np.isnan(values(ended, ended.outputs[0])).all()


@pytest.mark.parametrize("mask", ["auto", "0", "1", "2", "0_1", "0_1_2"])
def test_the_cores_of_an_rk3588(rknn_job, start, mask):
    ended = start(rknn_job.model_copy(update={"options": {"core_mask": mask}}))
    assert ended.returncode == 0, ended.stderr
    assert ended["hello"].build["core_mask"] == mask


@pytest.mark.parametrize(("cores", "mask"), [(1, "0"), (2, "2"), (2, "0_1_2")])
def test_cores_that_the_chip_does_not_have(rknn_job, start, cores, mask):
    job = rknn_job.model_copy(update={"options": {"core_mask": mask}})
    ended = start(job, f"cores {cores}\n")
    assert ended.returncode == FAILED
    assert ended["error"].kind == "BadJob"
    assert "this NPU does not have the cores" in ended["error"].message


def test_one_core_without_a_mask(rknn_job, start):
    assert start(rknn_job, "cores 1\n").returncode == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "cpu"}, "the backend 'npu:rknpu', not 'cpu'"),
        ({"threads": 4}, "4 threads: RKNN has none to set"),
        ({"model_cache": "."}, "no model cache"),
        ({"options": {"core_mask": "3"}}, "core_mask cannot be '3': auto, 0, 1, 2, 0_1, 0_1_2"),
        ({"options": {"power_mode": "high"}}, "no option 'power_mode'"),
    ],
)
def test_a_job_that_cannot_be_done(rknn_job, start, changes, message):
    ended = start(rknn_job.model_copy(update=changes))
    assert (ended.returncode, ended.names) == (FAILED, ["error"])
    assert ended["error"].kind == "BadJob"
    assert message in ended["error"].message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([InputSpec(name="x", shape=(1,))], "the model's ['image', 'ids']"),
        (
            [InputSpec(name="image", shape=(2, 4, 5, 3)), InputSpec(name="ids", shape=(2, 7))],
            "input 'image' is [2, 4, 5, 3] in the job and [2, 3, 4, 5] in the model",
        ),
    ],
)
def test_inputs_that_the_model_does_not_have(rknn_job, start, inputs, message):
    ended = start(rknn_job.model_copy(update={"inputs": inputs}))
    assert ended.returncode == FAILED
    assert ended["error"].kind == "BadJob"
    assert message in ended["error"].message


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("RKNN", "rknn_init: RKNN_ERR_MODEL_INVALID: the file is no .rknn model"),
        ("RKNN-DOUBLE rk3566\n", "RKNN_ERR_TARGET_PLATFORM_UNMATCH: the model was built for anoth"),
        (MODEL + "init -1\n", "RKNN_ERR_FAIL: the launch's log has the runtime's own words"),
        (MODEL + "init -3\n", "RKNN_ERR_DEVICE_UNAVAILABLE: the NPU cannot be opened"),
        (MODEL + "init -4\n", "RKNN_ERR_MALLOC_FAIL"),
        (MODEL + "init -10\n", "RKNN_ERR_DEVICE_UNMATCH: the kernel's NPU driver is too old"),
        (MODEL + "init -99\n", "rknn_init: error -99"),
        (MODEL + "inputs_set -8\n", "rknn_inputs_set: RKNN_ERR_INPUT_INVALID"),
        (MODEL + "run_fails_at 3\n", "warming up: rknn_run: RKNN_ERR_TIMEOUT"),
        (MODEL + "outputs_get -9\n", "check seed 1: rknn_outputs_get: RKNN_ERR_OUTPUT_INVALID"),
        (MODEL + "short_output\n", "output 'y0' has 476 bytes instead of 120 floats"),
        (MODEL.replace("y0 nchw 2 3 4 5", "y0 nhwc 2 4 5 3"), "output 'y0' is NHWC"),
    ],
)
def test_an_engine_that_fails(rknn_job, start, model, said):
    ended = start(rknn_job, model=model)
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert said in ended["error"].message


@pytest.mark.parametrize("named", [True, False])
def test_a_library_that_is_not_there(rknn_job, rknn, launch, named):
    files = {"model": "model.rknn"} | ({"library": "librknnrt.so"} if named else {})
    ended = launch(rknn, rknn_job.model_copy(update={"files": files}), {"model.rknn": MODEL})
    assert (ended.returncode, ended.names) == (FAILED, ["error"])
    assert ended["error"].kind == "EngineMissing"
    assert "librknnrt.so: cannot open shared object file" in ended["error"].message
    assert "harness runners add ... --lib librknnrt.so" in ended["error"].message


def test_a_library_without_a_symbol(rknn_job, rknn, launch, compiler, tmp_path):
    source = tmp_path / "other.cpp"
    source.write_text('extern "C" int rknn_init() { return 0; }\n')
    other = tmp_path / "other.so"
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", other], check=True)
    ended = launch(rknn, rknn_job, {"model.rknn": MODEL, "librknnrt.so": other})
    assert ended["error"].kind == "EngineMissing"
    assert "has no rknn_destroy: it is another library, or" in ended["error"].message


def test_the_small_runtime_is_refused_by_name(rknn_job, rknn, launch, rknn_library):
    files = {"model": "model.rknn", "library": "librknnmrt.so"}
    job = rknn_job.model_copy(update={"files": files})
    ended = launch(rknn, job, {"model.rknn": MODEL, "librknnmrt.so": rknn_library})
    assert ended["error"].kind == "EngineMissing"
    assert "the small runtime of RV1103 and RV1106" in ended["error"].message
