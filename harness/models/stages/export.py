"""Export a network of ``paddle.vision.models`` with seeded random weights.

Run in the environment ``paddle`` as ``export.py REQUEST``: a JSON object with ``function``,
``arguments``, ``seed``, ``inputs`` (name, dtype, shape, low, high) and ``exported_shapes`` (with
-1 for an axis that varies). Writes ``model.pdmodel``
and ``model.pdiparams`` into the current folder.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import paddle

NOISE_BATCH = 8
BATCH_NORM_OFFSET = 1.0


def settle(network: Any, inputs: list[dict[str, Any]], seed: int) -> None:
    """Give the batch norms the statistics of seeded noise, in one forward pass, and an offset.

    With the statistics that they are made with, a deep network's outputs shrink to about 1e-17,
    where no output check could tell right from wrong.

    With the offset that they are made with (0), every batch norm and ReLU makes a small difference
    1.2 times larger [1]_, as no trained network does: the rounding of int8 would grow until nothing
    is left of what the output says of the input. An offset of one standard deviation leaves ReLU
    nearly linear.

    References
    ----------
    .. [1] G. Yang et al., "A mean field theory of batch normalization", ICLR 2019.
    """
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.layer.norm._BatchNormBase):  # noqa: SLF001 - all of them
            layer._momentum = 0.0  # noqa: SLF001 - the statistics become this pass's
            layer.bias.set_value(paddle.full_like(layer.bias, BATCH_NORM_OFFSET))
    random = np.random.RandomState(seed)
    noise = [
        paddle.to_tensor(
            random.uniform(i["low"], i["high"], [NOISE_BATCH, *i["shape"][1:]]).astype(i["dtype"])
        )
        for i in inputs
    ]
    network.train()
    with paddle.no_grad():
        network(*noise)
    network.eval()


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    function = getattr(paddle.vision.models, request["function"], None)
    if function is None:
        sys.exit(f"paddle.vision.models has no '{request['function']}'")
    paddle.seed(request["seed"])
    network = function(**request["arguments"])
    settle(network, request["inputs"], request["seed"])
    specs = [
        paddle.static.InputSpec(shape=shape, dtype=i["dtype"], name=i["name"])
        for i, shape in zip(request["inputs"], request["exported_shapes"], strict=True)
    ]
    paddle.jit.save(network, "model", input_spec=specs)


if __name__ == "__main__":
    main()
