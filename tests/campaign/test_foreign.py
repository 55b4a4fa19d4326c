"""Launches of a foreign runner through the real launcher: a double of benchmark_bin, here."""

from __future__ import annotations

import sys

import pytest

from harness.analysis.cases import case_results
from harness.campaign.runners import ForeignRunner
from harness.core.hashing import sha256_of
from harness.core.records import Category, Estimator, Status
from harness.engines.paddle_lite.benchmark_bin import BenchmarkBin
from harness.lab.runners import RegisteredRunner, RunnerSpec

# A double of Paddle Lite's benchmark_bin: takes its flags, prints as a recording of it does, and
# "infers" what the bench's reference is. BODY changes it.
_DOUBLE = """\
#!{python}
import os, signal, sys, time
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
path = flags["input_data_path"]
values = [float(word) for word in open(path).read().split()]
seed = float(path.split("-")[1])
checking = "output_data_path" in flags
shape, output = "1 2", [seed, seed**2]
{body}
if checking:
    open(flags["output_data_path"], "w").write("".join("%g\\n" % value for value in output))
print('''
======= Model Info =======
optimized_model_file: %(optimized_model_file)s
input_data_path: %(input_data_path)s
input_shape: %(input_shape)s
output tensor num: 1
--- output tensor 0 ---''' % flags)
print("output shape(NCHW): " + shape + ''' 
output tensor 0 elem num: 2
output tensor 0 mean value: 0.5
output tensor 0 standard deviation: 0.5

======= Runtime Info =======
benchmark_bin version: double''')
print('''threads: %(threads)s
power_mode: %(power_mode)s
warmup: %(warmup)s
repeats: %(repeats)s
result_path: 

======= Backend Info =======
backend: %(backend)s
cpu precision: fp32

======= Perf Info =======
Time(unit: ms):
init  = 2.500       
first = 4.250       
min   = 0.900       
max   = 1.300       
avg   = 1.125       
''' % flags)
"""  # noqa: W291 - as it prints


@pytest.fixture
def launch(bench):
    """Launch a double of benchmark_bin once; return the launch and the case's result."""

    def launch(body="", **protocol):
        path = bench.folder / "benchmark_bin"
        path.write_text(_DOUBLE.format(python=sys.executable, body=body), encoding="utf-8")
        path.chmod(0o755)
        digest = sha256_of(path)
        path.rename(bench.folder / digest)
        spec = RunnerSpec(
            tool="benchmark_bin", engine="paddle-lite", abi="x86_64-linux", program=digest
        )
        registered = RegisteredRunner("double", spec, bench.folder)
        bench.foreign = ForeignRunner(BenchmarkBin(), registered, bench.reference[1])
        bench.doubles["double"] = ""
        run = bench.run(**({"redo_budget": 0} | protocol))
        bench.measure(run)
        (result,) = case_results(bench.store.load(run.id))
        return result.launches[0], result

    return launch


def test_a_launch_has_what_the_tool_gives_and_no_more(launch):
    made, result = launch("assert len(values) == 2 and max(values) < 1")
    assert made.status is Status.OK, str(made.reason)
    assert made.figure_ns == 1_125_000
    assert made.estimator is Estimator.MEAN
    assert made.samples_ns == []
    assert made.warmup_ns == []
    assert made.vmhwm_bytes > 5_000_000  # of the tool, not of the shell that starts it
    assert made.vmhwm_source == "supervisor"
    assert made.first_load.total_ms == 6.75
    assert (made.first_load.import_ms, made.first_load.read_ms) == (None, None)
    assert made.runner == "benchmark_bin double"
    assert made.outputs.passed
    assert result.checked


def test_a_version_that_cannot_write_outputs_leaves_the_case_unchecked(launch):
    made, result = launch(
        "if checking: sys.exit(\"ERROR: unknown command line flag 'output_data_path'\")"
    )
    assert made.status is Status.OK
    assert made.outputs is None
    assert result.latency_ms.center == 1.125
    assert not result.checked
    assert "unknown command line flag" in made.build["outputs"]


def test_wrong_outputs_make_a_launch_invalid(launch):
    made, _ = launch("output = [1.0, 1.0]")
    assert made.status is Status.INVALID
    assert "wrong outputs" in str(made.reason)


@pytest.mark.parametrize(
    ("body", "category", "said"),
    [
        ("shape = '1 3'", Category.ENGINE, "output shapes are (1 3 ) instead of (1 2)"),
        ("os.kill(os.getpid(), signal.SIGABRT)", Category.ENGINE, "ended by SIGABRT"),
        ("sys.exit('error while loading shared libraries: libgomp.so.1')", Category.ENGINE,
         "exited with 1: error while loading shared libraries: libgomp.so.1"),
        ("sys.exit(0)", Category.ENGINE, "exited with 0, but it printed 0 sections"),
        ("print('x' * 100_000)", Category.ENGINE, "more than is kept"),
        ("output = [1.0]", Category.DEPLOY, "does not match what the runner announced"),
    ],
    ids=lambda value: None if isinstance(value, Category) else str(value)[:20],
)  # fmt: skip
def test_a_launch_that_fails(launch, body, category, said):
    made, _ = launch(body)
    assert (made.status, made.category) == (Status.FAILED, category)
    assert said in str(made.reason)


def test_one_that_hangs_is_ended_on_the_device(launch):
    made, _ = launch("signal.pause()", time_limit=0.5)
    assert (made.status, made.category) == (Status.FAILED, Category.TIMEOUT)
    assert "limit of 0.5 s" in str(made.reason)


def test_shipped_libraries_are_found_beside_it(launch):
    made, _ = launch("assert os.environ['LD_LIBRARY_PATH'].split(':')[0] == os.getcwd()")
    assert made.status is Status.OK, str(made.reason)
