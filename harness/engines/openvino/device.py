"""OpenVINO in the Python runner."""

from __future__ import annotations

import copy

from edge_runner import Engine, LaunchError, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray


class OpenVino(Engine):
    """OpenVINO on an ONNX model, inputs shared: on the CPU no copy is part of an inference.

    One stream, and fp32 where the plugin would choose bf16 or fp16 by itself; what an NPU computes
    in is its own choice. With several threads the CPU's plugin binds them to processors, within
    the job's affinity, as its users meet it.
    """

    name = "openvino"
    backends = ("cpu", "gpu", "npu:intel")
    releases_lock = True

    def __init__(self) -> None:
        import openvino

        self.ov = openvino

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.core = self.ov.Core()
        self.device = self.device_for(job.get("backend", "cpu"))
        self.properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.device == "CPU":
            self.properties["INFERENCE_NUM_THREADS"] = job["threads"]
        if self.device != "NPU":
            self.properties.update(NUM_STREAMS=1, INFERENCE_PRECISION_HINT="f32")
        if job.get("profile"):
            self.properties["PERF_COUNT"] = True
        build = {name.lower(): str(value) for name, value in self.properties.items()}
        return str(self.ov.get_version()), build

    def device_for(self, backend: str) -> str:
        """Return OpenVINO's name of a backend; one that it has not found is refused."""
        found = [name.partition(".")[0] for name in self.core.available_devices]
        wanted = backend.partition(":")[0].upper()
        if wanted not in found:
            raise LaunchError(
                "EngineMissing", f"backend {backend}: OpenVINO finds only {', '.join(found)} here"
            )
        return wanted

    def load(self) -> list[str]:
        self.compiled = self.core.compile_model(self.model, self.device, self.properties)
        if self.device == "CPU":
            wanted = self.properties["INFERENCE_NUM_THREADS"]
            threads = self.compiled.get_property("INFERENCE_NUM_THREADS")
            if threads != wanted:  # it takes no more than there are processors
                raise LaunchError("BadJob", f"{wanted} threads: OpenVINO would run on {threads}")
        self.request = self.compiled.create_infer_request()
        return [value.get_any_name() for value in self.compiled.inputs]

    def loaded(self) -> dict[str, Any]:
        """Return what the plugin made of the settings, or which devices got the operators."""
        if self.device == "CPU":
            return {"build": {"threads": str(self.properties["INFERENCE_NUM_THREADS"])}}
        units: dict[str, int] = {}
        taken = self.compiled.get_property("EXECUTION_DEVICES")
        for name in taken:
            unit = name.strip("()").partition(".")[0].lower()  # of one that warms up: "(CPU)"
            units[unit] = len(self.compiled.get_runtime_model().get_ops())
        return {"units": units, "build": {"execution_devices": ", ".join(taken)}}

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

    def another(self) -> OpenVino:
        """Return the compiled model for one more caller, with a request of its own."""
        other = copy.copy(self)
        other.request = self.compiled.create_infer_request()
        return other

    def profile(self, samples: Sequence[int]) -> Profile:
        layers = [
            {
                "name": node.node_name,
                "op": node.node_type,
                "unit": self.device,
                "us": node.real_time.total_seconds() * 1e6,
            }
            for node in self.request.profiling_info
            if node.status == node.Status.EXECUTED
        ]
        return Profile(layers, 1, samples[-1] / 1e3)  # they are of the last inference


ENGINE = OpenVino
