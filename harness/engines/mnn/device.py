"""MNN in the Python runner."""

from __future__ import annotations

from edge_runner import Engine, LaunchError, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray


class Mnn(Engine):
    """MNN through its session API; shapes are planned when the model is loaded.

    The inputs are copied into the session's memory when they are set. Its integers have 32 bits. On
    a GPU an inference ends when its outputs are in the processor's memory, for MNN does not wait
    for a GPU by itself.
    """

    name = "mnn"
    backends = ("cpu", "gpu:opencl", "gpu:vulkan")
    backend_number, thread_number = 2, 4  # in its enumeration SessionInfoCode
    releases_lock = True
    thread_number = 4  # in its enumeration SessionInfoCode

    def __init__(self) -> None:
        import MNN

        self.mnn = MNN
        self.numbers = {"gpu:opencl": 3, "gpu:vulkan": 7}  # of its enumeration MNNForwardType

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.model = job["files"]["model"]
        self.shapes = {spec["name"]: tuple(spec["shape"]) for spec in job["inputs"]}
        # "high" is fp32; "normal" may be less on processors that have fp16.
        self.backend = job.get("backend", "cpu")
        name = self.backend.rpartition(":")[2].upper()
        self.settings = {"backend": name, "numThread": job["threads"], "precision": "high"}
        return str(self.mnn.version()), {"backend": name, "precision": "high"}

    def load(self) -> list[str]:
        self.net = self.mnn.Interpreter(self.model)
        self.session = self.net.createSession(self.settings)
        self.check_backend()
        names = list(self.net.getSessionInputAll(self.session))
        if sorted(names) == sorted(self.shapes):  # else the launch ends with both lists
            self.resize(self.shapes)
        return names

    def check_backend(self) -> None:
        """Refuse a session on another backend: MNN takes its CPU without an error."""
        wanted = self.numbers.get(self.backend)
        taken = self.net.getSessionInfo(self.session, self.backend_number)
        if wanted is not None and taken != wanted:
            raise LaunchError(
                "EngineMissing",
                f"backend {self.backend}: MNN would run on its CPU instead (backend {taken}): its "
                f"build has no {self.settings['backend']}, or the device no driver",
            )

    def loaded(self) -> dict[str, Any]:
        """Return what the session made of the settings."""
        import struct

        # The binding takes the bits of every answer for a float's; this one is an integer's.
        bits = struct.pack("f", self.net.getSessionInfo(self.session, self.thread_number))
        return {"build": {"threads": str(*struct.unpack("i", bits))}}

    @property
    def unit(self) -> str:
        """Which unit has the session: of single operators MNN does not say it."""
        return "CPU" if self.backend == "cpu" else self.settings["backend"]

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
        outputs = self.host_outputs() if self.backend != "cpu" else []

        def run() -> None:
            if code := net.runSession(session):
                raise RuntimeError(f"runSession returned {code}")
            for output, host in outputs:
                output.copyToHostTensor(host)

        self.run = run

    def kind(self, value: NDArray[Any]) -> tuple[Any, NDArray[Any], Any]:
        """Return MNN's type, the values in it, and the layout of a tensor as numpy has it."""
        layout = self.mnn.Tensor_DimensionType_Caffe
        if value.dtype.kind == "f":
            return self.mnn.Halide_Type_Float, value, layout
        return self.mnn.Halide_Type_Int, value.astype("int32"), layout

    def host_outputs(self) -> list[tuple[Any, Any]]:
        """Return each output with a tensor in the processor's memory to copy it to."""
        import numpy as np

        found = []
        for tensor in self.net.getSessionOutputAll(self.session).values():
            floats = tensor.getDataType() == self.mnn.Halide_Type_Float
            value = np.zeros(tensor.getShape(), "float32" if floats else "int32")
            found.append((tensor, self.mnn.Tensor(value.shape, *self.kind(value))))
        return found

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        import numpy as np

        found = []
        names = self.net.getSessionOutputAll(self.session)
        for name, (tensor, host) in zip(names, self.host_outputs()):
            tensor.copyToHostTensor(host)
            found.append((name, np.array(host.getNumpyData()).reshape(tensor.getShape())))
        return found

    def profile(self, samples: Sequence[int]) -> Profile:
        """Time each operator of one more inference, which MNN makes with a call around each."""
        import time

        del samples
        layers: list[dict[str, Any]] = []
        begun = [0]

        def before(_: object, operator: Any) -> bool:
            layers.append({"name": operator.getName(), "op": operator.getType(), "unit": self.unit})
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
