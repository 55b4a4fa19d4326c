"""Quantize a Paddle inference model to int8, by Paddle's own post-training quantization.

Run in the environment ``paddle`` as ``quantize.py REQUEST``: a JSON object with ``inputs`` (their
names), ``algorithm`` (of activations) and ``weights`` (``per-channel`` or ``per-tensor``).
Replaces ``model.pdmodel`` and ``model.pdiparams`` in the current folder by the quantized ones;
``calibration.npz`` has the samples (``x.j`` of input ``j``).

Weights come as int8 between quantize_linear and dequantize_linear ops (``onnx_format``): the one
form that opt, Paddle Inference and paddle2onnx all take.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.static.quantization import PostTrainingQuantization, utils

OPS = ("conv2d", "depthwise_conv2d", "mul", "matmul", "matmul_v2")
"""Which opt has int8 kernels for."""


class Samples(paddle.io.Dataset):  # type: ignore[misc]
    """One sample at a time, a batch as it is."""

    def __init__(self, arrays: list[Any]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> Any:
        return tuple(array[index] for array in self.arrays)


def take_scalars() -> None:
    """Let calibration see scalars as vectors: of one (a part of a shape) ``avg`` fails."""
    read = utils.load_variable_data
    utils.load_variable_data = lambda scope, name: np.atleast_1d(read(scope, name))


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, feeds, _ = paddle.static.load_inference_model("model", executor)
    with np.load("calibration.npz", allow_pickle=False) as stored:
        by_name = {name: stored[f"x.{j}"] for j, name in enumerate(request["inputs"])}
    if sorted(by_name) != sorted(feeds):
        sys.exit(f"the model's inputs are {sorted(feeds)}, the manifest's {sorted(by_name)}")
    if not any(op.type in OPS for op in program.global_block().ops):
        sys.exit(f"it has no op that can be quantized: {', '.join(OPS)}")
    samples = Samples([by_name[name] for name in feeds])
    loader = paddle.io.DataLoader(
        samples,
        feed_list=[program.global_block().var(name) for name in feeds],
        places=[paddle.CPUPlace()],
        return_list=False,
        batch_size=None,
    )
    take_scalars()
    quantization = PostTrainingQuantization(
        executor=executor,
        model_dir=".",
        model_filename="model.pdmodel",
        params_filename="model.pdiparams",
        data_loader=loader,
        batch_size=1,
        batch_nums=len(samples),
        algo=request["algorithm"],
        quantizable_op_type=list(OPS),
        weight_quantize_type={"per-channel": "channel_wise_abs_max", "per-tensor": "abs_max"}[
            request["weights"]
        ],
        onnx_format=True,
    )
    quantization.quantize()
    quantization.save_quantized_model("quantized", "model.pdmodel", "model.pdiparams")
    for name in ("model.pdmodel", "model.pdiparams"):
        Path("quantized", name).replace(name)  # not into the file that a link leads to


if __name__ == "__main__":
    main()
