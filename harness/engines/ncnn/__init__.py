"""ncnn: loads ``.ncnn.param`` with ``.ncnn.bin``, which pnnx makes of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.base import (
    LINUX_ABIS,
    OWN_PYTHON,
    Callers,
    Engine,
    Environment,
    Format,
    Made,
    Source,
)
from harness.engines.reasons import BACKENDS

if TYPE_CHECKING:
    from harness.core.reason import Reason
    from harness.core.records import Precision
    from harness.engines.base import DeviceFacts, Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent
_PREPARED = Source("prepared", needs={"takes": ["float32", "int64", "int32"]})


class _Ncnn(Engine):
    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        del device
        return (
            None
            if backend in self.in_python
            else BACKENDS(engine=self.name, backends=["cpu", "gpu"])
        )

    def precisions_on(self, device: DeviceFacts, backend: str) -> tuple[Precision, ...]:
        del device
        return ("fp32", "fp16") if backend == "gpu" else self.precisions

    def recipe(self, request: Request) -> Made:
        usual = [spec.model_dump(mode="json") for spec in request.usual]
        # Beside the usual shape, another one tells the converter which axes vary. Of batches it
        # knows.
        other = [
            {
                **spec,
                "shape": [
                    (low if size == high else high) if axis else size
                    for axis, size in enumerate(spec["shape"])
                    for low, high in [request.ranges[spec["name"]].get(axis, (size, size))]
                ],
            }
            for spec in usual
        ]
        options = {"inputs": usual, "other_inputs": other}
        return Made(_FOLDER / "stages" / "convert.py", "ncnn", options, (_PREPARED,))


PLUGIN = _Ncnn(
    name="ncnn",
    api_version=1,
    title="ncnn",
    colour=7,
    folder=_FOLDER,
    format="ncnn",
    formats=(
        Format(
            name="ncnn",
            roles={"model": "model.ncnn.param", "params": "model.ncnn.bin"},
            # One file serves both: a GPU rounds what it loads.
            precisions=("fp32", "fp16"),
        ),
    ),
    in_python=("cpu", "gpu"),
    callers_in_python=Callers.ANY,
    environment="ncnn",
    environments=(
        Environment("ncnn", "ONNX to ncnn; the engine ncnn here", OWN_PYTHON, 60, _FOLDER),
    ),
    checks=("any",),
    cpu_abis=LINUX_ABIS,
    packages=("ncnn",),
    made_by="pnnx, from `.onnx`",
)
