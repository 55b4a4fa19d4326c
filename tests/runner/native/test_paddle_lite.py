"""The runner of Paddle Lite, compiled and run against the SDK double."""

from __future__ import annotations

import platform
import signal

import numpy as np
import pytest

from harness.core.contract import InputSpec
from harness.lab.runners import add

pytestmark = pytest.mark.e2e  # the toolchain environments compile the runner

ABI = f"{platform.machine()}-linux".replace("aarch64", "arm64")
FAILED = 1
COMPILING_MS = 50  # of the double, in the first inference
HEADER = "\2\0v2.13-rc" + "\0" * 8


@pytest.fixture
def lite_job(job):
    inputs = [
        InputSpec(name="x0", shape=(2, 3)),
        InputSpec(name="x1", dtype="int64", shape=(5,), high=100),
        InputSpec(name="x2", dtype="int32", shape=(), high=100),
    ]
    files = {"model": "model.nb"}
    return job.model_copy(update={"engine": "paddle-lite", "files": files, "inputs": inputs})


@pytest.fixture
def start(paddle_lite, sdk, launch, npu_libraries):
    """Launch with the double beside the runner, as it is on a board."""

    def begin(job, model=HEADER + "fli", *, sdk=sdk, npu=npu_libraries):
        library = next((sdk / "cxx" / "lib").iterdir())
        files = {"model.nb": model, library.name: library, **npu}
        # The folder with the drivers, as the backend's variables name it.
        prefix = ["env", "LD_LIBRARY_PATH=."]
        return launch(paddle_lite, job, files, prefix=prefix)

    return begin


def test_a_launch_on_the_cpu(lite_job, start, runner):
    ended = start(lite_job.model_copy(update={"threads": 4, "options": {"power_mode": "high"}}))
    assert ended.returncode == 0, ended.stderr
    hello = ended["hello"]
    assert (hello.engine, hello.engine_version) == ("paddle-lite", None)
    assert ended["loaded"].engine_version == "v2.13-rc"
    assert ended["loaded"].build == {"opt": "v2.13-rc"}
    assert hello.build["threads"] == "4"
    assert hello.build["power_mode"] == "high"
    names = [(event.seed, event.name) for event in ended.outputs]
    assert names == [(seed, name) for seed in (1, 2, 3) for name in ("y0", "y1", "y2")]
    for event in ended.outputs:
        spec = lite_job.inputs[event.index]
        value = np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)
        expected = runner.make_input(spec.model_dump(), event.seed, event.index)
        assert event.dtype == spec.dtype
        np.testing.assert_array_equal(value, expected)


def test_inputs_go_to_their_names_in_any_order(lite_job, start, runner):
    inputs = list(reversed(lite_job.inputs))
    ended = start(lite_job.model_copy(update={"inputs": inputs, "check_seeds": [1]}))
    assert [event.dtype for event in ended.outputs] == ["float32", "int64", "int32"]
    value = np.fromfile(ended.folder / ended.outputs[0].file, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(value, runner.make_input(inputs[2].model_dump(), 1, 2))


def test_images_and_masks_are_bytes(lite_job, start, runner):
    inputs = [
        InputSpec(name="x0", dtype="uint8", shape=(1, 3, 5, 7), high=256),
        InputSpec(name="x1", dtype="bool", shape=(9,), high=2),
    ]
    ended = start(lite_job.model_copy(update={"inputs": inputs}), HEADER + "ub")
    assert ended.returncode == 0, ended.stderr
    for event in ended.outputs:
        spec = inputs[event.index]
        value = np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)
        expected = runner.make_input(spec.model_dump(), event.seed, event.index)
        assert (event.dtype, event.dtype) == (spec.dtype, expected.dtype)
        np.testing.assert_array_equal(value, expected)


def test_half_precision_inputs_are_refused_by_name(lite_job, start):
    inputs = [InputSpec(name="x0", dtype="float16", shape=(2,))]
    ended = start(lite_job.model_copy(update={"inputs": inputs}), HEADER + "f")
    assert ended["error"].kind == "BadJob"
    assert ended["error"].message == "Paddle Lite's API takes no inputs of float16"


def test_tensors_take_the_shapes_of_a_change(lite_job, start, runner):
    shapes = [
        {"x0": (4, 5), "x1": (7,), "x2": ()},
        {"x0": (1, 1), "x1": (2,), "x2": ()},
    ]
    ended = start(lite_job.model_copy(update={"shape_changes": shapes}))
    assert ended.returncode == 0, ended.stderr
    for event in ended.outputs:
        spec = lite_job.inputs[event.index].model_dump()
        if event.change is not None:
            spec["shape"] = shapes[event.change][spec["name"]]
        value = np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)
        expected = runner.make_input(spec, event.seed, event.index)
        np.testing.assert_array_equal(value, expected)
    assert {event.change for event in ended.outputs} == {None, 0, 1}


def test_an_npu_gets_all_that_the_job_says(lite_job, start, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    changes = {
        "backend": "npu:double_npu,other_npu",
        "model_cache": str(cache),
        "options": {"context_properties": "KEY=1;OTHER=2"},
    }
    ended = start(lite_job.model_copy(update=changes))
    assert ended.returncode == 0, ended.stderr
    assert (cache / "told").read_text() == "double_npu\nother_npu\nKEY=1;OTHER=2\n"
    build = ended["hello"].build
    assert build["nnadapter_devices"] == "double_npu,other_npu"
    assert build["context_properties"] == "KEY=1;OTHER=2"
    assert build["model_cache"] == str(cache)


def test_a_model_cache_is_filled_and_found(lite_job, start, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    npu = lite_job.model_copy(update={"backend": "npu:double_npu"})
    kept = npu.model_copy(update={"model_cache": str(cache)})
    assert start(npu)["first"].ms >= COMPILING_MS
    assert not list(cache.iterdir())
    assert start(kept)["first"].ms >= COMPILING_MS
    compiled = cache / "fli.nnc"
    before = compiled.stat().st_mtime_ns
    assert start(kept)["first"].ms > 0
    assert compiled.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"backend": "gpu"}, "BadJob", "backends 'cpu' and 'npu:DEVICE'"),
        ({"backend": "npu:"}, "BadJob", "a device without a name"),
        (
            {"backend": "npu:absent_npu"},
            "EngineMissing",
            "needs libabsent_npu.so: libabsent",
        ),
        (
            {"backend": "npu:refused_npu"},
            "EngineMissing",
            "does not take the NNAdapter device",
        ),
        ({"model_cache": "."}, "BadJob", "no model cache"),
        ({"backend": "npu:double_npu", "model_cache": "none"}, "BadJob", "none is no folder"),
        ({"options": {"context_properties": "K=1"}}, "BadJob", "no context properties"),
        ({"options": {"power_mode": "turbo"}}, "BadJob", "cannot be 'turbo': high, low"),
        ({"options": {"threads": "4"}}, "BadJob", "no option 'threads'"),
    ],
)
def test_a_job_that_cannot_be_done(lite_job, start, changes, kind, message):
    ended = start(lite_job.model_copy(update=changes))
    assert ended.returncode == FAILED
    assert ended.names == ["error"]
    assert ended["error"].kind == kind
    assert message in ended["error"].message


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            HEADER.replace("13-rc", "12\0\0\0") + "fli",
            "made by opt v2.12, and the library is v2.13",
        ),
        (HEADER + "flih", "output 'y2' is of Paddle Lite's precision 5"),
        ("short", "is no .nb file"),
    ],
)
def test_an_engine_that_fails(lite_job, start, model, message):
    ended = start(lite_job, model)
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert message in ended["error"].message


def test_an_engine_that_aborts_says_why(lite_job, start):
    ended = start(lite_job, HEADER + "t")
    assert ended.returncode == -signal.SIGABRT
    assert ended.names == ["hello"]
    assert "Check failed: double" in ended.stderr


def test_without_nnadapters_runtime_nothing_crashes(lite_job, start):
    ended = start(lite_job.model_copy(update={"backend": "npu:double_npu"}), npu={})
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineMissing"
    assert "NNAdapter needs libnnadapter.so: libnnadapter.so: cannot" in ended["error"].message


@pytest.mark.parametrize("shipped", [True, False])
def test_an_sdk_without_nnadapter_is_named(lite_job, start, make_sdk, npu_libraries, shipped):
    ended = start(
        lite_job.model_copy(update={"backend": "npu:double_npu"}),
        sdk=make_sdk("-DDOUBLE_WITHOUT_NNADAPTER"),
        npu=npu_libraries if shipped else {},
    )
    assert ended["error"].kind == "EngineMissing"
    assert "built without NNAdapter" in ended["error"].message


def test_of_an_untagged_commit_the_outputs_decide(lite_job, start, make_sdk):
    ended = start(lite_job, sdk=make_sdk(version="b1d0d0a"))
    assert ended.returncode == 0, ended.stderr
    assert ended["loaded"].engine_version == "b1d0d0a"
    assert ended["loaded"].build == {"opt": "v2.13-rc"}


def test_its_version_is_known_before_it_runs(paddle_lite, sdk, workspace):
    library = next((sdk / "cxx" / "lib").iterdir())
    spec = {"tool": "edge-runner", "engine": "paddle-lite", "abi": ABI}
    registered = add(workspace, "double", spec, paddle_lite, [library])
    assert registered.spec.engine_version == "v2.13-rc"


def test_without_its_library_the_loader_says_so(lite_job, paddle_lite, launch):
    ended = launch(paddle_lite, lite_job, {"model.nb": HEADER})
    assert ended.returncode == 127
    assert ended.names == []
    assert "libpaddle_light_api_shared.so" in ended.stderr
