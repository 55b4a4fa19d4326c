"""The adapter of ``benchmark_bin``, on recordings of a real one (v2.13-rc, emulated aarch64)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.contract import Done, Failure, First, InputSpec, Job, Loaded, Mean
from harness.engines.paddle_lite import benchmark_bin

RECORDINGS = Path(__file__).parents[2] / "data" / "benchmark_bin"


@dataclass(frozen=True)
class Recording:
    """What a real benchmark_bin printed, and the job that it was given.

    It was recorded with inputs of ones; the line that says so is set to what a job gives.
    """

    stdout: str
    stderr: str
    status: int
    job: Job
    shape: tuple[int, ...]

    def parse(self, **changed):
        given = {"stdout": self.stdout, "stderr": self.stderr, "status": self.status} | changed
        return benchmark_bin.parse(**given, job=self.job, abi="arm64-linux", shapes=[self.shape])


def recording(name, model="model.nb", backend="cpu", warmup=2, repeats=5):
    texts = {
        kind: (RECORDINGS / f"{name}.{kind}").read_text(encoding="utf-8")
        for kind in ("stdout", "stderr", "rc")
    }
    large = name == "cpu-mobilenet_v1"
    job = Job(
        launch="launch",
        engine="paddle-lite",
        backend=backend,
        files={"model": model},
        inputs=[InputSpec(name="x", shape=(1, 3, 224, 224) if large else (1, 3, 96, 96))],
        warmup={"min_samples": warmup},
        sampling={"min_samples": repeats},
    )
    stdout = texts["stdout"].replace("All 1.f", "timed-0-0.txt")
    shape = (1, 1000) if large else (1, 256, 1, 1)
    return Recording(stdout, texts["stderr"], int(texts["rc"]), job, shape)


CPU = recording("cpu-mobilenet_v1", "mobilenet_v1.arm.nb")
PROFILE = recording("cpu-memory-profile", "mnv1_025_96_feat.arm.nb", repeats=10)
NPU = recording("nnadapter", "mnv1_025_96_feat.rockchip_npu.nb", "npu:rockchip_npu", warmup=1)
GOOD = [CPU, PROFILE, NPU]


def figures(events):
    return [event for event in events if isinstance(event, Loaded | First | Mean)]


def refusal(events):
    (event,) = events
    assert isinstance(event, Failure)
    return event.message


@pytest.mark.parametrize(
    ("recorded", "init", "first", "mean"),
    [(CPU, 88.228, 2951.982, 2846.843), (PROFILE, 52.398, 66.904, 43.634),
     (NPU, 33.455, 267.012, 156.926)],
    ids=["cpu", "memory profile", "npu"],
)  # fmt: skip
def test_what_it_gives_and_nothing_else(recorded, init, first, mean):
    hello, *rest = recorded.parse()
    assert hello.engine_version == "v2.13-rc"
    assert hello.pid is None
    assert hello.import_ms is None
    assert rest == [
        Loaded(page_cache="unknown", init_ms=init), First(ms=first), Mean(ns=mean * 1e6), Done(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing-model", "ended by SIGABRT: Mode file[nope.nb] not exist!"),
        ("truncated-model", "SIGABRT: [F 11/22 13: 4:29.401 ...mp/pl-lab/src/lite/core/model"),
        ("hal-missing", "ended by SIGSEGV"),
    ],
)
def test_a_crash_says_why(name, said):
    assert said in refusal(recording(name).parse())


USAGE = "\nNote: \n  If load the optimized model, set --optimized_model_file. \n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"stdout": USAGE, "stderr": "Must set --backend option!\n"}, "Must set --backend option!"),
        ({"stdout": ""}, "0 sections 'Model Info'"),
        ({"status": 139, "stdout": ""}, "SIGSEGV"),  # --repeats=0
        (
            {"status": 134, "stderr": "[F  9/28  1:2 a.cc:1 b] no driver\n[I x]\nAborted\n"},
            "ended by SIGABRT: [F  9/28  1:2 a.cc:1 b] no driver",
        ),
        ({"status": 1, "stderr": "ERROR: unknown command line flag 'x'\n"}, "unknown command"),
        ({"stdout": CPU.stdout.replace(": 1 1000 ", ": 1 1001 ")}, "(1 1001 ) instead of (1 1000)"),
        ({"stdout": CPU.stdout.replace("num: 1\n", "num: 2\n")}, "2 outputs instead of 1"),
        ({"stdout": CPU.stdout.replace("1,3,224,224", "1,3,96,96")}, "its input_shape is"),
        ({"stdout": CPU.stdout.replace("timed-0-0.txt", "All 1.f")}, "its input_data_path is"),
        ({"stdout": CPU.stdout.replace("0.0108625", "nan")}, "mean value of output 0 is 'nan'"),
        ({"stdout": CPU.stdout.replace("repeats: 5", "repeats: 1")}, "its repeats is '1'"),
        ({"stdout": CPU.stdout.replace("ms):", "us):")}, "not in ms"),
        ({"stdout": CPU.stdout.replace("2846.843", "1846.843")}, "not between its extremes"),
        ({"stderr": "Open input image timed-0-0.txt error.\n"}, "went on after: Open input image"),
        ({"stdout": CPU.stdout[: CPU.stdout.index("avg ")]}, "line 'avg' is not whole"),
        ({"stdout": CPU.stdout[: CPU.stdout.index("46.843")]}, "line 'avg' is not whole"),
        ({"stdout": CPU.stdout + CPU.stdout}, "2 sections 'Model Info'"),
    ],
)  # fmt: skip
def test_an_exit_status_of_0_is_not_believed(changed, said):
    assert said in refusal(CPU.parse(**changed))


def test_an_npu_that_was_left_aside_is_no_result():
    ignored = "Find and ignore unsupport nnadapter device: rockchip_npu\n"
    assert "went on after" in refusal(NPU.parse(stderr=NPU.stderr + ignored))


@pytest.mark.parametrize(
    "section",
    [
        "",
        "Memory Usage(unit: kB):\ninit  = Not supported yet\navg   = Not supported yet\n\n",
        # Of an older version, which prints times there.
        "Memory Usage(unit: kB):\ninit  = 52.398      \navg   = 66.904      \n\n",
    ],
)
def test_no_memory_figure_is_taken_over(section):
    # The figures are ru_maxrss, which inherits the parent's peak, or nothing of the kind.
    begin = PROFILE.stdout.index("Memory Usage")
    assert PROFILE.parse(stdout=PROFILE.stdout[:begin] + section) == PROFILE.parse()


def test_cpu_usage_lines_between_others_do_no_harm():
    lines = PROFILE.stdout.splitlines(keepends=True)
    interleaved = "cpu usage ratio: 12.5%\n".join(lines)
    assert PROFILE.parse(stdout=interleaved) == PROFILE.parse()


@st.composite
def damaged(draw):
    recorded = draw(st.sampled_from(GOOD))
    text = recorded.stdout
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, min(len(text), begin + 200)))
    other = draw(st.sampled_from([other.stdout for other in GOOD]))
    piece = draw(
        st.one_of(
            st.just(""),
            st.text(max_size=20),
            st.just(text[begin:end] * 2),
            st.integers(0, len(other)).map(lambda at: other[at : at + 30]),
        )
    )
    cut = draw(st.booleans())
    return recorded, text[:begin] + piece + ("" if cut else text[end:])


@given(damaged())
def test_damaged_output_never_gives_a_wrong_figure(case):
    recorded, stdout = case
    events = recorded.parse(stdout=stdout)
    if not isinstance(events[-1], Failure) and not _digits_replaced(recorded.stdout, stdout):
        assert figures(events) == figures(recorded.parse())


def _digits_replaced(before, after):
    """Say whether digits became other digits in their place: no parser can know."""
    return len(before) == len(after) and all(
        a == b or (a.isdigit() and b.isdigit()) for a, b in zip(before, after, strict=True)
    )


@given(st.text(), st.text(), st.integers(0, 255))
def test_any_output_is_a_result_or_a_failure(stdout, stderr, status):
    events = CPU.parse(stdout=stdout, stderr=stderr, status=status)
    assert isinstance(events[-1], Failure)


REFERENCE = [np.zeros((1, 1000), "float32")]
HASHES = ["a" * 64, "b" * 64, "c" * 64]


def log_of(checks, stdout=CPU.stdout, stderr=CPU.stderr):
    return f"=== begin\n{stderr}=== stdout\n{stdout}" + "".join(checks)


def translated(log, status=0):
    job = CPU.job.model_copy(update={"check_seeds": [1, 2, 3]})
    return benchmark_bin.translate(log, status, job, "arm64-linux", REFERENCE)


def test_outputs_of_every_seed_or_of_none():
    checks = [
        f"=== check {seed} 0\n{digest}  output-{seed}-0.txt\n"
        for seed, digest in zip((1, 2, 3), HASHES, strict=True)
    ]
    outputs = translated(log_of(checks))[4:-1]
    assert [(out.seed, out.sha256, out.shape) for out in outputs] == [
        (seed, digest, (1, 1000)) for seed, digest in zip((1, 2, 3), HASHES, strict=True)
    ]
    older = "=== check 2 1\nERROR: unknown command line flag 'output_data_path'\n"
    for told in ([checks[0], older, checks[2]], checks[:2], []):
        events = translated(log_of(told))
        assert figures(events) == figures(CPU.parse())
        assert len(events) == 5
        assert events[0].build["outputs"].startswith("not checked: ")
    assert (
        "unknown command line flag"
        in translated(log_of([checks[0], older, checks[2]]))[0].build["outputs"]
    )


def test_a_log_that_lost_its_beginning_is_no_result():
    # What it said of inputs that it could not read may have stood there.
    assert "more than is kept" in refusal(translated(log_of([])[5:]))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"1.5\n-2e-3\n", [1.5, -2e-3]),
        (b"1.5 -0.002 ", [1.5, -2e-3]),
        (b"1,2", [1, 2]),
        (b"nan inf", [np.nan, np.inf]),
        (b"1\n", None),
        (b"1\n2\n3\n", None),
        (b"one two", None),
        (b"", None),
    ],
)
def test_outputs_are_read_from_text(text, values):
    found = benchmark_bin.read_output(text, (1, 2))
    if values is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, np.array([values], "float32"))


def test_the_command_line_of_a_job():
    job = Job.model_validate(
        NPU.job.model_dump()
        | {
            "check_seeds": [1],
            "affinity": [0, 4],
            "warmup": {"min_samples": 0},
            "inputs": [
                InputSpec(name="a", shape=(1, 2)),
                InputSpec(name="b", shape=(1,), dtype="int64", low=0, high=9),
            ],
        }
    )
    command = benchmark_bin.command(job, "arm64-linux", outputs=2)
    assert command[2:7] == [
        "1", "input-1-0.txt:input-1-1.txt", "output-1-0.txt:output-1-1.txt", "--", "taskset",
    ]  # fmt: skip
    assert command[7:9] == ["11", "./benchmark_bin"]
    flags = set(command[9:])
    assert {
        "--backend=nnadapter,arm", "--nnadapter_device_names=rockchip_npu", "--warmup=1",
        "--repeats=5", "--input_shape=1,2:1", "--input_data_type=float32:int64",
        "--input_data_path=timed-0-0.txt:timed-0-1.txt",
    } <= flags  # fmt: skip
    assert set(benchmark_bin.inputs(job)) == {
        f"{name}-{index}.txt" for name in ("timed-0", "input-1") for index in (0, 1)
    }


def test_inputs_come_back_from_text_as_they_were():
    values = np.array(benchmark_bin.inputs(CPU.job)["timed-0-0.txt"].split(), "float32")
    expected = benchmark_bin.edge_runner.make_input(CPU.job.inputs[0].model_dump(), 0, 0)
    np.testing.assert_array_equal(values, expected.ravel())


def test_inputs_that_are_given_are_checked_and_seeded_ones_timed(tmp_path):
    job = CPU.job.model_copy(update={"check_seeds": [0, 1]})
    given = np.random.default_rng(0).random((2, *job.inputs[0].shape), "float32")
    path = tmp_path / "check.bin"
    path.write_bytes(given.tobytes())
    texts = benchmark_bin.inputs(job, path)
    assert texts["timed-0-0.txt"] == benchmark_bin.inputs(job)["timed-0-0.txt"]
    for seed in (0, 1):
        values = np.array(texts[f"input-{seed}-0.txt"].split(), "float32")
        np.testing.assert_array_equal(values, given[seed].ravel())
