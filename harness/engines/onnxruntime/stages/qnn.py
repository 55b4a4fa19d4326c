"""Prepare an ONNX model for Qualcomm's NPU.

Run in the environment ``qnn`` as ``qnn.py REQUEST``: a JSON object with ``inputs`` (the contract's
input specifications), ``precision`` and for int8 ``activations`` (``uint8`` or ``uint16``). Makes
``qnn.onnx`` of ``model.onnx``: shapes fixed, constants folded, and for int8 quantized in QDQ form
as the execution provider wants it, with the samples in ``calibration.npz`` (``x.j`` of input
``j``).
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import (
    get_qnn_qdq_config,
    qnn_preprocess_model,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {"uint8": QuantType.QUInt8, "uint16": QuantType.QUInt16}


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """The calibration inputs, one after another."""

    def __init__(self, names: list[str]) -> None:
        self.feeds = self.read(names)

    @staticmethod
    def read(names: list[str]) -> Iterator[dict[str, Any]]:
        """Yield each sample."""
        with np.load("calibration.npz", allow_pickle=False) as stored:
            arrays = [stored[f"x.{j}"] for j in range(len(names))]
        for values in zip(*arrays, strict=True):
            yield dict(zip(names, values, strict=True))

    def get_next(self) -> dict[str, Any] | None:
        """Return the next sample."""
        return next(self.feeds, None)


def fix_shapes(specs: list[dict[str, Any]]) -> None:
    """Write ``fixed.onnx``: the provider compiles nothing whose shapes are open."""
    model = onnx.load("model.onnx")
    shapes = {spec["name"]: spec["shape"] for spec in specs}
    for value in model.graph.input:
        if value.name in shapes:
            del value.type.tensor_type.shape.dim[:]
            for size in shapes[value.name]:
                value.type.tensor_type.shape.dim.add(dim_value=size)
    del model.graph.value_info[:]  # of the shapes before
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(model, "shaped.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = "fixed.onnx"
    onnxruntime.InferenceSession("shaped.onnx", options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    logging.getLogger().setLevel(logging.ERROR)  # it advises what has been done
    names = [spec["name"] for spec in request["inputs"]]
    fix_shapes(request["inputs"])
    if request["precision"] != "int8":
        Path("fixed.onnx").rename("qnn.onnx")
        return
    changed = qnn_preprocess_model("fixed.onnx", "preprocessed.onnx")
    source = "preprocessed.onnx" if changed else "fixed.onnx"
    config = get_qnn_qdq_config(
        source,
        Samples(names),
        activation_type=TYPES[request["activations"]],
        weight_type=QuantType.QUInt8,
    )
    quantize(source, "qnn.onnx", config)


if __name__ == "__main__":
    main()
