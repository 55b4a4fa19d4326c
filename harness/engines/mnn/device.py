"""MNN in the Python runner."""

from __future__ import annotations

from edge_runner import Engine, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray


class Mnn(Engine):
    """MNN on the CPU through its session API; shapes are planned when the model is loaded.

    The inputs are copied into the session's memory when they are set. Its integers have 32 bits.
    """

    name = "mnn"
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

    def loaded(self) -> dict[str, Any]:
        """Return what the session made of the settings."""
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

    def profile(self, samples: Sequence[int]) -> Profile:
        """Time each operator of one more inference, which MNN makes with a call around each."""
        import time

        del samples
        layers: list[dict[str, Any]] = []
        begun = [0]

        def before(_: object, operator: Any) -> bool:
            layers.append({"name": operator.getName(), "op": operator.getType(), "unit": "CPU"})
            begun[0] = time.perf_counter_ns()
            return True

        def after(_: object, __: object) -> bool:
            layers[-1]["us"] = (time.perf_counter_ns() - begun[0]) / 1e3
            return True

        started = time.perf_counter_ns()
        if code := self.net.runSessionWithCallBackInfo(self.session, before, after):
            raise RuntimeError(f"runSessionWithCallBackInfo returned {code}")
        whole_us = (time.perf_counter_ns() - started) / 1e3
        return Profile(layers, 1, whole_us)


ENGINE = Mnn
