"""Export a transformer encoder with seeded random weights.

Run in the environment ``paddle`` as ``transformer.py REQUEST``: a JSON object with ``layers``,
``width``, ``heads``, ``vocabulary``, ``longest``, ``seed``, ``input`` (its name) and
``exported_shape`` (with -1 for an axis that varies). Writes ``model.pdmodel`` and
``model.pdiparams`` into the current folder.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import paddle


class Encoder(paddle.nn.Layer):  # type: ignore[misc]
    """Token numbers [batch, length] to their encodings [batch, length, width].

    Pre-norm layers with GELU and learned positions, as in GPT-2; without a mask.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        width = request["width"]
        self.words = paddle.nn.Embedding(request["vocabulary"], width)
        self.places = paddle.nn.Embedding(request["longest"], width)
        layer = paddle.nn.TransformerEncoderLayer(
            width,
            request["heads"],
            4 * width,
            dropout=0.0,
            activation="gelu",
            normalize_before=True,
        )
        norm = paddle.nn.LayerNorm(width)
        self.layers = paddle.nn.TransformerEncoder(layer, request["layers"], norm)

    def forward(self, ids: Any) -> Any:
        """Encode."""
        # Positions without asking for the length: a slice by a shape is lost in ONNX.
        places = paddle.cumsum(paddle.ones_like(ids), axis=1) - 1
        return self.layers(self.words(ids) + self.places(places))


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    paddle.seed(request["seed"])
    network = Encoder(request)
    network.eval()
    spec = paddle.static.InputSpec(request["exported_shape"], "int64", name=request["input"])
    paddle.jit.save(network, "model", input_spec=[spec])


if __name__ == "__main__":
    main()
