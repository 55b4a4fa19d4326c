"""The Python runner keeps the runner contract, also where things go wrong."""

from __future__ import annotations

import ast
import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.contract import InputSpec
from tests.runner.conftest import BROWSER, DEVICE_MODULES, RUNNER, WRONG_SIZES

FAILED = 1


def values(ended, event):
    return np.fromfile(ended.folder / event.file, dtype=event.dtype).reshape(event.shape)


def test_a_launch_from_beginning_to_end(job, launch, runner):
    ended = launch(job)
    assert ended.returncode == 0
    assert ended.names == [
        "hello",
        "loaded",
        "first",
        "warmup",
        "samples",
        "memory",
        "outputs",
        "outputs",
        "outputs",
        "done",
    ]
    hello = ended["hello"]
    assert (hello.runner, hello.engine, hello.engine_version) == (
        "python",
        "onnxruntime",
        "0.0.double",
    )
    assert hello.process_ms is not None
    assert hello.t_ns - 10**9 < hello.clock.monotonic_ns <= hello.t_ns
    assert hello.build["numpy"] == np.__version__
    assert hello.build["threads"] == "1"
    assert ended["loaded"].read_bytes == len("{}")
    assert 2 <= len(ended["warmup"].ns) <= 5
    assert len(ended["samples"].ns) == 4
    outputs = [event for event in ended.sequence if event.event == "outputs"]
    for event in outputs:
        assert event.sha256 == hashlib.sha256((ended.folder / event.file).read_bytes()).hexdigest()
        np.testing.assert_array_equal(
            values(ended, event), runner.make_input(job.inputs[0].model_dump(), event.seed, 0)
        )
    assert [event.seed for event in outputs] == [1, 2, 3]


def test_changes_of_shape_follow_the_samples(job, launch, runner):
    shapes = [{"x": [4, 3]}, {"x": [2, 3]}]
    ended = launch(job, shape_changes=shapes, shape_samples=2)
    assert ended.names[5:] == ["memory", *["shape", *["outputs"] * 3] * 2, *["outputs"] * 3, "done"]
    changes = [event for event in ended.sequence if event.event == "shape"]
    assert [event.shapes for event in changes] == [{"x": (4, 3)}, {"x": (2, 3)}]
    assert all(len(event.ns) == 2 and event.first_ms > 0 for event in changes)
    for event in (event for event in ended.sequence if event.event == "outputs"):
        shape = job.inputs[0].shape if event.change is None else shapes[event.change]["x"]
        spec = job.inputs[0].model_dump() | {"shape": shape}
        np.testing.assert_array_equal(values(ended, event), runner.make_input(spec, event.seed, 0))


def test_inputs_that_are_given_are_checked_instead_of_seeded_ones(job, launch):
    shapes = [[2, 3], [4, 3]]
    content = [
        np.random.default_rng(n).random((3, *shape), "float32") for n, shape in enumerate(shapes)
    ]
    files = {f"check-{n}.bin": values for n, values in enumerate(content)}
    for name, values_of in files.items():
        (launch.folder / name).write_bytes(values_of.tobytes())
    ended = launch(job, check_files=[*files], shape_changes=[{"x": shapes[1]}])
    for event in (event for event in ended.sequence if event.event == "outputs"):
        given = content[0 if event.change is None else 1][event.seed - 1]
        np.testing.assert_array_equal(values(ended, event), given)


@pytest.mark.parametrize(("size", "said"), WRONG_SIZES)
def test_a_file_of_inputs_that_is_not_theirs(job, launch, size, said):
    if size is not None:
        (launch.folder / "check.bin").write_bytes(bytes(size))
    ended = launch(job, check_files=["check.bin"])
    assert ended.returncode == 1
    assert ended["error"].kind == "BadJob"
    assert said in ended["error"].message


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers_come_back_as_they_are(job, launch, dtype):
    spec = InputSpec(name="x", dtype=dtype, shape=(4,), low=-5, high=100)
    ended = launch(job.model_copy(update={"inputs": [spec]}))
    assert ended["outputs"].dtype == dtype
    assert values(ended, ended["outputs"]).min() >= -5


def test_nan_outputs_are_returned_for_the_check_to_see(job, launch):
    ended = launch(job, {"model.onnx": '{"outputs": "nan"}'})
    assert ended.names[-1] == "done"
    assert np.isnan(values(ended, ended["outputs"])).all()


def test_peak_memory_is_the_runners_own(job, launch):
    parents = b"\x01" * (300 << 20)
    peak = launch(job)["memory"].vmhwm_bytes
    assert 10 << 20 < peak < len(parents)


def test_it_runs_on_the_processors_it_is_given(job, launch):
    allowed = sorted(os.sched_getaffinity(0))
    assert launch(job, affinity=allowed[:1]).returncode == 0


# --- failures: exit status 1 and an event that says why ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"check_files": ["a.bin", "b.bin"]}, "2 files with inputs to check, for 1 sets of shapes"),
        ({"check_files": ["../a.bin"]}, "'../a.bin' is not in the launch's folder"),
        ({"engine": "tensorflow"}, "has the engine 'onnxruntime', not 'tensorflow'"),
        ({"protocol": 3}, "protocol 2 with inputs 1 only"),
        ({"backend": "npu:rockchip"}, "backends cpu, npu:qnn, not 'npu:rockchip'"),
        ({"model_cache": "cache"}, "no model cache"),
        ({"options": {"power_mode": "high"}}, "no option 'power_mode'"),
        ({"files": {"model": "../model.onnx"}}, "not in the launch's folder"),
        ({"files": {"modle": "model.onnx"}}, "needs the file 'model'"),
        ({"files": {"model": "other.onnx"}}, "reading the artifact"),
        ({"inputs": [{"name": "z", "dtype": "float32", "shape": [1]}]}, "the model's ['x']"),
        ({"affinity": [4095]}, "processors [4095]"),
        ({"shape_changes": [{"y": [1]}]}, "a change of shape is of the inputs ['y'], not ['x']"),
    ],
)
def test_a_job_that_cannot_be_done(job, launch, changes, message):
    ended = launch(job, **changes)
    assert ended.returncode == FAILED
    assert ended["error"].kind == "BadJob"
    assert message in ended["error"].message


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"protocol": 1', "nul\0"])
def test_a_job_that_is_none(launch, content):
    ended = launch(content)
    assert ended.returncode == FAILED
    assert ended.names == ["error"]
    assert ended["error"].kind == "BadJob"
    assert "job.json" in ended["error"].message


@pytest.mark.parametrize(
    ("engine", "module"),
    [("onnxruntime", "onnxruntime"), ("paddle-inference", "numpy"), ("paddle-lite", "numpy")],
)
def test_a_missing_engine_names_module_and_interpreter(job, launch, engine, module):
    ended = launch(
        job,
        python=(sys.executable, "-S"),
        path="",
        engine=engine,
        files={"model": "m", "params": "p"},
    )
    assert ended.returncode == FAILED
    assert ended.names == ["error"]
    assert ended["error"].kind == "EngineMissing"
    assert f"no module '{module}'" in ended["error"].message
    assert sys.executable in ended["error"].message


THEIRS = """\
import edge_runner

class Theirs(edge_runner.Engine):
    name = "theirs"

    def configure(self, job):
        return "1", {}

    def load(self):
        return ["x"]

    def bind(self, inputs):
        self.value = inputs["x"]
        self.run = lambda: 0

    def fetch(self):
        return [("y", self.value)]

ENGINE = Theirs
"""


def test_an_engine_of_somebody_else(job, launch, runner):
    (launch.folder / "edge_engine.py").write_text(THEIRS)
    ended = launch(job, engine="theirs")
    assert ended.returncode == 0, ended.stderr
    assert ended["hello"].engine_version == "1"
    fed = runner.make_input(job.inputs[0].model_dump(), ended["outputs"].seed, 0)
    np.testing.assert_array_equal(values(ended, ended["outputs"]), fed)


PROFILED = """
    def profile(self, samples):
        layer = {"name": "n" * 300, "op": "Conv", "unit": "NPU", "us": 2.0}
        return edge_runner.Profile([layer] * 6000, len(samples), 10_007.0)
"""


def test_a_profile(job, launch):
    module = THEIRS.replace("\nENGINE", f"{PROFILED}\nENGINE")
    (launch.folder / "edge_engine.py").write_text(module)
    ended = launch(job, engine="theirs", protocol=2, profile=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.names[5:8] == ["memory", "placement", "layers"]
    assert {part.unit for part in ended["placement"].parts} == {"NPU"}
    layers = ended["layers"]
    assert len(layers.layers) == 5000
    assert layers.inferences == len(ended["samples"].ns)
    assert layers.unattributed_us == 7  # what is left out of 10 007, too


def test_what_is_not_asked_for_or_not_there_is_not_reported(job, launch):
    (launch.folder / "edge_engine.py").write_text(THEIRS.replace("\nENGINE", f"{PROFILED}\nENGINE"))
    names = launch(job, engine="theirs").names
    assert not {"placement", "layers"} & {*names}


def test_an_engine_that_measures_no_operators(job, launch):
    (launch.folder / "edge_engine.py").write_text(THEIRS)
    ended = launch(job, engine="theirs", protocol=2, profile=True)
    assert ended.returncode == 0, ended.stderr
    assert not {"placement", "layers"} & {*ended.names}


@pytest.mark.parametrize(
    ("module", "kind", "message"),
    [
        ("", "EngineFailed", "loading edge_engine.py: AttributeError"),
        ("import", "EngineFailed", "loading edge_engine.py: SyntaxError"),
        ("import absent", "EngineMissing", "has no module 'absent'"),
    ],
)
def test_a_module_that_is_no_engine(job, launch, module, kind, message):
    (launch.folder / "edge_engine.py").write_text(module)
    ended = launch(job)
    assert (ended.returncode, ended.names) == (FAILED, ["error"])
    assert ended["error"].kind == kind
    assert message in ended["error"].message


def test_an_engine_that_cannot_be_imported(job, launch, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libgomp.so.1: cannot open')")
    ended = launch(job, path=tmp_path)
    assert ended.returncode == FAILED
    assert ended["error"].kind == "EngineFailed"
    assert ended["error"].message == "importing: ImportError: libgomp.so.1: cannot open"


@pytest.mark.parametrize(
    ("model", "doing", "before"),
    [
        ('{"load": "raise"}', "loading the model: RuntimeError", "hello"),
        ('{"run": "raise"}', "running the first time: RuntimeError", "loaded"),
        ('{"dtype": "int16"}', "output 'y' is of int16", "memory"),
        ("not json", "loading the model: JSONDecodeError", "hello"),
    ],
)
def test_an_engine_that_fails(job, launch, model, doing, before):
    ended = launch(job, {"model.onnx": model}, threads=3)
    assert ended.returncode == FAILED
    assert ended.names[-2:] == [before, "error"]
    assert ended["error"].kind == "EngineFailed"
    assert ended["error"].message.startswith(doing)
    assert "Traceback" in ended["error"].traceback


def test_threads_reach_the_engine_and_the_maths_libraries(job, launch):
    ended = launch(job, {"model.onnx": '{"load": "raise"}'}, threads=3)
    assert "with ('3', 3) threads" in ended["error"].message


@pytest.mark.parametrize(
    ("what", "status"),
    [("crash", -signal.SIGSEGV), ("terminate", -signal.SIGTERM), ("exit", 0)],
)
def test_a_process_that_ends_leaves_its_events_so_far(job, launch, what, status):
    ended = launch(job, {"model.onnx": f'{{"run": "{what}"}}'})
    assert ended.returncode == status
    assert ended.names == ["hello", "loaded"]


# --- Paddle ---

PADDLE_DOUBLE = """
import numpy as np

class Config:
    def __init__(self, model, params):
        self.threads = 0
    def disable_glog_info(self):
        pass
    def set_cpu_math_library_num_threads(self, threads):
        self.threads = threads
    def cpu_math_library_num_threads(self):
        return self.threads
    def mkldnn_enabled(self):
        return False
    def ir_optim(self):
        return True

class Handle:
    def reshape(self, shape):
        self.shape = shape
    def copy_from_cpu(self, value):
        self.value = value
    def copy_to_cpu(self):
        return self.value

class Predictor:
    handle = Handle()
    def get_input_names(self):
        return ["x"]
    get_output_names = get_input_names
    def get_input_handle(self, name):
        return self.handle
    get_output_handle = get_input_handle
    def run(self):
        assert list(self.handle.value.shape) == self.handle.shape

def create_predictor(config):
    return Predictor()
"""


def test_a_core_that_cannot_be_loaded_leads_to_the_full_import(job, launch, tmp_path):
    package = tmp_path / "paddle"
    (package / "base").mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '9.9.double'\n")
    (package / "inference.py").write_text(PADDLE_DOUBLE)
    (package / "base" / "libpaddle.so").write_bytes(b"not an extension module")
    ended = launch(
        job,
        {"m": "", "p": ""},
        path=tmp_path,
        engine="paddle-inference",
        files={"model": "m", "params": "p"},
    )
    assert ended.returncode == 0
    hello = ended["hello"]
    assert hello.engine_version == "9.9.double"
    assert hello.build["loader"] == "full"
    assert hello.build["core_failed"].startswith("ImportError")
    assert hello.build["mkldnn"] == "off"
    # The kernel's start of the process is that of the first attempt.
    assert hello.process_ms is None
    assert ended.names.count("hello") == 1
    assert ended.names[-1] == "done"


@pytest.mark.parametrize(
    ("threads", "kind", "message"),
    [(2, "BadJob", "cannot set threads"), (1, "EngineFailed", "garbage with numpy 2")],
)
def test_paddle_lite_refuses_what_it_would_get_wrong(job, launch, tmp_path, threads, kind, message):
    package = tmp_path / "paddlelite"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "lite.py").touch()
    ended = launch(job, path=tmp_path, engine="paddle-lite", threads=threads)
    assert ended.returncode == FAILED
    assert ended["error"].kind == kind
    assert message in ended["error"].message


# --- what is timed, on a clock of the test's own ---


class Clock:
    """Time that passes only in the inferences."""

    def __init__(self, durations):
        self.now = 0
        self.durations = iter(durations)

    def __call__(self):
        return self.now

    def run(self):
        self.now += next(self.durations)


def policy(**changes):
    return {
        "min_samples": 0,
        "min_seconds": 0,
        "max_samples": 100,
        "max_seconds": 3600,
        "window": 10,
        "tolerance": 0.04,
    } | changes


MS = 1_000_000


@pytest.mark.parametrize(
    ("durations", "changes", "count", "reason"),
    [
        ([MS] * 100, {}, 10, "steady"),
        ([MS] * 100, {"window": 3}, 3, "steady"),
        ([MS] * 100, {"min_samples": 30}, 30, "steady"),
        ([MS] * 100, {"min_seconds": 0.05}, 50, "steady"),
        ([MS] * 100, {"max_samples": 9}, 9, "max_samples"),
        ([MS] * 100, {"max_samples": 0}, 0, "max_samples"),
        ([MS] * 100, {"max_seconds": 0.004}, 4, "max_seconds"),
        # The bounds win over the minima.
        ([MS] * 100, {"min_samples": 30, "max_samples": 20}, 20, "max_samples"),
        # The slow average remembers a first sample of twice the time for longer than this.
        ([2 * MS] + [MS] * 99, {}, 100, "max_samples"),
        # One that is a little slower keeps both together.
        ([MS * 103 // 100] + [MS] * 99, {}, 10, "steady"),
        # A sudden slowing begins the window anew: 9 in a row, then none until they meet again.
        ([MS] * 9 + [3 * MS] * 91, {}, 100, "max_samples"),
    ],
)
def test_warm_up_ends(runner, durations, changes, count, reason):
    clock = Clock(durations)
    samples, why = runner.warm_up(clock.run, policy(**changes), clock)
    assert (len(samples), why) == (count, reason)
    assert samples == durations[:count]


def test_steady_is_the_contracts_rule(runner):
    random = np.random.default_rng(5)
    durations = (MS * (1 + random.exponential(0.3, 2000))).astype(int).tolist()
    fast = slow = durations[0]
    agree = []
    for taken in durations:
        fast, slow = 0.9 * fast + 0.1 * taken, 0.995 * slow + 0.005 * taken
        agree.append(abs(fast / slow - 1) <= 0.04)
    expected = next(i for i in range(10, 2001) if all(agree[i - 10 : i]) and i >= 20)
    clock = Clock(durations)
    samples, why = runner.warm_up(clock.run, policy(min_samples=20, max_samples=2000), clock)
    assert (len(samples), why) == (expected, "steady")


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ((20, 0, 2000, 20), 20),
        ((20, 0.5, 2000, 20), 500),
        ((20, 5, 2000, 20), 2000),
        ((20, 5, 9000, 2), 2000),
        ((1, 0, 1, 0.0001), 1),
    ],
)
def test_samples_reach_both_minima_within_both_maxima(runner, limits, count):
    names = ("min_samples", "min_seconds", "max_samples", "max_seconds")
    clock = Clock([MS] * 9000)
    taken = runner.sample(clock.run, dict(zip(names, limits, strict=True)), clock)
    assert taken == ([MS] * count, count)


@given(most=st.integers(1, 40), made=st.integers(1, 700))
def test_a_sustained_launch_keeps_evenly_spaced_samples(runner, most, made):
    durations = [MS + n for n in range(made)]
    limits = {"min_samples": made, "max_samples": most, "min_seconds": 0, "max_seconds": 9999}
    clock = Clock(durations)
    samples, inferences = runner.sample(clock.run, limits, clock, sustained=True)
    assert inferences == made
    every = next(2**n for n in range(11) if -(-made // 2**n) <= most)
    assert samples == durations[::every]


# --- what the kernel says ---


def on_tmpfs(path):
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [m for m in mounts if path.resolve().is_relative_to(m[1])]
    return max(around, key=lambda mount: len(mount[1]))[2] == "tmpfs"


def test_an_evicted_file_is_cold_and_a_read_one_warm(runner, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"\x01" * 1_000_001)
    if on_tmpfs(tmp_path):
        pytest.skip("the pages of a tmpfs cannot be evicted")
    runner.evict([str(path)])
    assert runner.page_cache([str(path)]) == "cold"
    assert runner.read_through([str(path)]) == 1_000_001
    assert runner.page_cache([str(path)]) == "warm"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs there")
def test_what_cannot_be_evicted_is_not_called_cold(runner, tmp_path):
    path = Path("/dev/shm") / f"edge-harness-test-{os.getpid()}"
    try:
        path.write_bytes(b"\x01" * 100_000)
        runner.evict([str(path)])
        assert runner.page_cache([str(path)]) == "warm"
    finally:
        path.unlink(missing_ok=True)


def test_a_file_that_mincore_does_not_tell_of_is_unknown(runner, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"\x01" * 100_000)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert runner.page_cache([str(path)]) == "unknown"


def test_an_empty_file_is_neither(runner, tmp_path):
    (tmp_path / "model").touch()
    assert runner.page_cache([str(tmp_path / "model")]) == "unknown"


# --- the file itself ---


@pytest.mark.parametrize(
    "path", [RUNNER, BROWSER, *DEVICE_MODULES], ids=lambda path: "/".join(path.parts[-2:])
)
def test_it_is_python_3_8_and_stands_alone(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    others = {
        "edge_runner", "MNN", "ncnn", "numpy", "onnxruntime", "openvino", "paddle", "paddlelite",
        "onnxruntime_qnn", "ai_edge_litert", "rknnlite", "edge_browser", "playwright",
    }  # fmt: skip
    assert imported - others <= sys.stdlib_module_names
