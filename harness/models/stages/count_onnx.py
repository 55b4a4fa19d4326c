"""Count an ONNX model's parameters and multiply-accumulates, layer by layer.

Run in the environment ``onnx`` as ``count_onnx.py REQUEST``: a JSON object with ``inputs``, which
the shapes in ``frozen.onnx`` are of. Reads that in the current folder and writes
``operations.json``.

Counted are the products of convolutions and of matrices, as networks' authors count them: no
biases, normalization, activations or pooling.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, shape_inference

# They multiply, but how often is not told by the shapes of what goes in and comes out.
UNCOUNTED = {"Attention", "DeformConv", "Einsum", "GRU", "LSTM", "RNN"}
CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul"}
# What quantizes or moves weights on their way to the node that multiplies with them.
PASSING = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def shapes_of(graph: Any) -> dict[str, list[int]]:
    """Return the shapes of values; an extent that is not known is 0."""
    found = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        found[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return found


def multiply_accumulates(node: Any, shapes: dict[str, list[int]]) -> int:
    """Return a node's multiply-accumulates; 0 for what only adds, compares or moves."""
    result, taken = (shapes.get(names[0], []) for names in (node.output, node.input))
    place = 3 if node.op_type.startswith("QLinear") else 1  # after the first's scale and zero point
    weights = shapes.get(node.input[place], []) if len(node.input) > place else []
    if not (result and taken and weights):
        return 0
    if node.op_type in CONVOLUTIONS:
        # The weights are [out, in / groups, height, width].
        return math.prod(result) * math.prod(weights[1:])
    if node.op_type == "ConvTranspose":
        # Each input element is multiplied with weights of [in, out / groups, height, width].
        return math.prod(taken) * math.prod(weights[1:])
    if node.op_type in PRODUCTS:
        return math.prod(result) * taken[-1]
    if node.op_type == "Gemm":
        turned = any(found.name == "transA" and found.i for found in node.attribute)
        return math.prod(result) * taken[-2 if turned else -1]
    return 0


def main() -> None:
    """Do what the request says."""
    graph = shape_inference.infer_shapes(onnx.load("frozen.onnx"), data_prop=True).graph
    shapes = shapes_of(graph)
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type in PASSING}
    # Integers of one axis are shapes, axes and the like.
    trained = {
        tensor.name
        for tensor in graph.initializer
        if tensor.data_type in FLOATS or len(tensor.dims) > 1
    }
    seen: set[str] = set()
    layers = []
    for node in (node for node in graph.node if node.input and node.op_type not in PASSING):
        # A parameter that several layers share counts for the first of them.
        own = {origin(name, source) for name in node.input} & trained - seen
        seen |= own
        parameters = sum(math.prod(shapes[name]) for name in own)
        macs = multiply_accumulates(node, shapes)
        if macs or parameters:
            name = node.output[0]
            layer = {"name": name, "op": node.op_type, "parameters": parameters, "macs": macs}
            layers.append(layer)
    uncounted = {node.op_type for node in graph.node} & UNCOUNTED
    uncounted |= {
        node.op_type
        for node in graph.node
        if any(found.type == AttributeProto.GRAPH for found in node.attribute)
    }
    found = {"layers": layers, "uncounted": sorted(uncounted)}
    Path("operations.json").write_text(json.dumps(found))


def origin(name: str, source: dict[str, str]) -> str:
    """Return the value that one is made of without a change but to its type."""
    while name in source:
        name = source[name]
    return name


if __name__ == "__main__":
    main()
