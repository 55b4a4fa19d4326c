"""Prepare an ONNX model for a converter: what is optional is written out, the rest is folded.

Run in the environment ``onnx`` as ``prepare.py REQUEST``: a JSON object with ``inputs`` (the
contract's input specifications), ``exported_shapes`` (with -1 for an axis that varies), and what
the converter needs: ``opset`` (the newest that it knows, or null), ``write_out`` (operators to
replace by the functions that ONNX defines them as), ``plain`` (for X2Paddle, which reads some of
what is allowed wrongly) and ``takes`` (the dtypes of inputs that it or its engine takes, or null
for any: inputs of others are taken as float32). Makes ``model.onnx`` of the one in the current
folder, ``frozen.onnx``, which takes the inputs' shapes alone, and ``interface.json``: ``inputs``
(those that have an effect), ``as_float32`` (of them those that are taken so), ``outputs`` (names in
the model's order) and ``notes``.

Every step is taken only if ONNX Runtime computes the same before and after it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import onnxsim
from onnx import AttributeProto, TensorProto, helper, inliner, shape_inference, version_converter

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 1
MOST_ROUNDS = 4
BROKEN_OPSET = 18
TOLERANCE = 1e-4  # of the largest value: what folding and fusing change in fp32
QUANTIZED = {"QuantizeLinear", "DequantizeLinear"}
IR_OF_OPSET = {15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 11}
POOLS = {"MaxPool", "AveragePool", "LpPool"}
RESHAPING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}
GLOBAL_POOLS = {"GlobalMaxPool", "GlobalAveragePool"}
CONVOLUTIONS = {"Conv", "ConvTranspose"}


class Outputs:
    """What a model computes of seeded inputs, as ONNX Runtime runs it without optimizations."""

    def __init__(self, request: dict[str, Any]) -> None:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
        import edge_runner  # noqa: PLC0415

        self.feed = edge_runner.make_inputs(request, SEED)

    def of(self, model: Any) -> list[Any]:
        """Return a model's outputs."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {value.name: self.feed[value.name] for value in session.get_inputs()}
        for value in session.get_inputs():
            if value.type == "tensor(float)":
                feed[value.name] = feed[value.name].astype("float32")
        return list(session.run(None, feed))


def differ(before: list[Any], after: list[Any]) -> str:
    """Say how outputs differ, or nothing."""
    for index, (a, b) in enumerate(zip(before, after, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {index} is {b.dtype}{list(b.shape)}, not {a.dtype}{list(a.shape)}"
        if a.size and a.dtype.kind in "fiub":
            a64, b64 = a.astype("float64"), b.astype("float64")
            error = float(np.abs(a64 - b64).max(initial=0, where=np.isfinite(a64)))
            allowed = TOLERANCE * max(float(np.abs(a64).max(initial=0, where=np.isfinite(a64))), 1)
            if not error <= allowed:
                return f"output {index} differs by {error:.3g}"
    return ""


def real_inputs(graph: Any) -> list[str]:
    """Return the names of the inputs that are no weights (old files list these, too)."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value.name for value in graph.input if value.name not in weights]


def fix(model: Any, shapes: dict[str, list[int]]) -> Any:
    """Fix the axes that do not vary; what was inferred for other shapes is dropped."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, shapes.get(value.name, ()), strict=False):
            if extent > 0:
                dim.dim_value = extent
    del model.graph.value_info[:]
    if all(extent > 0 for shape in shapes.values() for extent in shape):
        for value in model.graph.output:  # they are inferred from the inputs' again
            for dim in value.type.tensor_type.shape.dim:
                if not dim.HasField("dim_value"):
                    dim.Clear()
    return shape_inference.infer_shapes(model, data_prop=True)


def settled(model: Any, request: dict[str, Any]) -> Any:
    """Make constants of integer inputs whose range has one value, such as a sampling rate."""
    only = {
        spec["name"]: np.full(spec["shape"], math.ceil(spec["low"]), spec["dtype"])
        for spec in request["inputs"]
        if "float" not in spec["dtype"] and math.ceil(spec["high"]) - math.ceil(spec["low"]) == 1
    }
    kept = [value for value in model.graph.input if value.name not in only]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for name, value in only.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


def as_float32(model: Any, request: dict[str, Any]) -> Any:
    """Let inputs that the converter does not take be float32 ones, of the same values.

    Where the model casts them to float32 itself, which folding then leaves out, none of it is a
    part of an inference any more.
    """
    dtypes = {spec["name"]: spec["dtype"] for spec in request["inputs"]}
    graph = model.graph
    for value in graph.input:
        if dtypes.get(value.name, "float32") in request["takes"]:
            continue
        given = value.type.tensor_type.elem_type
        value.type.tensor_type.elem_type = TensorProto.FLOAT
        users = [node for node in graph.node if value.name in node.input]
        if all(attributes(node).get("to") == TensorProto.FLOAT for node in users):
            continue
        back = f"{value.name}_as_given"
        for node in users:
            node.input[:] = [back if name == value.name else name for name in node.input]
        graph.node.insert(0, helper.make_node("Cast", [value.name], [back], to=given, name=back))
    del graph.value_info[:]
    return model


def simplify(model: Any) -> Any:
    """Fold what is constant, fuse what is plain, and drop what nothing needs."""
    return onnxsim.simplify(model)[0]


def without_idle_inputs(model: Any) -> Any:
    """Leave out inputs and weights that no node and no output asks for."""
    graph = model.graph
    asked = {value.name for value in graph.output} | asked_by(graph)
    for values in (graph.input, graph.initializer):
        kept = [value for value in values if value.name in asked]
        del values[:]
        values.extend(kept)
    return model


def asked_by(graph: Any) -> set[str]:
    """Return all names that nodes take, those of graphs within them included."""
    names: set[str] = set()
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                names |= asked_by(attribute.g) | {value.name for value in attribute.g.output}
    return names


def write_out(model: Any, operators: list[str]) -> Any:
    """Replace operators by the functions that ONNX defines them as."""
    known = {value.name for value in (*model.graph.input, *model.graph.value_info)}
    for tensor in model.graph.initializer:  # the inliner wants to know their types
        if tensor.name not in known:
            model.graph.value_info.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    for _ in range(MOST_ROUNDS):  # a function may be of such operators itself
        if not any(node.op_type in operators for node in model.graph.node):
            break
        wanted = [("", operator) for operator in operators]
        model = inliner.inline_selected_functions(model, wanted, inline_schema_functions=True)
        model = shape_inference.infer_shapes(model, data_prop=True)
    return simplify(model)


def lowered(model: Any, opset: int) -> Any:
    """Rewrite a model for an older version of ONNX's operators."""
    # The version converter knows no way back over 18 for what that changed.
    if opset_of(model) >= BROKEN_OPSET > opset:
        if opset_of(model) > BROKEN_OPSET:
            model = version_converter.convert_version(model, BROKEN_OPSET)
        model = before_18(model)
    return version_converter.convert_version(model, opset)


def before_18(model: Any) -> Any:
    """Put what version 18 changed as version 17 has it: axes that became inputs, new attributes."""
    constants = constants_of(model.graph)
    shapes = shapes_of(model.graph)
    for node in model.graph.node:
        given = attributes(node)
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
            axes = constant(node, 1, constants)
            if axes is None and given.get("noop_with_empty_axes"):
                raise ValueError(f"{node.op_type} without axes is told to do nothing")
            change(node, noop_with_empty_axes=None, axes=None if axes is None else axes.tolist())
            del node.input[1:]
        elif node.op_type == "Pad" and len(node.input) > 3:  # noqa: PLR2004 - the fourth: axes
            pad_all_axes(node, model.graph, constants, len(shapes[node.input[0]]))
        elif node.op_type == "Resize":
            if given.get("antialias") or given.get("axes"):
                raise ValueError("Resize with antialias or axes has no older form")
            change(node, antialias=None, keep_aspect_ratio_policy=None)
        elif node.op_type == "Split":
            change(node, num_outputs=None)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = BROKEN_OPSET - 1
    return model


def pad_all_axes(node: Any, graph: Any, constants: dict[str, Any], rank: int) -> None:
    """Let a Pad of some axes be one of all, with nothing for the others."""
    axes, pads = constant(node, 3, constants), constant(node, 1, constants)
    if axes is not None and pads is not None:
        every = np.zeros((2, rank), "int64")
        every[:, axes % rank] = pads.reshape(2, -1)
        name = f"{node.output[0]}_pads"
        graph.initializer.append(onnx.numpy_helper.from_array(every.ravel(), name))
        node.input[1] = name
    del node.input[3:]


def constant(node: Any, place: int, constants: dict[str, Any]) -> Any:
    """Return the value of a node's optional input, which has to be a constant."""
    if len(node.input) <= place or not node.input[place]:
        return None
    if node.input[place] not in constants:
        raise ValueError(f"input {place} of {node.op_type} is computed")
    return constants[node.input[place]]


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators that a model is written for."""
    return next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 0)


def constants_of(graph: Any) -> dict[str, Any]:
    """Return the values of constants by name."""
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return found


def shapes_of(graph: Any) -> dict[str, list[int]]:
    """Return what is known of the shapes of values: -1 for an open axis."""
    found = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = [
                dim.dim_value if dim.HasField("dim_value") else -1
                for dim in value.type.tensor_type.shape.dim
            ]
    return found


def fill_in(model: Any) -> Any:
    """Write out the attributes of convolutions and poolings that ONNX lets a file leave out."""
    shapes = shapes_of(model.graph)
    for node in model.graph.node:
        given = attributes(node)
        if node.op_type in CONVOLUTIONS:
            kernel = shapes.get(node.input[1], [])[2:]
        elif node.op_type in POOLS:
            kernel = list(given.get("kernel_shape", []))
        else:
            continue
        if not kernel:
            continue
        usual: dict[str, Any] = {"kernel_shape": kernel, "strides": [1] * len(kernel)}
        if node.op_type in CONVOLUTIONS:
            usual |= {"dilations": [1] * len(kernel), "group": 1}
        if given.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"):
            usual["pads"] = [0] * (2 * len(kernel))
        for name in usual.keys() - given.keys():
            node.attribute.append(helper.make_attribute(name, usual[name]))
    return model


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def change(node: Any, **values: Any) -> None:
    """Set attributes of a node; those that are None are taken away."""
    kept = [attribute for attribute in node.attribute if attribute.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(
        helper.make_attribute(name, value) for name, value in values.items() if value is not None
    )


# --- what X2Paddle gets wrong unless it is put otherwise ---


def plain(model: Any) -> Any:
    """Put what X2Paddle reads wrongly in a form that it reads rightly, of the same meaning."""
    graph = model.graph
    nodes: list[Any] = []
    constants = constants_of(graph)
    shapes = shapes_of(graph)
    for number, node in enumerate(graph.node):
        given = attributes(node)
        if node.op_type == "MaxPool" and set(given.get("dilations", [1])) == {1}:
            change(node, dilations=None)  # it takes any for dilated
        elif node.op_type == "Gemm" and len(node.input) < 3:  # noqa: PLR2004 - A and B alone
            without_bias(node, graph, constants, number)
        elif node.op_type == "AveragePool" and given.get("count_include_pad"):
            nodes += pad_first(node, graph, number)
        elif node.op_type == "Resize" and given.get("mode") == b"linear":
            # It reads this as aligned corners; what differs are outputs of one element.
            if given.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel":
                change(node, coordinate_transformation_mode=b"pytorch_half_pixel")
        elif node.op_type == "Gather":
            from_the_front(node, graph, constants, shapes, number)
            nodes += one_by_one(node, graph, constants, shapes, number)
            continue
        elif node.op_type == "LSTM":
            complete_lstm(node, graph, shapes, number)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return without_idle_inputs(model)


def from_the_front(
    node: Any, graph: Any, constants: dict[str, Any], shapes: dict[str, list[int]], number: int
) -> None:
    """Count the indices of a Gather from the front: Paddle has none from the back."""
    indices, data = constants.get(node.input[1]), shapes.get(node.input[0])
    if indices is None or not data or not (indices < 0).any():
        return
    extent = data[attributes(node).get("axis", 0)]
    if extent > 0:
        counted = np.where(indices < 0, indices + extent, indices)
        name = f"plain_{number}_indices"
        graph.initializer.append(onnx.numpy_helper.from_array(counted, name))
        node.input[1] = name


def one_by_one(
    node: Any, graph: Any, constants: dict[str, Any], shapes: dict[str, list[int]], number: int
) -> list[Any]:
    """Let a Gather by indices of several axes take them one by one, and shape the result."""
    indices, data = constants.get(node.input[1]), shapes.get(node.input[0], [])
    rest = data[1:]
    axis = attributes(node).get("axis", 0)
    if indices is None or indices.ndim < 2 or axis or not data or min(rest, default=1) < 1:  # noqa: PLR2004
        return [node]
    flat, result, final = f"plain_{number}_flat", f"plain_{number}_gathered", node.output[0]
    graph.initializer.append(onnx.numpy_helper.from_array(indices.ravel(), flat))
    node.input[1], node.output[0] = flat, result
    return [node, reshape(graph, result, [*indices.shape, *rest], final)]


def without_bias(node: Any, graph: Any, constants: dict[str, Any], number: int) -> None:
    """Make a product of matrices of a Gemm that adds nothing, which X2Paddle does not expect."""
    given = attributes(node)
    weights = constants.get(node.input[1])
    if weights is None or given.get("transA") or given.get("alpha", 1.0) != 1.0:
        zero = np.zeros(1, "float32")
        graph.initializer.append(onnx.numpy_helper.from_array(zero, f"plain_{number}_zero"))
        node.input.append(f"plain_{number}_zero")
        return
    if given.get("transB"):
        turned = np.ascontiguousarray(weights.T)
        graph.initializer.append(onnx.numpy_helper.from_array(turned, f"plain_{number}_turned"))
        node.input[1] = f"plain_{number}_turned"
    node.op_type = "MatMul"
    del node.attribute[:]


def pad_first(node: Any, graph: Any, number: int) -> list[Any]:
    """Let an average pooling that counts its padding find it in its input: return the padding."""
    pads = list(attributes(node).get("pads", []))
    change(node, count_include_pad=None, pads=[0] * len(pads))
    if not any(pads):
        return []
    half = len(pads) // 2
    around = [0, 0, *pads[:half], 0, 0, *pads[half:]]
    name, padded = f"plain_{number}_pads", f"plain_{number}_padded"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(around, "int64"), name))
    made = helper.make_node("Pad", [node.input[0], name], [padded], mode="constant")
    made.name = f"{node.name}_pad"
    node.input[0] = padded
    return [made]


def complete_lstm(node: Any, graph: Any, shapes: dict[str, list[int]], number: int) -> None:
    """Write out what an LSTM may leave out: outputs, biases and first states of zeros."""
    while len(node.output) < 3:  # noqa: PLR2004 - Y, Y_h and Y_c
        node.output.append("")
    for place, name in enumerate(node.output):
        node.output[place] = name or f"plain_{number}_y{place}"
    directions, four, _ = shapes[node.input[1]]
    batch = shapes.get(node.input[0], [-1, -1])[1]
    zeros = {3: [directions, 2 * four]}
    if batch > 0:
        zeros |= {5: [directions, batch, four // 4], 6: [directions, batch, four // 4]}
    while len(node.input) < 1 + max(zeros):
        node.input.append("")
    for place, shape in zeros.items():
        if not node.input[place]:
            node.input[place] = f"plain_{number}_x{place}"
            tensor = onnx.numpy_helper.from_array(np.zeros(shape, "float32"), node.input[place])
            graph.initializer.append(tensor)


def flatten(model: Any) -> Any:
    """Rewrite 1-D convolutions, poolings and paddings as 2-D ones of height 1."""
    graph = model.graph
    shapes = shapes_of(graph)
    constants = constants_of(graph)
    nodes: list[Any] = []
    for number, node in enumerate(graph.node):
        taken = shapes.get(node.input[0], ()) if node.input else ()
        given = shapes.get(node.output[0], [0, -1, -1])
        second = constants.get(node.input[1]) if len(node.input) > 1 else None
        rewritten = (
            node.op_type in POOLS | GLOBAL_POOLS
            or (node.op_type in CONVOLUTIONS and second is not None)
            or (node.op_type == "Pad" and second is not None and len(second) == 6)  # noqa: PLR2004
        )
        if is_flat_pad(node, second):
            nodes += padded_in_two(node, second, graph, number)
            continue
        if len(taken) != 3 or not rewritten:  # noqa: PLR2004 - batch, channels, length
            nodes.append(node)
            continue
        wide, result = f"flat_{number}_in", f"flat_{number}_out"
        inputs = [wide, *node.input[1:]]
        if second is not None:
            inputs[1] = f"flat_{number}_second"
            if node.op_type == "Pad":
                second = np.insert(second, [2, 5], 0)
            else:
                second = np.expand_dims(second, 2)
            graph.initializer.append(onnx.numpy_helper.from_array(second, inputs[1]))
        flat = helper.make_node(node.op_type, inputs, [result, *node.output[1:]], name=node.name)
        flat.attribute.extend(with_height(attribute) for attribute in node.attribute)
        # Not Unsqueeze and Squeeze, after which X2Paddle knows of no axis any more.
        higher = [0, max(0, taken[1]), 1, -1]
        lower = [0, max(0, given[1]), -1]
        nodes += [
            reshape(graph, node.input[0], higher, wide),
            flat,
            reshape(graph, result, lower, node.output[0]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return without_idle_inputs(model)


def is_flat_pad(node: Any, pads: Any) -> bool:
    """Return whether a node pads the second axis of two."""
    two = node.op_type == "Pad" and pads is not None and len(pads) == 4  # noqa: PLR2004
    return bool(two and not pads[[0, 2]].any())


def padded_in_two(node: Any, pads: Any, graph: Any, number: int) -> list[Any]:
    """Return what pads the second axis of two as the last one of an image."""
    wide, result, name = f"flat_{number}_in", f"flat_{number}_out", f"flat_{number}_pads"
    every = np.array([0, 0, 0, pads[1], 0, 0, 0, pads[3]], "int64")
    graph.initializer.append(onnx.numpy_helper.from_array(every, name))
    flat = helper.make_node("Pad", [wide, name, *node.input[2:]], [result], name=node.name)
    flat.attribute.extend(node.attribute)
    return [
        reshape(graph, node.input[0], [0, 1, 1, -1], wide),
        flat,
        reshape(graph, result, [0, -1], node.output[0]),
    ]


def reshape(graph: Any, value: str, shape: list[int], result: str) -> Any:
    """Return a node that gives a value another shape."""
    name = f"{result}_shape_{len(graph.initializer)}"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape, "int64"), name))
    return helper.make_node("Reshape", [value, name], [result], name=f"{result}_reshape")


def written_in(model: Any) -> Any:
    """Make reshapes to the inferred shapes of what only changes a shape.

    X2Paddle gives the axes of an Unsqueeze as a variable, after which Paddle knows no extent.
    """
    graph = model.graph
    shapes = shapes_of(graph)
    for number, node in enumerate(graph.node):
        shape = shapes.get(node.output[0], [])
        at_most_one_open = shape.count(-1) <= 1 and 0 not in shape
        if node.op_type in RESHAPING and shape and at_most_one_open:
            made = reshape(graph, node.input[0], shape, node.output[0])
            made.name = node.name
            graph.node[number].CopyFrom(made)
    return without_idle_inputs(model)


def with_height(attribute: Any) -> Any:
    """Return an attribute of a 1-D operator as its 2-D one has it."""
    values = list(attribute.ints)
    if attribute.name in ("kernel_shape", "strides", "dilations"):
        values = [1, *values]
    elif attribute.name == "pads":
        values = [0, values[0], 0, values[1]]
    elif attribute.name in ("output_padding", "output_shape"):
        values = [0 if attribute.name == "output_padding" else 1, *values]
    else:
        return attribute
    return helper.make_attribute(attribute.name, values)


def prepare(
    model: Any, request: dict[str, Any], shapes: dict[str, list[int]], notes: list[str]
) -> Any:
    """Take the steps that a converter needs, as far as each keeps the outputs."""
    outputs = Outputs(request)
    before = outputs.of(model)

    def step(said: str, make: Callable[[Any], Any], current: Any) -> Any:
        copy = onnx.ModelProto()
        copy.CopyFrom(current)
        try:
            made = make(copy)
            fault = differ(before, outputs.of(made))
        except Exception as error:  # noqa: BLE001 - whatever these tools raise
            fault = (str(error).strip() or repr(error)).splitlines()[0][:200]
        if fault:
            notes.append(f"{said}: left out ({fault})")
            return current
        return made

    given = {value.name for value in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in given]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model = step("inputs of one value made constants", lambda m: settled(m, request), model)
    if request["takes"]:
        model = step("inputs taken as float32", lambda m: as_float32(m, request), model)
    model = step("functions inlined", inliner.inline_local_functions, model)
    model = step("shapes fixed", lambda m: fix(m, shapes), model)
    quantized = any(node.op_type in QUANTIZED for node in model.graph.node)
    if not quantized:  # folding would undo the quantization of weights
        model = step("constants folded", simplify, model)
    if found := sorted({n.op_type for n in model.graph.node} & set(request["write_out"])):
        said = f"{', '.join(found)} written out"
        model = step(said, lambda m: write_out(m, request["write_out"]), model)
    current = opset_of(model)
    if request["opset"] and current > request["opset"]:
        said = f"opset {current} lowered to {request['opset']}"
        model = step(said, lambda m: lowered(m, request["opset"]), model)
    model = step("attributes filled in", fill_in, model)
    if request["plain"]:
        model = step("what X2Paddle reads wrongly put otherwise", plain, model)
        model = step("1-D operators as 2-D ones", flatten, model)
    model = step("what nothing needs left out", without_idle_inputs, model)
    model = step(
        "shapes inferred", lambda m: shape_inference.infer_shapes(m, data_prop=True), model
    )
    return step("shapes written in", written_in, model) if request["plain"] else model


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    model = onnx.load("model.onnx", load_external_data=False)
    inputs, wanted = real_inputs(model.graph), [spec["name"] for spec in request["inputs"]]
    if sorted(inputs) != sorted(wanted):
        sys.exit(f"the model's inputs are {sorted(inputs)}, the manifest's {sorted(wanted)}")
    if request["made_here"]:
        # Converters take what Paddle2ONNX made of our own export as it is, some nothing else.
        shutil.copyfile("model.onnx", "frozen.onnx")
        shutil.copyfile("model.onnx", "prepared.onnx")
        finish(request, model, [])
        return
    usual = {spec["name"]: spec["shape"] for spec in request["inputs"]}
    open_too = dict(zip(wanted, request["exported_shapes"], strict=True))
    notes: list[str] = []
    prepared = prepare(model, request, open_too, notes)
    save(prepared, "prepared.onnx")
    if usual == open_too:
        shutil.copyfile("prepared.onnx", "frozen.onnx")
    else:
        again = onnx.load("model.onnx", load_external_data=False)
        save(prepare(again, request, usual, notes), "frozen.onnx")
    finish(request, prepared, notes)


def finish(request: dict[str, Any], prepared: Any, notes: list[str]) -> None:
    """Put the prepared model into its place, with what is known of it."""
    Path("prepared.onnx").replace("model.onnx")  # not into the file that a link leads to
    left = real_inputs(prepared.graph)
    dtypes = {spec["name"]: spec["dtype"] for spec in request["inputs"]}
    as_floats = [
        value.name
        for value in prepared.graph.input
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
        and dtypes.get(value.name, "float32") != "float32"
    ]
    interface = {
        "inputs": [name for name in dtypes if name in left],
        "as_float32": as_floats,
        "outputs": [value.name for value in prepared.graph.output],
        "notes": notes,
    }
    print(*notes, sep="\n")
    Path("interface.json").write_text(json.dumps(interface), encoding="utf-8")


def save(model: Any, path: str) -> None:
    """Write a model, in a version of the format that goes with its operators'."""
    opset = opset_of(model)
    model.ir_version = min(model.ir_version, IR_OF_OPSET.get(max(opset, 15), 11))
    onnx.save(model, path)


if __name__ == "__main__":
    main()
