"""The Python runner: loads one artifact in one engine, measures it, and writes what it saw.

``python edge_runner.py job.json``, in the launch's folder, appends one JSON object a line to
``events.jsonl``. It exits with 0 after ``done`` and with 1 after ``error``; whoever ends it from
outside finds the events so far. ``docs/runner-contract.md`` describes both files.

This file stands alone: it needs Python 3.8 or newer, Linux, and the engine with its numpy.
Modules that an engine imports too (ctypes among them) are imported where they are used, so that
the runner does not pay for them before the import of the engine is timed.
"""
# ruff: noqa: ANN401 - engines have no types
# ruff: noqa: B905 - zip() has no strict= before Python 3.10
# ruff: noqa: D102 - the protocol Engine documents its implementations' methods
# ruff: noqa: E402, PLC0415 - see above

from __future__ import annotations

import time

FIRST_LINE = time.perf_counter()

import gc
import json
import os
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO, Protocol

    from numpy.typing import NDArray

    class Engine(Protocol):
        """An inference engine; making one imports it.

        Attributes
        ----------
        roles
            The files that an artifact consists of.
        backend
            The one that it has.
        takes
            The options that a job may set.
        run
            One inference on the inputs that are set; the only thing that is timed. There from
            ``bind`` on.
        """

        roles: tuple[str, ...]
        backend: str
        takes: tuple[str, ...]
        run: Callable[[], object]

        def configure(self, job: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
            """Take the settings from a job; return the engine's version and what it was set to.

            Without a version, ``told`` has it.
            """

        @property
        def told(self) -> dict[str, Any]:
            """Return more of ``loaded``, where only the predictor knows it: versions."""

        def load(self) -> list[str]:
            """Make the predictor from the artifact's files; return its inputs' names."""

        def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
            """Set all inputs."""

        def fetch(self) -> list[tuple[str, NDArray[Any]]]:
            """Return the outputs of the last inference; arrays may be the engine's own memory."""


PROTOCOL = 1
INPUT_SPEC_VERSION = 1
RUNNER_VERSION = "3"
SHORT_TEXT = 200
LONG_TEXT = 8000
DTYPES = ("float32", "int64", "int32")
JOB_KEYS = (
    "protocol",
    "input_spec_version",
    "engine",
    "backend",
    "files",
    "inputs",
    "seed",
    "check_seeds",
    "threads",
    "affinity",
    "warmup",
    "sampling",
    "page_cache",
    "model_cache",
)


class LaunchError(Exception):
    """The launch cannot go on.

    Parameters
    ----------
    kind
        ``BadJob``, ``EngineMissing`` or ``EngineFailed``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@contextmanager
def engine_is(doing: str) -> Iterator[None]:
    """Blame the engine for what goes wrong inside."""
    try:
        yield
    except LaunchError:
        raise
    except Exception as error:
        raise LaunchError("EngineFailed", f"{doing}: {type(error).__name__}: {error}") from error


# --- engines ---


class OnCpu:
    """What the engines for the processor have in common."""

    backend = "cpu"
    takes: tuple[str, ...] = ()
    run: Callable[[], object]

    @property
    def told(self) -> dict[str, Any]:
        """Nothing that ``configure`` did not say."""
        return {}


class PaddleInference(OnCpu):
    """Paddle Inference on the CPU.

    Only its core extension is loaded: ``import paddle`` brings a whole training framework, which
    takes a minute on an emulated board. The core's surface is private; where it cannot be used,
    the runner starts itself anew for the full import (one process cannot initialise the same
    extension twice). oneDNN and graph optimisation stay as the engine has them, which is how its
    users meet them (x86 wheels: both on), and are recorded. In int8 one fusion is left out: it
    adds a residual in the wrong scale, and what a residual network computes is garbage then.
    """

    roles: tuple[str, ...] = ("model", "params")
    full_import = "EDGE_RUNNER_PADDLE_CORE_FAILED"  # the variable that says why
    residual_fusion = "conv_elementwise_add_mkldnn_fuse_pass"

    def __init__(self) -> None:
        self.core_failed = os.environ.get(self.full_import)
        if self.core_failed is not None:
            import paddle
            from paddle import inference

            self.new_config, self.new_predictor = inference.Config, inference.create_predictor
            self.copy_in = "copy_from_cpu"
            self.version = str(paddle.__version__)
            return
        try:
            core = self.load_core()
            self.new_config, self.new_predictor = core.AnalysisConfig, core.create_predictor
            self.copy_in = "_copy_from_cpu_bind"
            self.version = core.get_version().split()[1]  # "version: 3.2.2\ncommit: …"
        except ModuleNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a private surface may raise
            os.environ[self.full_import] = text(f"{type(error).__name__}: {error}", SHORT_TEXT)
            arguments = getattr(sys, "orig_argv", ["", *sys.argv])[1:]  # from Python 3.10 on
            os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - itself

    @staticmethod
    def load_core() -> Any:
        """Load ``paddle/base/libpaddle.so`` without the package around it."""
        import importlib.util

        import numpy as np  # noqa: F401 - the core would import it: fail clearly here

        package = importlib.util.find_spec("paddle")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("No module named 'paddle'", name="paddle")
        path = os.path.join(package.submodule_search_locations[0], "base", "libpaddle.so")
        spec = importlib.util.spec_from_file_location("libpaddle", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not an extension module")
        core = importlib.util.module_from_spec(spec)
        sys.modules["libpaddle"] = core
        spec.loader.exec_module(core)
        core.init_memory_method()
        core.init_devices()
        return core

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.config = self.new_config(job["files"]["model"], job["files"]["params"])
        self.config.disable_glog_info()
        self.config.set_cpu_math_library_num_threads(job["threads"])
        if job.get("precision") == "int8":
            # Without this a quantized program is computed in fp32, ten times slower.
            self.config.enable_mkldnn()
            self.config.enable_mkldnn_int8()
            if not self.config.mkldnn_int8_enabled():
                raise LaunchError("EngineFailed", "this build has no oneDNN, and so no int8")
            self.config.delete_pass(self.residual_fusion)
        build = {
            "loader": "core" if self.core_failed is None else "full",
            "mkldnn": "on" if self.config.mkldnn_enabled() else "off",
            "int8": "on" if job.get("precision") == "int8" else "off",
            "ir_optim": "on" if self.config.ir_optim() else "off",
            "threads": str(self.config.cpu_math_library_num_threads()),
        }
        if job.get("precision") == "int8":
            build["deleted_pass"] = self.residual_fusion
        if self.core_failed is not None:
            build["core_failed"] = self.core_failed
        return self.version, build

    def load(self) -> list[str]:
        self.predictor = self.new_predictor(self.config)
        self.run = self.predictor.run
        return list(self.predictor.get_input_names())

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for name, value in inputs.items():
            handle = self.predictor.get_input_handle(name)
            handle.reshape(list(value.shape))
            getattr(handle, self.copy_in)(value)

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (name, self.predictor.get_output_handle(name).copy_to_cpu())
            for name in self.predictor.get_output_names()
        ]


class OnnxRuntime(OnCpu):
    """ONNX Runtime on the CPU, inputs and outputs bound: no copy is part of an inference."""

    roles: tuple[str, ...] = ("model",)

    def __init__(self) -> None:
        import onnxruntime

        self.ort = onnxruntime

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.options = self.ort.SessionOptions()
        self.options.intra_op_num_threads = job["threads"]
        self.options.inter_op_num_threads = 1
        build = {
            "provider": "CPUExecutionProvider",
            "graph_optimization": str(self.options.graph_optimization_level).rsplit(".", 1)[-1],
            "threads": str(self.options.intra_op_num_threads),
        }
        return str(self.ort.__version__), build

    def load(self) -> list[str]:
        self.session = self.ort.InferenceSession(
            self.model, self.options, providers=["CPUExecutionProvider"]
        )
        return [value.name for value in self.session.get_inputs()]

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        self.inputs = inputs  # the binding may point into them
        self.binding = self.session.io_binding()
        for name, value in inputs.items():
            self.binding.bind_cpu_input(name, value)
        for output in self.session.get_outputs():
            self.binding.bind_output(output.name)
        session, binding = self.session, self.binding
        self.run = lambda: session.run_with_iobinding(binding)

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        names = [value.name for value in self.session.get_outputs()]
        return list(zip(names, self.binding.copy_outputs_to_cpu()))


class PaddleLite(OnCpu):
    """Paddle Lite's light API for x86, which runs on one thread and cannot be told otherwise."""

    roles: tuple[str, ...] = ("model",)

    def __init__(self) -> None:
        import numpy as np
        from paddlelite import lite

        self.lite = lite
        self.numpy_version = np.__version__

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        if job["threads"] != 1:
            raise LaunchError(
                "BadJob",
                f"{job['threads']} threads: Paddle Lite's Python API cannot set threads on x86, "
                "it always runs on 1",
            )
        if int(self.numpy_version.split(".")[0]) >= 2:  # noqa: PLR2004 - numpy's own number
            raise LaunchError(
                "EngineFailed",
                f"numpy {self.numpy_version}: Paddle Lite returns garbage with numpy 2 or newer",
            )
        from importlib import metadata

        self.config = self.lite.MobileConfig()
        self.config.set_model_from_file(job["files"]["model"])
        return metadata.version("paddlelite"), {"api": "light", "threads": "1"}

    def load(self) -> list[str]:
        self.predictor = self.lite.create_paddle_predictor(self.config)
        self.run = self.predictor.run
        return list(self.predictor.get_input_names())

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for index, name in enumerate(self.predictor.get_input_names()):
            self.predictor.get_input(index).from_numpy(inputs[name])

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (name, self.predictor.get_output(index).numpy())
            for index, name in enumerate(self.predictor.get_output_names())
        ]


class OpenVino(OnCpu):
    """OpenVINO's CPU plugin on an ONNX model, inputs shared: no copy is part of an inference.

    One stream, and fp32 where the plugin would choose bf16 or fp16 by itself. With several threads
    it binds them to processors, within the job's affinity, as its users meet it.
    """

    roles: tuple[str, ...] = ("model",)

    def __init__(self) -> None:
        import openvino

        self.ov = openvino

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": job["threads"],
            "INFERENCE_PRECISION_HINT": "f32",
        }
        build = {name.lower(): str(value) for name, value in self.properties.items()}
        return str(self.ov.get_version()), build

    def load(self) -> list[str]:
        self.compiled = self.ov.Core().compile_model(self.model, "CPU", self.properties)
        wanted = self.properties["INFERENCE_NUM_THREADS"]
        self.threads = self.compiled.get_property("INFERENCE_NUM_THREADS")
        if self.threads != wanted:  # it takes no more than there are processors
            raise LaunchError("BadJob", f"{wanted} threads: OpenVINO would run on {self.threads}")
        self.request = self.compiled.create_infer_request()
        return [value.get_any_name() for value in self.compiled.inputs]

    @property
    def told(self) -> dict[str, Any]:
        """What the plugin made of the settings."""
        return {"build": {"threads": str(self.threads)}}

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        self.inputs = inputs  # shared: the tensors point into them
        for name, value in inputs.items():
            self.request.set_tensor(name, self.ov.Tensor(value, shared_memory=True))
        infer = self.request.infer
        self.run = lambda: infer(share_outputs=True)

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (
                output.get_any_name() if output.get_names() else "",
                self.request.get_tensor(output).data,
            )
            for output in self.compiled.outputs
        ]


class Mnn(OnCpu):
    """MNN on the CPU through its session API; shapes are planned when the model is loaded.

    The inputs are copied into the session's memory when they are set. Its integers have 32 bits.
    """

    roles: tuple[str, ...] = ("model",)
    thread_number = 4  # in its enumeration SessionInfoCode

    def __init__(self) -> None:
        import MNN

        self.mnn = MNN

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.shapes = {spec["name"]: tuple(spec["shape"]) for spec in job["inputs"]}
        # "high" is fp32; "normal" may be less on processors that have fp16.
        self.settings = {"backend": "CPU", "numThread": job["threads"], "precision": "high"}
        return str(self.mnn.version()), {"backend": "CPU", "precision": "high"}

    def load(self) -> list[str]:
        self.net = self.mnn.Interpreter(self.model)
        self.session = self.net.createSession(self.settings)
        names = list(self.net.getSessionInputAll(self.session))
        if sorted(names) == sorted(self.shapes):  # else the launch ends with both lists
            self.resize(self.shapes)
        return names

    @property
    def told(self) -> dict[str, Any]:
        """What the session made of the settings."""
        import struct

        # The binding takes the bits of every answer for a float's; this one is an integer's.
        bits = struct.pack("f", self.net.getSessionInfo(self.session, self.thread_number))
        return {"build": {"threads": str(*struct.unpack("i", bits))}}

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Plan for shapes."""
        self.shapes = dict(shapes)
        for name, shape in shapes.items():
            tensor = self.net.getSessionInput(self.session, name)
            self.net.resizeTensor(tensor, shape)
        self.net.resizeSession(self.session)

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        shapes = {name: value.shape for name, value in inputs.items()}
        if shapes != self.shapes:
            self.resize(shapes)
        for name, value in inputs.items():
            given = self.mnn.Tensor(value.shape, *self.kind(value))
            if not self.net.getSessionInput(self.session, name).copyFrom(given):
                raise RuntimeError(f"input {name!r} cannot be copied into the session")
        net, session = self.net, self.session

        def run() -> None:
            if code := net.runSession(session):
                raise RuntimeError(f"runSession returned {code}")

        self.run = run

    def kind(self, value: NDArray[Any]) -> tuple[Any, NDArray[Any], Any]:
        """Return MNN's type, the values in it, and the layout of a tensor as numpy has it."""
        layout = self.mnn.Tensor_DimensionType_Caffe
        if value.dtype.kind == "f":
            return self.mnn.Halide_Type_Float, value, layout
        return self.mnn.Halide_Type_Int, value.astype("int32"), layout

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        import numpy as np

        found = []
        for name, tensor in self.net.getSessionOutputAll(self.session).items():
            floats = tensor.getDataType() == self.mnn.Halide_Type_Float
            value = np.zeros(tensor.getShape(), "float32" if floats else "int32")
            host = self.mnn.Tensor(value.shape, *self.kind(value))
            tensor.copyToHostTensor(host)
            found.append((name, np.array(host.getNumpyData()).reshape(value.shape)))
        return found


class Ncnn(OnCpu):
    """ncnn on the CPU, in fp32: what its options turn to fp16 or bf16 is off.

    Its graph has names of its own (in0, out0 …): inputs are given in the job's order, which is that
    of the model that the harness builds. An extractor computes an output once: each inference has
    one of its own, and making it and handing the inputs to it are timed.
    """

    roles: tuple[str, ...] = ("model", "params")
    halves = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")

    def __init__(self) -> None:
        import ncnn
        import numpy as np  # noqa: F401 - for its version in hello

        self.ncnn = ncnn

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.files = [job["files"][role] for role in self.roles]
        self.names = [spec["name"] for spec in job["inputs"]]
        self.net = self.ncnn.Net()
        options = self.net.opt
        options.use_vulkan_compute = False
        options.num_threads = job["threads"]
        for name in self.halves:
            setattr(options, name, False)
        return str(self.ncnn.__version__), {
            "threads": str(options.num_threads),
            "precision": "fp32",
            "openmp_blocktime_ms": str(options.openmp_blocktime),
        }

    def load(self) -> list[str]:
        for read, path in zip((self.net.load_param, self.net.load_model), self.files):
            if code := read(path):
                raise RuntimeError(f"{path} cannot be loaded ({code}): see the launch's log")
        own = len(self.net.input_names())
        return self.names if own == len(self.names) else self.net.input_names()

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        Mat = self.ncnn.Mat  # noqa: N806 - a class
        given = []
        for own, name in zip(self.net.input_names(), self.names):
            value = inputs[name]
            value = value.astype("int32") if value.dtype.kind == "i" else value
            given.append((own, Mat(value, batch_index=0).clone()))
        outputs = self.net.output_names()
        create = self.net.create_extractor

        def run() -> None:
            extractor = create()
            for name, value in given:
                extractor.input(name, value)
            self.outputs = [extractor.extract(name) for name in outputs]

        self.run = run

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        import numpy as np

        found = []
        for name, (code, value) in zip(self.net.output_names(), self.outputs):
            if code:
                raise RuntimeError(f"output {name!r}: extract returned {code}")
            found.append((name, np.array(value.numpy(batch_index=0))))
        self.outputs = []  # they are the net's memory
        return found


class Rknn:
    """RKNN on Rockchip's NPUs, through RKNN-Toolkit-Lite2.

    Its ``inference`` converts the inputs and hands them over, runs, and copies the outputs: all
    of it is timed. (The native runner times the run alone.) Names it does not tell: inputs are
    given in the job's order, which is that of the model that the harness builds.
    """

    roles: tuple[str, ...] = ("model",)
    backend = "npu:rknpu"
    takes: tuple[str, ...] = ("core_mask",)
    core_masks = ("auto", "0", "1", "2", "0_1", "0_1_2")
    run: Callable[[], object]

    def __init__(self) -> None:
        from rknnlite.api import RKNNLite

        self.toolkit = RKNNLite

    def configure(self, job: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
        from importlib import metadata

        if job["threads"] != 1:
            raise LaunchError("BadJob", f"{job['threads']} threads: RKNN has none to set")
        mask = job.get("options", {}).get("core_mask", "auto")
        if mask not in self.core_masks:
            raise LaunchError(
                "BadJob", f"core_mask cannot be {mask!r}: {', '.join(self.core_masks)}"
            )
        self.core_mask = getattr(self.toolkit, f"NPU_CORE_{mask.upper()}")
        self.model = job["files"]["model"]
        self.names = [spec["name"] for spec in job["inputs"]]
        self.lite = self.toolkit()
        return None, {
            "rknn-toolkit-lite2": metadata.version("rknn-toolkit-lite2"),
            "core_mask": mask,
            "timed": "inputs, run and outputs",
        }

    def load(self) -> list[str]:
        self.check("load_rknn", self.lite.load_rknn(self.model))
        self.check("init_runtime", self.lite.init_runtime(core_mask=self.core_mask))
        return self.names

    @property
    def told(self) -> dict[str, Any]:
        """The versions of the runtime and of the NPU's driver, of the toolkit's text."""
        import re

        versions = dict(re.findall(r"(API|DRV): *(.+)", self.lite.get_sdk_version() or ""))
        known = {"engine_version": versions["API"]} if "API" in versions else {}
        return {**known, "build": {"driver": versions["DRV"]}} if "DRV" in versions else known

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        import numpy as np

        # Images as NHWC, which is what the runtime takes: else the toolkit would transpose them
        # in every inference.
        images = [inputs[name].ndim == 4 for name in self.names]  # noqa: PLR2004 - NCHW
        given = [
            np.ascontiguousarray(inputs[name].transpose(0, 2, 3, 1)) if image else inputs[name]
            for name, image in zip(self.names, images)
        ]
        formats = ["nhwc" if image else "nchw" for image in images]

        def run() -> None:
            # Copies, for it writes into the lists that it is given.
            self.outputs = self.lite.inference(inputs=given[:], data_format=formats[:])
            if self.outputs is None:
                raise RuntimeError("inference failed: the launch's log has the toolkit's words")

        self.run = run

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [("", output) for output in self.outputs]

    @staticmethod
    def check(call: str, code: int) -> None:
        """Raise what the toolkit only returns."""
        if code != 0:
            raise RuntimeError(f"{call} returned {code}: the launch's log has the toolkit's words")


ENGINES: dict[str, type[Engine]] = {
    "paddle-inference": PaddleInference,
    "onnxruntime": OnnxRuntime,
    "paddle-lite": PaddleLite,
    "openvino": OpenVino,
    "mnn": Mnn,
    "ncnn": Ncnn,
    "rknn": Rknn,
}


# --- inputs ---

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
CHUNK = 1 << 16


def make_input(spec: dict[str, Any], seed: int, index: int) -> NDArray[Any]:
    """Make the values of one input tensor, the same ones on any platform.

    Parameters
    ----------
    spec
        The input: ``shape``, and ``dtype``, ``low`` and ``high`` where they are not the defaults
        of the contract (``float32``, 0, 1).
    seed, index
        Of the job's seeds one, and the input's place among the inputs.

    Returns
    -------
    ndarray
        Of the shape and dtype, in C order: SplitMix64's output [1]_ for the stream
        ``finalizer(seed * 2**32 + index)``, its upper 24 bits scaled to ``[low, high)``.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
       OOPSLA 2014, doi:10.1145/2660193.2660195.
    """
    import numpy as np

    low, high = float(spec.get("low", 0.0)), float(spec.get("high", 1.0))
    state = (seed * 2**32 + index) & MASK
    state = ((state ^ (state >> 30)) * MIX_1) & MASK
    state = ((state ^ (state >> 27)) * MIX_2) & MASK
    state ^= state >> 31
    result = np.empty(spec["shape"], dtype=spec.get("dtype", "float32"))
    flat = result.reshape(-1)
    # In pieces, so that scratch memory does not show in the peak of a launch. Every operand is
    # an array or a numpy scalar of 64 unsigned bits: of an array and a Python integer numpy 1
    # may make doubles. Arrays wrap around, as they should.
    for start in range(0, flat.size, CHUNK):
        bits = np.arange(start + 1, min(start + CHUNK, flat.size) + 1, dtype=np.uint64)
        bits *= np.uint64(GAMMA)
        bits += np.uint64(state)
        bits ^= bits >> np.uint64(30)
        bits *= np.uint64(MIX_1)
        bits ^= bits >> np.uint64(27)
        bits *= np.uint64(MIX_2)
        bits ^= bits >> np.uint64(31)
        values = low + (bits >> np.uint64(40)).astype(np.float64) / 2.0**24 * (high - low)
        flat[start : start + CHUNK] = np.floor(values) if flat.dtype.kind == "i" else values
    return result


def make_inputs(job: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Make all inputs of a job for a seed, by name."""
    return {spec["name"]: make_input(spec, seed, index) for index, spec in enumerate(job["inputs"])}


def check_inputs(
    job: dict[str, Any], change: int | None = None
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield each check seed with its inputs by name: from the job's files, or made of the seed.

    Parameters
    ----------
    change
        Which of the job's changes of shape ``inputs`` are of, if any.
    """
    files = job.get("check_files", [])
    if not files:
        for seed in job["check_seeds"]:
            yield seed, make_inputs(job, seed)
        return
    path = files[0 if change is None else 1 + change]
    try:
        with open(path, "rb") as file:
            for seed in job["check_seeds"]:
                yield seed, {spec["name"]: read_input(file, spec) for spec in job["inputs"]}
            if file.read(1):
                raise LaunchError("BadJob", f"{path} has more than the inputs of the check seeds")
    except OSError as error:
        raise LaunchError("BadJob", f"{path}: {error.strerror}") from error


def read_input(file: BinaryIO, spec: Mapping[str, Any]) -> NDArray[Any]:
    """Read one input's values."""
    import numpy as np

    dtype = np.dtype(spec.get("dtype", "float32"))
    size = int(np.prod(spec["shape"], dtype=np.int64)) * dtype.itemsize
    content = file.read(size)
    if len(content) != size:
        raise LaunchError("BadJob", f"{file.name} ends within input {spec['name']!r}")
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype).reshape(spec["shape"])


# --- what is timed ---


def warm_up(
    run: Callable[[], object],
    policy: Mapping[str, Any],
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[list[int], str]:
    """Run until two moving averages agree, within the policy's bounds.

    Returns
    -------
    samples : list of int
        Nanoseconds, in order.
    reason : str
        ``steady``, ``max_samples`` or ``max_seconds``.
    """
    samples: list[int] = []
    fast = slow = 0.0
    streak = 0
    begun = clock()
    while True:
        elapsed = (clock() - begun) / 1e9
        if (
            streak >= policy["window"]
            and len(samples) >= policy["min_samples"]
            and elapsed >= policy["min_seconds"]
        ):
            return samples, "steady"
        if len(samples) >= policy["max_samples"]:
            return samples, "max_samples"
        if elapsed >= policy["max_seconds"]:
            return samples, "max_seconds"
        before = clock()
        run()
        taken = clock() - before
        if not samples:
            fast = slow = float(taken)
        fast += 0.1 * (taken - fast)
        slow += 0.005 * (taken - slow)
        streak = streak + 1 if abs(fast - slow) <= policy["tolerance"] * slow else 0
        samples.append(taken)


def sample(
    run: Callable[[], object],
    limits: Mapping[str, Any],
    clock: Callable[[], int] = time.perf_counter_ns,
    sustained: bool = False,  # noqa: FBT001, FBT002 - as the job has it
) -> tuple[list[int], int]:
    """Run until both minima are reached, within both maxima.

    Parameters
    ----------
    sustained
        Not to end at the most samples, but to drop every other one there, and from then on to
        keep only every second, fourth, … inference.

    Returns
    -------
    samples : list of int
        Nanoseconds, in order.
    inferences : int
        How many were made.
    """
    samples: list[int] = []
    every, inferences = 1, 0
    least, most = limits["min_samples"], limits["max_samples"]
    least_ns, most_ns = limits["min_seconds"] * 1e9, limits["max_seconds"] * 1e9
    begun = after = clock()
    while (sustained or inferences < most) and after - begun < most_ns:
        if inferences >= least and after - begun >= least_ns:
            break
        before = clock()
        run()
        after = clock()
        if inferences % every == 0:
            samples.append(after - before)
            if sustained and len(samples) > most:
                del samples[1::2]
                every *= 2
        inferences += 1
    return samples, inferences


# --- what the kernel says ---


def process_ms() -> float | None:
    """From the process's start to this file's first line; in steps of the kernel's 10 ms."""
    if PaddleInference.full_import in os.environ:
        return None  # it would count a failed attempt
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, see proc(5)
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    return max(0.0, (age - (time.perf_counter() - FIRST_LINE)) * 1e3)


def vmhwm_bytes() -> int:
    """Return the process's peak resident set; ``ru_maxrss`` would inherit the parent's."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def environment(root: str = "/") -> dict[str, Any]:
    """Return what sensors say; what does not exist or cannot be read is left out."""
    from glob import glob

    def read(path: str) -> str:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return ""

    seen: dict[str, Any] = {"frequencies_khz": {}, "temperatures_c": {}}
    load = read(os.path.join(root, "proc/loadavg")).split()
    if load:
        seen["load1"] = float(load[0])
    for line in read(os.path.join(root, "proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            seen["memory_available_bytes"] = int(line.split()[1]) * 1024
    for path in sorted(glob(os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq")))[:256]:
        value = read(os.path.join(path, "scaling_cur_freq"))
        if value.isdigit():
            seen["frequencies_khz"][path.split("/")[-2]] = int(value)
    for path in sorted(glob(os.path.join(root, "sys/class/thermal/thermal_zone*")))[:64]:
        value = read(os.path.join(path, "temp"))
        # A zone without a sensor behind it may say anything; the contract has these bounds.
        if value.lstrip("-").isdigit() and -274 <= int(value) / 1e3 <= 1000:  # noqa: PLR2004
            name = f"{os.path.basename(path)} {read(os.path.join(path, 'type'))}"
            seen["temperatures_c"][text(name, SHORT_TEXT)] = int(value) / 1e3
    return seen


def evict(paths: Sequence[str]) -> None:
    """Ask the kernel to drop files' pages from its cache; dirty ones are written first."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def read_through(paths: Sequence[str]) -> int:
    """Read files from beginning to end; return how many bytes they have."""
    total = 0
    buffer = bytearray(1 << 20)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            count = file.readinto(buffer)
            while count:
                total += count
                count = file.readinto(buffer)
    return total


def page_cache(paths: Sequence[str]) -> str:
    """Say whether files are in the page cache: ``warm`` all, ``cold`` nothing, or ``unknown``.

    mincore(2) tells that, since Linux 5.2 only to who owns a file or may write it: to others it
    says that everything is there.
    """
    import ctypes
    import mmap

    mincore = ctypes.CDLL(None).mincore
    pages = resident = 0
    for path in paths:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not (os.geteuid() in (0, status.st_uid) or os.access(path, os.W_OK)):
                return "unknown"
            if status.st_size == 0:
                continue
            # Private and writable only because ctypes takes no address in a read-only mapping.
            with mmap.mmap(
                file.fileno(), status.st_size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
            ) as mapping:
                start = ctypes.c_char.from_buffer(mapping)
                vector = (ctypes.c_ubyte * -(-status.st_size // mmap.PAGESIZE))()
                failed = mincore(
                    ctypes.byref(start), ctypes.c_size_t(status.st_size), ctypes.byref(vector)
                )
                del start  # a mapping in use cannot be closed
            if failed:
                return "unknown"
            pages += len(vector)
            resident += sum(flag & 1 for flag in vector)
    if pages and resident in (0, pages):
        return "warm" if resident else "cold"
    return "unknown"


# --- the launch ---


def text(value: object, limit: int) -> str:
    """Return text that fits the contract: valid Unicode and bounded, the end kept."""
    clean = str(value).encode("utf-8", "replace").decode()
    return clean if len(clean) <= limit else "…" + clean[1 - limit :]


class Events:
    """``events.jsonl``."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "ab")  # noqa: SIM115 - until the process ends

    def write(self, event: str, **fields: Any) -> None:
        """Append one event and flush it."""
        line = json.dumps({"event": event, **fields}, allow_nan=False)
        self.file.write(line.encode() + b"\n")
        self.file.flush()


def read_job(path: str) -> dict[str, Any]:
    """Read the job; what of it this runner cannot do is refused."""
    try:
        with open(path, encoding="utf-8") as file:
            job: dict[str, Any] = dict(json.load(file))
    except (OSError, TypeError, ValueError) as error:
        raise LaunchError("BadJob", f"{path}: {error}") from error
    for fault in job_faults(job):
        raise LaunchError("BadJob", f"{path}: {fault}")
    return job


def job_faults(job: dict[str, Any]) -> Iterator[str]:
    """Say why a job cannot be done; the controller checked it against the contract."""
    yield from (f"no '{key}'" for key in JOB_KEYS if key not in job)
    if job["protocol"] != PROTOCOL or job["input_spec_version"] != INPUT_SPEC_VERSION:
        yield f"this runner keeps protocol {PROTOCOL} with inputs {INPUT_SPEC_VERSION} only"
    if job["engine"] not in ENGINES:
        yield f"unknown engine {job['engine']!r}; there are {', '.join(ENGINES)}"
    engine = ENGINES[job["engine"]]
    if job["backend"] != engine.backend or job["model_cache"] is not None:
        yield f"this runner has the backend '{engine.backend}' and no model cache"
    for option in job.get("options", {}):
        if option not in engine.takes:
            yield f"this runner has no option {option!r}"
    for role in engine.roles:
        if role not in job["files"]:
            yield f"{job['engine']} needs the file '{role}'"
    for name in [*job["files"].values(), *job.get("check_files", [])]:
        if os.path.basename(name) != name:
            yield f"{name!r} is not in the launch's folder"
    yield from shape_faults(job)


def shape_faults(job: dict[str, Any]) -> Iterator[str]:
    """Say what changes of shape leave open."""
    names = {spec["name"] for spec in job["inputs"]}
    for shapes in job.get("shape_changes", []):
        if set(shapes) != names:
            yield f"a change of shape is of the inputs {sorted(shapes)}, not {sorted(names)}"
    checks, expected = len(job.get("check_files", [])), 1 + len(job.get("shape_changes", []))
    if checks not in (0, expected):
        yield f"{checks} files with inputs to check, for {expected} sets of shapes"


def set_processors(job: dict[str, Any]) -> None:
    """Bind the process, and tell the maths libraries how many threads to make."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(job["threads"])
    wanted = job["affinity"]
    if wanted is not None:
        try:
            os.sched_setaffinity(0, wanted)
        except OSError as error:
            raise LaunchError("BadJob", f"cannot bind to processors {wanted}: {error}") from error
        # The kernel leaves out, without a word, those that are offline or not allowed.
        if os.sched_getaffinity(0) != set(wanted):
            bound = sorted(os.sched_getaffinity(0))
            raise LaunchError("BadJob", f"bound to processors {bound} instead of {wanted}")


def import_engine(job: dict[str, Any]) -> Engine:
    """Import the job's engine."""
    import signal

    try:
        with engine_is("importing"):
            engine = ENGINES[job["engine"]]()
    except LaunchError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise LaunchError(
                "EngineMissing",
                f"{job['engine']}: {sys.executable} (Python {sys.version.split()[0]}) has no "
                f"module '{error.__cause__.name}'",
            ) from error
        raise
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an engine may have installed its own
    return engine


def load(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """Read the artifact and make its predictor, each timed."""
    paths = [job["files"][role] for role in engine.roles]
    try:
        if job["page_cache"] == "evict":
            evict(paths)
        else:
            read_through(paths)
        cache = page_cache(paths)
        before = time.perf_counter()
        read_bytes = read_through(paths)
        read_ms = (time.perf_counter() - before) * 1e3
    except OSError as error:
        raise LaunchError("BadJob", f"reading the artifact: {error}") from error
    with engine_is("loading the model"):
        before = time.perf_counter()
        names = engine.load()
        init_ms = (time.perf_counter() - before) * 1e3
    given = [spec["name"] for spec in job["inputs"]]
    if sorted(given) != sorted(names):
        raise LaunchError("BadJob", f"the job's inputs are {given}, the model's {names}")
    events.write(
        "loaded",
        read_ms=read_ms,
        read_bytes=read_bytes,
        page_cache=cache,
        init_ms=init_ms,
        **engine.told,
    )


def measure(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """First inference, warm-up and samples; while one of them runs, nothing is written."""
    with engine_is("setting the inputs"):
        engine.bind(make_inputs(job, job["seed"]))
    gc.collect()
    gc.disable()
    with engine_is("running the first time"):
        before = time.perf_counter()
        engine.run()
        first_ms = (time.perf_counter() - before) * 1e3
    events.write("first", ms=first_ms)
    with engine_is("warming up"):
        warm, reason = warm_up(engine.run, job["warmup"])
    events.write("warmup", ns=warm, reason=reason)
    with engine_is("sampling"):
        cpu_before = time.process_time()
        samples, inferences = sample(
            engine.run, job["sampling"], sustained=job.get("sustained", False)
        )
        cpu_ms = (time.process_time() - cpu_before) * 1e3
    events.write("samples", ns=samples, inferences=inferences, cpu_ms=cpu_ms)


def change_shapes(engine: Engine, job: dict[str, Any], events: Events) -> None:
    """Switch to the job's other shapes in turn: time what that costs, return the outputs."""
    for number, shapes in enumerate(job.get("shape_changes", [])):
        inputs = [{**spec, "shape": shapes[spec["name"]]} for spec in job["inputs"]]
        changed = {**job, "inputs": inputs}
        values = make_inputs(changed, job["seed"])
        gc.collect()
        with engine_is(f"changing to the shapes {shapes}"):
            before = time.perf_counter()
            engine.bind(values)
            bound = time.perf_counter()
            engine.run()
            after = time.perf_counter()
            limits = dict.fromkeys(("min_samples", "max_samples"), job["shape_samples"])
            samples, _ = sample(engine.run, {**limits, "min_seconds": 0, "max_seconds": 3600})
        events.write(
            "shape",
            shapes=shapes,
            set_ms=(bound - before) * 1e3,
            first_ms=(after - bound) * 1e3,
            ns=samples,
        )
        return_outputs(engine, changed, events, change=number)


def return_outputs(
    engine: Engine, job: dict[str, Any], events: Events, change: int | None = None
) -> None:
    """Run each check seed and write the outputs' values to files.

    Parameters
    ----------
    change
        Which of the job's changes of shape the inputs are of, if any.
    """
    import hashlib

    import numpy as np

    for seed, inputs in check_inputs(job, change):
        with engine_is(f"running check seed {seed}"):
            engine.bind(inputs)
            engine.run()
            outputs = engine.fetch()
        for index, (name, value) in enumerate(outputs):
            if value.dtype.name not in DTYPES:
                raise LaunchError(
                    "EngineFailed",
                    f"output {name!r} is of {value.dtype}; the contract has {', '.join(DTYPES)}",
                )
            content = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
            path = f"output-{'' if change is None else f'change-{change}-'}{seed}-{index}.bin"
            with open(path, "wb") as file:
                file.write(content)
            events.write(
                "outputs",
                **({} if change is None else {"change": change}),
                seed=seed,
                index=index,
                name=text(name, SHORT_TEXT),
                dtype=value.dtype.name,
                shape=list(value.shape),
                sha256=hashlib.sha256(content).hexdigest(),
                file=path,
            )


def launch(path: str, events: Events) -> None:
    """Do the job, from the import of its engine to its last output."""
    started_ms = process_ms()
    job = read_job(path)
    set_processors(job)
    before = time.perf_counter()
    engine = import_engine(job)
    import_ms = (time.perf_counter() - before) * 1e3
    with engine_is("configuring"):
        version, build = engine.configure(job)
    build["python"] = sys.version.split()[0]
    build["numpy"] = sys.modules["numpy"].__version__
    events.write(
        "hello",
        protocol=PROTOCOL,
        runner="python",
        runner_version=RUNNER_VERSION,
        engine=job["engine"],
        engine_version=version and text(version, SHORT_TEXT),
        pid=os.getpid(),
        process_ms=started_ms,
        import_ms=import_ms,
        build=build,
    )
    events.write("environment", phase="before", **environment())
    load(engine, job, events)
    measure(engine, job, events)
    peak = vmhwm_bytes()
    events.write("environment", phase="after", **environment())
    events.write("memory", vmhwm_bytes=peak)
    change_shapes(engine, job, events)
    return_outputs(engine, job, events)
    events.write("done")


def main(arguments: Sequence[str]) -> int:
    """Run the job and return the exit status; every failure becomes an ``error`` event."""
    if len(arguments) != 1:
        sys.stderr.write("usage: edge_runner.py job.json\n")
        return 2
    events = Events("events.jsonl")
    try:
        launch(arguments[0], events)
    except Exception as error:  # noqa: BLE001 - reported, whatever it is
        import traceback

        kind = error.kind if isinstance(error, LaunchError) else "RunnerFailed"
        message = str(error) if isinstance(error, LaunchError) else repr(error)
        trail = traceback.format_exc()
        sys.stderr.write(trail)
        events.write(
            "error",
            kind=kind,
            message=text(message, LONG_TEXT),
            traceback=text(trail, LONG_TEXT),
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
