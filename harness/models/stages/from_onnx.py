"""Convert an ONNX model, prepared before, to a Paddle inference model, with X2Paddle.

Run in the environment ``x2paddle`` as ``from_onnx.py REQUEST``: a JSON object with ``inputs`` (the
contract's input specifications) and ``exported_shapes`` (with -1 for an axis that varies). Makes
``model.pdmodel`` and ``model.pdiparams`` of ``model.onnx`` in the current folder; where that cannot
be converted with its axes open, of ``frozen.onnx``, and says so in ``told.json``
(``fixed_shapes``).

X2Paddle writes a Python program out of the model's names and attributes, and runs it: so the
model gets names of our own, and no attribute with text that could be more than a word. Its exit
code says nothing, and it may end the process with 0 where it failed: what counts are the files.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto

WORD = re.compile(rb"[A-Za-z0-9_,. >-]{0,100}")
UNSUPPORTED = re.compile(r"^=+ (\w+) =+$", re.MULTILINE)
OPERATOR = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
REFUSED_NODE = re.compile(r"convert failed node:(\S+), op_type is (\w+)")
WRITTEN = ("model.pdmodel", "model.pdiparams")
ADVICE = "export the model from Paddle, or measure the ONNX file itself in another engine"


def refuse_what_is_foreign(graph: Any) -> None:
    """End where the model has more than operators of ONNX's own, numbers and words."""
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            sys.exit("its weights lie in another file: save it as one ONNX file")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or not OPERATOR.fullmatch(node.op_type):
            sys.exit(f"X2Paddle has no op {node.domain!r} {node.op_type!r}: {ADVICE}")
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                sys.exit(f"X2Paddle has no op with a graph inside ({node.op_type}): {ADVICE}")
            texts = [attribute.s, *attribute.strings]
            if not all(WORD.fullmatch(text) for text in texts):
                sys.exit(f"attribute {attribute.name!r} of {node.op_type} is no plain text")
            if not OPERATOR.fullmatch(attribute.name):
                sys.exit(f"{attribute.name!r} of {node.op_type} is no attribute's name")


def rename(graph: Any) -> dict[str, str]:
    """Give the graph, its values and its nodes names that are safe in a program.

    Returns
    -------
    dict
        Each value's new name to what the model calls the node that makes it.
    """
    graph.name = "graph"
    names: dict[str, str] = {"": ""}
    makers: dict[str, str] = {}

    def new(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new(value.name)
    for number, node in enumerate(graph.node):
        makers |= {new(name): node.name or name for name in node.output}
        node.name = f"n{number}"
        for values in (node.input, node.output):
            values[:] = [new(name) for name in values]
    return makers


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


def finish(names: dict[str, str], shapes: dict[str, list[int]], out: str) -> None:
    """Give the program's inputs the model's names, and declare which axes vary."""
    from paddle.base.proto import framework_pb2  # noqa: PLC0415 - after X2Paddle has loaded paddle

    program = framework_pb2.ProgramDesc()
    path = Path(out, "inference_model", "model.pdmodel")
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
    parameters = Path(out, "inference_model", "model.pdiparams")
    if not parameters.is_file():  # of a post-processing step, for example
        sys.exit("it has no parameters, and Paddle's engines load no model without")
    parameters.replace("model.pdiparams")
    Path("model.pdmodel").write_bytes(program.SerializeToString())


def convert(request: dict[str, Any], source: str, shapes: list[list[int]]) -> None:
    """Convert one file; end with the reason where that fails."""
    model = onnx.load(source, load_external_data=False)
    refuse_what_is_foreign(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    by_name = dict(zip((spec["name"] for spec in request["inputs"]), shapes, strict=True))
    makers = rename(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    renamed = [value.name for value in model.graph.input if value.name not in weights]
    onnx.save(model, "renamed.onnx")
    out = f"{Path(source).stem}-out"

    from x2paddle.convert import onnx2paddle  # noqa: PLC0415 - seconds that a refusal spares

    said = io.StringIO()
    fault: BaseException | None = None
    try:
        with redirect_stdout(said):
            # Without its feedback, which it would send to its authors.
            onnx2paddle("renamed.onnx", out, disable_feedback=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it ends the process itself, too
        fault = error
    print(said.getvalue())
    if lacking := UNSUPPORTED.findall(said.getvalue()):
        sys.exit(f"X2Paddle has no op {', '.join(sorted(lacking))}: {ADVICE}")
    if fault or not Path(out, "inference_model", "model.pdmodel").is_file():
        sys.exit(explained(fault, said.getvalue(), makers))
    names = {f"x2paddle_{new}": old for new, old in zip(renamed, inputs, strict=True)}
    finish(names, by_name, out)


def explained(fault: BaseException | None, said: str, makers: dict[str, str]) -> str:
    """Say why X2Paddle failed: which node, and what it did not say itself."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = str(fault).strip() if fault and not isinstance(fault, SystemExit) else ""
    reason = text.splitlines()[-1] if text else (lines or ["it wrote no model"])[-1]
    if found := REFUSED_NODE.search(text):
        # What it raised this in place of.
        cause = fault.__context__ if fault else None
        because = f"{type(cause).__name__}: {cause}".strip(": ") if cause else "without a reason"
        reason = f"node {makers.get(found[1], found[1])!r} ({found[2]}): {because}"
    elif fault and text:
        reason = f"{type(fault).__name__}: {reason}"
    return f"X2Paddle cannot convert it: {reason[:200]}; {ADVICE}"


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[-1])
    if sys.argv[1] == "--convert":
        source = sys.argv[2]
        usual = [spec["shape"] for spec in request["inputs"]]
        convert(request, source, usual if source == "frozen.onnx" else request["exported_shapes"])
        return
    usual = [spec["shape"] for spec in request["inputs"]]
    sources = ["model.onnx", *(["frozen.onnx"] if usual != request["exported_shapes"] else [])]
    for source in sources:
        # Each in a process of its own: X2Paddle imports the program that it writes.
        command = [sys.executable, "-I", __file__, "--convert", source, sys.argv[1]]
        done = subprocess.run(command, check=False)
        if all(Path(name).is_file() for name in WRITTEN):
            told = {"fixed_shapes": source == "frozen.onnx"}
            Path("told.json").write_text(json.dumps(told), encoding="utf-8")
            return
    sys.exit(done.returncode or 1)


if __name__ == "__main__":
    main()
