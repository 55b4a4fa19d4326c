"""Prepare an ONNX model for Qualcomm's NPU.

Run in the environment ``qnn`` as ``qnn.py REQUEST``: a JSON object with ``inputs`` (the contract's
input specifications), ``precision`` and for int8 ``activations`` (``uint8`` or ``uint16``). Makes
``qnn.onnx`` of ``model.onnx``: shapes fixed, constants folded, and for int8 quantized in QDQ form
as the execution provider wants it, with the samples in ``calibration.npz`` (``x.j`` of input
``j``).

At the end it compiles the result in the NPU's simulator and prints a line ``plan JSON``: the
operators of each subgraph, those left to the processor, and the multiply-accumulates of each node
by its name. Where the simulator does not compile it, only these are known.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import onnxruntime_qnn
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


def multiply_accumulates() -> dict[str, int]:
    """Return those of each node of ``qnn.onnx`` that has any, by its name."""
    graph = onnx.shape_inference.infer_shapes(onnx.load("qnn.onnx"), data_prop=True).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    found: dict[str, int] = {}
    for node in graph.node:
        taken = [shapes.get(name, []) for name in node.input[:2]]
        result = shapes.get(node.output[0], [])
        if len(taken) < 2 or not all((*taken, result)):  # noqa: PLR2004 - a value and weights
            continue
        if node.op_type == "Conv":
            found[node.name] = math.prod(result) * math.prod(taken[1][1:])
        elif node.op_type == "ConvTranspose":
            found[node.name] = math.prod(taken[0]) * math.prod(taken[1][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            turned = any(each.name == "transA" and each.i for each in node.attribute)
            found[node.name] = math.prod(result) * taken[0][-2 if turned else -1]
    return found


def assignment() -> list[tuple[str, list[str], list[str]]]:
    """Return each subgraph's provider with its nodes' names and operators, as compiled here."""
    name = onnxruntime_qnn.get_ep_name()
    onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
    devices = [each for each in onnxruntime.get_ep_devices() if each.ep_name == name]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    library = {"backend_path": onnxruntime_qnn.get_qnn_htp_path()}
    options.add_provider_for_devices(devices[:1], library)
    session = onnxruntime.InferenceSession("qnn.onnx", options)
    return [
        (
            "cpu" if part.ep_name == "CPUExecutionProvider" else "npu",
            [node.name for node in part.get_nodes()],
            [node.op_type for node in part.get_nodes()],
        )
        for part in session.get_provider_graph_assignment_info()
    ]


def print_plan() -> None:
    """Print what of ``qnn.onnx`` runs where."""
    operators = multiply_accumulates()
    plan: dict[str, Any] = {"operators": operators, "macs": sum(operators.values())}
    try:
        parts = assignment()
    except Exception as error:  # noqa: BLE001 - the device may have another version, and do it
        sys.stderr.write(f"not compiled here: {error}\n")
    else:
        plan["subgraphs"] = [Counter(ops) for unit, _, ops in parts if unit == "npu"]
        left = [(names, ops) for unit, names, ops in parts if unit == "cpu"]
        plan["cpu_ops"] = Counter(op for _, ops in left for op in ops)
        on_cpu = sum(operators.get(name, 0) for names, _ in left for name in names)
        plan["npu_macs"] = plan["macs"] - on_cpu
    sys.stdout.write(f"plan {json.dumps(plan)}\n")


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    logging.getLogger().setLevel(logging.ERROR)  # it advises what has been done
    make(request)
    print_plan()


def make(request: dict[str, Any]) -> None:
    """Write ``qnn.onnx``."""
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
