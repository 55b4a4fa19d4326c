"""Whether what the harness reports is what a bare loop measures: their ratio, and its interval.

A bare loop is a program of its own that does the same in a loop and prints what a clock said. It
and a launch of the harness alternate, a block being bare, harness, harness, bare, so that a drift
of the machine cancels. The figure of either is the median of its samples; a block's ratio is of
the means of the logarithms, and the interval is over blocks.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.conftest import Figure
from harness import engines
from harness.analysis.summary import estimate
from harness.campaign.judge import judge
from harness.campaign.launch import Launcher
from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.models import environments
from harness.models.build import build as build_model
from harness.models.manifest import load_model
from harness.models.npm import device_files, fetch
from harness.native.build import build as build_runner
from harness.native.supervisor import supervisor
from harness.runner.python import edge_runner
from harness.transports.local.transport import LocalTransport
from harness.workspace import Workspace

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the bound is stated for x86-64"
)

HERE = Path(__file__).parent
MARGIN = 0.005
BLOCKS = 48
BROWSER_MARGIN = 0.02
BROWSER_BLOCKS = 24  # each of its launches takes seconds
SECONDS = 1.0
SLOW_MARGIN = 0.01
SLOW_BLOCKS = 24
SLOW_S = 3.0
PROFILE_BLOCKS = 6
START_RUNS = 9
WARM_S = 0.3  # left out of the bare loop's samples: the harness has its own warm-up


@pytest.fixture
def launcher(tmp_path):
    program = supervisor("x86_64-linux", print)
    with LocalTransport() as transport:
        yield Launcher(transport, str(tmp_path / "work"), program)


@pytest.fixture
def compiled(tmp_path):
    """The bare loop in C, by the compiler that the runner was compiled with."""
    program = tmp_path / "bare"
    python = environments.python("zig", print)
    command = [python, "-m", "ziglang", "cc", "-O2", HERE / "bare" / "calibration.c", "-o", program]
    subprocess.run(command, check=True)
    return program


def figure_of_bare(*command, seconds=SECONDS) -> float:
    done = subprocess.run(
        [*map(str, command), str(seconds + WARM_S)], check=True, capture_output=True, text=True
    )
    samples = [int(line) for line in done.stdout.split()]
    warm = 0
    for index, passed in enumerate(_running_total(samples)):
        if passed >= WARM_S * 1e9:
            warm = index
            break
    return statistics.median(samples[warm:])


def _running_total(values):
    total = 0
    for value in values:
        total += value
        yield total


def figure_of_launch(launcher, job, links, command) -> float:
    ended = launcher.run(job, links, command)
    verdict = judge(ended, job)
    assert verdict.status == "ok", verdict.reason
    launcher.forget([job.launch])
    return verdict.measured.figure_ns


def ratio(one, other, blocks=BLOCKS):
    """Return the estimate of one's figure over the other's, over blocks in the order ABBA."""
    ratios = []
    for number in range(blocks):
        b1, a1 = other(f"{number}-0"), one(f"{number}-1")
        a2, b2 = one(f"{number}-2"), other(f"{number}-3")
        ratios.append(math.sqrt(a1 * a2 / (b1 * b2)))
    return estimate(ratios)


def calibration_job(**changes):
    return Job(
        launch="fidelity",
        engine="calibration",
        files={"model": "model.json"},
        inputs=[InputSpec(name="x", shape=(2, 3))],
        check_seeds=[1, 2, 3],
        warmup=WarmupPolicy(min_seconds=0.2, max_seconds=0.5),
        sampling=Sampling(min_seconds=SECONDS, max_samples=100_000),
    ).model_copy(update=changes)


@pytest.fixture
def calibrate(launcher, tmp_path):
    """Launch the calibration runner with settings; give its figure."""
    runner = build_runner("calibration", "x86_64-linux", progress=print)
    model = tmp_path / "model.json"

    def launch(name, settings):
        model.write_text(json.dumps(settings))
        links = {"model.json": str(model), "runner": str(runner)}
        job = calibration_job(launch=name)
        return figure_of_launch(launcher, job, links, ["./runner", "job.json"])

    return launch


@pytest.mark.parametrize(
    ("key", "word", "amount"), [("work", "work", 800_000), ("spin_us", "spin", 2000)]
)
def test_calibration(calibrate, compiled, within, key, word, amount):
    found = ratio(
        lambda name: calibrate(name, {key: amount}),
        lambda _: figure_of_bare(compiled, word, amount),
    )
    within(f"calibration ({word}) / bare loop", found, MARGIN, f"{BLOCKS} blocks ABBA")


def test_onnx_runtime(launcher, within):
    model = load_model(Workspace(HERE.parent), "mobilenet_v1_025_96")
    artifact = build_model(model, "onnx", "any", progress=print)
    python = environments.python("onnxruntime", print)
    links = {name: str(artifact.folder / name) for name in artifact.roles.values()}
    links["edge_runner.py"] = edge_runner.__file__
    links["edge_engine.py"] = str(engines.get("onnxruntime").device_module)

    def launched(name):
        job = calibration_job(
            launch=name,
            engine="onnxruntime",
            files=dict(artifact.roles),
            inputs=model.manifest.inputs,
            check_seeds=model.manifest.check_seeds,
        )
        return figure_of_launch(launcher, job, links, [str(python), "edge_runner.py", "job.json"])

    bare = (python, HERE / "bare" / "onnx_runtime.py", artifact.path("model"))
    found = ratio(launched, lambda _: figure_of_bare(*bare))
    within("ONNX Runtime / bare loop", found, MARGIN, f"{BLOCKS} blocks ABBA, {sys.platform}")


def accelerated(launcher, engine, backend, seconds=SECONDS, **changes):
    """Return the artifact, the interpreter, and what launches an engine on an accelerator."""
    model = load_model(Workspace(HERE.parent), "mobilenet_v1_025_96")
    host = engines.get(engine)
    precision = host.usual_precision(backend)
    artifact = build_model(
        model, host.format_on(backend), "any", precision=precision, progress=print
    )
    python = environments.python("qnn" if backend == "npu:qnn" else engine, print)
    links = {name: str(artifact.folder / name) for name in artifact.roles.values()}
    links["edge_runner.py"] = edge_runner.__file__
    links["edge_engine.py"] = str(host.device_module)

    def launched(name, **more):
        job = calibration_job(
            launch=name,
            engine=engine,
            backend=backend,
            precision=precision,
            files=dict(artifact.roles),
            inputs=model.manifest.fed(),
            check_seeds=model.manifest.check_seeds,
            sampling=Sampling(min_samples=3, min_seconds=seconds, max_samples=100_000),
            **changes,
            **more,
        )
        return figure_of_launch(launcher, job, links, [str(python), "edge_runner.py", "job.json"])

    return artifact, python, launched


def test_an_npu(launcher, within):
    """Qualcomm's, in its simulator: slow, and as sensitive to what else the machine does."""
    artifact, python, launched = accelerated(launcher, "onnxruntime", "npu:qnn", SLOW_S)
    bare = (python, HERE / "bare" / "qnn.py", artifact.path("model"))
    found = ratio(launched, lambda _: figure_of_bare(*bare, seconds=SLOW_S), SLOW_BLOCKS)
    within("npu:qnn (simulated) / bare loop", found, SLOW_MARGIN, f"{SLOW_BLOCKS} blocks ABBA")


def test_a_gpu(launcher, within):
    """Vulkan's software driver."""
    artifact, python, launched = accelerated(launcher, "ncnn", "gpu", SLOW_S)
    files = (artifact.path("model"), artifact.path("params"))
    bare = (python, HERE / "bare" / "ncnn_gpu.py", *files, "1,3,96,96")
    found = ratio(launched, lambda _: figure_of_bare(*bare, seconds=SLOW_S), SLOW_BLOCKS)
    within("ncnn gpu (simulated) / bare loop", found, SLOW_MARGIN, f"{SLOW_BLOCKS} blocks ABBA")


def test_a_profile(launcher, record):
    """What profiling costs; the timed launches are without, as the two above show."""
    _, _, launched = accelerated(launcher, "onnxruntime", "npu:qnn", SLOW_S)
    found = ratio(lambda name: launched(name, protocol=2, profile=True), launched, PROFILE_BLOCKS)
    value = f"{found.center:.3f} [{found.low:.3f}, {found.high:.3f}]"
    how = f"{PROFILE_BLOCKS} blocks ABBA"
    record(Figure("npu:qnn profiled / timed", value, "no bound", kept=None, how=how))


def test_a_start_from_a_compiled_model(tmp_path, record):
    """Above ten times as fast as compiling, once Qualcomm's libraries are loaded."""
    model = load_model(Workspace(HERE.parent), "mobilenet_v1_025_96")
    artifact = build_model(model, "qnn", "any", precision="int8", progress=print)
    python = environments.python("qnn", print)
    command = [python, HERE / "bare" / "qnn_start.py", artifact.path("model"), tmp_path]
    told = []
    for _ in range(START_RUNS + 1):  # the first one fills
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told.append([float(word) for word in done.stdout.split()[-3:]])
    first, compiled, cached = (statistics.median(each) for each in zip(*told[1:], strict=True))
    times, how = compiled / cached, f"median of {START_RUNS} processes, libraries loaded"
    bound = "at least 10"
    record(Figure("npu:qnn compiled / cached start", f"{times:.1f}", bound, times >= 10, how))
    how = "the same, with the libraries in both"
    value = f"{(first - cached + compiled) / first:.1f}"
    record(Figure("npu:qnn first session: compiled / cached", value, "no bound", None, how))


def test_browser(launcher, within):
    model = load_model(Workspace(HERE.parent), "mobilenet_v1_025_96")
    artifact = build_model(model, "onnx", "any", progress=print)
    python = environments.python("browser", print)
    engine = engines.get("onnxruntime-web")
    links = {name: str(artifact.folder / name) for name in artifact.roles.values()}
    links |= {name: str(path) for name, path in device_files(engine, print).items()}

    def launched(name):
        job = calibration_job(
            launch=name,
            engine=engine.name,
            backend="wasm",
            files=dict(artifact.roles),
            inputs=model.manifest.inputs,
            check_seeds=model.manifest.check_seeds,
        )
        return figure_of_launch(launcher, job, links, [str(python), "edge_runner.py", "job.json"])

    (spec,) = model.manifest.inputs
    libraries = fetch(engine.npm, print) / engine.npm.package / "dist"
    bare = [python, HERE / "bare" / "browser.py", artifact.path("model"), libraries]
    bare += [spec.name, json.dumps(spec.shape)]
    found = ratio(launched, lambda _: figure_of_bare(*bare), BROWSER_BLOCKS)
    within("browser / bare page", found, BROWSER_MARGIN, f"{BROWSER_BLOCKS} blocks ABBA")


def test_supervisor(calibrate, tmp_path, within):
    """The same runner under the supervisor, and started by hand."""
    runner = build_runner("calibration", "x86_64-linux", progress=print)
    settings = {"work": 800_000}

    def by_hand(name):
        folder = tmp_path / f"hand-{name}"
        folder.mkdir()
        job = calibration_job(launch=name)
        (folder / "job.json").write_text(job.model_dump_json())
        (folder / "model.json").write_text(json.dumps(settings))
        subprocess.run([runner, "job.json"], cwd=folder, check=True)
        events = parse_events((folder / "events.jsonl").read_bytes())
        (samples,) = (event.ns for event in events if event.event == "samples")
        return statistics.median(samples)

    found = ratio(lambda name: calibrate(name, settings), by_hand)
    within("supervisor on / off", found, MARGIN, f"{BLOCKS} blocks ABBA")
