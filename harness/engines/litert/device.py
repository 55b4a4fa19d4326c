"""LiteRT in the Python runner."""

from __future__ import annotations

from edge_runner import Engine, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray


class LiteRt(Engine):
    """LiteRT's interpreter on the CPU; inputs are copied into it when they are set.

    Inputs and outputs of a model that takes or gives integers of 8 bits are converted from and to
    float32 outside the timed part.
    """

    name = "litert"
    options = ("xnnpack",)

    def __init__(self) -> None:
        from ai_edge_litert import interpreter

        self.litert = interpreter

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        from importlib import metadata

        xnnpack = job.get("options", {}).get("xnnpack", "on")
        if xnnpack not in ("on", "off"):
            raise LaunchError("BadJob", f"xnnpack cannot be {xnnpack!r}: on, off")
        kinds = self.litert.OpResolverType
        kind = kinds.AUTO if xnnpack == "on" else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.model = job["files"]["model"]
        self.settings = {"num_threads": job["threads"], "experimental_op_resolver_type": kind}
        self.shapes = {spec["name"]: tuple(spec["shape"]) for spec in job["inputs"]}
        build = {"xnnpack": xnnpack, "threads": str(job["threads"])}
        return metadata.version("ai-edge-litert"), build

    def load(self) -> list[str]:
        self.interpreter = self.litert.Interpreter(model_path=self.model, **self.settings)
        self.plan(self.shapes)
        return [detail["name"] for detail in self.interpreter.get_input_details()]

    def plan(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Plan for shapes; of an input that is not the model's the launch ends with both lists."""
        for detail in self.interpreter.get_input_details():
            wanted = shapes.get(detail["name"])
            if wanted is not None and tuple(detail["shape"]) != wanted:
                self.interpreter.resize_tensor_input(detail["index"], wanted, strict=True)
        self.interpreter.allocate_tensors()
        self.shapes = dict(shapes)

    def loaded(self) -> dict[str, Any]:
        ops = [op["op_name"] for op in self.interpreter._get_ops_details()]  # noqa: SLF001
        return {"build": {"xnnpack_parts": str(ops.count("DELEGATE"))}}

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        shapes = {name: value.shape for name, value in inputs.items()}
        if shapes != self.shapes:
            self.plan(shapes)
        for detail in self.interpreter.get_input_details():
            value = as_stored(inputs[detail["name"]], detail)
            self.interpreter.set_tensor(detail["index"], value)
        self.run = self.interpreter.invoke

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (detail["name"], as_real(self.interpreter.get_tensor(detail["index"]), detail))
            for detail in self.interpreter.get_output_details()
        ]


def as_stored(value: NDArray[Any], detail: dict[str, Any]) -> NDArray[Any]:
    """Return real numbers as a tensor of 8 bits holds them; others as they are."""
    import numpy as np

    scale, zero = detail["quantization"]
    if value.dtype.kind != "f" or not scale or np.dtype(detail["dtype"]).itemsize != 1:
        return value
    limits = np.iinfo(detail["dtype"])
    stored: NDArray[Any] = np.clip(np.round(value / scale) + zero, limits.min, limits.max)
    return stored.astype(detail["dtype"])


def as_real(value: NDArray[Any], detail: dict[str, Any]) -> NDArray[Any]:
    """Return the real numbers that a tensor of 8 bits stands for; others as they are."""
    import numpy as np

    scale, zero = detail["quantization"]
    if value.dtype.itemsize != 1 or not scale:
        return value
    real: NDArray[Any] = (value.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return real


ENGINE = LiteRt
