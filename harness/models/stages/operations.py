"""Count a Paddle inference model's parameters and multiply-accumulates, layer by layer.

Run in the environment ``paddle`` as ``operations.py REQUEST``: a JSON object with ``inputs``
(the contract's input specifications: their shapes count). Runs ``model.pdmodel`` with
``model.pdiparams`` once on what ``edge_runner.py`` makes (all in the current folder), since only
running it tells every shape of a network whose shapes are dynamic. Writes ``operations.json``.

Counted are the products of convolutions and of matrices, as networks' authors count them: no
biases, normalization, activations or pooling. Statistics of batch norms are no parameters.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import paddle

CONVOLUTIONS = {"conv2d", "depthwise_conv2d", "conv3d"}
TRANSPOSED = {"conv2d_transpose", "depthwise_conv2d_transpose", "conv3d_transpose"}
PRODUCTS = {"matmul_v2", "matmul", "mul", "fc", "bmm"}
# They multiply, but how often is not told by the shapes of what goes in and comes out.
UNCOUNTED = {
    "attention_lstm", "cudnn_lstm", "deformable_conv", "einsum", "fusion_gru", "fusion_lstm", "gru",
    "lstm", "multihead_matmul", "rnn", "while",
}  # fmt: skip
STATISTICS = ("Mean", "Variance")
# Where an op puts what it computes; other outputs are statistics and the like.
RESULTS = ("Output", "Out", "Y")


def depth(op: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Return how many products are summed up in each element of a product of matrices."""
    x = shapes[op.input("X" if "X" in op.input_names else "Input")[0]]
    if op.type in ("mul", "fc"):
        name = "x_num_col_dims" if op.type == "mul" else "in_num_col_dims"
        return math.prod(x[op.attr(name) :])
    transposed = {"matmul_v2": "trans_x", "matmul": "transpose_X"}.get(op.type)
    if transposed and op.attr(transposed) and len(x) > 1:
        return x[-2]
    return x[-1]


def multiply_accumulates(op: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Return an op's multiply-accumulates; 0 for what only adds, compares or moves."""
    if op.type in CONVOLUTIONS:
        # The filter is [out, in / groups, height, width].
        return math.prod(shapes[op.output("Output")[0]]) * math.prod(
            shapes[op.input("Filter")[0]][1:]
        )
    if op.type in TRANSPOSED:
        # Each input element is multiplied with a filter of [in, out / groups, height, width].
        return math.prod(shapes[op.input("Input")[0]]) * math.prod(
            shapes[op.input("Filter")[0]][1:]
        )
    if op.type in PRODUCTS:
        return math.prod(shapes[op.output("Out")[0]]) * depth(op, shapes)
    return 0


def parameters_of(block: Any) -> set[str]:
    """Return the names of what a model's file of parameters holds."""
    # The variables 'feed' and 'fetch' persist, too, and have no shape.
    return {
        name for name, v in block.vars.items() if v.persistable and name not in ("feed", "fetch")
    }


def shapes_of(program: Any, executor: Any, feed: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all variables that counting asks for, as they are in one inference."""
    block = program.global_block()
    known = {name: tuple(block.var(name).shape) for name in parameters_of(block)}
    known.update({name: array.shape for name, array in feed.items()})
    counted = [op for op in block.ops if op.type in CONVOLUTIONS | TRANSPOSED | PRODUCTS]
    names = {name for op in counted for name in (*op.input_arg_names, *op.output_arg_names)}
    asked = sorted(names - set(known))
    if asked:
        found = executor.run(program, feed=feed, fetch_list=asked)
        known.update({name: array.shape for name, array in zip(asked, found, strict=True)})
    return known


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, _, _ = paddle.static.load_inference_model("model", executor)
    feed = {
        spec["name"]: edge_runner.make_input(spec, 0, index)
        for index, spec in enumerate(request["inputs"])
    }
    shapes = shapes_of(program, executor, feed)
    block = program.global_block()
    persistable = parameters_of(block)
    seen: set[str] = set()
    layers = []
    uncounted = set()
    for op in block.ops:
        if op.type in ("feed", "fetch"):
            continue
        # A parameter that several layers share counts for the first of them.
        own = {
            name
            for key in op.input_names
            if not ("batch_norm" in op.type and key in STATISTICS)
            for name in op.input(key)
            if name in persistable
        } - seen
        seen |= own
        parameters = sum(math.prod(shapes[name]) for name in own)
        macs = multiply_accumulates(op, shapes)
        if op.type in UNCOUNTED:
            uncounted.add(op.type)
        if macs or parameters:
            key = next((k for k in RESULTS if k in op.output_names), op.output_names[0])
            name = op.output(key)[0]
            layers.append({"name": name, "op": op.type, "parameters": parameters, "macs": macs})
    found = {"layers": layers, "uncounted": sorted(uncounted)}
    Path("operations.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
