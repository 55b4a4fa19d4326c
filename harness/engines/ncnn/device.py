"""ncnn in the Python runner."""

from __future__ import annotations

import copy

from edge_runner import Engine, LaunchError, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray


class Ncnn(Engine):
    """ncnn on the CPU, or on a GPU through Vulkan.

    In fp32 what its options turn to fp16 or bf16 is off; on a GPU fp16 turns on what the driver
    offers of it. Extracting an output downloads it, so a GPU has finished when the clock stops.

    Its graph has names of its own (in0, out0 …): inputs are given in the job's order, which is that
    of the model that the harness builds. An extractor computes an output once: each inference has
    one of its own, and making it and handing the inputs to it are timed.
    """

    name = "ncnn"
    releases_lock = True
    roles = ("model", "params")
    backends = ("cpu", "gpu")
    halves = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")
    software = 3  # Vulkan's VK_PHYSICAL_DEVICE_TYPE_CPU, as ncnn numbers it

    def __init__(self) -> None:
        import ncnn
        import numpy as np  # noqa: F401 - for its version in hello

        self.ncnn = ncnn

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.files = [job["files"][role] for role in self.roles]
        self.names = [spec["name"] for spec in job["inputs"]]
        self.net = self.ncnn.Net()
        options = self.net.opt
        self.gpu = job.get("backend") == "gpu"
        precision = job.get("precision", "fp32")
        if precision == "fp16" and not self.gpu:
            raise LaunchError("BadJob", "ncnn: fp16 is measured on the backend 'gpu' only")
        options.use_vulkan_compute = self.gpu
        options.num_threads = job["threads"]
        for name in self.halves:
            setattr(options, name, precision == "fp16" and name.startswith("use_fp16"))
        build = {
            "threads": str(options.num_threads),
            "precision": precision,
            "openmp_blocktime_ms": str(options.openmp_blocktime),
        }
        if self.gpu:
            build.update(self.use_gpu())
        return str(self.ncnn.__version__), build

    def use_gpu(self) -> dict[str, str]:
        """Take the first GPU; return what Vulkan says of it."""
        if not self.ncnn.get_gpu_count():
            raise LaunchError("EngineMissing", "backend gpu: Vulkan finds no device here")
        info = self.ncnn.get_gpu_info(0)
        self.simulated = info.device_name() if info.type() == self.software else None
        self.net.set_vulkan_device(0)
        major, minor = info.api_version() >> 22, info.api_version() >> 12 & 0x3FF
        return {
            "device": info.device_name(),
            "driver": str(info.driver_version()),
            "vulkan": f"{major}.{minor}",
        }

    def load(self) -> list[str]:
        for read, path in zip((self.net.load_param, self.net.load_model), self.files):
            if code := read(path):
                raise RuntimeError(f"{path} cannot be loaded ({code}): see the launch's log")
        own = len(self.net.input_names())
        return self.names if own == len(self.names) else self.net.input_names()

    def loaded(self) -> dict[str, Any]:
        """Return how many layers the GPU has; the others run on the CPU."""
        if not self.gpu:
            return {}
        units = {"gpu": 0, "cpu": 0}
        for layer in self.net.layers():
            units["gpu" if layer.support_vulkan else "cpu"] += 1
        return {"units": units, "simulated": self.simulated}

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

    def profile(self, samples: Sequence[int]) -> Profile:
        """Return which unit runs each layer; how long each takes only a build of its own says."""
        del samples
        parts = [
            {
                "name": layer.name,
                "op": layer.type,
                "unit": "GPU" if self.gpu and layer.support_vulkan else "CPU",
            }
            for layer in self.net.layers()
        ]
        return Profile(parts=parts)

    def another(self) -> Ncnn:
        """Return the net for one more caller: an extractor is made for each inference."""
        return copy.copy(self)


ENGINE = Ncnn
