"""Make two networks of one layer with seeded weights: in float32, and in int8 with its scales."""

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

INS, OUTS = 16, 4


def tensor(name, shape, kind, buffer, scales=None, zeros=None):
    made = tfl.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
    if scales is not None:
        made.quantization = tfl.QuantizationParametersT()
        made.quantization.scale = np.array(scales, np.float32)
        made.quantization.zeroPoint = np.array(zeros or [0] * len(scales), np.int64)
    return made


def buffer(values=None):
    made = tfl.BufferT()
    made.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
    return made


def write(path, kind, scales, weights, biases):
    t = tfl.TensorType
    stored = t.FLOAT32 if kind == "fp32" else t.INT8
    of = scales or {}
    graph = tfl.SubGraphT()
    graph.tensors = [
        tensor("x", [1, INS], stored, 1, of.get("x")),
        tensor("weights", [OUTS, INS], stored, 2, of.get("w")),
        tensor("biases", [OUTS], t.FLOAT32 if kind == "fp32" else t.INT32, 3, of.get("b")),
        tensor("y", [1, OUTS], stored, 4, of.get("y")),
    ]
    graph.inputs, graph.outputs = [0], [3]
    op = tfl.OperatorT()
    op.inputs, op.outputs, op.opcodeIndex = [0, 1, 2], [3], 0
    op.builtinOptionsType = tfl.BuiltinOptions.FullyConnectedOptions
    op.builtinOptions = tfl.FullyConnectedOptionsT()
    graph.operators = [op]
    code = tfl.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tfl.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model = tfl.ModelT()
    model.version, model.description = 3, f"linear, {kind}"
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [buffer(), buffer(), buffer(weights), buffer(biases), buffer()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    Path(path).write_bytes(builder.Output())


def main():
    random = np.random.default_rng(7)
    weights = random.uniform(-1, 1, (OUTS, INS)).astype(np.float32)
    biases = random.uniform(-1, 1, OUTS).astype(np.float32)
    folder = Path(sys.argv[1])
    write(folder / "linear.tflite", "fp32", None, weights, biases)
    scales = {"x": [1 / 127], "w": [1 / 127], "b": [1 / 127**2], "y": [8 / 127]}
    write(
        folder / "linear_int8.tflite",
        "int8",
        scales,
        np.round(weights * 127).astype(np.int8),
        np.round(biases * 127**2).astype(np.int32),
    )
    np.savez(folder / "linear.npz", weights=weights, biases=biases)


if __name__ == "__main__":
    main()
