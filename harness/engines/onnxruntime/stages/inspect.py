"""Say what an ONNX file takes and computes in, by reading it and loading it in ONNX Runtime.

Run in the environment ``onnx`` as ``inspect.py REQUEST``: a JSON object with
``memory_bytes`` and ``cpu_s``, its limits. Reads ``model.onnx`` and the files that it keeps its
weights in, all in the current folder, and writes ``found.json``: ``inputs`` (name, dtype, shape
with -1 for an axis that varies, the axes' names, whether it is ``used``), ``outputs`` (how many)
and ``precision``; or ``fault``. With ``merge`` it writes ``merged.onnx``, which has the weights in
it. The files are not trusted.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnx import AttributeProto, TensorProto

CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


def nodes_of(graph: Any) -> list[Any]:
    """Return all nodes, those of graphs within nodes included."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found += nodes_of(attribute.g)
    return found


def with_effect(graph: Any) -> set[str]:
    """Return the names of values that an output depends on."""
    wanted = {value.name for value in graph.output}
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            for inner in nodes_of(node_graphs(node)):
                wanted.update(inner.input)
    return wanted


def node_graphs(node: Any) -> Any:
    """Return a graph of the one node: what :func:`nodes_of` goes through."""
    graph = onnx.GraphProto()
    graph.node.append(node)
    return graph


def precision_of(model: Any) -> str:
    """Return what most of the model's arithmetic is in: what its weights are stored as."""
    nodes = nodes_of(model.graph)
    if any(
        node.op_type in QUANTIZED or "Integer" in node.op_type or node.op_type.startswith("QLinear")
        for node in nodes
    ):
        return "int8"
    sizes = {TensorProto.FLOAT: 0, TensorProto.FLOAT16: 0}
    tensors = [*model.graph.initializer]
    constants = [node for node in nodes if node.op_type == "Constant"]
    tensors += [a.t for node in constants for a in node.attribute if a.name == "value"]
    for tensor in tensors:
        if tensor.data_type in sizes:
            count = 1
            for extent in tensor.dims:
                count *= extent
            sizes[tensor.data_type] += count
    return "fp16" if sizes[TensorProto.FLOAT16] > sizes[TensorProto.FLOAT] else "fp32"


def inspect(model: Any, path: str) -> dict[str, Any]:
    """Load the model; return what it takes, or what is wrong with it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - its exceptions have no common class of their own
        reason = str(error).strip().partition("\n")[0]
        return {"fault": f"ONNX Runtime cannot load it: {CODE.sub('', reason)}"}
    used = with_effect(model.graph)
    inputs = [
        {
            "name": value.name,
            "dtype": value.type.removeprefix("tensor(").removesuffix(")"),
            "shape": [n if isinstance(n, int) and n > 0 else -1 for n in value.shape],
            "axes": [n if isinstance(n, str) else "" for n in value.shape],
            "used": value.name in used,
        }
        for value in session.get_inputs()
    ]
    return {
        "inputs": inputs,
        "outputs": len(session.get_outputs()),
        "precision": precision_of(model),
    }


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"],) * 2)
    path = "model.onnx"
    try:
        if request.get("merge"):  # also for ONNX Runtime, which takes no axes or shapes from beside
            onnx.save(onnx.load(path), "merged.onnx")
            path = "merged.onnx"
        model = onnx.load(path, load_external_data=False)
    except Exception:  # noqa: BLE001 - ONNX Runtime says better what is wrong
        model = onnx.ModelProto()
    Path("found.json").write_text(json.dumps(inspect(model, path)))


if __name__ == "__main__":
    main()
