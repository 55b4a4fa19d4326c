"""Convert an ONNX model to a Paddle inference model, with X2Paddle.

Run in the environment ``x2paddle`` as ``from_onnx.py REQUEST``: a JSON object with ``inputs`` (the
contract's input specifications) and ``exported_shapes`` (with -1 for an axis that varies). Makes
``model.pdmodel`` and ``model.pdiparams`` of ``model.onnx`` in the current folder.

X2Paddle writes a Python program out of the model's names and attributes, and runs it: so the
model gets names of our own, and no attribute with text that could be more than a word. Its exit
code says nothing: what counts are the files.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, helper

WORD = re.compile(rb"[A-Za-z0-9_,. >-]{0,100}")
UNSUPPORTED = re.compile(r"^=+ (\w+) =+$", re.MULTILINE)
OPERATOR = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")


def refuse_what_is_foreign(graph: Any) -> None:
    """End where the model has more than operators of ONNX's own, numbers and words."""
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            sys.exit("its weights lie in another file: save it as one ONNX file")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or not OPERATOR.fullmatch(node.op_type):
            sys.exit(f"X2Paddle has no op {node.domain!r} {node.op_type!r}")
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                sys.exit(f"X2Paddle has no op with a graph inside ({node.op_type})")
            texts = [attribute.s, *attribute.strings]
            if not all(WORD.fullmatch(text) for text in texts):
                sys.exit(f"attribute {attribute.name!r} of {node.op_type} is no plain text")
            if not OPERATOR.fullmatch(attribute.name):
                sys.exit(f"{attribute.name!r} of {node.op_type} is no attribute's name")


def rename(graph: Any) -> None:
    """Give the graph, its values and its nodes names that are safe in a program."""
    graph.name = "graph"
    names: dict[str, str] = {"": ""}

    def new(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new(value.name)
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        for values in (node.input, node.output):
            values[:] = [new(name) for name in values]


def fix(graph: Any, shapes: dict[str, list[int]]) -> None:
    """Fix the axes that do not vary; X2Paddle cannot convert everything without knowing them."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, shapes.get(value.name, ()), strict=False):
            if extent > 0:
                dim.dim_value = extent


def write_out_hard_swish(graph: Any) -> None:
    """Replace HardSwish, which X2Paddle lacks, by what ONNX defines it as."""
    nodes = []
    for node in graph.node:
        if node.op_type == "HardSwish":
            inner = f"{node.output[0]}_gate"
            nodes += [
                helper.make_node("HardSigmoid", node.input, [inner], alpha=1 / 6, beta=0.5),
                helper.make_node("Mul", [node.input[0], inner], node.output),
            ]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def write_bounds_out(block: Any) -> None:
    """Make attributes of the bounds of clip, where they are constants.

    Paddle Inference 2.6 with oneDNN loses bounds that are inputs when it fuses a convolution with
    a clip, and computes garbage.
    """
    constants = {}
    for op in block.ops:
        if op.type == "fill_constant":
            value = next(a.f for a in op.attrs if a.name == "value")
            constants[op.outputs[0].arguments[0]] = value
    for op in (op for op in block.ops if op.type == "clip"):
        for number in reversed(range(len(op.inputs))):
            given = op.inputs[number]
            if given.parameter in ("Min", "Max") and set(given.arguments) <= set(constants):
                if given.arguments:
                    bound = next(a for a in op.attrs if a.name == given.parameter.lower())
                    bound.f = constants[given.arguments[0]]
                del op.inputs[number]
    # Constants that nobody asks for any more crash its other fusions.
    asked = {name for op in block.ops for given in op.inputs for name in given.arguments}
    for number in reversed(range(len(block.ops))):
        op = block.ops[number]
        if op.type == "fill_constant" and op.outputs[0].arguments[0] not in asked:
            del block.ops[number]


def finish(names: dict[str, str], shapes: dict[str, list[int]]) -> None:
    """Give the program's inputs the model's names, and declare which axes vary."""
    from paddle.base.proto import framework_pb2  # noqa: PLC0415 - after X2Paddle has loaded paddle

    program = framework_pb2.ProgramDesc()
    path = Path("out/inference_model/model.pdmodel")
    program.ParseFromString(path.read_bytes())
    for block in program.blocks:
        write_bounds_out(block)
        for op in block.ops:
            for values in (*op.inputs, *op.outputs):
                values.arguments[:] = [names.get(name, name) for name in values.arguments]
        for variable in block.vars:
            variable.name = names.get(variable.name, variable.name)
            if variable.name in shapes:
                variable.type.lod_tensor.tensor.dims[:] = shapes[variable.name]
    Path("model.pdmodel").write_bytes(program.SerializeToString())


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    model = onnx.load("model.onnx", load_external_data=False)
    refuse_what_is_foreign(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    shapes = dict(
        zip((i["name"] for i in request["inputs"]), request["exported_shapes"], strict=True)
    )
    if sorted(shapes) != sorted(inputs):
        sys.exit(f"the model's inputs are {sorted(inputs)}, the manifest's {sorted(shapes)}")
    fix(model.graph, shapes)
    del model.graph.value_info[:]  # of the shapes before
    write_out_hard_swish(model.graph)
    rename(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    renamed = [value.name for value in model.graph.input if value.name not in weights]
    onnx.save(model, "renamed.onnx")

    from x2paddle.convert import onnx2paddle  # noqa: PLC0415 - seconds that a refusal spares

    said = io.StringIO()
    try:
        with redirect_stdout(said):
            # Without its feedback, which it would send to its authors.
            onnx2paddle("renamed.onnx", "out", disable_feedback=True)
    except Exception:
        print(said.getvalue())
        if lacking := UNSUPPORTED.findall(said.getvalue()):
            sys.exit(f"X2Paddle has no op {', '.join(sorted(lacking))}")
        raise
    if not Path("out/inference_model/model.pdmodel").is_file():
        sys.exit("X2Paddle wrote no model")
    names = {f"x2paddle_{new}": old for new, old in zip(renamed, inputs, strict=True)}
    finish(names, shapes)
    shutil.move("out/inference_model/model.pdiparams", "model.pdiparams")


if __name__ == "__main__":
    main()
