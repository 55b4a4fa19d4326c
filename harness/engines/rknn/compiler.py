"""What RKNN-Toolkit2's compiler says of a model: where each layer runs, and what it expects.

It prints a table of layers where it is asked to be verbose. Its cycles are estimates, of the NPU
and its memory alone; no board took part.
"""

from __future__ import annotations

import re
from collections import Counter
from math import prod

from harness.core.records import LayerEstimate, Partition

__all__ = ["partition"]

LAYERS_LIMIT = 10_000
PRECISIONS = {"INT8": "int8", "FLOAT16": "fp16", "INT16": "int16", "FLOAT": "fp32"}

_ESCAPE = re.compile(r"\x1b\[[\d;]*m")
_HEADER = re.compile(
    r"^D RKNN: \[[\d:.]+\] ID +OpType +DataType +Target +InputShape ", re.MULTILINE
)
_LAYER = re.compile(
    r"^D RKNN: \[[\d:.]+\] \d+ +(?P<op>\w+) +(?P<type>\w+) +(?P<on>\w+) +(?P<inputs>\S+) +"
    r"(?P<output>\S+) +\d+/\d+/(?P<cycles>\d+) +(?:\d+% +)?\d+ +(?P<name>\S+) *$",
    re.MULTILINE,
)
_SHAPE = re.compile(r"\(([\d,]+)\)")
_SIZE = re.compile(
    r"^D RKNN: \[[\d:.]+\] Total (Internal|Weight) Memory Size: ([\d.]+)KB", re.MULTILINE
)


def partition(said: str, tool: str) -> Partition | None:
    """Return what the compiler said of the last model that it built; none if there is no table.

    Parameters
    ----------
    said
        All that it printed.
    tool
        Its name and version.
    """
    text = _ESCAPE.sub("", said)
    headers = list(_HEADER.finditer(text))
    if not headers:
        return None
    estimates: list[LayerEstimate] = []
    kernels: Counter[str] = Counter()
    on_cpu: Counter[str] = Counter()
    subgraphs: list[Counter[str]] = []  # the table is in the order of running
    before = ""
    macs = npu_macs = 0
    for row in list(_LAYER.finditer(text, headers[-1].end()))[:LAYERS_LIMIT]:
        if row["op"] in ("InputOperator", "OutputOperator"):
            continue
        precision = PRECISIONS.get(row["type"], row["type"].lower())
        on_npu = row["on"] == "NPU"
        estimates.append(
            LayerEstimate(
                name=row["name"],
                op=row["op"],
                runs_on=row["on"],
                precision=precision,
                cycles=int(row["cycles"]) or None,
            )
        )
        kernels[f"{row['on'].lower()}/{precision}"] += 1
        if not on_npu:
            on_cpu[row["op"]] += 1
        elif before != "NPU":
            subgraphs.append(Counter([row["op"]]))
        else:
            subgraphs[-1][row["op"]] += 1
        before = row["on"]
        own = _macs(row["op"], row["inputs"], row["output"])
        macs += own
        npu_macs += own if on_npu else 0
    sizes = {what: round(float(size) * 1024) for what, size in _SIZE.findall(text)}
    return Partition(
        tool=tool,
        kernels=dict(sorted(kernels.items())),
        subgraphs=[dict(sorted(ops.items())) for ops in subgraphs],
        cpu_ops=dict(sorted(on_cpu.items())),
        macs=macs,
        npu_macs=npu_macs,
        weight_bytes=sizes.get("Weight"),
        memory_bytes=sizes.get("Internal"),
        estimates=estimates,
    )


def _macs(op: str, inputs: str, output: str) -> int:
    """Return a layer's multiply-accumulates, by its shapes; 0 for one that does not multiply."""
    taken, given = _shapes(inputs), _shapes(output)
    if len(taken) < 2 or not given:  # noqa: PLR2004 - what is multiplied
        return 0
    (first, weights), results = taken[:2], given[0]
    if "MatMul" in op:
        return prod(results) * first[-1]
    if "Transpose" in op or "Deconv" in op:
        return prod(first) * prod(weights[1:])
    if "Conv" in op and len(weights) > 2:  # noqa: PLR2004 - channels, then the kernel
        # A depthwise convolution's weights are shown as one output channel with all inputs.
        depthwise = weights[0] == 1 and results[1:2] == weights[1:2] != [1]
        return prod(results) * prod(weights[2 if depthwise else 1 :])
    return 0


def _shapes(text: str) -> list[list[int]]:
    return [[int(n) for n in shape.split(",") if n] for shape in _SHAPE.findall(text)]
