"""Engines asked for an accelerator: what computes elsewhere is found, in each that can fall back.

Qualcomm's runtime computes in its simulator, ncnn's Vulkan on Mesa's software driver; MNN's and
OpenVINO's packages find no GPU here.
"""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.campaign.judge import judge
from harness.campaign.runners import Runner
from harness.core.contract import InputSpec, Job, Sampling, WarmupPolicy, parse_events
from harness.core.records import Status
from harness.core.supervision import Supervision
from harness.engines import get
from harness.models import environments
from harness.models.adding import Known, add
from harness.models.build import build
from harness.models.manifest import load_model
from harness.workspace import Workspace
from tests.runner.conftest import device_module

pytestmark = pytest.mark.e2e

REPOSITORY = Workspace(Path(__file__).parents[2])
HARDMAX = Path(__file__).parents[1] / "data" / "onnx" / "hardmax.onnx"
ENVIRONMENTS = {"onnxruntime": "qnn", "mnn": "mnn", "openvino": "openvino", "ncnn": "ncnn"}


def quiet(_):
    pass


@pytest.fixture
def hardmax(workspace):
    """Two convolutions with an operator between them that Qualcomm's NPU lacks."""
    add(workspace, HARDMAX, Known(licence="MIT", name="hardmax"), progress=quiet)
    return load_model(workspace, "hardmax")


@pytest.fixture
def measure(launch):
    """Launch an engine on a backend; return its job and what it left."""

    def measured(engine, backend, model=None, *, environment=None, path="", shapes=None, **fields):
        host = get(engine)
        model = model or load_model(REPOSITORY, "mobilenet_v1_025_96")
        precision = host.usual_precision(backend)
        built = build(
            model, host.format_on(backend), "any", shapes=shapes, precision=precision,
            progress=quiet,
        )  # fmt: skip
        job = Job(
            protocol=2,
            launch="test",
            engine=engine,
            backend=backend,
            precision=precision,
            files=dict(built.roles),
            inputs=[InputSpec(**spec.model_dump()) for spec in model.manifest.fed(shapes)],
            warmup=WarmupPolicy(min_samples=1, min_seconds=0, max_samples=1),
            sampling=Sampling(min_samples=1, min_seconds=0, max_samples=2),
            **fields,
        )
        artifact = {name: built.folder / name for name in built.roles.values()}
        python = environments.python(environment or ENVIRONMENTS[engine], quiet)
        return job, launch(job, artifact, python=(python,), path=path)

    return measured


def judged(job, ended):
    """Judge what a launch left as a campaign does."""
    left = SimpleNamespace(
        events=(ended.folder / "events.jsonl").read_bytes(), status=ended.returncode,
        log=ended.stderr, outside=Supervision(),
    )  # fmt: skip
    return judge(left, job, runner=Runner)


def refused(ended):
    assert ended.returncode == 1
    assert ended["error"].kind == "EngineMissing"
    return ended["error"].message


def test_a_hardmax_in_the_middle_is_placed_on_the_processor(measure, hardmax):
    _, ended = measure("onnxruntime", "npu:qnn", hardmax, profile=True)
    assert ended.returncode == 0, ended.stderr
    parts = ended["placement"].parts
    assert [part.op for part in parts if part.op not in ("QuantizeLinear", "DequantizeLinear")] == [
        "", "", "Hardmax",
    ]  # fmt: skip
    assert sum(part.operators for part in parts if not part.op) == ended["loaded"].units["npu"]


def test_strict_makes_a_fallback_an_error(measure, hardmax):
    _, ended = measure("onnxruntime", "npu:qnn", hardmax, options={"strict": "1"})
    assert ended.returncode == 1
    assert ended["error"].kind == "EngineFailed"
    assert "fallback to CPU EP has been explicitly disabled" in ended["error"].message


@pytest.mark.parametrize("name", ["opencl", "vulkan"])
def test_mnn_takes_its_cpu_without_an_error_and_is_refused(measure, name):
    _, ended = measure("mnn", f"gpu:{name}")
    assert f"backend gpu:{name}: MNN would run on its CPU instead" in refused(ended)


@pytest.mark.parametrize("backend", ["gpu", "npu:intel"])
def test_a_device_that_openvino_does_not_find_is_named(measure, backend):
    _, ended = measure("openvino", backend)
    assert refused(ended) == f"backend {backend}: OpenVINO finds only CPU here"


def test_openvino_choosing_by_itself_is_invalid_where_it_took_the_processor(measure, launch):
    source = device_module("openvino").read_text()
    automatic = "\nENGINE.device_for = lambda self, backend: 'AUTO'\n"
    (launch.folder / "edge_engine.py").write_text(source + automatic)
    job, ended = measure("openvino", "gpu")
    assert ended.returncode == 0, ended.stderr
    assert ended["loaded"].build["execution_devices"] == "CPU"
    found = judged(job, ended)
    assert found.status is Status.INVALID
    assert str(found.reason) == "fell back: the engine ran all operators on cpu, none on gpu"


def test_a_gpu_that_vulkan_does_not_find_is_named(measure, monkeypatch):
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nowhere.json")
    monkeypatch.setenv("VK_DRIVER_FILES", "/nowhere.json")
    _, ended = measure("ncnn", "gpu")
    assert refused(ended) == "backend gpu: Vulkan finds no device here"


PLUGIN = """
__version__ = "9.9"
get_ep_name = lambda: "QNNExecutionProvider"
get_library_path = lambda: __file__
get_qnn_htp_path = lambda: __file__
"""


def test_a_python_without_the_plugin_is_named(measure):
    _, ended = measure("onnxruntime", "npu:qnn", environment="onnxruntime")
    assert refused(ended) == "backend npu:qnn: the package onnxruntime-qnn is not installed"


def test_a_plugin_that_onnx_runtime_does_not_load_is_named_with_both_versions(
    measure, launch, tmp_path_factory
):
    """As one for another version: its library is no library, in a double of the package."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "onnxruntime_qnn.py").write_text(PLUGIN)
    _, ended = measure("onnxruntime", "npu:qnn", environment="onnxruntime", path=folder)
    said = refused(ended)
    assert said.startswith("backend npu:qnn: onnxruntime-qnn 9.9 in onnxruntime 1.")
    assert "does not load: " in said


def test_a_model_of_variable_shape_is_built_for_the_shapes_that_are_asked_for(measure):
    model = load_model(REPOSITORY, "ppocr_v4_cls")
    two = model.manifest.batched(2, None)
    _, ended = measure("onnxruntime", "npu:qnn", model, shapes=two, check_seeds=[1])
    assert ended.returncode == 0, ended.stderr
    assert ended["outputs"].shape[0] == 2
    assert ended["loaded"].units["npu"] > 0


@pytest.fixture
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("model-cache")


@pytest.fixture
def again(launch):
    """Start a launch's runner once more, with changes of its job."""

    def started(**changes):
        job = json.loads((launch.folder / "job.json").read_text()) | changes
        folder = launch.folder / f"again-{len(list(launch.folder.glob('again-*')))}"
        folder.mkdir()
        for path in launch.folder.iterdir():
            if path.is_symlink():
                (folder / path.name).symlink_to(path.resolve())
        (folder / "job.json").write_text(json.dumps(job))
        python = environments.python("qnn", quiet)
        ended = subprocess.run(
            [python, "edge_runner.py", "job.json"], cwd=folder, capture_output=True, check=False
        )
        return ended.returncode, parse_events((folder / "events.jsonl").read_bytes())

    return started


def test_a_compiled_model_is_taken_only_by_what_it_was_compiled_for(measure, again, cache):
    _, first = measure("onnxruntime", "npu:qnn", model_cache=str(cache))
    assert first.returncode == 0, first.stderr
    (kept,) = cache.iterdir()
    status, events = again()
    assert status == 0
    assert next(each for each in events if each.event == "loaded").units["npu"] == 1
    assert list(cache.iterdir()) == [kept]
    # For another chip, it is compiled anew.
    status, events = again(options={"soc_model": "60"})
    assert status == 0
    assert next(each for each in events if each.event == "loaded").units["npu"] > 1
    assert len(list(cache.iterdir())) == 2


def test_a_compiled_model_that_is_cut_short_ends_the_launch_by_name(measure, again, cache):
    measure("onnxruntime", "npu:qnn", model_cache=str(cache))
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    status, events = again()
    assert status == 1
    assert (events[-1].event, events[-1].kind) == ("error", "EngineFailed")
    assert kept.name in events[-1].message


def test_two_that_fill_one_cache_at_once_leave_one_whole_model(measure, again, cache, tmp_path):
    measure("onnxruntime", "npu:qnn")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(again, model_cache=str(cache)) for _ in range(2)]
        assert [each.result()[0] for each in runs] == [0, 0]
    (kept,) = cache.iterdir()
    assert kept.suffix == ".onnx"
    status, events = again(model_cache=str(cache))
    assert status == 0
    assert next(each for each in events if each.event == "loaded").units["npu"] == 1
