"""What engines say of accelerators, before anything is built or pushed."""

from types import SimpleNamespace

import pytest

from harness.engines import ENGINES, get


def device(abi):
    return SimpleNamespace(abi=abi, soc=None)


@pytest.mark.parametrize(
    ("engine", "abi", "backend", "said"),
    [
        ("onnxruntime", "x86_64-linux", "npu:qnn", None),
        ("onnxruntime", "arm64-linux", "npu:qnn", None),
        ("onnxruntime", "armv7hf-linux", "npu:qnn", "no wheel for armv7hf-linux"),
        ("onnxruntime", "x86_64-linux", "npu:other", "measured on cpu, npu:qnn only"),
        ("ncnn", "arm64-linux", "gpu", None),
        ("ncnn", "arm64-linux", "npu:qnn", "measured on cpu, gpu only"),
        ("mnn", "arm64-linux", "gpu:opencl", None),
        ("mnn", "arm64-linux", "gpu", "measured on cpu, gpu:opencl, gpu:vulkan only"),
        ("openvino", "x86_64-linux", "npu:intel", None),
        ("openvino", "x86_64-linux", "gpu:x", "measured on cpu, gpu, npu:intel only"),
    ],
)
def test_what_is_lacking(engine, abi, backend, said):
    found = get(engine).lacks(device(abi), backend)
    assert (found is None) if said is None else (said in str(found))


def test_intels_npu_runs_what_is_quantized():
    engine = get("openvino")
    assert engine.precisions_on(device("x86_64-linux"), "npu:intel") == ("int8",)
    assert engine.usual_precision("npu:intel") == "int8"
    assert engine.usual_precision("gpu") == "fp32"


def test_an_npu_has_artifacts_of_its_own_that_are_compiled_for_one_shape():
    engine = get("onnxruntime")
    assert (engine.format_on("cpu"), engine.format_on("npu:qnn")) == ("onnx", "qnn")
    assert engine.precisions_on(device("x86_64-linux"), "npu:qnn") == ("int8", "fp16")
    assert engine.usual_precision("npu:qnn") == "int8"
    assert engine.keeps_models("npu:qnn")
    assert not engine.keeps_models("cpu")
    assert not engine.changes_shapes(device("x86_64-linux"), "npu:qnn")


@pytest.mark.parametrize("engine", list(ENGINES), ids=lambda engine: engine.name)
def test_profiles_are_launched_of_engines_that_measure_their_operators(engine):
    sources = [engine.device_module, engine.folder / "runner.cc"]
    text = "".join(path.read_text(encoding="utf-8") for path in sources if path.exists())
    assert engine.profiles == ("def profile(" in text or "parse_layers(" in text)
