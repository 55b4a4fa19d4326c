"""ONNX Runtime in the Python runner."""

from __future__ import annotations

from edge_runner import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray


class OnnxRuntime(Engine):
    """ONNX Runtime on the CPU, inputs and outputs bound: no copy is part of an inference."""

    name = "onnxruntime"

    def __init__(self) -> None:
        import onnxruntime

        self.ort = onnxruntime

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.settings = self.ort.SessionOptions()
        self.settings.intra_op_num_threads = job["threads"]
        self.settings.inter_op_num_threads = 1
        build = {
            "provider": "CPUExecutionProvider",
            "graph_optimization": str(self.settings.graph_optimization_level).rsplit(".", 1)[-1],
            "threads": str(self.settings.intra_op_num_threads),
        }
        return str(self.ort.__version__), build

    def load(self) -> list[str]:
        self.session = self.ort.InferenceSession(
            self.model, self.settings, providers=["CPUExecutionProvider"]
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


ENGINE = OnnxRuntime
